// Audit: walks everything and checks that what is kept twice agrees. For tests and the simulator.
#include <stdarg.h>
#include <stdio.h>

#include "broker/state.h"

typedef struct {
    const broker_t *broker;
    char *why;
    size_t size;
    bool failed;
} audit_t;

__attribute__((format(printf, 3, 4))) static void want(audit_t *a, bool holds, const char *fmt, ...)
{
    if (holds || a->failed) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(a->why, a->size, fmt, args);
    va_end(args);
    a->failed = true;
}

static void audit_source(audit_t *a, const source_t *s)
{
    const broker_t *b = a->broker;
    const run_t *run = runs_of(&b->runs, s);
    want(a, s->away == (run != NULL), "%s: away is %d", s->url, s->away);
    want(a, !run || run->source == s, "%s: another's run", s->url);
    want(a, !s->entered || s->listing->enabled, "%s is scheduled, its template is disabled", s->url);
    want(a, s->entered == (s->wheel.next != NULL), "%s: entered is %d, in the wheel is %d", s->url,
         s->entered, s->wheel.next != NULL);
    want(a, s->done <= s->held, "%s: done %lld > held %lld", s->url, (long long)s->done, (long long)s->held);
    want(a, !source_is_open(s) || s->entered, "%s has open dues and is not scheduled", s->url);
    want(a, !s->mark || s->lane->owner, "%s is marked and belongs to nobody", s->url);
    want(a, !s->known_to_owner || s->lane->owner, "%s is known to nobody", s->url);
    want(a, !s->known_to_owner || !s->away || s->lane->moving,
         "%s is polled elsewhere, but its owner was sent it", s->url);
    want(a, !s->entered || b->building || s->wheel.slot * b->config.slot_ms >= b->built_until,
         "%s waits for slot %lld, which is past", s->url, (long long)s->wheel.slot);
}

static void audit_books(audit_t *a)
{
    const slot_account_t *t = &a->broker->slots.total;
    uint64_t open = 0;
    size_t pos = 0, away = 0;
    for (const source_t *s; (s = map_next(&a->broker->catalog.sources, &pos));) {
        audit_source(a, s);
        open += grid_count(source_grid(s), s->done, s->held) + (s->extra != 0);
        away += s->away;
    }
    uint64_t settled = t->stored + t->failed + t->skipped;
    want(a, settled + open == t->due, "%llu dues, but %llu settled and %llu open", (unsigned long long)t->due,
         (unsigned long long)settled, (unsigned long long)open);
    want(a, away == a->broker->runs.by_source.count, "%zu sources are away, %zu runs", away,
         a->broker->runs.by_source.count);
}

static void audit_lane(audit_t *a, const lane_t *l, const miner_t *owner)
{
    int64_t cost = 0;
    uint32_t n = 0, marked = 0;
    for (const source_t *s = l->sources; s; s = s->lane_next, n++) {
        if (s->entered) cost += source_cost(s);
        marked += s->mark;
    }
    want(a, l->owner == owner, "%s is in another's list", l->host);
    want(a, l->cost == cost, "%s costs %lld, its sources %lld", l->host, (long long)l->cost, (long long)cost);
    want(a, l->n_sources == n && l->n_marked == marked, "%s: sources %u, marked %u", l->host, n, marked);
    want(a, !l->moving || owner, "%s moves from nobody", l->host);
    want(a, l->moving || !l->target, "%s has a target and does not move", l->host);
    want(a, l->target != owner || !owner, "%s moves to where it is", l->host);
}

static void audit_miner(audit_t *a, const miner_t *m)
{
    int64_t load = 0, planned = 0;
    uint32_t n = 0, coming = 0;
    size_t pos = 0;
    for (const lane_t *l = m->lanes; l; l = l->next, n++) {
        audit_lane(a, l, m);
        load += l->cost;
    }
    for (const lane_t *l; (l = map_next(&a->broker->catalog.lanes, &pos));) {
        coming += l->target == m;
        if (l->moving ? l->target == m : l->owner == m) planned += l->cost;
    }
    want(a, m->n_lanes == n && m->n_coming == coming, "%s: %u lanes, %u coming", m->name, n, coming);
    want(a, m->load == load && m->planned == planned, "%s: load %lld planned %lld", m->name, (long long)load,
         (long long)planned);
    want(a, m->phase != MINER_LEAVING || !m->lanes, "%s leaves with work", m->name);
    want(a, !m->rows.queued, "%s was not sent all", m->name);
}

int broker_audit(const broker_t *b, char *why, size_t size)
{
    audit_t a = {.broker = b, .why = why, .size = size};
    size_t pos = 0, lanes = 0, live = 0;
    audit_books(&a);
    for (const lane_t *l = b->catalog.orphans; l; l = l->next, lanes++) audit_lane(&a, l, NULL);
    for (const miner_t *m; (m = registry_next(&b->registry, &pos));) {
        audit_miner(&a, m);
        lanes += m->n_lanes;
        live += m->phase == MINER_LIVE;
    }
    want(&a, lanes == b->catalog.lanes.count, "%zu lanes are listed of %zu", lanes, b->catalog.lanes.count);
    for (const lane_t *l = b->catalog.orphans; l; l = l->next)
        want(&a, !live || b->grace_until || !l->n_sources, "%s has no owner among %zu live miners", l->host,
             live);
    return a.failed ? -1 : 0;
}
