// Broker world: the broker's state machine in simulated time, for unit tests: no ZeroMQ, no SQLite, no clock.
// A test file includes it and has a broker of its own per test.
#ifndef RTM_TESTS_BROKER_WORLD_H
#define RTM_TESTS_BROKER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <yyjson.h>

#include "broker/broker.h"
#include "common/arena.h"
#include "common/check.h"
#include "common/log.h"

#pragma GCC diagnostic ignored "-Wunused-function" // no test needs all of them

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

enum { SLOT = 60000, BEAT = 1000, LIVENESS = 4000, MAX_SENT = 100000, MAX_OPS = 50000 };

// -- a world around one broker ------------------------------------------------------------------------

typedef struct {
    uint64_t peer;
    wire_type_t type;
    void *message;
    bool durable;
} sent_t;

typedef struct {
    broker_t *broker;
    instant_t now;
    arena_t *arena; // of what was sent
    sent_t *sent;
    size_t n_sent;
    store_op_t *ops; // what the store was told, in order; survives a restart
    size_t n_ops;
} world_t;

static void on_send(void *context, uint64_t peer, wire_type_t type, const void *message, bool durable)
{
    world_t *w = context;
    buf_t bytes;
    buf_init(&bytes, MAX_CONTROL_MESSAGE);
    assert_int_equal(wire_encode(&bytes, type, message), 0);
    sent_t *s = &w->sent[w->n_sent++];
    const char *why;
    *s = (sent_t){.peer = peer, .durable = durable};
    assert_true(w->n_sent < MAX_SENT);
    assert_int_equal(wire_decode(w->arena, bytes.data, bytes.len, &s->type, &s->message, &why), 0);
    buf_free(&bytes);
}

static char *copy(world_t *w, const char *s)
{
    return arena_strdup(w->arena, s ? s : "");
}

static const store_history_t *copy_history(world_t *w, const store_history_t *from)
{
    if (!from) return NULL;
    store_history_t *to = arena_alloc(w->arena, sizeof *to);
    assert_non_null(to);
    *to = *from;
    to->template_name = copy(w, from->template_name);
    to->miner = copy(w, from->miner);
    to->detail = copy(w, from->detail);
    to->pattern = copy(w, from->pattern);
    return to;
}

static void on_store(void *context, const store_op_t *op)
{
    world_t *w = context;
    store_op_t *o = &w->ops[w->n_ops++];
    assert_true(w->n_ops < MAX_OPS);
    *o = *op;
    o->history = copy_history(w, op->history);
    o->name = copy(w, op->name);
    o->text = copy(w, op->text);
    o->source.url = copy(w, op->source.url);
    o->source.etag = copy(w, op->source.etag);
    o->source.last_modified = copy(w, op->source.last_modified);
    o->source.fetch_url = copy(w, op->source.fetch_url);
    o->source.memory = copy(w, op->source.memory);
}

static uint64_t cluster_limit; // the cluster's limit of brokers that start, 0: none

static void start(world_t *w)
{
    broker_config_t config = {.slot_ms = SLOT,
                              .heartbeat_ms = BEAT,
                              .liveness_ms = LIVENESS,
                              .report_ms = 3600000,
                              .max_concurrent = cluster_limit};
    broker_out_t out = {.context = w, .send = on_send, .store = on_store};
    w->broker = broker_new(&config, &out);
}

static world_t *world_new(void)
{
    world_t *w = xcalloc(1, sizeof *w);
    w->arena = arena_new(256 << 20);
    w->sent = xcalloc(MAX_SENT, sizeof *w->sent);
    w->ops = xcalloc(MAX_OPS, sizeof *w->ops);
    w->now =
        (instant_t){.mono = 5000, .wall = 1700000000000 - 1700000000000 % SLOT + 1000}; // 1 s into a slot
    start(w);
    broker_start(w->broker, w->now);
    return w;
}

static void world_destroy(world_t *w)
{
    broker_destroy(&w->broker);
    arena_destroy(&w->arena);
    free(w->sent);
    free(w->ops);
    free(w);
}

static void pass(world_t *w, int64_t ms)
{
    int64_t end = w->now.mono + ms;
    while (w->now.mono < end) {
        int64_t step = broker_deadline(w->broker) - w->now.mono;
        if (step < 1) step = 1;
        if (step > end - w->now.mono) step = end - w->now.mono;
        w->now.mono += step;
        w->now.wall += step;
        broker_tick(w->broker, w->now);
    }
}

// Every due is either settled or open, every lane where it is listed, and so on.
static void check_books(const world_t *w)
{
    char why[200] = "";
    int failed = broker_audit(w->broker, why, sizeof why);
    assert_string_equal(why, "");
    assert_int_equal(failed, 0);
}

static void say(world_t *w, uint64_t peer, wire_type_t type, const void *message)
{
    broker_message(w->broker, w->now, peer, type, message);
    check_books(w);
}

// The n-th message of type to peer since mark, or NULL.
static void *heard(world_t *w, size_t mark, uint64_t peer, wire_type_t type, size_t n)
{
    for (size_t i = mark; i < w->n_sent; i++)
        if (w->sent[i].peer == peer && w->sent[i].type == type && n-- == 0) return w->sent[i].message;
    return NULL;
}

static void ready(world_t *w, uint64_t peer, const char *name, uint64_t incarnation)
{
    wire_ready_t r = {
        .version = WIRE_VERSION, .miner = name, .incarnation = incarnation, .slots = 100, .software = "test"};
    say(w, peer, WIRE_TYPE_READY, &r);
}

static void inventory(world_t *w, uint64_t peer, wire_holding_t *rows, size_t n)
{
    wire_inventory_t inv = {.last = true};
    inv.holdings.v = rows, inv.holdings.n = n;
    say(w, peer, WIRE_TYPE_INVENTORY, &inv);
}

static void join(world_t *w, uint64_t peer, const char *name)
{
    ready(w, peer, name, peer * 1000);
    inventory(w, peer, NULL, 0);
}

static void beat(world_t *w, uint64_t peer)
{
    wire_heartbeat_t h = {.running = 1};
    say(w, peer, WIRE_TYPE_HEARTBEAT, &h);
}

// Passes time while these peers beat.
static void pass_beating(world_t *w, int64_t ms, uint64_t a, uint64_t b)
{
    for (int64_t t = 0; t < ms; t += BEAT) {
        if (a) beat(w, a);
        if (b) beat(w, b);
        pass(w, ms - t < BEAT ? ms - t : BEAT);
    }
}

static wire_reply_t *command(world_t *w, const char *name, wire_arg_t *args, size_t n)
{
    size_t mark = w->n_sent;
    wire_request_t r = {.id = 7, .command = name};
    r.args.v = args, r.args.n = n;
    say(w, 999, WIRE_TYPE_REQUEST, &r);
    wire_reply_t *reply = heard(w, mark, 999, WIRE_TYPE_REPLY, 0);
    assert_non_null(reply);
    assert_int_equal(reply->id, 7);
    return reply;
}

// A template with n sources, each on a host of its own: number i on HOSTi.example.
static wire_reply_t *add_on(world_t *w, const char *host, const char *name, int n, const char *more,
                            bool replace)
{
    char *json = xmalloc(200 + (size_t)n * (60 + 2 * MAX_NAME) + strlen(more));
    int len = sprintf(json, "{\"name\": \"%s\", \"kind\": \"feed\"%s, \"urls\": [", name, more);
    for (int i = 0; i < n; i++)
        len += sprintf(json + len, "%s\"http://%s%d.example/%s\"", i ? ", " : "", host, i, name);
    sprintf(json + len, "]}");
    wire_arg_t args[] = {{"template", json}, {"replace", replace ? "1" : ""}};
    wire_reply_t *reply = command(w, "add", args, 2);
    free(json);
    return reply;
}

static wire_reply_t *add(world_t *w, const char *name, int n, const char *more, bool replace)
{
    return add_on(w, "h", name, n, more, replace);
}

static size_t count_dues(world_t *w, size_t mark, uint64_t peer)
{
    size_t n = 0;
    wire_assign_t *a;
    for (size_t i = 0; (a = heard(w, mark, peer, WIRE_TYPE_ASSIGN, i)); i++)
        for (size_t k = 0; k < a->dues.n; k++) n += a->dues.v[k].count;
    return n;
}

// The definition of source that was sent last, to whomever, or NULL.
static wire_source_t *defined(world_t *w, uint64_t source)
{
    for (size_t i = w->n_sent; i-- > 0;) {
        if (w->sent[i].type != WIRE_TYPE_ASSIGN) continue;
        wire_assign_t *a = w->sent[i].message;
        for (size_t k = 0; k < a->sources.n; k++)
            if (a->sources.v[k].id == source) return &a->sources.v[k];
    }
    return NULL;
}

// The version of the first template that peer was sent.
static uint64_t version(world_t *w, uint64_t peer)
{
    wire_assign_t *a = heard(w, 0, peer, WIRE_TYPE_ASSIGN, 0);
    return a->templates.v[0].version;
}

static uint64_t seqs[16]; // outcome numbers per peer

static void outcome_of(world_t *w, uint64_t peer, uint64_t source, int64_t due, int kind, int result,
                       const char *etag, int64_t last_ok, uint64_t generation)
{
    wire_outcome_t row = {.seq = ++seqs[peer],
                          .kind = (uint64_t)kind,
                          .source = source,
                          .due = due,
                          .generation = generation,
                          .result = (uint64_t)result,
                          .took_ms = 100,
                          .has_state = etag != NULL,
                          .etag = etag ? etag : "",
                          .last_modified = "",
                          .fetch_url = "",
                          .memory = "",
                          .detail = "",
                          .last_ok = last_ok};
    wire_outcomes_t o = {0};
    o.outcomes.v = &row, o.outcomes.n = 1;
    say(w, peer, WIRE_TYPE_OUTCOMES, &o);
}

static void outcome(world_t *w, uint64_t peer, uint64_t source, int64_t due, int kind, int result,
                    const char *etag, int64_t last_ok)
{
    outcome_of(w, peer, source, due, kind, result, etag, last_ok,
               defined(w, source) ? defined(w, source)->generation : 0);
}

static int setup(void **state)
{
    memset(seqs, 0, sizeof seqs);
    *state = world_new();
    return 0;
}

static int teardown(void **state)
{
    check_books(*state);
    world_destroy(*state);
    return 0;
}

// The record that operation i put, unless a later one put another or dropped it.
static void load_record(world_t *w, size_t i)
{
    const store_op_t *o = &w->ops[i];
    if (o->kind != STORE_RECORD) return;
    for (size_t k = i + 1; k < w->n_ops; k++)
        if ((w->ops[k].kind == STORE_RECORD || w->ops[k].kind == STORE_RECORD_GONE) &&
            w->ops[k].number == o->number && !strcmp(w->ops[k].name, o->name))
            return;
    broker_load_record(w->broker, o->name, (uint64_t)o->number, o->text);
}

static void restart(world_t *w)
{
    broker_destroy(&w->broker);
    start(w);
    for (size_t i = 0; i < w->n_ops; i++) { // replaying the operations is what a store's content comes to
        const store_op_t *o = &w->ops[i];
        if (o->kind == STORE_NUMBER) broker_load_number(w->broker, o->name, o->number);
    }
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->ops[i].kind == STORE_TEMPLATE)
            broker_load_template(w->broker, w->ops[i].name, w->ops[i].text, w->ops[i].number, w->ops[i].flag);
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->ops[i].kind == STORE_SOURCE) broker_load_source(w->broker, &w->ops[i].source);
    for (size_t i = 0; i < w->n_ops; i++) load_record(w, i);
    broker_start(w->broker, w->now);
}

#endif
