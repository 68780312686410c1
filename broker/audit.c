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

__attribute__((format(printf, 2, 3))) static void fail(audit_t *a, const char *fmt, ...)
{
    if (a->failed) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(a->why, a->size, fmt, args);
    va_end(args);
    a->failed = true;
}

// The arguments after the condition say what is wrong if it does not hold.
#define WANT(a, condition, ...)                 \
    do {                                        \
        if (!(condition)) fail(a, __VA_ARGS__); \
    } while (0)

static void audit_job(audit_t *a, const source_t *s)
{
    const broker_t *b = a->broker;
    const job_t *job = s->job;
    if (!job) {
        bool open = s->listing->gated &&
                    (s->extra || (s->held > s->done && grid_count(source_grid(s), s->done, s->held)));
        WANT(a, !open, "%s is open, and nothing will start it", s->url);
        return;
    }
    WANT(a, job->source == s, "%s has another's job", s->url);
    WANT(a, s->entered || job->state == JOB_RUNNING, "%s is not scheduled and waits for its turn", s->url);
    WANT(a, (job->state == JOB_RUNNING) == (job->lease.pos != 0), "%s: state %d and lease %zu", s->url,
         job->state, job->lease.pos);
    WANT(a, (job->state == JOB_QUEUED) == turns_has(&job->entry), "%s: state %d and in the queue %d", s->url,
         job->state, turns_has(&job->entry));
    WANT(a, job->counted == (job->state == JOB_RUNNING && s->listing->gated), "%s: it counts: %d", s->url,
         job->counted);
    const miner_t *m = job->state == JOB_RUNNING ? map_get(&b->registry.by_name, job->miner) : NULL;
    WANT(a, !m || m->phase != MINER_LIVE || !job->due || s->lane->owner == m || s->away,
         "%s is to run at %s, which no longer has it", s->url, m->name);
    WANT(a, !job->alone || m, "%s runs alone at a miner that is gone", s->url);
}

// Jobs as the listings count them.
static void audit_jobs(audit_t *a)
{
    const broker_t *b = a->broker;
    size_t pos = 0, running = 0, parked = 0;
    for (const listing_t *l; (l = map_next(&b->catalog.listings, &pos));) {
        uint32_t of_it = 0;
        for (size_t i = 0; i < l->n_sources; i++) of_it += l->sources[i]->job && l->sources[i]->job->counted;
        for (const job_t *j = l->parked_first; j; j = j->next) parked++;
        WANT(a, l->running == of_it, "%s: %u run, it counts %u", l->template->name, of_it, l->running);
        running += of_it;
    }
    const strays_t *strays = &b->jobs.strays;
    for (size_t i = 0; i < strays->leases.count; i++) {
        const stray_t *x = HEAP_OWNER(strays->leases.nodes[i], stray_t, lease);
        const source_t *s = map_get(&b->catalog.sources, x->source);
        WANT(a, map_get(&strays->by_source, x->source) == x, "a stray is not known by its source");
        WANT(a, !s || !s->job || !s->job->counted, "%s runs twice", s->url);
    }
    WANT(a, running == b->jobs.running && parked == b->jobs.parked, "jobs: %zu run of %zu, %zu parked of %zu",
         running, b->jobs.running, parked, b->jobs.parked);
}

static void audit_source(audit_t *a, const source_t *s)
{
    const broker_t *b = a->broker;
    const run_t *run = runs_of(&b->runs, s);
    WANT(a, s->away == (run != NULL), "%s: away is %d", s->url, s->away);
    WANT(a, !run || run->source == s, "%s: another's run", s->url);
    WANT(a, !s->entered || s->listing->enabled, "%s is scheduled, its template is disabled", s->url);
    WANT(a, s->entered == (s->wheel.next != NULL), "%s: entered is %d, in the wheel is %d", s->url,
         s->entered, s->wheel.next != NULL);
    WANT(a, s->done <= s->held, "%s: done %lld > held %lld", s->url, (long long)s->done, (long long)s->held);
    WANT(a, !source_is_open(s) || s->entered, "%s has open dues and is not scheduled", s->url);
    WANT(a, !s->mark || s->lane->owner, "%s is marked and belongs to nobody", s->url);
    WANT(a, !s->known_to_owner || s->lane->owner, "%s is known to nobody", s->url);
    WANT(a, !s->known_to_owner || !s->away || s->lane->moving,
         "%s is polled elsewhere, but its owner was sent it", s->url);
    audit_job(a, s);
    WANT(a, !s->entered || b->building || s->wheel.slot * b->config.slot_ms >= b->built_until,
         "%s waits for slot %lld, which is past", s->url, (long long)s->wheel.slot);
}

static void audit_books(audit_t *a)
{
    const slot_account_t *t = &a->broker->slots.total;
    uint64_t open = 0, recorded = a->broker->recorded;
    size_t pos = 0, away = 0;
    for (const source_t *s; (s = map_next(&a->broker->catalog.sources, &pos));) {
        audit_source(a, s);
        if (s->held > s->done) open += grid_count(source_grid(s), s->done, s->held);
        open += s->extra != 0;
        away += s->away;
        recorded += s->run_count;
    }
    uint64_t settled = t->stored + t->failed + t->skipped;
    WANT(a, settled + open == t->due, "%llu dues, but %llu settled and %llu open", (unsigned long long)t->due,
         (unsigned long long)settled, (unsigned long long)open);
    WANT(a, settled == recorded, "%llu dues settled, the history has %llu", (unsigned long long)settled,
         (unsigned long long)recorded);
    WANT(a, away == a->broker->runs.by_source.count, "%zu sources are away, %zu runs", away,
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
    WANT(a, l->owner == owner, "%s is in another's list", l->host);
    WANT(a, l->cost == cost, "%s costs %lld, its sources %lld", l->host, (long long)l->cost, (long long)cost);
    WANT(a, l->n_sources == n && l->n_marked == marked, "%s: sources %u, marked %u", l->host, n, marked);
    WANT(a, !l->moving || owner, "%s moves from nobody", l->host);
    WANT(a, l->moving || !l->target, "%s has a target and does not move", l->host);
    WANT(a, l->target != owner || !owner, "%s moves to where it is", l->host);
}

static void audit_miner(audit_t *a, const miner_t *m)
{
    int64_t load = 0, planned = 0;
    uint32_t n = 0, coming = 0, moving = 0, alone = 0;
    size_t pos = 0, sources = 0;
    for (const lane_t *l = m->lanes; l; l = l->next, n++) {
        audit_lane(a, l, m);
        WANT(a, !l->next || !l->moving || l->next->moving, "%s moves, and does not stand last", l->host);
        WANT(a, l->next || m->lanes_last == l, "%s is the last that %s has", l->host, m->name);
        load += l->cost;
        moving += l->moving;
        sources += l->n_sources;
    }
    for (const lane_t *l; (l = map_next(&a->broker->catalog.lanes, &pos));) {
        coming += l->target == m;
        if (l->moving ? l->target == m : l->owner == m) planned += l->cost;
    }
    WANT(a, m->n_lanes == n && m->n_coming == coming, "%s: %u lanes, %u coming", m->name, n, coming);
    WANT(a, m->n_moving == moving && m->n_sources == sources, "%s: %u moving, %zu sources", m->name, moving,
         sources);
    WANT(a, m->load == load && m->planned == planned, "%s: load %lld planned %lld", m->name, (long long)load,
         (long long)planned);
    WANT(a, m->phase != MINER_LEAVING || !m->lanes || m->leaving, "%s leaves with work", m->name);
    WANT(a, !m->leaving || m->phase == MINER_LEAVING, "%s loses its work, but does not leave", m->name);
    WANT(a, !m->rows.queued, "%s was not sent all", m->name);
    const heap_t *leases = &a->broker->jobs.leases;
    for (size_t i = 0; i < leases->count; i++) {
        const job_t *job = HEAP_OWNER(leases->nodes[i], job_t, lease);
        alone += job->alone && map_get(&a->broker->registry.by_name, job->miner) == m;
    }
    WANT(a, m->suspects == alone, "%s runs %u suspects, it counts %u", m->name, alone, m->suspects);
}

// Whether moving one of its lanes from the most loaded to the least would help by more than a tenth of the
// mean.
static bool could_move(const miner_t *from, const miner_t *to, double mean)
{
    for (const lane_t *l = from->lanes; l; l = l->next) {
        double left = (double)(from->load - l->cost), there = (double)(to->load + l->cost);
        if (l->cost && !(l->outage && l->outage->blamed_by) &&
            (left > there ? left : there) < (double)from->load - mean / 10)
            return true;
    }
    return false;
}

bool broker_balanced(const broker_t *b)
{
    const miner_t *most = NULL, *least = NULL;
    double sum = 0;
    size_t pos = 0;
    for (const miner_t *m; (m = registry_next(&b->registry, &pos));) {
        if (m->phase != MINER_LIVE) continue;
        sum += (double)m->load;
        if (!most || m->load > most->load) most = m;
        if (!least || m->load < least->load) least = m;
    }
    double mean = most ? sum / (double)registry_live(&b->registry) : 0;
    return !most || (double)most->load <= mean * 1.2 || !could_move(most, least, mean);
}

int broker_audit(const broker_t *b, char *why, size_t size)
{
    audit_t a = {.broker = b, .why = why, .size = size};
    size_t pos = 0, lanes = 0, live = 0;
    audit_books(&a);
    audit_jobs(&a);
    for (const lane_t *l = b->catalog.orphans; l; l = l->next, lanes++) audit_lane(&a, l, NULL);
    WANT(&a, lanes == b->catalog.n_orphans, "%zu orphans of %zu", lanes, b->catalog.n_orphans);
    WANT(&a, !b->catalog.emptied, "%s has no sources", b->catalog.emptied->host);
    for (const miner_t *m; (m = registry_next(&b->registry, &pos));) {
        audit_miner(&a, m);
        lanes += m->n_lanes;
        live += m->phase == MINER_LIVE;
    }
    for (const miner_t *m = b->leaving; m; m = m->leaving_next) {
        WANT(&a, m->leaving && (!m->gone || !m->n_coming), "%s is awaited and gone", m->name);
        if (!m->gone) continue;
        audit_miner(&a, m);
        lanes += m->n_lanes;
    }
    WANT(&a, !b->leaving || b->assigning, "%s leaves, and nobody takes its work", b->leaving->name);
    WANT(&a, lanes == b->catalog.lanes.count, "%zu lanes are listed of %zu", lanes, b->catalog.lanes.count);
    for (const lane_t *l = b->catalog.orphans; l; l = l->next)
        WANT(&a, !live || b->grace_until || b->assigning || b->entering || !l->n_sources,
             "%s has no owner among %zu live miners", l->host, live);
    return a.failed ? -1 : 0;
}
