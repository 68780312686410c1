// Backoffs: a heap by their ends, a map by the hosts' names.
#include "broker/backoffs.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/check.h"

typedef struct {
    heap_node_t end;
    uint64_t hash;
    char *host;
} entry_t;

void backoffs_init(backoffs_t *b)
{
    heap_init(&b->ends);
    map_init(&b->by_host);
}

static void forget_first(backoffs_t *b)
{
    entry_t *e = HEAP_OWNER(heap_min(&b->ends), entry_t, end);
    heap_remove(&b->ends, &e->end);
    map_del(&b->by_host, e->hash);
    free(e->host);
    free(e);
}

void backoffs_free(backoffs_t *b)
{
    while (b->ends.count) forget_first(b);
    heap_free(&b->ends);
    map_free(&b->by_host);
}

void backoffs_note(backoffs_t *b, const char *host, int64_t until)
{
    uint64_t hash = XXH3_64bits(host, strlen(host));
    entry_t *e = map_get(&b->by_host, hash);
    if (!e) {
        e = xcalloc(1, sizeof *e);
        e->hash = hash;
        e->host = xstrdup(host);
        map_put(&b->by_host, hash, e);
    }
    if (!e->end.pos || e->end.key < until) heap_set(&b->ends, &e->end, until);
    if (b->ends.count > MAX_BACKOFFS) forget_first(b);
}

wire_host_t *backoffs_rows(backoffs_t *b, int64_t now, size_t *n)
{
    while (b->ends.count && heap_min(&b->ends)->key <= now) forget_first(b);
    wire_host_t *rows = xcalloc(b->ends.count + 1, sizeof *rows);
    *n = b->ends.count;
    for (size_t i = 0; i < *n; i++) {
        const entry_t *e = HEAP_OWNER(b->ends.nodes[i], entry_t, end);
        rows[i] = (wire_host_t){.host = e->host, .backoff_ms = e->end.key - now};
    }
    return rows;
}
