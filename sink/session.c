// Sessions: three maps on one struct.
#include "sink/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"

void sessions_init(sessions_t *s, size_t budget)
{
    *s = (sessions_t){.budget = budget};
    map_init(&s->by_identity);
    map_init(&s->by_route);
    map_init(&s->by_origin);
}

void sessions_free(sessions_t *s)
{
    size_t pos = 0;
    for (session_t *o; (o = map_next(&s->by_identity, &pos));) free(o);
    map_free(&s->by_identity);
    map_free(&s->by_route);
    map_free(&s->by_origin);
}

// -- origins ----------------------------------------------------------------------------------------

static bool is_idle(const session_t *o)
{
    return o->route == 0 && o->waiting_batches == 0;
}

// Forgets the idle origin that was heard least recently. False: all are in use.
static bool forget_one(sessions_t *s)
{
    session_t *oldest = NULL;
    size_t pos = 0;
    for (session_t *o; (o = map_next(&s->by_identity, &pos));)
        if (is_idle(o) && (!oldest || o->heard < oldest->heard)) oldest = o;
    if (!oldest) return false;
    map_del(&s->by_identity, oldest->identity);
    map_del(&s->by_origin, oldest->origin);
    free(oldest);
    return true;
}

static session_t *find_or_add(sessions_t *s, const char *miner, uint64_t incarnation)
{
    uint64_t identity = XXH3_64bits_withSeed(miner, strlen(miner), incarnation);
    session_t *o = map_get(&s->by_identity, identity);
    if (o) return o;
    if (s->by_identity.count >= MAX_ORIGINS && !forget_one(s)) return NULL;
    o = xcalloc(1, sizeof *o);
    o->origin = ++s->last_origin;
    o->identity = identity;
    o->incarnation = incarnation;
    snprintf(o->miner, sizeof o->miner, "%s", miner);
    map_put(&s->by_identity, identity, o);
    map_put(&s->by_origin, o->origin, o);
    return o;
}

// -- connections --------------------------------------------------------------------------------------

session_t *sessions_hello(sessions_t *s, uint64_t route, const char *miner, uint64_t incarnation, int64_t now)
{
    session_t *former = sessions_of_route(s, route);
    if (former) sessions_leave(s, former);
    session_t *o = find_or_add(s, miner, incarnation);
    if (!o || (!o->route && s->live >= s->budget / CREDIT_MIN)) return NULL;
    if (o->route) sessions_leave(s, o);
    o->route = route;
    o->number = ++s->last_number;
    o->heard = now;
    map_put(&s->by_route, route, o);
    s->live++;
    return o;
}

session_t *sessions_of_route(const sessions_t *s, uint64_t route)
{
    return map_get(&s->by_route, route);
}

session_t *sessions_of_origin(const sessions_t *s, uint64_t origin)
{
    return map_get(&s->by_origin, origin);
}

void sessions_leave(sessions_t *s, session_t *o)
{
    CHECK(map_del(&s->by_route, o->route) == o);
    o->route = 0;
    o->has_offset = false;
    s->live--;
}

session_t *sessions_next(const sessions_t *s, size_t *pos)
{
    return map_next(&s->by_route, pos);
}

// -- batches ------------------------------------------------------------------------------------------

size_t session_grant(const sessions_t *s, session_t *o)
{
    size_t credit = s->budget / (s->live ? s->live : 1);
    o->credit = credit < CREDIT_MIN ? CREDIT_MIN : credit > CREDIT_MAX ? CREDIT_MAX : credit;
    if (o->credit > o->allowed || o->waiting == 0) o->allowed = o->credit;
    return o->credit;
}

static bool within_credit(const sessions_t *s, const session_t *o, size_t bytes)
{
    return s->waiting + bytes <= s->budget + CREDIT_MAX &&
           (o->waiting == 0 || o->waiting + bytes <= o->allowed);
}

take_t session_take(sessions_t *s, session_t *o, uint64_t seq, size_t bytes)
{
    if (o->started && seq > o->accepted + 1) return TAKE_GAP;
    if (o->started && seq > o->committed && seq <= o->accepted) return TAKE_WAITING;
    if (!within_credit(s, o, bytes)) return TAKE_NO_CREDIT;
    if (!o->started) {
        o->started = true;
        o->committed = seq - 1;
        o->accepted = seq;
    }
    if (seq > o->accepted) o->accepted = seq;
    o->waiting += bytes;
    s->waiting += bytes;
    o->waiting_batches++;
    return TAKE_OK;
}

static void release(sessions_t *s, session_t *o, size_t bytes)
{
    o->waiting -= bytes;
    s->waiting -= bytes;
    o->waiting_batches--;
}

void session_untake(sessions_t *s, session_t *o, uint64_t seq, size_t bytes)
{
    if (seq == o->accepted && seq > o->committed) o->accepted--;
    release(s, o, bytes);
}

void session_committed(sessions_t *s, session_t *o, uint64_t seq, size_t bytes)
{
    if (seq > o->committed) o->committed = seq;
    release(s, o, bytes);
}

// -- broker time ----------------------------------------------------------------------------------------

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

int64_t sessions_broker_offset(const sessions_t *s)
{
    int64_t *offsets = xmalloc((s->live + 1) * sizeof *offsets);
    size_t n = 0, pos = 0;
    for (session_t *o; (o = sessions_next(s, &pos));)
        if (o->has_offset) offsets[n++] = o->offset;
    qsort(offsets, n, sizeof *offsets, by_value);
    int64_t median = n ? offsets[n / 2] : 0;
    free(offsets);
    return median;
}
