// World: the event queue, the links, the checks after every step, and a world's life.
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/check.h"
#include "proto/template.h"
#include "tests/sim/calm.h"
#include "tests/sim/control.h"
#include "tests/sim/edge.h"
#include "tests/sim/faults.h"
#include "tests/sim/heard.h"
#include "tests/sim/host.h"
#include "tests/sim/policy.h"
#include "tests/sim/rows.h"
#include "tests/sim/user_letters.h"
#include "tests/sim/user_next.h"
#include "tests/sim/user_tasks.h"

enum {
    EVENTS_MAX = 2000000,
    FAULT_EVERY_MS = 4000,
    CROWDED_STEPS = 6, // as SIM_EVERY_STEPS
    TICKS_MS = 600,    // between two ticks: the broker was away
};

// -- randomness, time, failure ------------------------------------------------------------------------

uint64_t sim_random(world_t *w, uint64_t below) // splitmix64 (Steele, Lea, Flood 2014)
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return below ? (z ^ (z >> 31)) % below : 0;
}

void sim_fail(world_t *w, const char *fmt, ...)
{
    if (w->failure[0]) return;
    int n = snprintf(w->failure, sizeof w->failure, "at %lld ms: ", (long long)w->now);
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->failure + n, sizeof w->failure - (size_t)n, fmt, args);
    va_end(args);
}

// As miners reckon it.
int64_t sim_broker_time(const world_t *w)
{
    for (int i = 0; i < MAX_MINERS; i++)
        if (w->miners[i].alive && w->miners[i].welcomed) return w->now + w->miners[i].offset;
    return w->base + w->now;
}

page_t *sim_page(world_t *w, uint64_t source)
{
    for (int i = 0; i < w->n_pages; i++)
        if (w->pages[i].id == source) return &w->pages[i];
    return NULL;
}

// -- the event queue: a binary heap by (time, order) ----------------------------------------------------

static bool before(const event_t *a, const event_t *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void push(world_t *w, event_t *e)
{
    if (w->n_events == w->cap_events) {
        w->cap_events = w->cap_events ? w->cap_events * 2 : 1024;
        w->queue = xrealloc(w->queue, w->cap_events * sizeof *w->queue);
    }
    size_t i = w->n_events++;
    for (; i > 0 && before(e, w->queue[(i - 1) / 2]); i = (i - 1) / 2) w->queue[i] = w->queue[(i - 1) / 2];
    w->queue[i] = e;
}

static event_t *pop(world_t *w)
{
    event_t *top = w->queue[0], *last = w->queue[--w->n_events];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= w->n_events) break;
        if (c + 1 < w->n_events && before(w->queue[c + 1], w->queue[c])) c++;
        if (!before(w->queue[c], last)) break;
        w->queue[i] = w->queue[c];
        i = c;
    }
    w->queue[i] = last;
    return top;
}

event_t *sim_schedule(world_t *w, int64_t delay, event_type_t type, const void *bytes, size_t len)
{
    event_t *e = xcalloc(1, sizeof *e + len);
    e->type = type;
    e->at = w->now + delay;
    e->len = len;
    e->order = w->order++; // kept if it is postponed: a link is a queue
    if (len) memcpy(e->bytes, bytes, len);
    push(w, e);
    return e;
}

event_t *sim_transmit(world_t *w, event_type_t direction, uint64_t peer, const void *bytes, size_t len)
{
    int64_t at = w->now + 1 + (int64_t)sim_random(w, 5);
    if (w->extra_delay_until > w->now) at += 2000;
    map_t *last = &w->link_last[direction == EV_TO_BROKER];
    int64_t before_it = (int64_t)(intptr_t)map_get(last, peer);
    if (before_it > at) at = before_it; // a link is a queue
    map_put(last, peer, (void *)(intptr_t)at);
    event_t *e = sim_schedule(w, at - w->now, direction, bytes, len);
    e->peer = peer;
    return e;
}

// -- events ---------------------------------------------------------------------------------------------

static void tick(world_t *w, const event_t *e)
{
    if (!w->broker || e->run != w->broker_runs) return;
    user_next_before(w);
    broker_tick(w->broker, sim_instant(w));
    user_next_after(w);
    sim_note_time(w);
    if (w->ticked_at < w->grace_end && w->now > w->ticked_at + TICKS_MS)
        w->grace_end += w->now - w->ticked_at;
    w->ticked_at = w->now;
    int64_t wait = broker_deadline(w->broker) - w->now;
    sim_schedule(w, wait > 0 ? wait : 1, EV_BROKER_TICK, NULL, 0)->run = w->broker_runs;
}

// Who is connected as peer now, or NULL.
static sim_miner_t *miner_of(world_t *w, uint64_t peer)
{
    for (int i = 0; i < MAX_MINERS; i++)
        if (w->miners[i].alive && w->miners[i].peer == peer) return &w->miners[i];
    return NULL;
}

static void to_broker(world_t *w, const event_t *e)
{
    wire_type_t type;
    void *message;
    const char *why;
    if (!w->broker || !e->peer) return;
    arena_reset(w->scratch);
    CHECK(wire_decode(w->scratch, e->bytes, e->len, &type, &message, &why) == 0);
    const sim_miner_t *from = miner_of(w, e->peer);
    sim_trace(w, from ? from->name : "?", "broker", type, message);
    w->turned_away = false;
    broker_message(w->broker, sim_instant(w), e->peer, type, message);
    sim_note_time(w);
    if (w->turned_away) return;
    if (type == WIRE_TYPE_OUTCOMES) heard_outcomes(w, e, message);
    if (type == WIRE_TYPE_INVENTORY) heard_inventory(w, message);
    if (type == WIRE_TYPE_GOODBYE) heard_goodbye(w, e);
}

static void to_user(world_t *w, const event_t *e)
{
    wire_type_t type;
    void *message;
    const char *why;
    arena_reset(w->scratch);
    CHECK(wire_decode(w->scratch, e->bytes, e->len, &type, &message, &why) == 0);
    if (type == WIRE_TYPE_REPLY) control_told(w, message);
}

static void to_miner(world_t *w, const event_t *e)
{
    sim_miner_t *m = miner_of(w, e->peer);
    if (e->peer == CTL_PEER) to_user(w, e);
    if (m) miner_event(w, m, e);
}

static void on_fault(world_t *w)
{
    if (w->calm) return;
    fault_t f = (fault_t)sim_random(w, FAULT_COUNT);
    if (fault_strike(w, f)) {
        w->struck[f]++;
        if (w->trace) printf("%lld fault %s\n", (long long)w->now, fault_name(f));
    }
    sim_schedule(w, (int64_t)sim_random(w, FAULT_EVERY_MS), EV_FAULT, NULL, 0);
}

static void on_page(world_t *w)
{
    if (w->quiet) return;
    w->pages[sim_random(w, (uint64_t)w->n_pages)].version++;
    sim_schedule(w, (int64_t)sim_random(w, 500), EV_PAGE, NULL, 0);
}

// Frozen processes take their events later, in order. The broker may have been about to take what came, or to
// tick.
static bool postponed(world_t *w, event_t *e)
{
    int64_t until = 0;
    const sim_miner_t *to = e->type == EV_TO_MINER ? miner_of(w, e->peer) : NULL;
    if (e->type == EV_TO_BROKER || e->type == EV_BROKER_TICK) until = w->broker_away_until;
    if (to) until = to->frozen_until;
    if (e->type >= EV_MINER_BEAT && e->type <= EV_DRAINED) until = w->miners[e->miner].frozen_until;
    if (until <= w->now) return false;
    e->at = until + (e->type == EV_BROKER_TICK && e->order % 2);
    push(w, e);
    return true;
}

static void dispatch(world_t *w, const event_t *e)
{
    switch (e->type) {
    case EV_TO_BROKER: to_broker(w, e); break;
    case EV_TO_MINER: to_miner(w, e); break;
    case EV_BROKER_TICK: tick(w, e); break;
    case EV_STORE:
        if (w->broker) sim_release(w);
        break;
    case EV_BROKER_UP:
        if (!w->broker) sim_start_broker(w);
        break;
    case EV_FAULT: on_fault(w); break;
    case EV_PAGE: on_page(w); break;
    case EV_LOOK: control_look(w); break;
    default:
        if (w->miners[e->miner].alive) miner_event(w, &w->miners[e->miner], e);
    }
}

static const char *event_name(event_type_t type)
{
    return type == EV_POLL_DUE ? "due" : type == EV_POLL_READ ? "read" : "stored";
}

static void note(world_t *w, const event_t *e)
{
    uint64_t record[] = {w->hash,
                         (uint64_t)e->at,
                         e->type,
                         e->peer,
                         e->source,
                         e->len,
                         e->len ? XXH3_64bits(e->bytes, e->len) : 0};
    w->hash = XXH3_64bits(record, sizeof record);
    if (w->trace && e->source)
        printf("%lld m%d %s %016llx\n", (long long)e->at, e->miner, event_name(e->type),
               (unsigned long long)e->source);
}

// -- checks ---------------------------------------------------------------------------------------------

// The broker's own books, after each event that it saw.
static void check_books(world_t *w)
{
    char why[200];
    if (!w->broker) return;
    if (broker_audit(w->broker, why, sizeof why)) sim_fail(w, "%s", why);
    uint64_t recorded = broker_counts(w->broker).recorded;
    if (recorded != w->recorded)
        sim_fail(w, "the store was told of %llu dues, the broker says %llu", (unsigned long long)w->recorded,
                 (unsigned long long)recorded);
}

// Most ticks do nothing.
static bool is_worth_a_look(const world_t *w, const event_t *e)
{
    return e->type == EV_TO_BROKER || (e->type == EV_BROKER_TICK && (w->acted || e->order % 16 == 0));
}

static bool step(world_t *w)
{
    event_t *e = pop(w);
    w->now = e->at;
    if (!postponed(w, e)) {
        note(w, e);
        w->acted = false;
        dispatch(w, e);
        if (is_worth_a_look(w, e)) check_books(w);
        free(e);
    }
    if (w->order > EVENTS_MAX) sim_fail(w, "more than %d events", EVENTS_MAX);
    return !w->failure[0];
}

bool sim_run_until(world_t *w, int64_t end)
{
    while (w->n_events && w->queue[0]->at <= end)
        if (!step(w)) return false;
    w->now = end;
    return true;
}

// -- the run --------------------------------------------------------------------------------------------

static void make_pages(world_t *w)
{
    w->n_hosts = 5 + (int)sim_random(w, MAX_HOSTS - 4);
    w->n_templates = 2 + (int)sim_random(w, MAX_TEMPLATES - 1);
    w->n_pages = 50 + (int)sim_random(w, MAX_SOURCES - 49);
    for (int t = 0; t < w->n_templates; t++) {
        w->every[t] = 2000 + (int64_t)sim_random(w, w->crowded ? CROWDED_STEPS : SIM_EVERY_STEPS) * 1000;
        w->when[t] = schedule_make(sim_random(w, 1 << 30), w->base + w->now);
    }
    for (int i = 0; i < w->n_pages; i++) {
        page_t *p = &w->pages[i];
        *p = (page_t){
            .template = i % w->n_templates, .host = (int)sim_random(w, (uint64_t)w->n_hosts), .version = 1};
        snprintf(p->url, sizeof p->url, "http://h%d.example/%d", p->host, i);
        char name[16];
        snprintf(name, sizeof name, "t%d", p->template);
        p->id = source_id(name, p->url);
        if (w->trace) printf("%016llx %s %s\n", (unsigned long long)p->id, name, p->url);
    }
}

int world_run(world_t *w, uint64_t seed, int slots, bool trace)
{
    static const int64_t lengths[] = {8000, 20000, 60000};
    *w = (world_t){.seed = seed, .random = seed, .next_peer = 2, .next_incarnation = 1, .trace = trace};
    w->held_last = &w->held;
    map_init(&w->stored);
    map_init(&w->link_last[0]);
    map_init(&w->link_last[1]);
    map_init(&w->heard);
    map_init(&w->tasks);
    map_init(&w->missed);
    map_init(&w->letters);
    map_init(&w->letters_gone);
    w->arena = arena_new((size_t)1 << 30);
    w->scratch = arena_new(16 << 20);
    w->slot_ms = lengths[sim_random(w, 3)];
    w->crowded = w->slot_ms == lengths[0] && sim_random(w, 4) == 0 ? 2 : 0;
    w->now = 1000 + (int64_t)sim_random(w, 100000);
    w->budget = sim_random(w, 2) ? 0 : 1 + (int)sim_random(w, 20);
    w->base = schedule_base(sim_random(w, 1 << 30), (slots + 8) * w->slot_ms + 100000) - w->now;
    rows_begin(w);
    make_pages(w);
    policy_make(w);
    host_make(w);
    w->curious = sim_random(w, 3) == 0;
    w->letters_kept = sim_random(w, 3) ? 10000 : 3;
    w->tasks_kept = sim_random(w, 3) ? 1000 : 5;
    sim_start_broker(w);
    int n = 3 + (int)sim_random(w, 3);
    for (int i = 0; i < n; i++) miner_start(w, &w->miners[i]);
    for (int t = 0; t < w->n_templates; t++) control_add(w, t, false);
    sim_schedule(w, 2000, EV_FAULT, NULL, 0);
    sim_schedule(w, 2000, EV_PAGE, NULL, 0);
    bool fine = sim_run_until(w, w->now + slots * w->slot_ms);
    if (fine) calm_run(w);
    if (!w->failure[0]) heard_check(w);
    if (!w->failure[0]) rows_durable(w, w->n_ops, true);
    return w->failure[0] ? -1 : 0;
}

void world_free(world_t *w)
{
    broker_destroy(&w->broker);
    rows_end(w);
    for (int i = 0; i < MAX_MINERS; i++)
        if (w->miners[i].alive) miner_free(&w->miners[i]);
    for (size_t i = 0; i < w->n_events; i++) free(w->queue[i]);
    sim_drop_held(w);
    yyjson_doc_free(w->answer);
    map_free(&w->heard);
    user_tasks_free(w);
    user_letters_free(w);
    map_free(&w->stored);
    map_free(&w->link_last[0]);
    map_free(&w->link_last[1]);
    free(w->queue);
    free(w->ops);
    arena_destroy(&w->arena);
    arena_destroy(&w->scratch);
}
