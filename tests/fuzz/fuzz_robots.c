// needs: miner/read proto common
// Any bytes as a robots.txt, then any path: what stands before the first NUL is the path.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "miner/read/robots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = memchr(data, 0, size);
    if (!nul) return 0;
    const char *const *urls;
    int line;
    size_t skip = (size_t)(nul - data) + 1;
    arena_t *arena = arena_new(16 << 20);
    robots_t *robots = robots_parse(arena, (const char *)data + skip, size - skip);
    if (robots) {
        bool allowed = robots_allowed(robots, "rtm", (const char *)data, &line);
        if (!allowed && line == 0) abort();
        if (robots_crawl_delay_ms(robots, "rtm/1.0") > 86400000) abort();
        (void)robots_sitemaps(robots, &urls);
    }
    arena_destroy(&arena);
    return 0;
}
