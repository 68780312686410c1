// World: the event queue, the links, the store's model, the faults, and the checks after every step.
#include "tests/sim/world.h"

#include "tests/sim/policy.h"
#include "tests/sim/pressure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/check.h"
#include "proto/template.h"

enum {
    CLOSING_MS = 16000, // after a slot's end
    POISON_KILLS = 30,
    CTL_PEER = 1,
    EVENTS_MAX = 2000000,
    FAULT_EVERY_MS = 4000,
    EVERY_STEPS = 30, // seconds from 2 s on
    CROWDED_STEPS = 6,
    LONGEST_EVERY_MS = 2000 + EVERY_STEPS * 1000,
    LATE_MS = 2000, // in the calm, after a due
    SETTLING_MS = 3000,
};

typedef struct held_send {
    struct held_send *next;
    uint64_t peer;
    size_t after; // operations that must be durable first
    size_t len;
    char bytes[];
} held_send_t;

#define FAULT_NAME(name) #name,
const char *fault_name(fault_t fault)
{
    static const char *const names[] = {SIM_FAULTS(FAULT_NAME)};
    return names[fault];
}

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

static instant_t instant(const world_t *w)
{
    return (instant_t){.mono = w->now, .wall = w->base + w->now + w->wall_error};
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

void sim_transmit(world_t *w, event_type_t direction, uint64_t peer, const void *bytes, size_t len)
{
    int64_t at = w->now + 1 + (int64_t)sim_random(w, 5);
    if (w->extra_delay_until > w->now) at += 2000;
    map_t *last = &w->link_last[direction == EV_TO_BROKER];
    int64_t before_it = (int64_t)(intptr_t)map_get(last, peer);
    if (before_it > at) at = before_it; // a link is a queue
    map_put(last, peer, (void *)(intptr_t)at);
    sim_schedule(w, at - w->now, direction, bytes, len)->peer = peer;
}

// -- the broker's edge ----------------------------------------------------------------------------------

static size_t durable_ops(const world_t *w)
{
    size_t n = w->n_ops;
    while (n > 0 && w->ops[n - 1].durable_at > w->now) n--;
    return n;
}

static void transmit(world_t *w, uint64_t peer, const char *bytes, size_t len)
{
    sim_transmit(w, EV_TO_MINER, peer, bytes, len);
}

static void on_send(void *context, uint64_t peer, wire_type_t type, const void *message, bool durable)
{
    world_t *w = context;
    buf_t bytes;
    buf_init(&bytes, MAX_CONTROL_MESSAGE);
    CHECK(wire_encode(&bytes, type, message) == 0);
    if (type == WIRE_TYPE_REPLY && ((const wire_reply_t *)message)->code && w->trace)
        printf("  refused: %s\n", ((const wire_reply_t *)message)->message);
    if (type == WIRE_TYPE_REPLY && w->calm && w->trace)
        printf("  %s\n", ((const wire_reply_t *)message)->json);
    if (durable && (w->held || durable_ops(w) < w->n_ops)) {
        held_send_t *h = xmalloc(sizeof *h + bytes.len);
        *h = (held_send_t){.peer = peer, .after = w->n_ops, .len = bytes.len};
        memcpy(h->bytes, bytes.data, bytes.len);
        *w->held_last = h;
        w->held_last = &h->next;
    } else {
        transmit(w, peer, bytes.data, bytes.len);
    }
    buf_free(&bytes);
}

static const char *kept(world_t *w, const char *s)
{
    char *copy = arena_strdup(w->arena, s ? s : "");
    CHECK(copy != NULL);
    return copy;
}

static void on_store(void *context, const store_op_t *op)
{
    world_t *w = context;
    if (w->n_ops == w->cap_ops) {
        w->cap_ops = w->cap_ops ? w->cap_ops * 2 : 1024;
        w->ops = xrealloc(w->ops, w->cap_ops * sizeof *w->ops);
    }
    int64_t at = w->now + 1 + (int64_t)sim_random(w, w->slow_disk_until > w->now ? 3000 : 20);
    if (w->n_ops && w->ops[w->n_ops - 1].durable_at > at) at = w->ops[w->n_ops - 1].durable_at; // in order
    sim_op_t *o = &w->ops[w->n_ops++];
    o->durable_at = at;
    o->op = *op;
    o->op.history = NULL; // nothing reads it again
    if (op->history) w->recorded += op->history->count;
    o->op.name = kept(w, op->name);
    o->op.text = kept(w, op->text);
    o->op.source.url = kept(w, op->source.url);
    o->op.source.etag = kept(w, op->source.etag);
    o->op.source.last_modified = kept(w, op->source.last_modified);
    o->op.source.fetch_url = kept(w, op->source.fetch_url);
    o->op.source.memory = kept(w, op->source.memory);
    sim_schedule(w, at - w->now, EV_STORE, NULL, 0);
}

static void release(world_t *w)
{
    size_t n = durable_ops(w);
    while (w->held && w->held->after <= n) {
        held_send_t *h = w->held;
        w->held = h->next;
        if (!w->held) w->held_last = &w->held;
        transmit(w, h->peer, h->bytes, h->len);
        free(h);
    }
}

static void drop_held(world_t *w)
{
    while (w->held) {
        held_send_t *h = w->held;
        w->held = h->next;
        free(h);
    }
    w->held_last = &w->held;
}

static uint64_t record_key(const store_op_t *op)
{
    return XXH3_64bits_withSeed(op->name, strlen(op->name), (uint64_t)op->number);
}

static void load_records(world_t *w)
{
    map_t last;
    map_init(&last);
    for (size_t i = 0; i < w->n_ops; i++) {
        store_op_t *op = &w->ops[i].op;
        if (op->kind == STORE_RECORD) map_put(&last, record_key(op), op);
        if (op->kind == STORE_RECORD_GONE) map_del(&last, record_key(op));
    }
    for (size_t i = 0; i < w->n_ops; i++) {
        const store_op_t *op = &w->ops[i].op;
        if (op->kind == STORE_RECORD && map_get(&last, record_key(op)) == op)
            broker_load_record(w->broker, op->name, (uint64_t)op->number, op->text);
    }
    map_free(&last);
}

// What the store holds: the operations in order, later ones over earlier ones.
static void load(world_t *w)
{
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->ops[i].op.kind == STORE_NUMBER)
            broker_load_number(w->broker, w->ops[i].op.name, w->ops[i].op.number);
    for (int t = 0; t < w->n_templates; t++) {
        const store_op_t *last = NULL;
        char name[16];
        snprintf(name, sizeof name, "t%d", t);
        size_t since = 0;
        for (size_t i = 0; i < w->n_ops; i++) {
            const store_op_t *o = &w->ops[i].op;
            if (o->kind != STORE_TEMPLATE && o->kind != STORE_TEMPLATE_GONE) continue;
            if (strcmp(o->name, name) != 0) continue;
            if (o->kind == STORE_TEMPLATE_GONE) since = i;
            last = o;
        }
        if (!last || last->kind == STORE_TEMPLATE_GONE) continue;
        broker_load_template(w->broker, name, last->text, last->number, last->flag);
        for (size_t i = since; i < w->n_ops; i++)
            if (w->ops[i].op.kind == STORE_SOURCE && w->ops[i].op.source.template_id == template_id(name))
                broker_load_source(w->broker, &w->ops[i].op.source);
    }
    load_records(w);
}

static void start_broker(world_t *w)
{
    broker_config_t config = {.slot_ms = w->slot_ms,
                              .heartbeat_ms = BEAT_MS,
                              .liveness_ms = LIVENESS_MS,
                              .report_ms = 1 << 30,
                              .max_concurrent = (uint64_t)w->crowded,
                              .budget = w->budget};
    broker_out_t out = {.context = w, .send = on_send, .store = on_store};
    w->broker = broker_new(&config, &out);
    w->recorded = 0;
    load(w);
    broker_start(w->broker, instant(w));
    sim_schedule(w, 0, EV_BROKER_TICK, NULL, 0)->run = ++w->broker_runs;
}

static void kill_broker(world_t *w, int64_t away)
{
    broker_destroy(&w->broker);
    w->n_ops = durable_ops(w); // the rest was not written
    drop_held(w);
    for (int i = 0; i < MAX_MINERS; i++)
        if (w->miners[i].alive)
            w->miners[i].peer = w->next_peer++; // their sockets connect again by themselves
    sim_schedule(w, away, EV_BROKER_UP, NULL, 0);
}

// -- commands -------------------------------------------------------------------------------------------

static void request(world_t *w, const char *command, wire_arg_t *args, size_t n)
{
    if (!w->broker || w->broker_away_until > w->now) return;
    wire_request_t r = {.id = 1, .command = command};
    r.args.v = args, r.args.n = n;
    broker_message(w->broker, instant(w), CTL_PEER, WIRE_TYPE_REQUEST, &r);
}

static void add_template(world_t *w, int t, bool replace)
{
    char json[16384], schedule[1500], policies[200];
    schedule_json(&w->when[t], w->every[t], schedule, sizeof schedule);
    policy_json(w, t, policies, sizeof policies);
    w->changed_at[t] = w->now;
    int len = snprintf(json, sizeof json, "{\"name\": \"t%d\", \"kind\": \"feed\", %s%s\"urls\": [", t,
                       schedule, policies);
    for (int i = 0, first = 1; i < w->n_pages; i++) {
        if (w->pages[i].template != t) continue;
        len +=
            snprintf(json + len, sizeof json - (size_t)len, "%s\"%s\"", first ? "" : ", ", w->pages[i].url);
        first = 0;
    }
    snprintf(json + len, sizeof json - (size_t)len, "]}");
    wire_arg_t args[] = {{"template", json}, {"replace", replace ? "1" : ""}};
    request(w, "add", args, 2);
}

static void change_template(world_t *w)
{
    int t = (int)sim_random(w, (uint64_t)w->n_templates);
    char name[16];
    snprintf(name, sizeof name, "t%d", t);
    wire_arg_t args[] = {{"name", name}};
    w->changed_at[t] = w->now;
    if (w->poison >= 0 && w->pages[w->poison].template == t) w->poisoned = 0; // it gets another chance
    uint64_t what = sim_random(w, 4);
    w->off[t] = what == 0 || what == 2;
    switch (what) {
    case 0: request(w, "disable", args, 1); break;
    case 1: request(w, "enable", args, 1); break;
    case 2: request(w, "remove", args, 1); break;
    default: w->every[t] = 2000 + (int64_t)sim_random(w, EVERY_STEPS) * 1000; add_template(w, t, true);
    }
}

// One source is polled out of turn: no fault, but it gets in the way of everything.
static bool replay(world_t *w)
{
    char id[17];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)w->pages[sim_random(w, (uint64_t)w->n_pages)].id);
    wire_arg_t args[] = {{"source", id}};
    request(w, "replay", args, 1);
    return w->broker != NULL;
}

static void trigger(world_t *w)
{
    char name[24];
    wire_arg_t args[] = {{"name", name}, {"front", sim_random(w, 2) ? "1" : ""}, {"in_ms", "3000"}};
    if (sim_random(w, 2))
        snprintf(name, sizeof name, "t%d", (int)sim_random(w, (uint64_t)w->n_templates));
    else
        snprintf(name, sizeof name, "%016llx",
                 (unsigned long long)w->pages[sim_random(w, (uint64_t)w->n_pages)].id);
    request(w, "trigger", args, sim_random(w, 2) ? 2 : 3);
}

// For whoever reads the trace of a world that failed: what the broker itself says of a source.
static void explain(world_t *w, const page_t *p)
{
    char id[24];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)p->id);
    wire_arg_t args[] = {{"source", id}};
    if (w->trace) request(w, "explain", args, 1);
}

// -- faults ---------------------------------------------------------------------------------------------

static sim_miner_t *any_miner(world_t *w)
{
    sim_miner_t *m = &w->miners[sim_random(w, MAX_MINERS)];
    return m->alive ? m : NULL;
}

static int alive(const world_t *w)
{
    int n = 0;
    for (int i = 0; i < MAX_MINERS; i++) n += w->miners[i].alive && !w->miners[i].draining;
    return n;
}

// The connection breaks: what is under way either way is lost, the socket connects again with another routing
// id.
static void disconnect(world_t *w, sim_miner_t *m)
{
    for (size_t i = 0; i < w->n_events; i++) {
        event_t *e = w->queue[i];
        if ((e->type == EV_TO_BROKER || e->type == EV_TO_MINER) && e->peer == m->peer) e->peer = 0;
    }
    if (w->broker && sim_random(w, 2)) broker_unreachable(w->broker, instant(w), m->peer);
    m->peer = w->next_peer++;
}

// Faults of a kind add up: what waits for the end of one must not be overtaken by what comes later.
static void prolong(int64_t *until, int64_t to)
{
    if (*until < to) *until = to;
}

static bool strike(world_t *w, fault_t fault)
{
    int64_t span = 500 + (int64_t)sim_random(w, 12000);
    sim_miner_t *m = any_miner(w);
    uint64_t host = sim_random(w, (uint64_t)w->n_hosts);
    switch (fault) {
    case FAULT_disconnect:
        if (m) disconnect(w, m);
        return m != NULL;
    case FAULT_delay: w->extra_delay_until = w->now + span; return true;
    case FAULT_kill_miner:
        if (!m || alive(w) < 2) return false;
        miner_free(m);
        if (sim_random(w, 2)) miner_start(w, m); // at once, under the same name
        return true;
    case FAULT_freeze_miner:
        if (m) prolong(&m->frozen_until, w->now + span);
        return m != NULL;
    case FAULT_drain_miner:
        if (!m || m->draining || alive(w) < 2) return false;
        miner_drain(w, m);
        return true;
    case FAULT_add_miner:
        m = &w->miners[sim_random(w, MAX_MINERS)];
        if (m->alive) return false;
        miner_start(w, m);
        return true;
    case FAULT_kill_broker:
        if (!w->broker) return false;
        kill_broker(w, 100 + (int64_t)sim_random(w, 8000));
        return true;
    case FAULT_stall_broker: prolong(&w->broker_away_until, w->now + span); return true;
    case FAULT_clock_jump: w->wall_error += (int64_t)sim_random(w, 7200000) - 3600000; return true;
    case FAULT_failing_host: w->host_fails_until[host] = w->now + 2 * span; return true;
    case FAULT_slow_host: w->host_slow_until[host] = w->now + 2 * span; return true;
    case FAULT_slow_disk: w->slow_disk_until = w->now + span; return true;
    case FAULT_sick_miner:
        if (m) m->sick_until = w->now + 2 * span;
        return m != NULL;
    case FAULT_overload:
        if (m) m->overloaded_until = w->now + span;
        return m != NULL;
    case FAULT_sink_away: w->sink_away_until = w->now + span; return true;
    case FAULT_change_template: change_template(w); return true;
    case FAULT_replay: return replay(w);
    case FAULT_trigger: trigger(w); return true;
    case FAULT_broken_page:
        w->pages[sim_random(w, (uint64_t)w->n_pages)].broken_until = w->now + 3 * span;
        return true;
    case FAULT_limited_host: w->host_limits_until[host] = w->now + span; return true;
    case FAULT_COUNT: break;
    }
    return false;
}

// -- events ---------------------------------------------------------------------------------------------

static void tick(world_t *w, const event_t *e)
{
    if (!w->broker || e->run != w->broker_runs) return;
    broker_tick(w->broker, instant(w));
    int64_t wait = broker_deadline(w->broker) - w->now;
    sim_schedule(w, wait > 0 ? wait : 1, EV_BROKER_TICK, NULL, 0)->run = w->broker_runs;
}

static const char *peer_name(const world_t *w, uint64_t peer)
{
    for (int i = 0; i < MAX_MINERS; i++)
        if (w->miners[i].alive && w->miners[i].peer == peer) return w->miners[i].name;
    return "?";
}

static void to_broker(world_t *w, const event_t *e)
{
    wire_type_t type;
    void *message;
    const char *why;
    if (!w->broker || !e->peer) return;
    arena_reset(w->scratch);
    CHECK(wire_decode(w->scratch, e->bytes, e->len, &type, &message, &why) == 0);
    sim_trace(w, peer_name(w, e->peer), "broker", type, message);
    broker_message(w->broker, instant(w), e->peer, type, message);
}

static void to_miner(world_t *w, const event_t *e)
{
    for (int i = 0; i < MAX_MINERS; i++)
        if (w->miners[i].alive && w->miners[i].peer == e->peer) miner_event(w, &w->miners[i], e);
}

static void on_fault(world_t *w)
{
    if (w->calm) return;
    fault_t f = (fault_t)sim_random(w, FAULT_COUNT);
    if (strike(w, f)) {
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

// Frozen processes take their events later, in order.
static bool postponed(world_t *w, event_t *e)
{
    int64_t until = 0;
    if (e->type == EV_TO_BROKER || e->type == EV_BROKER_TICK) until = w->broker_away_until;
    if (e->type == EV_TO_MINER)
        for (int i = 0; i < MAX_MINERS; i++)
            if (w->miners[i].alive && w->miners[i].peer == e->peer) until = w->miners[i].frozen_until;
    if (e->type >= EV_MINER_BEAT && e->type <= EV_DRAINED) until = w->miners[e->miner].frozen_until;
    if (until <= w->now) return false;
    e->at = until;
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
        if (w->broker) release(w);
        break;
    case EV_BROKER_UP:
        if (!w->broker) start_broker(w);
        break;
    case EV_FAULT: on_fault(w); break;
    case EV_PAGE: on_page(w); break;
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

static bool step(world_t *w)
{
    event_t *e = pop(w);
    w->now = e->at;
    if (!postponed(w, e)) {
        note(w, e);
        dispatch(w, e);
        if (e->type <= EV_BROKER_TICK && e->type != EV_TO_MINER) check_books(w);
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
        w->every[t] = 2000 + (int64_t)sim_random(w, w->crowded ? CROWDED_STEPS : EVERY_STEPS) * 1000;
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

// When nobody is frozen any more.
static int64_t last_sleeper(const world_t *w)
{
    int64_t at = w->broker_away_until > w->now ? w->broker_away_until : w->now;
    for (int i = 0; i < MAX_MINERS; i++)
        if (w->miners[i].alive && w->miners[i].frozen_until > at) at = w->miners[i].frozen_until;
    return at;
}

// All faults end: everybody is up, every template is there.
static void make_calm(world_t *w)
{
    w->extra_delay_until = w->sink_away_until = w->slow_disk_until = w->now;
    for (int i = 0; i < MAX_MINERS; i++) w->miners[i].sick_until = w->miners[i].overloaded_until = 0;
    if (!w->broker) start_broker(w);
    for (int i = 0; i < MAX_HOSTS; i++)
        w->host_fails_until[i] = w->host_slow_until[i] = w->host_limits_until[i] = w->now;
    for (int t = 0; t < w->n_templates; t++) w->off[t] = false;
    for (int i = 0; i < w->n_pages; i++) w->pages[i].broken_until = 0;
    w->poison = -1;
    for (int i = 0; i < 3; i++)
        if (!w->miners[i].alive) miner_start(w, &w->miners[i]);
    for (int t = 0; t < w->n_templates; t++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", t);
        wire_arg_t args[] = {{"name", name}};
        add_template(w, t, true);
        request(w, "enable", args, 1);
    }
}

// In the calm each source is polled once per period, by one owner, and nothing stays open.
static void check_calm(world_t *w, int64_t span)
{
    for (int i = 0; i < w->n_pages; i++) {
        page_t *p = &w->pages[i];
        int64_t every = w->every[p->template];
        // broker time may run 2 % fast or slow after a jump of the wall clock
        int64_t least = span * 97 / 100 / every - 1, most = span * 103 / 100 / every + 2;
        const when_t *when = &w->when[p->template];
        if (policy_waits(w, p->template)) { // it may wait for its turn, but not for ever
            int64_t longest = span / 2 > 3 * every ? span / 2 : 3 * every;
            bool late = when->kind == WHEN_PERIOD && !w->crowded &&
                        (!p->polled_at || w->now - p->polled_at > longest);
            if (late) explain(w, p);
            if (late)
                sim_fail(w, "%s (every %lld ms) was not polled for %lld ms", p->url, (long long)every,
                         (long long)(w->now - p->polled_at));
            continue;
        }
        if (when->kind == WHEN_PERIOD && (p->polls < least || p->polls > most))
            sim_fail(w, "%s (every %lld ms) was polled %d times in %lld ms of calm", p->url, (long long)every,
                     p->polls, (long long)span);
        int64_t since = p->polled_due ? p->polled_due : w->settled_at + SETTLING_MS;
        bool overdue = schedule_overdue(when, every, since, sim_broker_time(w) - LATE_MS);
        if (overdue) explain(w, p);
        if (overdue) sim_fail(w, "%s was not polled after its due at %lld", p->url, (long long)since);
        if (!broker_owner(w->broker, p->id)[0]) sim_fail(w, "%s has no owner", p->url);
    }
}

// Loads are levelled when a slot is closed; what they are may have changed since.
static void check_balance(world_t *w)
{
    if (!broker_balanced(w->broker)) sim_run_until(w, w->now + w->slot_ms + CLOSING_MS);
    if (!w->failure[0] && !broker_balanced(w->broker)) sim_fail(w, "one miner has more than its share");
}

// Others may not be due for an hour.
static bool is_polled_often(const when_t *when)
{
    return when->kind == WHEN_PERIOD || when->kind == WHEN_CONTINUOUS ||
           (when->kind == WHEN_CRON && when->all_hours);
}

// Once nothing changes any more, everything that there was is stored: no validator ever hid a change.
static void check_stored(world_t *w)
{
    for (int i = 0; i < w->n_pages; i++)
        if (is_polled_often(&w->when[w->pages[i].template]) && !policy_waits(w, w->pages[i].template) &&
            w->pages[i].stored_version != w->pages[i].version)
            sim_fail(w, "%s is at version %llu, the sink has %llu", w->pages[i].url,
                     (unsigned long long)w->pages[i].version, (unsigned long long)w->pages[i].stored_version);
}

// What was asked for has been done, or given up.
static void check_tasks(world_t *w)
{
    size_t open = broker_counts(w->broker).tasks;
    if (open) request(w, "tasks", NULL, 0);
    for (int i = 0; open && i < w->n_pages; i++) explain(w, &w->pages[i]);
    if (open) sim_fail(w, "%zu tasks have not ended", open);
    if (w->poisoned > POISON_KILLS) sim_fail(w, "one page killed %d miners", w->poisoned);
}

// A miner that joins disturbs nobody: what moves to it is polled on time and by one at once.
static void join_another(world_t *w)
{
    for (int i = 0; i < MAX_MINERS; i++) {
        if (w->miners[i].alive) continue;
        miner_start(w, &w->miners[i]);
        return;
    }
}

// What is disabled is polled no more.
static void disable_one(world_t *w)
{
    wire_arg_t args[] = {{"name", "t0"}};
    request(w, "disable", args, 1);
    w->off[0] = true;
    sim_run_until(w, w->now + 500);
    w->removed[0] = true;
    sim_run_until(w, w->now + w->slot_ms);
}

int world_run(world_t *w, uint64_t seed, int slots, bool trace)
{
    static const int64_t lengths[] = {8000, 20000, 60000};
    *w = (world_t){.seed = seed, .random = seed, .next_peer = 2, .next_incarnation = 1, .trace = trace};
    w->held_last = &w->held;
    map_init(&w->stored);
    map_init(&w->link_last[0]);
    map_init(&w->link_last[1]);
    w->arena = arena_new((size_t)1 << 30);
    w->scratch = arena_new(16 << 20);
    w->slot_ms = lengths[sim_random(w, 3)];
    w->crowded = w->slot_ms == lengths[0] && sim_random(w, 4) == 0 ? 2 : 0;
    w->now = 1000 + (int64_t)sim_random(w, 100000);
    w->budget = sim_random(w, 2) ? 0 : 1 + (int)sim_random(w, 20);
    w->base = schedule_base(sim_random(w, 1 << 30), (slots + 8) * w->slot_ms + 100000) - w->now;
    make_pages(w);
    policy_make(w);
    start_broker(w);
    int n = 3 + (int)sim_random(w, 3);
    for (int i = 0; i < n; i++) miner_start(w, &w->miners[i]);
    for (int t = 0; t < w->n_templates; t++) add_template(w, t, false);
    sim_schedule(w, 2000, EV_FAULT, NULL, 0);
    sim_schedule(w, 2000, EV_PAGE, NULL, 0);
    bool fine = sim_run_until(w, w->now + slots * w->slot_ms);
    w->calm = true;
    if (fine && sim_run_until(w, last_sleeper(w))) make_calm(w);
    if (!w->failure[0] && sim_run_until(w, w->now + 3 * w->slot_ms + 15000)) {
        int64_t span = 3 * w->slot_ms + 65000;
        w->settled = true;
        w->settled_at = sim_broker_time(w);
        if (sim_run_until(w, w->now + span / 2)) join_another(w);
        if (!w->failure[0] && sim_run_until(w, w->now + span - span / 2)) check_calm(w, span);
        if (!w->failure[0]) check_balance(w);
        w->quiet = true;
        if (!w->failure[0] && sim_run_until(w, w->now + LONGEST_EVERY_MS + 5000)) check_stored(w);
        if (!w->failure[0]) check_tasks(w);
        if (!w->failure[0]) pressure_run(w);
        if (!w->failure[0]) disable_one(w);
    }
    return w->failure[0] ? -1 : 0;
}

void world_free(world_t *w)
{
    broker_destroy(&w->broker);
    for (int i = 0; i < MAX_MINERS; i++)
        if (w->miners[i].alive) miner_free(&w->miners[i]);
    for (size_t i = 0; i < w->n_events; i++) free(w->queue[i]);
    drop_held(w);
    map_free(&w->stored);
    map_free(&w->link_last[0]);
    map_free(&w->link_last[1]);
    free(w->queue);
    free(w->ops);
    arena_destroy(&w->arena);
    arena_destroy(&w->scratch);
}
