// Turns: heaps by time, by age, and by place in each class.
#include "broker/turns.h"

#include <stdlib.h>

#include "common/check.h"

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
static unsigned wants(const turns_t *q, const size_t taken[TURN_CLASSES])
{
    unsigned bits = 0;
    for (int c = 0; c < TURN_CLASSES; c++) bits |= (unsigned)(q->classes[c].count > taken[c]) << c;
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
        int c = shares_next(&q->shares, wants(q, none));
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

// The ready ones: each class in its order, merged as turns would fall.
static size_t peek_ready(const turns_t *q, turn_t **out, size_t n)
{
    heap_node_t **sorted[TURN_CLASSES];
    size_t at[TURN_CLASSES] = {0}, taken = 0;
    shares_t shares = q->shares;
    for (int c = 0; c < TURN_CLASSES; c++) {
        sorted[c] = xcalloc(n + 1, sizeof *sorted[c]);
        heap_first(&q->classes[c], sorted[c], n, 0);
    }
    while (taken < n) {
        int best = shares_next(&shares, wants(q, at));
        if (best < 0) break;
        shares_take(&shares, best);
        out[taken++] = HEAP_OWNER(sorted[best][at[best]++], turn_t, place);
    }
    for (int c = 0; c < TURN_CLASSES; c++) free(sorted[c]);
    return taken;
}

size_t turns_peek(const turns_t *q, turn_t **out, size_t n)
{
    enum { TIES = 4096 }; // of one time, which their classes put in order
    size_t taken = peek_ready(q, out, n), waiting = 0,
           most = n + q->ages.count; // the ready may have timers, too
    heap_node_t **timers = xcalloc(most + TIES, sizeof *timers);
    turn_t **later = xcalloc(most + TIES, sizeof(turn_t *));
    size_t found = heap_first(&q->timers, timers, most, TIES);
    for (size_t i = 0; i < found; i++) {
        turn_t *e = HEAP_OWNER(timers[i], turn_t, timer);
        if (!e->ready) later[waiting++] = e;
    }
    qsort(later, waiting, sizeof *later, by_time);
    for (size_t i = 0; i < waiting && taken < n; i++) out[taken++] = later[i];
    free(later);
    free(timers);
    return taken;
}
