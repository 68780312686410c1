// Assign: placement by host. A lane stays where it is unless its owner is gone, or carries more than its
// share: work is dealt to the least loaded miner, and only what exceeds the mean ever moves.
#include <stdlib.h>

#include "broker/state.h"
#include "common/check.h"
#include "common/log.h"

// Load above the mean that is tolerated, and below it; both well inside the 20 % that users are promised.
static const double TOO_MUCH = 1.15, TOO_LITTLE = 0.85;

// The live miners as a heap by planned load, in thousandths of a millisecond.
typedef struct {
    heap_node_t node;
    miner_t *miner;
    double load; // planned: with what is moving to it, without what leaves it
} bin_t;

typedef struct {
    heap_t heap;
    bin_t *bins;
    size_t n;
    double mean;
} plan_t;

static void set_load(plan_t *p, bin_t *bin, double load)
{
    bin->load = load;
    heap_set(&p->heap, &bin->node, (int64_t)(load * 1000));
}

static bin_t *bin_of(plan_t *p, const miner_t *m)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->bins[i].miner == m) return &p->bins[i];
    return NULL;
}

static void plan_init(plan_t *p, broker_t *b)
{
    *p = (plan_t){.bins = xcalloc(b->registry.by_name.count, sizeof(bin_t))};
    heap_init(&p->heap);
    size_t pos = 0;
    for (miner_t *m; (m = registry_next(&b->registry, &pos));)
        if (m->phase == MINER_LIVE) p->bins[p->n++].miner = m;
    for (size_t i = 0; i < p->n; i++) set_load(p, &p->bins[i], p->bins[i].miner->load);
    pos = 0;
    for (lane_t *l; (l = map_next(&b->catalog.lanes, &pos));) {
        p->mean += l->cost;
        if (!l->moving) continue;
        bin_t *from = bin_of(p, l->owner), *to = bin_of(p, l->target);
        if (from) set_load(p, from, from->load - l->cost);
        if (to) set_load(p, to, to->load + l->cost);
    }
    if (p->n) p->mean /= (double)p->n;
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
    double x = (*(lane_t *const *)a)->cost, y = (*(lane_t *const *)b)->cost;
    return (x < y) - (x > y);
}

static lane_t **orphans_of(broker_t *b, size_t *n)
{
    lane_t **lanes = xcalloc(b->catalog.lanes.count, sizeof(lane_t *));
    size_t pos = 0;
    *n = 0;
    for (lane_t *l; (l = map_next(&b->catalog.lanes, &pos));)
        if (!l->owner && l->n_sources) lanes[(*n)++] = l;
    if (*n) qsort(lanes, *n, sizeof(lane_t *), by_cost_falling);
    return lanes;
}

static void hand_over(broker_t *b, lane_t *l, miner_t *m, wire_cause_t cause)
{
    lane_give(l, m);
    for (source_t *s = l->sources; s; s = s->lane_next) dues_send(b, s, INT64_MIN, cause);
}

void assign_orphans(broker_t *b, wire_cause_t cause, const char *reason)
{
    if (b->grace_until) return; // their owner may still claim them
    plan_t plan;
    plan_init(&plan, b);
    size_t n = 0, sources = 0;
    lane_t **lanes = orphans_of(b, &n);
    for (size_t i = 0; i < n && plan.n; i++) {
        bin_t *bin = least(&plan);
        hand_over(b, lanes[i], bin->miner, cause);
        set_load(&plan, bin,
                 bin->load + lanes[i]->cost + 0.001); // the last term deals out lanes that cost nothing yet
        sources += lanes[i]->n_sources;
    }
    if (n && plan.n)
        log_info("assigned", "reason=%s hosts=%zu sources=%zu miners=%zu", reason, n, sources, plan.n);
    else if (n)
        log_warn("unassigned", "reason=%s hosts=%zu no live miner", reason, n);
    free(lanes);
    plan_free(&plan);
}

void assign_returned(broker_t *b, lane_t *l)
{
    miner_t *target = l->target && l->target->phase == MINER_LIVE ? l->target : NULL;
    if (target)
        hand_over(b, l, target, CAUSE_reassigned);
    else
        lane_give(l, NULL);
}

void assign_release(broker_t *b, miner_t *m)
{
    while (m->lanes) lane_give(m->lanes, NULL);
    size_t pos = 0;
    for (lane_t *l; (l = map_next(&b->catalog.lanes, &pos));)
        if (l->target == m) l->target = NULL;
}

// -- balance ------------------------------------------------------------------------------------------

static void start_move(broker_t *b, lane_t *l, miner_t *to)
{
    l->moving = true;
    l->target = to;
    for (source_t *s = l->sources; s; s = s->lane_next) outbox_revoke(b, l->owner, s->id, "balance");
}

// Moves what from has above the mean to those that have least; the number of lanes moved.
static size_t shed(broker_t *b, plan_t *p, bin_t *from)
{
    size_t moved = 0;
    for (lane_t *l = from->miner->lanes, *next; l && from->load > p->mean; l = next) {
        next = l->owner_next;
        bin_t *to = least(p);
        if (l->moving || l->cost <= 0 || to == from) continue;
        // it must leave both nearer to the mean than they were
        if (from->load - l->cost < p->mean * TOO_LITTLE || to->load + l->cost > p->mean * 1.05) continue;
        set_load(p, from, from->load - l->cost);
        set_load(p, to, to->load + l->cost);
        start_move(b, l, to->miner);
        moved++;
    }
    return moved;
}

void assign_balance(broker_t *b)
{
    plan_t plan;
    plan_init(&plan, b);
    bool hungry = false;
    for (size_t i = 0; i < plan.n; i++) hungry |= plan.bins[i].load < plan.mean * TOO_LITTLE;
    size_t moved = 0;
    for (size_t i = 0; i < plan.n; i++) {
        bin_t *bin = &plan.bins[i];
        if (bin->load > plan.mean * (hungry ? 1.0 : TOO_MUCH)) moved += shed(b, &plan, bin);
    }
    if (moved) log_info("rebalanced", "reason=load hosts=%zu mean_ms_per_min=%.0f", moved, plan.mean);
    plan_free(&plan);
}
