// URL: relative links -> absolute ones (WHATWG URL, lexbor's parser), and the normal form by which one story
// that several sources found can be grouped. A urls_t belongs to one thread.
#ifndef RTM_MINER_URL_H
#define RTM_MINER_URL_H

#include <stddef.h>

#include "common/arena.h"

typedef struct urls urls_t;

urls_t *urls_new(void);
void urls_destroy(urls_t **urls);
// The calling thread's own, which lives as long as the thread. Whoever uses it sets its base first, and is
// done with it before anyone else is asked.
urls_t *urls_of_thread(void);

// The base of what is resolved next: an absolute URL, or NULL for none. 0; -1: not a URL, there is now no
// base.
int urls_set_base(urls_t *urls, const char *url, size_t len);
// Moves the base: url is resolved against the present one (<base href>, xml:base). 0; -1: not a URL, the base
// stays.
int urls_move_base(urls_t *urls, const char *url, size_t len);

// The absolute http(s) URL that text means (white space around it is ignored), in arena; NULL where there is
// none: empty, not a URL, another scheme, longer than MAX_URL, or the arena is full.
const char *urls_resolve(urls_t *urls, arena_t *arena, const char *text, size_t len);

// The normal form of an absolute http(s) URL: https, no "www.", no fragment, no tracking parameters (utm_*,
// fbclid, ...), the other parameters sorted, no slash at the path's end, percent-encoding as RFC 3986, 6.2.2
// has it. Not for fetching. NULL as above.
const char *urls_norm(urls_t *urls, arena_t *arena, const char *url);

#endif
