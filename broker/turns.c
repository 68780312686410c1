// Turns: heaps by time, by age, and by place in each class.
#include "broker/turns.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/map.h"

void turns_init(turns_t *q, int64_t patience_ms)
{
    *q = (turns_t){.patience = patience_ms};
    heap_init(&q->timers);
    heap_init(&q->ages);
    for (int c = 0; c < TURN_CLASSES; c++) heap_init(&q->classes[c]);
}

void turns_free(turns_t *q)
{
    heap_free(&q->timers);
    heap_free(&q->ages);
    for (int c = 0; c < TURN_CLASSES; c++) heap_free(&q->classes[c]);
}

bool turns_has(const turn_t *e)
{
    return e->timer.pos || e->age.pos;
}

bool turns_ahead(const turn_t *e)
{
    return e->place.key < 0;
}

bool turns_before(const turn_t *a, const turn_t *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->place.key < b->place.key;
}

void turns_remove(turns_t *q, turn_t *e)
{
    q->count -= turns_has(e);
    heap_remove(&q->timers, &e->timer);
    heap_remove(&q->ages, &e->age);
    if (e->place.pos) heap_remove(&q->classes[e->priority], &e->place);
    e->ready = false;
}

void turns_put(turns_t *q, turn_t *e, priority_t priority, int64_t ready_at, int64_t promote_at, bool ahead)
{
    turns_remove(q, e);
    e->priority = priority;
    e->ready_at = ready_at;
    e->promote_at = promote_at;
    e->place.key = ahead ? --q->front : ++q->back;
    heap_set(&q->timers, &e->timer, ready_at);
    q->count++;
}

void turns_return(turns_t *q, turn_t *e, int64_t again)
{
    CHECK(!turns_has(e));
    heap_set(&q->timers, &e->timer, again);
    q->count++;
}

static void enter_class(turns_t *q, turn_t *e)
{
    if (!q->classes[e->priority].count) shares_join(&q->shares, (int)e->priority);
    heap_set(&q->classes[e->priority], &e->place, e->place.key);
}

void turns_raise(turns_t *q, turn_t *e, priority_t priority)
{
    bool in = e->place.pos != 0;
    if (in) heap_remove(&q->classes[e->priority], &e->place);
    e->priority = priority;
    if (in) enter_class(q, e);
}

// The time that e's timer stood for has come.
static void ripen(turns_t *q, turn_t *e, int64_t now)
{
    heap_remove(&q->timers, &e->timer);
    if (!e->ready) {
        e->ready = true;
        heap_set(&q->ages, &e->age, e->ready_at);
        enter_class(q, e);
    }
    if (e->promote_at > now) {
        if (e->promote_at != INT64_MAX) heap_set(&q->timers, &e->timer, e->promote_at);
        return;
    }
    if (e->priority < PRIORITY_HIGH) turns_raise(q, e, PRIORITY_HIGH);
}

static void ripen_all(turns_t *q, int64_t now)
{
    for (heap_node_t *n; (n = heap_min(&q->timers)) && n->key <= now;)
        ripen(q, HEAP_OWNER(n, turn_t, timer), now);
}

// A bit for each class that has more than `taken` entries.
static unsigned wants(const size_t counts[TURN_CLASSES], const size_t taken[TURN_CLASSES])
{
    unsigned bits = 0;
    for (int c = 0; c < TURN_CLASSES; c++) bits |= (unsigned)(counts[c] > taken[c]) << c;
    return bits;
}

turn_t *turns_pop(turns_t *q, int64_t now)
{
    ripen_all(q, now);
    heap_node_t *oldest = heap_min(&q->ages);
    if (!oldest) return NULL;
    turn_t *e;
    q->aged = !q->aged && oldest->key + q->patience <= now;
    if (q->aged) {
        e = HEAP_OWNER(oldest, turn_t, age);
    } else {
        static const size_t none[TURN_CLASSES];
        size_t counts[TURN_CLASSES];
        for (int k = 0; k < TURN_CLASSES; k++) counts[k] = q->classes[k].count;
        int c = shares_next(&q->shares, wants(counts, none));
        CHECK(c >= 0);
        shares_take(&q->shares, c);
        e = HEAP_OWNER(heap_min(&q->classes[c]), turn_t, place);
    }
    turns_remove(q, e);
    return e;
}

int64_t turns_next(const turns_t *q)
{
    if (q->ages.count) return INT64_MIN;
    heap_node_t *n = heap_min(&q->timers);
    return n ? n->key : INT64_MAX;
}

static int by_time(const void *a, const void *b)
{
    const turn_t *x = *(turn_t *const *)a, *y = *(turn_t *const *)b;
    if (x->ready_at != y->ready_at) return x->ready_at < y->ready_at ? -1 : 1;
    return turns_before(x, y) ? -1 : 1;
}

enum { TIES = 4096 }; // of one time, which their classes put in order

// Those that are ready at a time, as the peek takes them: each class in its order, and all by age.
typedef struct {
    turn_t **classes[TURN_CLASSES], **ages;
    size_t counts[TURN_CLASSES], n;
    size_t at[TURN_CLASSES], oldest; // the next ones
    map_t taken;                     // by address
    shares_t shares;
} peek_t;

static int by_place(const void *a, const void *b)
{
    const turn_t *x = *(turn_t *const *)a, *y = *(turn_t *const *)b;
    return (x->place.key > y->place.key) - (x->place.key < y->place.key);
}

static int by_age(const void *a, const void *b)
{
    const turn_t *x = *(turn_t *const *)a, *y = *(turn_t *const *)b;
    return (x->ready_at > y->ready_at) - (x->ready_at < y->ready_at);
}

static int class_at(const turn_t *e, int64_t now)
{
    return (int)(e->promote_at <= now && e->priority < PRIORITY_HIGH ? PRIORITY_HIGH : e->priority);
}

static void peek_add(peek_t *p, turn_t *e, int64_t now)
{
    int c = class_at(e, now);
    p->classes[c][p->counts[c]++] = e;
}

// Only the first n of each heap can be among the first n of all, and those of one time.
static void peek_init(peek_t *p, const turns_t *q, int64_t now, size_t n)
{
    size_t most = n + TIES, room = (TURN_CLASSES + 1) * most, found;
    heap_node_t **nodes = xcalloc(most, sizeof *nodes);
    *p = (peek_t){.ages = xcalloc(room, sizeof *p->ages), .shares = q->shares};
    map_init(&p->taken);
    for (int c = 0; c < TURN_CLASSES; c++) p->classes[c] = xcalloc(room, sizeof *p->classes[c]);
    for (int c = 0; c < TURN_CLASSES; c++) {
        found = heap_first(&q->classes[c], nodes, n, 0);
        for (size_t i = 0; i < found; i++) peek_add(p, HEAP_OWNER(nodes[i], turn_t, place), now);
    }
    found = heap_first(&q->timers, nodes, n, TIES);
    for (size_t i = 0; i < found && nodes[i]->key <= now; i++) {
        turn_t *e = HEAP_OWNER(nodes[i], turn_t, timer);
        if (!e->ready) p->ages[p->n++] = e;
        peek_add(p, e, now);
    }
    found = heap_first(&q->ages, nodes, n, 0);
    for (size_t i = 0; i < found; i++) p->ages[p->n++] = HEAP_OWNER(nodes[i], turn_t, age);
    free(nodes);
    qsort(p->ages, p->n, sizeof *p->ages, by_age);
    for (int c = 0; c < TURN_CLASSES; c++) {
        qsort(p->classes[c], p->counts[c], sizeof *p->classes[c], by_place);
        if (p->counts[c] && !q->classes[c].count) shares_join(&p->shares, c);
    }
}

static void peek_free(peek_t *p)
{
    for (int c = 0; c < TURN_CLASSES; c++) free(p->classes[c]);
    free(p->ages);
    map_free(&p->taken);
}

static bool is_taken(const peek_t *p, const turn_t *e)
{
    return map_get(&p->taken, (uint64_t)(uintptr_t)e) != NULL;
}

// The next in its class that nothing else took.
static void pass_taken(peek_t *p)
{
    while (p->oldest < p->n && is_taken(p, p->ages[p->oldest])) p->oldest++;
    for (int c = 0; c < TURN_CLASSES; c++)
        while (p->at[c] < p->counts[c] && is_taken(p, p->classes[c][p->at[c]])) p->at[c]++;
}

static size_t peek_ready(const turns_t *q, int64_t now, turn_t **out, size_t n)
{
    peek_t p;
    bool aged = q->aged;
    size_t taken = 0;
    peek_init(&p, q, now, n);
    for (; taken < n; taken++) {
        pass_taken(&p);
        aged = !aged && p.oldest < p.n && p.ages[p.oldest]->ready_at + q->patience <= now;
        int c = aged ? 0 : shares_next(&p.shares, wants(p.counts, p.at));
        if (c < 0) break;
        if (!aged) shares_take(&p.shares, c);
        out[taken] = aged ? p.ages[p.oldest] : p.classes[c][p.at[c]];
        map_put(&p.taken, (uint64_t)(uintptr_t)out[taken], out[taken]);
    }
    peek_free(&p);
    return taken;
}

size_t turns_peek(const turns_t *q, int64_t now, turn_t **out, size_t n)
{
    size_t taken = peek_ready(q, now, out, n), waiting = 0,
           most = n + q->ages.count; // the ready may have timers, too
    heap_node_t **timers = xcalloc(most + TIES, sizeof *timers);
    turn_t **later = xcalloc(most + TIES, sizeof(turn_t *));
    size_t found = heap_first(&q->timers, timers, most, TIES);
    for (size_t i = 0; i < found; i++) {
        turn_t *e = HEAP_OWNER(timers[i], turn_t, timer);
        if (!e->ready && e->ready_at > now) later[waiting++] = e;
    }
    qsort(later, waiting, sizeof *later, by_time);
    for (size_t i = 0; i < waiting && taken < n; i++) out[taken++] = later[i];
    free(later);
    free(timers);
    return taken;
}
