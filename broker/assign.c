// Assign: placement by host. A lane stays where it is unless its owner is gone, or carries more than its
// share: work is dealt to the least loaded miner, and only what exceeds the mean ever moves.
#include <stdlib.h>

#include "broker/state.h"
#include "broker/trouble.h"
#include "common/check.h"
#include "common/log.h"

// Load above the mean that is tolerated, and below it; both well inside the 20 % that users are promised.
static const double TOO_MUCH = 1.15, TOO_LITTLE = 0.85, NEAR = 1.05;
enum {
    MOVE_LEASE_MS = 30000, // for the answer to a REVOKE
    WORTH_IT = 20,         // a host moves if that lowers the peak by this part of the mean
};

// The live miners as a heap by planned load.
typedef struct {
    heap_node_t node;
    miner_t *miner;
    int64_t load; // planned, us a minute
} bin_t;

typedef struct {
    heap_t heap;
    bin_t *bins;
    size_t n;
    int64_t mean;
    int left; // sources and lanes that may be moved in this step
} plan_t;

static void set_load(plan_t *p, bin_t *bin, int64_t load)
{
    bin->load = load;
    heap_set(&p->heap, &bin->node, load);
}

// One whose time is over is about to be taken for dead.
static bool is_live(const broker_t *b, const miner_t *m)
{
    return m->phase == MINER_LIVE && m->expiry.key > b->instant.mono;
}

static void plan_init(plan_t *p, broker_t *b)
{
    *p = (plan_t){.bins = xcalloc(b->registry.by_name.count + 1, sizeof(bin_t)), .left = b->config.budget};
    heap_init(&p->heap);
    size_t pos = 0;
    for (miner_t *m; (m = registry_next(&b->registry, &pos));)
        if (is_live(b, m) && m->health == HEALTH_OK) p->bins[p->n++].miner = m;
    pos = 0;
    for (miner_t *m; !p->n && (m = registry_next(&b->registry, &pos));) // better than nobody
        if (is_live(b, m)) p->bins[p->n++].miner = m;
    for (size_t i = 0; i < p->n; i++) {
        set_load(p, &p->bins[i], p->bins[i].miner->planned);
        p->mean += p->bins[i].load / (int64_t)p->n;
    }
}

static void plan_free(plan_t *p)
{
    heap_free(&p->heap);
    free(p->bins);
}

static bin_t *least(plan_t *p)
{
    heap_node_t *n = heap_min(&p->heap);
    return n ? HEAP_OWNER(n, bin_t, node) : NULL;
}

// -- orphans ------------------------------------------------------------------------------------------

static int by_cost_falling(const void *a, const void *b)
{
    int64_t x = (*(lane_t *const *)a)->cost, y = (*(lane_t *const *)b)->cost;
    return (x < y) - (x > y);
}

// Some of the orphans, as many as a tick may deal out, those that cost most first.
static lane_t **orphans_of(const broker_t *b, size_t *n)
{
    size_t most =
        (size_t)b->config.budget < b->catalog.n_orphans ? (size_t)b->config.budget : b->catalog.n_orphans;
    lane_t **lanes = xcalloc(most + 1, sizeof(lane_t *));
    *n = 0;
    for (lane_t *l = b->catalog.orphans; l && *n < most; l = l->next)
        if (l->n_sources) lanes[(*n)++] = l;
    qsort(lanes, *n, sizeof(lane_t *), by_cost_falling);
    return lanes;
}

static void hand_over(broker_t *b, lane_t *l, miner_t *m, wire_cause_t cause)
{
    lane_give(&b->catalog, l, m);
    for (source_t *s = l->sources; s; s = s->lane_next) dues_send(b, s, INT64_MIN, cause);
}

// The next of those that leave has no lanes any more.
static void let_go(broker_t *b)
{
    miner_t *m = b->leaving;
    b->leaving = m->leaving_next;
    m->leaving = false;
    if (!m->gone) return;
    trouble_miner_died(b, m);
    registry_free_miner(m);
}

// Takes some lanes from those that leave. False: they have more.
static bool release_some(broker_t *b)
{
    int left = b->config.budget;
    for (miner_t *m; (m = b->leaving);) {
        for (lane_t *l; left > 0 && (l = m->lanes); left -= 1 + (int)l->n_sources) {
            trouble_look(m, l);
            lane_give(&b->catalog, l, NULL);
        }
        if (m->lanes) return false;
        let_go(b);
    }
    return true;
}

void assign_orphans(broker_t *b, wire_cause_t cause, const char *reason)
{
    b->assigning_cause = cause;
    b->assigning = !release_some(b); // nothing is dealt out before it is known what a miner may have died of
    if (b->assigning || b->grace_until || !b->catalog.orphans) return; // their owner may still claim them
    plan_t plan;
    plan_init(&plan, b);
    size_t n, sources = 0;
    lane_t **lanes = orphans_of(b, &n);
    size_t i = 0;
    for (; i < n && plan.n && sources < (size_t)b->config.budget; i++) {
        bin_t *bin = least(&plan);
        hand_over(b, lanes[i], bin->miner, cause);
        set_load(&plan, bin, bin->load + lanes[i]->cost + 1); // 1 deals out lanes that cost nothing yet
        sources += lanes[i]->n_sources;
    }
    if (n && plan.n)
        log_info("assigned", "reason=%s hosts=%zu sources=%zu miners=%zu waiting=%zu", reason, i, sources,
                 plan.n, b->catalog.n_orphans);
    else if (n && !registry_live(&b->registry))
        log_warn("unassigned", "reason=%s hosts=%zu no live miner", reason, b->catalog.n_orphans);
    // a miner that is about to be taken for dead may be heard first
    b->assigning = n && b->catalog.n_orphans && registry_live(&b->registry);
    free(lanes);
    plan_free(&plan);
}

void assign_returned(broker_t *b, lane_t *l)
{
    miner_t *target = l->target && l->target->phase == MINER_LIVE ? l->target : NULL;
    if (target)
        hand_over(b, l, target, CAUSE_reassigned);
    else
        lane_give(&b->catalog, l, NULL);
}

static void forget_target(const miner_t *from, const miner_t *target)
{
    for (lane_t *l = from->lanes_last; l && l->moving && target->n_coming; l = l->prev)
        if (l->target == target) lane_move(l, NULL);
}

// What is on its way to m goes to whom it suits.
static void divert(broker_t *b, const miner_t *m)
{
    size_t pos = 0;
    for (const miner_t *o; m->n_coming && (o = registry_next(&b->registry, &pos));) forget_target(o, m);
    for (const miner_t *o = b->leaving; m->n_coming && o; o = o->leaving_next) forget_target(o, m);
}

void assign_release(broker_t *b, miner_t *m)
{
    miner_t **last = &b->leaving;
    divert(b, m);
    m->evicted = 0;
    if (m->leaving) return;
    while (*last) last = &(*last)->leaving_next;
    *last = m;
    m->leaving_next = NULL;
    m->leaving = true;
}

void assign_keep(broker_t *b, miner_t *m)
{
    miner_t **at = &b->leaving;
    if (!m->leaving) return;
    while (*at != m) at = &(*at)->leaving_next;
    *at = m->leaving_next;
    m->leaving = false;
}

void assign_sweep(broker_t *b)
{
    for (lane_t *l; (l = catalog_take_emptied(&b->catalog));) {
        lane_give(&b->catalog, l, NULL);
        outage_lane_gone(b, l);
        catalog_remove_lane(&b->catalog, l);
    }
}

// -- balance ------------------------------------------------------------------------------------------

static void start_move(broker_t *b, lane_t *l, miner_t *to)
{
    lane_move(l, to);
    l->moved_at = b->instant.mono;
    l->recall = b->revokes + 1;
    for (source_t *s = l->sources; s; s = s->lane_next) {
        if (!s->known_to_owner) continue;
        source_mark(s, true);
        outbox_revoke(b, l->owner, s->id, "balance");
    }
    if (!l->n_marked) assign_returned(b, l);
}

static void take_over(broker_t *b, plan_t *p, lane_t *l, bin_t *from, bin_t *to)
{
    set_load(p, from, from->load - l->cost);
    set_load(p, to, to->load + l->cost);
    start_move(b, l, to->miner);
}

// Its owner is to say whether it fails there too, see outage.h.
static bool is_tried(const lane_t *l)
{
    return l->outage && l->outage->blamed_by;
}

// Moves what from has above the mean to those that have least; the number of lanes moved.
static size_t shed(broker_t *b, plan_t *p, bin_t *from)
{
    size_t moved = 0;
    for (lane_t *l = from->miner->lanes, *next; l && !l->moving && from->load > p->mean; l = next) {
        next = l->next;
        bin_t *to = least(p);
        if (is_tried(l) || l->cost <= 0 || to == from) continue;
        // it must leave both near the mean
        if ((double)(from->load - l->cost) < (double)p->mean * TOO_LITTLE ||
            (double)(to->load + l->cost) > (double)p->mean * NEAR)
            continue;
        if (p->left <= 0) {
            b->balancing = true;
            break;
        }
        p->left -= 1 + (int)l->n_sources;
        take_over(b, p, l, from, to);
        moved++;
    }
    return moved;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// Where no lane fits the gap: the one that lowers the higher of the two most, if by enough to be worth it.
static size_t shed_big(broker_t *b, plan_t *p, bin_t *from)
{
    bin_t *to = least(p);
    lane_t *best = NULL;
    int64_t peak = from->load - p->mean / WORTH_IT;
    for (lane_t *l = from->miner->lanes; l; l = l->next) {
        int64_t after = larger(from->load - l->cost, to->load + l->cost);
        if (l->moving || is_tried(l) || l->cost <= 0 || after >= peak) continue;
        peak = after;
        best = l;
    }
    if (!best || to == from) return 0;
    take_over(b, p, best, from, to);
    return 1;
}

void assign_balance(broker_t *b)
{
    plan_t plan;
    plan_init(&plan, b);
    bool hungry = b->balancing; // the step before was
    b->balancing = false;
    for (size_t i = 0; i < plan.n; i++) hungry |= (double)plan.bins[i].load < (double)plan.mean * TOO_LITTLE;
    size_t moved = 0;
    for (size_t i = 0; i < plan.n; i++) {
        bin_t *bin = &plan.bins[i];
        if ((double)bin->load > (double)plan.mean * (hungry ? 1.0 : TOO_MUCH)) moved += shed(b, &plan, bin);
        if (!b->balancing && (double)bin->load > (double)plan.mean * TOO_MUCH)
            moved += shed_big(b, &plan, bin);
    }
    if (moved)
        log_info("rebalanced", "reason=load hosts=%zu mean_load=%.2f", moved, (double)plan.mean / 60e6);
    plan_free(&plan);
}

// -- away from what does not work -------------------------------------------------------------------------

bool assign_elsewhere(broker_t *b, lane_t *l)
{
    miner_t *best = NULL;
    size_t pos = 0;
    for (miner_t *m; (m = registry_next(&b->registry, &pos));)
        if (m != l->owner && m->phase == MINER_LIVE && m->health == HEALTH_OK &&
            (!best || m->planned < best->planned))
            best = m;
    if (!best || !lane_owner(l) || l->moving) return false;
    start_move(b, l, best);
    return true;
}

void assign_evict(broker_t *b, miner_t *m)
{
    divert(b, m);
    m->evicted = m->n_lanes;
    b->evicting = true;
}

// Some of the lanes that sick miners had when they fell sick: where all are sick, they get others.
static void evict_some(broker_t *b)
{
    int left = b->config.budget;
    size_t pos = 0;
    b->evicting = false;
    for (miner_t *m; (m = registry_next(&b->registry, &pos));) {
        if (m->phase != MINER_LIVE) continue;
        for (lane_t *l; m->evicted && (l = m->lanes) && !l->moving && left > 0; m->evicted--) {
            left -= 1 + (int)l->n_sources;
            start_move(b, l, NULL);
        }
        if (!m->lanes || m->lanes->moving) m->evicted = 0;
        b->evicting |= m->evicted > 0;
    }
    assign_orphans(b, CAUSE_reassigned, "sick");
}

void assign_rest(broker_t *b)
{
    if (b->evicting) evict_some(b);
    if (b->assigning) assign_orphans(b, b->assigning_cause, "rest");
    if (b->balancing) assign_balance(b);
}

bool assign_prove(broker_t *b, miner_t *m)
{
    lane_t *best = NULL;
    size_t pos = 0;
    for (lane_t *l; (l = map_next(&b->catalog.lanes, &pos));)
        if (lane_owner(l) && l->owner != m && !l->moving && l->cost > 0 && !l->outage &&
            (!best || l->cost < best->cost))
            best = l;
    if (best) start_move(b, best, m);
    return best != NULL;
}

void assign_overdue(broker_t *b)
{
    size_t pos = 0, n = 0;
    miner_t *m;
    for (; (m = registry_next(&b->registry, &pos));)
        for (lane_t *l = m->lanes_last, *before; l && l->moving; l = before) {
            before = l->prev;
            if (b->instant.mono - l->moved_at < MOVE_LEASE_MS) continue;
            log_warn("revoke_unanswered", "miner=%s host=%s", m->name, l->host);
            assign_returned(b, l);
            n++;
        }
    if (n) assign_orphans(b, CAUSE_reassigned, "unanswered");
}
