// Strays: a heap of leases, with a map by source and counts by template; few at any time.
#include "broker/strays.h"

#include <stdlib.h>

#include "common/check.h"

void strays_init(strays_t *s)
{
    heap_init(&s->leases);
    map_init(&s->by_source);
    map_init(&s->counts);
}

static void count(strays_t *s, uint64_t template, int by)
{
    size_t n = strays_of(s, template) + (size_t)by;
    if (n)
        map_put(&s->counts, template, (void *)(uintptr_t)n);
    else
        map_del(&s->counts, template);
}

static void end(strays_t *s, stray_t *stray)
{
    heap_remove(&s->leases, &stray->lease);
    map_del(&s->by_source, stray->source);
    count(s, stray->template, -1);
    free(stray);
}

void strays_free(strays_t *s)
{
    for (heap_node_t *n; (n = heap_min(&s->leases));) end(s, HEAP_OWNER(n, stray_t, lease));
    heap_free(&s->leases);
    map_free(&s->by_source);
    map_free(&s->counts);
}

size_t strays_all(const strays_t *s)
{
    return s->leases.count;
}

size_t strays_of(const strays_t *s, uint64_t template)
{
    return (uintptr_t)map_get(&s->counts, template);
}

bool strays_runs(const strays_t *s, uint64_t source)
{
    return map_get(&s->by_source, source) != NULL;
}

void strays_put(strays_t *s, const stray_t *stray, int64_t until)
{
    strays_forget(s, stray->source);
    stray_t *copy = xcalloc(1, sizeof *copy);
    *copy = *stray;
    copy->lease = (heap_node_t){0};
    heap_set(&s->leases, &copy->lease, until);
    map_put(&s->by_source, copy->source, copy);
    count(s, copy->template, 1);
}

void strays_forget(strays_t *s, uint64_t source)
{
    stray_t *stray = map_get(&s->by_source, source);
    if (stray) end(s, stray);
}

// That of source at miner, or NULL.
static stray_t *at(const strays_t *s, uint64_t miner, uint64_t source)
{
    stray_t *stray = map_get(&s->by_source, source);
    return stray && stray->miner == miner ? stray : NULL;
}

bool strays_ended(strays_t *s, uint64_t miner, uint64_t source, int64_t due)
{
    stray_t *stray = at(s, miner, source);
    if (!stray || (stray->due && stray->due != due)) return false;
    end(s, stray);
    return true;
}

bool strays_not_running(strays_t *s, uint64_t miner, uint64_t source, uint64_t number)
{
    stray_t *stray = at(s, miner, source);
    if (!stray || stray->due || number < stray->recall) return false;
    end(s, stray);
    return true;
}

void strays_doubt(strays_t *s, uint64_t miner)
{
    size_t pos = 0;
    for (stray_t *stray; (stray = map_next(&s->by_source, &pos));)
        if (stray->miner == miner) stray->stale = true;
}

void strays_listed(strays_t *s, uint64_t miner, uint64_t source, uint64_t recall)
{
    stray_t *stray = at(s, miner, source);
    if (!stray) return;
    stray->stale = false;
    stray->due = 0;
    stray->recall = recall;
}

// Ends those of miner; stale: only those.
static bool end_all(strays_t *s, uint64_t miner, bool stale)
{
    bool any = false;
    for (size_t i = s->leases.count; i-- > 0;) {
        stray_t *stray = HEAP_OWNER(s->leases.nodes[i], stray_t, lease);
        if (stray->miner != miner || (stale && !stray->stale)) continue;
        end(s, stray);
        any = true;
        if (i < s->leases.count) i++; // another has its place
    }
    return any;
}

bool strays_unlisted(strays_t *s, uint64_t miner)
{
    return end_all(s, miner, true);
}

bool strays_miner_gone(strays_t *s, uint64_t miner)
{
    return end_all(s, miner, false);
}

bool strays_expire(strays_t *s, int64_t now)
{
    bool any = false;
    for (heap_node_t *n; (n = heap_min(&s->leases)) && n->key <= now; any = true)
        end(s, HEAP_OWNER(n, stray_t, lease));
    return any;
}
