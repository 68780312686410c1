// Registry: sessions and expiries of miners, and what they own.
#include "broker/registry.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/check.h"

enum { MIN_COST_MS = 10, MAX_COST_MS = 600000 }; // of a source

static uint64_t name_hash(const char *name)
{
    return XXH3_64bits(name, strlen(name));
}

void registry_init(registry_t *r)
{
    map_init(&r->by_peer);
    map_init(&r->by_name);
    heap_init(&r->expiries);
}

void registry_free_miner(miner_t *m)
{
    CHECK(!m->rows.queued);
    free(m->in_flight);
    free(m->rows.templates);
    free(m->rows.sources);
    free(m->rows.dues);
    free(m->rows.revoked);
    map_free(&m->templates);
    free(m->name);
    free(m);
}

void registry_free(registry_t *r)
{
    size_t pos = 0;
    for (miner_t *m; (m = registry_next(r, &pos));) registry_free_miner(m);
    map_free(&r->by_peer);
    map_free(&r->by_name);
    heap_free(&r->expiries);
}

miner_t *registry_by_peer(const registry_t *r, uint64_t peer)
{
    return map_get(&r->by_peer, peer);
}

miner_t *registry_by_name(const registry_t *r, const char *name)
{
    return map_get(&r->by_name, name_hash(name));
}

miner_t *registry_next(const registry_t *r, size_t *pos)
{
    return map_next(&r->by_name, pos);
}

miner_t *registry_add(registry_t *r, const char *name, uint64_t incarnation)
{
    miner_t *m = xcalloc(1, sizeof *m);
    m->name = xstrdup(name);
    m->incarnation = incarnation;
    map_init(&m->templates);
    admission_init(&m->admission);
    CHECK(map_put(&r->by_name, name_hash(name), m) == NULL);
    return m;
}

void registry_remove(registry_t *r, miner_t *m)
{
    registry_set_peer(r, m, 0);
    heap_remove(&r->expiries, &m->expiry);
    map_del(&r->by_name, name_hash(m->name));
    m->gone = true;
}

void registry_set_peer(registry_t *r, miner_t *m, uint64_t peer)
{
    if (m->peer) map_del(&r->by_peer, m->peer);
    m->peer = peer;
    if (peer) map_put(&r->by_peer, peer, m);
}

void registry_heard(registry_t *r, miner_t *m, int64_t mono, int64_t expires)
{
    m->heard = mono;
    heap_set(&r->expiries, &m->expiry, expires);
}

miner_t *registry_expired(const registry_t *r, int64_t mono)
{
    heap_node_t *n = heap_min(&r->expiries);
    return n && n->key <= mono ? HEAP_OWNER(n, miner_t, expiry) : NULL;
}

void registry_forgive(registry_t *r, int64_t ms)
{
    for (size_t i = 0; i < r->expiries.count; i++)
        r->expiries.nodes[i]->key += ms; // all alike: the order stays
}

size_t registry_live(const registry_t *r)
{
    size_t n = 0, pos = 0;
    for (miner_t *m; (m = registry_next(r, &pos));) n += m->phase == MINER_LIVE;
    return n;
}

double miner_load(const miner_t *m)
{
    return (double)m->load / 60e6;
}

// -- lanes --------------------------------------------------------------------------------------------

miner_t *lane_owner(const lane_t *l)
{
    return l->owner && l->owner->phase != MINER_LEAVING ? l->owner : NULL;
}

// Adds cost to who carries the lane, and to who will.
static void book(lane_t *l, int64_t cost)
{
    miner_t *later = l->moving ? l->target : l->owner;
    if (l->owner) l->owner->load += cost;
    if (later) later->planned += cost;
}

static void set_target(lane_t *l, miner_t *m)
{
    if (l->target) l->target->n_coming--;
    l->target = m;
    if (m) m->n_coming++;
}

static void unlink_lane(catalog_t *c, lane_t *l)
{
    lane_t **first = l->owner ? &l->owner->lanes : &c->orphans;
    *(l->prev ? &l->prev->next : first) = l->next;
    if (l->next) l->next->prev = l->prev;
    if (!l->owner) {
        c->n_orphans--;
        return;
    }
    if (!l->next) l->owner->lanes_last = l->prev;
    l->owner->n_lanes--;
    l->owner->n_moving -= l->moving;
    l->owner->n_sources -= l->n_sources;
}

static void link_lane(catalog_t *c, lane_t *l, miner_t *m)
{
    lane_t **first = m ? &m->lanes : &c->orphans;
    l->owner = m;
    l->prev = NULL;
    l->next = *first;
    if (l->next) l->next->prev = l;
    *first = l;
    c->n_orphans += m == NULL;
    if (!m) return;
    if (!l->next) m->lanes_last = l;
    m->n_lanes++;
    m->n_sources += l->n_sources;
}

void lane_give(catalog_t *c, lane_t *l, miner_t *m)
{
    book(l, -l->cost);
    unlink_lane(c, l);
    l->moving = false;
    set_target(l, NULL);
    lane_unmark(l);
    for (source_t *s = l->sources; s; s = s->lane_next) s->known_to_owner = false;
    link_lane(c, l, m);
    book(l, l->cost);
}

// It stands last among its owner's.
static void put_last(lane_t *l)
{
    miner_t *m = l->owner;
    if (!l->next) return;
    *(l->prev ? &l->prev->next : &m->lanes) = l->next;
    l->next->prev = l->prev;
    l->prev = m->lanes_last;
    l->prev->next = l;
    l->next = NULL;
    m->lanes_last = l;
}

void lane_move(lane_t *l, miner_t *target)
{
    book(l, -l->cost);
    if (!l->moving) {
        l->owner->n_moving++;
        put_last(l);
    }
    l->moving = true;
    set_target(l, target);
    book(l, l->cost);
}

static void add_cost(lane_t *l, int64_t cost)
{
    l->cost += cost;
    book(l, cost);
}

void source_set_cost(source_t *s, uint32_t cost_ms)
{
    int64_t before = source_cost(s);
    s->cost_ms = cost_ms < MIN_COST_MS ? MIN_COST_MS : cost_ms > MAX_COST_MS ? MAX_COST_MS : cost_ms;
    if (s->entered) add_cost(s->lane, source_cost(s) - before);
}

void lane_count(source_t *s, int sign)
{
    add_cost(s->lane, sign * source_cost(s));
}
