// Feed links: relative links within markup -> absolute ones, as an item's markup is read where its feed's URL
// and xml:base are forgotten. Used by the feed_ files only.
#ifndef RTM_MINER_FEED_LINKS_H
#define RTM_MINER_FEED_LINKS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"
#include "miner/read/url.h"

// Is the attribute's value a link that a browser follows or loads: href, src?
bool feed_link_name(const char *name, size_t len);
// The absolute URL that a link means; NULL: it is absolute already, of another scheme, within the page (#x),
// or means nothing.
const char *feed_link_resolve(urls_t *urls, arena_t *arena, const char *link, size_t len);
// *html of *len bytes with its links resolved, in arena; the rest stays as it is, and all of it where there
// is no relative link.
void feed_links_resolve(urls_t *urls, arena_t *arena, const char **html, size_t *len);

#endif
