// Robots cache: an entry per origin, in a heap by when it was asked last.
#include "miner/robots_cache.h"

#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/check.h"
#include "common/heap.h"
#include "common/map.h"
#include "miner/polite.h"
#include "miner/read/robots.h"
#include "proto/limits.h"

enum {
    MAX_HOSTS = 16384,
    MAX_BYTES = 32 << 20,
    PARSE_ARENA = 16 << 20,
    HOUR = 3600000,
    FRESH_MS = 23 * HOUR,
    VALID_MS = 24 * HOUR, // RFC 9309, 2.4
    FIRST_RETRY_MS = 5000,
    MOST_RETRY_MS = 60000, // as a host that is back is to be polled within its promise
    MAX_GAP_MS = 60000,
};
static const int64_t IRRELEVANT_MS = 30LL * 24 * HOUR; // unreachable for so long: it counts no more (2.3.1.4)

typedef struct {
    heap_node_t used; // first, by when it was asked last
    uint64_t origin;
    arena_t *arena;         // of robots, or NULL
    const robots_t *robots; // NULL: everything is allowed
    size_t bytes;
    int64_t gap_ms;
    int64_t had_at; // when the file was had, INT64_MIN: never
    // while it cannot be had
    int64_t failed_since, retry_at, retry_ms; // retry_ms 0: it can
    error_class_t error;
    long status;
} entry_t;

struct robots_cache {
    map_t entries;
    heap_t used;
    size_t bytes;
    arena_t *scratch;
};

robots_cache_t *robots_cache_new(void)
{
    robots_cache_t *c = xcalloc(1, sizeof *c);
    map_init(&c->entries);
    heap_init(&c->used);
    c->scratch = arena_new(PARSE_ARENA);
    return c;
}

static void forget_rules(robots_cache_t *c, entry_t *e)
{
    c->bytes -= e->bytes;
    e->bytes = 0;
    e->robots = NULL;
    e->gap_ms = 0;
    arena_destroy(&e->arena);
}

static void drop(robots_cache_t *c, entry_t *e)
{
    forget_rules(c, e);
    heap_remove(&c->used, &e->used);
    map_del(&c->entries, e->origin);
    free(e);
}

void robots_cache_destroy(robots_cache_t **cache)
{
    robots_cache_t *c = *cache;
    if (!c) return;
    for (heap_node_t *n; (n = heap_min(&c->used));) drop(c, HEAP_OWNER(n, entry_t, used));
    heap_free(&c->used);
    map_free(&c->entries);
    arena_destroy(&c->scratch);
    free(c);
    *cache = NULL;
}

uint64_t robots_cache_origin_at(uint64_t host, const char *url)
{
    return host ^ (strncmp(url, "https", 5) ? 0 : 0x9e3779b97f4a7c15ULL);
}

uint64_t robots_cache_origin(const char *url)
{
    return robots_cache_origin_at(polite_host(url), url);
}

int robots_cache_url(const char *url, char out[MAX_URL])
{
    static const char path[] = "/robots.txt";
    bool known = !strncmp(url, "http://", 7) || !strncmp(url, "https://", 8);
    size_t n = known ? (size_t)(strstr(url, "://") - url) + 3 : 0;
    n += strcspn(url + n, "/?#");
    if (!known || n + sizeof path > MAX_URL) return -1;
    memcpy(out, url, n);
    memcpy(out + n, path, sizeof path);
    return 0;
}

// -- asking ---------------------------------------------------------------------------------------

static robots_verdict_t by_rules(const entry_t *e, const char *url, bool renew)
{
    bool allowed = !e->robots || robots_allowed(e->robots, ROBOTS_AGENT, url, NULL);
    return (robots_verdict_t){
        .answer = allowed ? ROBOTS_ALLOWED : ROBOTS_FORBIDDEN, .gap_ms = e->gap_ms, .renew = renew};
}

robots_verdict_t robots_cache_ask(robots_cache_t *c, uint64_t origin, const char *url, int64_t now)
{
    entry_t *e = map_get(&c->entries, origin);
    if (!e) return (robots_verdict_t){.answer = ROBOTS_UNKNOWN};
    heap_set(&c->used, &e->used, now);
    bool may_try = !e->retry_ms || now >= e->retry_at;
    if (e->had_at != INT64_MIN && now - e->had_at < VALID_MS)
        return by_rules(e, url, may_try && now - e->had_at >= FRESH_MS);
    if (may_try) return (robots_verdict_t){.answer = ROBOTS_UNKNOWN};
    if (now - e->failed_since >= IRRELEVANT_MS) return (robots_verdict_t){.answer = ROBOTS_ALLOWED};
    return (robots_verdict_t){.answer = ROBOTS_UNREACHABLE, .error = e->error, .status = e->status};
}

// -- what came ------------------------------------------------------------------------------------

// Parsed twice, so that what is kept takes no more than it needs.
static void keep_rules(robots_cache_t *c, entry_t *e, const char *body, size_t len)
{
    arena_reset(c->scratch);
    const robots_t *r = robots_parse(c->scratch, body, len);
    if (!r) return; // too much of it: as if it were cut to nothing
    int64_t gap = robots_crawl_delay_ms(r, ROBOTS_AGENT);
    e->gap_ms = gap > MAX_GAP_MS ? MAX_GAP_MS : gap > 0 ? gap : 0;
    e->bytes = arena_used(c->scratch);
    e->arena = arena_new(e->bytes);
    e->robots = robots_parse(e->arena, body, len);
    CHECK(e->robots != NULL);
    c->bytes += e->bytes;
}

static void note_failure(entry_t *e, error_class_t error, long status, unsigned jitter, int64_t now)
{
    if (!e->retry_ms) e->failed_since = now;
    e->retry_ms = e->retry_ms ? e->retry_ms * 2 : FIRST_RETRY_MS;
    if (e->retry_ms > MOST_RETRY_MS) e->retry_ms = MOST_RETRY_MS;
    e->retry_at = now + e->retry_ms - e->retry_ms / 4 * jitter / 1000;
    e->error = error;
    e->status = status;
}

static entry_t *entry_of(robots_cache_t *c, uint64_t origin)
{
    entry_t *e = map_get(&c->entries, origin);
    if (e) return e;
    e = xcalloc(1, sizeof *e);
    e->origin = origin;
    e->had_at = INT64_MIN;
    map_put(&c->entries, origin, e);
    return e;
}

// The file cannot be had for good: it is as if there were none (2.3.1.2, 2.3.1.3).
static bool is_unavailable(error_class_t error, long status)
{
    return (status >= 400 && status < 500) || error == ERR_redirects;
}

void robots_cache_put(robots_cache_t *c, uint64_t origin, error_class_t error, long status, const char *body,
                      size_t len, unsigned jitter, int64_t now)
{
    entry_t *e = entry_of(c, origin);
    heap_set(&c->used, &e->used, now);
    // A 429 is unavailable by the letter, but no word on rules that are known, and may soon be over.
    bool limited = status == 429, known = e->had_at != INT64_MIN && now - e->had_at < VALID_MS;
    if (error != ERR_none && (!is_unavailable(error, status) || (limited && known))) {
        note_failure(e, error, status, jitter, now);
    } else {
        forget_rules(c, e);
        e->had_at = limited ? now - FRESH_MS + HOUR : now;
        e->retry_ms = 0;
        if (error == ERR_none && len) keep_rules(c, e, body, len);
    }
    while (c->used.count > MAX_HOSTS || (c->bytes > MAX_BYTES && c->used.count > 1))
        drop(c, HEAP_OWNER(heap_min(&c->used), entry_t, used));
}

size_t robots_cache_hosts(const robots_cache_t *c)
{
    return c->used.count;
}

size_t robots_cache_bytes(const robots_cache_t *c)
{
    return c->bytes;
}
