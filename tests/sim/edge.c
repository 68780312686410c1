// Edge: see the header.
#include "tests/sim/edge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/check.h"
#include "tests/sim/control.h"
#include "tests/sim/heard.h"
#include "tests/sim/rows.h"
#include "tests/sim/user_tasks.h"

typedef struct held_send {
    struct held_send *next;
    uint64_t peer;
    size_t after; // operations that must be durable first
    size_t len;
    char bytes[];
} held_send_t;

instant_t sim_instant(const world_t *w)
{
    return (instant_t){.mono = w->now, .wall = w->base + w->now + w->wall_error};
}

void sim_note_time(world_t *w)
{
    w->broker_offset = broker_counts(w->broker).now - w->now;
}

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
    w->acted = true;
    buf_init(&bytes, MAX_CONTROL_MESSAGE);
    CHECK(wire_encode(&bytes, type, message) == 0);
    if (type == WIRE_TYPE_REPLY) control_answered(w, message);
    if (type == WIRE_TYPE_DISCONNECT) w->turned_away = true;
    if (type == WIRE_TYPE_ASSIGN) heard_assign(w, peer, message);
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
    w->acted = true;
    if (w->n_ops == w->cap_ops) {
        w->cap_ops = w->cap_ops ? w->cap_ops * 2 : 1024;
        w->ops = xrealloc(w->ops, w->cap_ops * sizeof *w->ops);
    }
    int64_t at = w->now + 1 + (int64_t)sim_random(w, w->slow_disk_until > w->now ? 3000 : 20);
    if (w->n_ops && w->ops[w->n_ops - 1].durable_at > at) at = w->ops[w->n_ops - 1].durable_at; // in order
    sim_op_t *o = &w->ops[w->n_ops++];
    o->durable_at = at;
    o->op = *op;
    o->op.history = rows_keep(w, op->history);
    if (op->kind == STORE_RECORD && !strcmp(op->name, "task"))
        user_tasks_stored(w, (uint64_t)op->number, op->text);
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

void sim_release(world_t *w)
{
    size_t n = durable_ops(w);
    rows_durable(w, n, false);
    while (w->held && w->held->after <= n) {
        held_send_t *h = w->held;
        w->held = h->next;
        if (!w->held) w->held_last = &w->held;
        transmit(w, h->peer, h->bytes, h->len);
        free(h);
    }
}

void sim_drop_held(world_t *w)
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

// In the order in which the rows were first written, as they lie in the file; with what was written last.
static void load_records(world_t *w)
{
    map_t first, last;
    map_init(&first);
    map_init(&last);
    for (size_t i = 0; i < w->n_ops; i++) {
        store_op_t *op = &w->ops[i].op;
        if (op->kind == STORE_RECORD_GONE) map_del(&first, record_key(op));
        if (op->kind != STORE_RECORD) continue;
        if (!map_get(&first, record_key(op))) map_put(&first, record_key(op), op);
        map_put(&last, record_key(op), op);
    }
    for (size_t i = 0; i < w->n_ops; i++) {
        const store_op_t *op = &w->ops[i].op;
        if (op->kind != STORE_RECORD || map_get(&first, record_key(op)) != op) continue;
        op = map_get(&last, record_key(op));
        if (!strcmp(op->name, "task")) user_tasks_found(w, (uint64_t)op->number, op->text);
        if (w->trace) printf("  %s %016llx %s\n", op->name, (unsigned long long)op->number, op->text);
        broker_load_record(w->broker, op->name, (uint64_t)op->number, op->text);
    }
    map_free(&first);
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

void sim_start_broker(world_t *w)
{
    broker_config_t config = {.slot_ms = w->slot_ms,
                              .heartbeat_ms = BEAT_MS,
                              .liveness_ms = LIVENESS_MS,
                              .report_ms = 1 << 30,
                              .max_concurrent = (uint64_t)w->crowded,
                              .budget = w->budget,
                              .miners_keep_ms = MINERS_KEEP_MS,
                              .letters_rows = w->letters_kept,
                              .tasks_rows = w->tasks_kept};
    broker_out_t out = {.context = w, .send = on_send, .store = on_store};
    w->broker = broker_new(&config, &out);
    w->recorded = 0;
    user_tasks_restart(w);
    load(w);
    broker_start(w->broker, sim_instant(w));
    w->broker_started = w->ticked_at = w->now;
    w->grace_end = w->now + GRACE_MS;
    sim_note_time(w);
    w->broker_began = heard_now(w);
    heard_restart(w, w->n_ops);
    sim_schedule(w, 0, EV_BROKER_TICK, NULL, 0)->run = ++w->broker_runs;
    control_look(w);
}

void sim_kill_broker(world_t *w, int64_t away)
{
    broker_destroy(&w->broker);
    w->n_ops = durable_ops(w); // the rest was not written
    rows_durable(w, w->n_ops, true);
    sim_drop_held(w);
    for (int i = 0; i < MAX_MINERS; i++)
        if (w->miners[i].alive)
            w->miners[i].peer = w->next_peer++; // their sockets connect again by themselves
    sim_schedule(w, away, EV_BROKER_UP, NULL, 0);
}

void sim_stop_broker(world_t *w, int64_t away)
{
    broker_stop(w->broker, sim_instant(w));
    broker_counts_t c = broker_counts(w->broker);
    if (c.stored + c.failed + c.skipped != w->recorded)
        sim_fail(w, "%llu dues are settled, and %llu are in the history of a broker that stops",
                 (unsigned long long)(c.stored + c.failed + c.skipped), (unsigned long long)w->recorded);
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->ops[i].durable_at > w->now) w->ops[i].durable_at = w->now;
    sim_release(w);
    sim_kill_broker(w, away);
}
