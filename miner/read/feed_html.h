// Feed HTML: when a page came where a feed was wanted. Called by feed.c only.
#ifndef RTM_MINER_FEED_HTML_H
#define RTM_MINER_FEED_HTML_H

#include <stdbool.h>

#include "miner/read/read.h"

// Is text an HTML page without a feed in it?
bool feed_is_html(const char *text, size_t len);
// The URL of the feed that the page names as its own (<link rel=alternate>), or NULL.
const char *feed_discover(arena_t *arena, const document_t *document, const char *text, size_t len);

#endif
