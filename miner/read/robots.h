// Robots: a robots.txt per RFC 9309, parsed and asked. Pure; fetching and caching it is the miner's.
#ifndef RTM_MINER_ROBOTS_H
#define RTM_MINER_ROBOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"

enum { ROBOTS_MAX_BYTES = 500 << 10 }; // of the file; what comes behind is not read (RFC 9309, 2.5)

typedef struct robots robots_t;

// Parses len bytes; they may be anything and are copied where needed. Everything lives in arena; NULL only
// when the arena is full.
robots_t *robots_parse(arena_t *arena, const char *bytes, size_t len);

// May agent fetch path? agent is a product token ("rtm") or a whole User-Agent (its token is cut out). path
// is a URL's path with its query, or a whole URL. *line (if not NULL) is the 1-based line that decided, 0 if
// none.
bool robots_allowed(const robots_t *robots, const char *agent, const char *path, int *line);

// The crawl-delay that holds for agent, or -1 if there is none.
int64_t robots_crawl_delay_ms(const robots_t *robots, const char *agent);

// The URLs of the file's sitemap lines, as written, in order.
size_t robots_sitemaps(const robots_t *robots, const char *const **urls);

#endif
