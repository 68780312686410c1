// Edge: one thread, one zmq_poll. A turn is: take what came, tick, send what became durable.
#include "broker/edge.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <zmq.h>

#include "broker/backup.h"
#include "broker/lookup.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/http_status.h"
#include "common/log.h"

enum {
    ROUTING_ID = 5, // bytes of an anonymous routing id: zero, then a number
    TURN_MS = 20,   // in which messages are taken before time is looked at
    DECODE_ARENA = 16 << 20,
    SEND_HWM = 512,    // messages waiting for one peer
    HELD_MAX = 100000, // messages waiting for a commit
    HANDSHAKE_MS = 5000,
    PUBLISH_MS = 1000,
    HEALTH_STALL_MS = 10000,
    LINGER_MS = 500,
    LOST_MAX = 256, // unreachable peers noted per turn
    ASKED_MAX = 64, // questions waiting for a commit
};

// A message that waits for the store.
typedef struct held {
    struct held *next;
    uint64_t peer, ticket;
    size_t len;
    char bytes[];
} held_t;

// A question that waits for the store: it is asked of a file that has all that came before it.
typedef struct waiting {
    struct waiting *next;
    uint64_t ticket;
    question_t question;
} waiting_t;

typedef struct {
    void *context, *router;
    broker_t *broker;
    store_t *store;
    lookup_t *lookup;
    waiting_t *asked, **last_asked;
    size_t n_asked;
    arena_t *arena;
    buf_t out;
    uint64_t ticket; // of the last operation submitted
    held_t *first, **last;
    size_t n_held;
    http_status_t *status;
    uint64_t lost[LOST_MAX];
    size_t n_lost;
    uint64_t malformed, oversized;
    int64_t publish_at; // mono ms
    bool stop;
} edge_t;

static instant_t instant_now(void)
{
    return (instant_t){clock_mono_ms(), clock_wall_ms()};
}

// -- actions ------------------------------------------------------------------------------------------

static void transmit(edge_t *e, uint64_t peer, const char *bytes, size_t len)
{
    char id[ROUTING_ID] = {0};
    memcpy(id, &peer, sizeof id);
    if (zmq_send(e->router, id, sizeof id, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_send(e->router, bytes, len, ZMQ_DONTWAIT) >= 0)
        return;
    if (e->n_lost < LOST_MAX) e->lost[e->n_lost++] = peer; // told to the broker when this step is over
}

static void hold(edge_t *e, uint64_t peer)
{
    if (e->n_held >= HELD_MAX) return; // the peer asks again; its request is idempotent
    held_t *h = xmalloc(sizeof *h + e->out.len);
    *h = (held_t){.peer = peer, .ticket = e->ticket, .len = e->out.len};
    memcpy(h->bytes, e->out.data, e->out.len);
    *e->last = h;
    e->last = &h->next;
    e->n_held++;
}

static void send_message(void *context, uint64_t peer, wire_type_t type, const void *message, bool durable)
{
    edge_t *e = context;
    buf_reset(&e->out);
    if (wire_encode(&e->out, type, message)) {
        log_error("message_too_big", "type=%s", wire_type_name(type));
        return;
    }
    if (durable && (e->first || store_durable(e->store) < e->ticket))
        hold(e, peer);
    else
        transmit(e, peer, e->out.data, e->out.len);
}

static void submit(void *context, const store_op_t *op)
{
    edge_t *e = context;
    e->ticket = store_submit(e->store, op);
}

static void reply_busy(edge_t *e, const question_t *q)
{
    wire_reply_t reply = {
        .id = q->request, .code = 429, .message = "too many such questions wait; try again"};
    send_message(e, q->peer, WIRE_TYPE_REPLY, &reply, false);
}

static void look_up(edge_t *e, const question_t *q)
{
    if (lookup_ask(e->lookup, q)) reply_busy(e, q);
}

static void ask(void *context, const question_t *q)
{
    edge_t *e = context;
    if (store_durable(e->store) >= e->ticket) {
        look_up(e, q);
    } else if (e->n_asked >= ASKED_MAX) {
        reply_busy(e, q);
    } else {
        waiting_t *w = xmalloc(sizeof *w);
        *w = (waiting_t){.ticket = e->ticket, .question = *q};
        *e->last_asked = w;
        e->last_asked = &w->next;
        e->n_asked++;
    }
}

static void release_questions(edge_t *e, uint64_t durable)
{
    while (e->asked && e->asked->ticket <= durable) {
        waiting_t *w = e->asked;
        e->asked = w->next;
        if (!e->asked) e->last_asked = &e->asked;
        e->n_asked--;
        look_up(e, &w->question);
        free(w);
    }
}

static void send_answers(edge_t *e)
{
    lookup_clear(e->lookup);
    for (answer_t *a; (a = lookup_take(e->lookup));) {
        wire_reply_t reply = {.id = a->request,
                              .code = a->code,
                              .field = a->field,
                              .message = a->message,
                              .json = a->json,
                              .cursor = a->cursor};
        send_message(e, a->peer, WIRE_TYPE_REPLY, &reply, false);
        answer_free(a);
    }
}

static void release_durable(edge_t *e)
{
    store_clear(e->store);
    uint64_t durable = store_durable(e->store);
    release_questions(e, durable);
    while (e->first && e->first->ticket <= durable) {
        held_t *h = e->first;
        e->first = h->next;
        if (!e->first) e->last = &e->first;
        e->n_held--;
        failpoint("broker_after_commit");
        transmit(e, h->peer, h->bytes, h->len);
        free(h);
    }
}

// -- events -------------------------------------------------------------------------------------------

static void refuse(edge_t *e, uint64_t peer, unsigned code, const char *why)
{
    log_warn("refused", "code=%u reason=\"%s\"", code, why);
    wire_error_t msg = {.code = code, .text = why};
    send_message(e, peer, WIRE_TYPE_ERROR, &msg, false);
}

static void take_message(edge_t *e, uint64_t peer, const void *bytes, size_t len)
{
    wire_type_t type;
    void *message;
    const char *why;
    if (len > MAX_CONTROL_MESSAGE) {
        e->oversized++;
        refuse(e, peer, 413, "the message is longer than 1 MiB");
        return;
    }
    arena_reset(e->arena);
    int code = wire_decode(e->arena, bytes, len, &type, &message, &why);
    if (code) {
        e->malformed++;
        refuse(e, peer, (unsigned)code, why);
        return;
    }
    broker_message(e->broker, instant_now(), peer, type, message);
}

static int receive_frame(edge_t *e, zmq_msg_t *frame, int flags)
{
    zmq_msg_init(frame);
    if (zmq_msg_recv(frame, e->router, flags) >= 0) return 0;
    zmq_msg_close(frame);
    return -1;
}

// Takes one message. False: none is waiting.
static bool receive(edge_t *e)
{
    zmq_msg_t id, body;
    uint64_t peer = 0;
    if (receive_frame(e, &id, ZMQ_DONTWAIT)) return false;
    if (zmq_msg_size(&id) == ROUTING_ID) memcpy(&peer, zmq_msg_data(&id), ROUTING_ID);
    int frames = 0;
    bool more = zmq_msg_more(&id);
    while (more) {
        zmq_msg_t frame;
        if (receive_frame(e, &frame, 0)) break;
        more = zmq_msg_more(&frame);
        if (frames++ == 0)
            body = frame;
        else
            zmq_msg_close(&frame);
    }
    if (frames == 1 && peer)
        take_message(e, peer, zmq_msg_data(&body), zmq_msg_size(&body));
    else if (peer)
        refuse(e, peer, 400, "a message is exactly one frame");
    else
        log_warn("refused", "reason=\"%s\"", "a peer has set a routing id of its own");
    if (frames) zmq_msg_close(&body);
    zmq_msg_close(&id);
    return true;
}

static void report_lost(edge_t *e)
{
    for (size_t i = 0; i < e->n_lost; i++) broker_unreachable(e->broker, instant_now(), e->lost[i]);
    e->n_lost = 0;
}

// -- status -------------------------------------------------------------------------------------------

static void publish(edge_t *e)
{
    if (!e->status || clock_mono_ms() < e->publish_at) return;
    e->publish_at = clock_mono_ms() + PUBLISH_MS;
    broker_counts_t c = broker_counts(e->broker);
    char metrics[2048], health[200];
    bool failing = store_failing(e->store);
    snprintf(health, sizeof health, "%s miners=%zu sources=%zu slot=%llu\n",
             failing ? "the store cannot write" : "ok", c.miners, c.sources, (unsigned long long)c.slot);
    snprintf(metrics, sizeof metrics,
             "# TYPE rtm_broker_miners gauge\nrtm_broker_miners %zu\n"
             "# TYPE rtm_broker_sources gauge\nrtm_broker_sources %zu\n"
             "# TYPE rtm_broker_templates gauge\nrtm_broker_templates %zu\n"
             "# TYPE rtm_broker_due_total counter\nrtm_broker_due_total %llu\n"
             "# TYPE rtm_broker_polled_total counter\nrtm_broker_polled_total %llu\n"
             "# TYPE rtm_broker_stored_total counter\nrtm_broker_stored_total %llu\n"
             "# TYPE rtm_broker_failed_total counter\nrtm_broker_failed_total %llu\n"
             "# TYPE rtm_broker_skipped_total counter\nrtm_broker_skipped_total %llu\n"
             "# TYPE rtm_broker_malformed_total counter\nrtm_broker_malformed_total %llu\n"
             "# TYPE rtm_broker_oversized_total counter\nrtm_broker_oversized_total %llu\n"
             "# TYPE rtm_broker_history_rows gauge\nrtm_broker_history_rows %lld\n",
             c.miners, c.sources, c.templates, (unsigned long long)c.due,
             (unsigned long long)(c.polled + c.failed), (unsigned long long)c.stored,
             (unsigned long long)c.failed, (unsigned long long)c.skipped, (unsigned long long)e->malformed,
             (unsigned long long)e->oversized, (long long)store_history_rows(e->store));
    http_status_publish(e->status, !failing, health, metrics);
}

// -- life ---------------------------------------------------------------------------------------------

static void turn(edge_t *e, int signals)
{
    zmq_pollitem_t items[] = {{.socket = e->router, .events = ZMQ_POLLIN},
                              {.fd = signals, .events = ZMQ_POLLIN},
                              {.fd = store_fd(e->store), .events = ZMQ_POLLIN},
                              {.fd = lookup_fd(e->lookup), .events = ZMQ_POLLIN}};
    int64_t wait = broker_deadline(e->broker) - clock_mono_ms();
    zmq_poll(items, 4, wait > 0 ? (long)wait : 0);
    for (int64_t until = clock_mono_ms() + TURN_MS; receive(e) && clock_mono_ms() < until;) {
    }
    broker_tick(e->broker, instant_now());
    release_durable(e);
    send_answers(e);
    report_lost(e);
    publish(e);
    if (items[1].revents) {
        struct signalfd_siginfo info;
        e->stop = read(signals, &info, sizeof info) == (ssize_t)sizeof info;
    }
}

static void set_int(void *socket, int option, int value)
{
    CHECK(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

static int open_router(edge_t *e, const char *endpoint)
{
    char bound[256];
    size_t size = sizeof bound;
    int64_t max = 2 * MAX_CONTROL_MESSAGE; // beyond it libzmq ends the connection
    e->router = zmq_socket(e->context, ZMQ_ROUTER);
    set_int(e->router, ZMQ_ROUTER_MANDATORY, 1);
    set_int(e->router, ZMQ_SNDTIMEO, 0);
    set_int(e->router, ZMQ_SNDHWM, SEND_HWM);
    set_int(e->router, ZMQ_LINGER, LINGER_MS);
    set_int(e->router, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    set_int(e->router, ZMQ_HEARTBEAT_IVL, 2000);
    set_int(e->router, ZMQ_HEARTBEAT_TIMEOUT, 6000);
    set_int(e->router, ZMQ_IPV6,
            strchr(endpoint, '[') || strchr(endpoint, '*')); // else IPv4 is shown as ::ffff:...
    CHECK(zmq_setsockopt(e->router, ZMQ_MAXMSGSIZE, &max, sizeof max) == 0);
    if (zmq_bind(e->router, endpoint)) {
        log_error("cannot_listen", "endpoint=%s error=\"%s\"", endpoint, zmq_strerror(errno));
        return -1;
    }
    zmq_getsockopt(e->router, ZMQ_LAST_ENDPOINT, bound, &size);
    log_info("listening", "endpoint=%s", bound);
    return 0;
}

static void load_number(void *b, const char *name, int64_t value)
{
    broker_load_number(b, name, value);
}

static void load_template(void *b, const char *name, const char *json, int64_t version, bool enabled)
{
    broker_load_template(b, name, json, version, enabled);
}

static void load_source(void *b, const store_source_t *row)
{
    broker_load_source(b, row);
}

static void load_record(void *b, const char *kind, uint64_t id, const char *json)
{
    broker_load_record(b, kind, id, json);
}

static void load_gap(void *b, const gap_t *gap)
{
    broker_load_gap(b, gap);
}

static int restore(const edge_config_t *config)
{
    char why[6200];
    if (backup_restore(config->restore, config->folder, why, sizeof why)) {
        log_error("cannot_restore", "error=\"%s\"", why);
        return -1;
    }
    log_info("restored", "from=\"%s\" state=\"%s\"", config->restore, config->folder);
    return 0;
}

static int start(edge_t *e, const edge_config_t *config)
{
    const char *error;
    if (config->restore && restore(config)) return -1;
    e->store = store_open(config->folder, &error);
    if (!e->store) {
        log_error("store", "error=\"%s\"", error);
        return -1;
    }
    store_bound_history(e->store, config->history_keep_ms, config->history_rows);
    e->lookup = lookup_new(config->folder, &error);
    if (!e->lookup) {
        log_error("store", "error=\"%s\"", error);
        return -1;
    }
    broker_out_t out = {.context = e, .send = send_message, .store = submit, .ask = ask};
    e->broker = broker_new(&config->broker, &out);
    store_reader_t reader = {.context = e->broker,
                             .number = load_number,
                             .template = load_template,
                             .source = load_source,
                             .record = load_record,
                             .gap = load_gap};
    if (store_load(e->store, &reader)) return -1;
    if (config->health) {
        char why[200];
        e->status = http_status_new(config->health, HEALTH_STALL_MS, why, sizeof why);
        if (!e->status) {
            log_error("cannot_listen", "health=%s error=\"%s\"", config->health, why);
            return -1;
        }
    }
    if (open_router(e, config->listen)) return -1;
    broker_start(e->broker, instant_now());
    return 0;
}

static void finish(edge_t *e)
{
    http_status_destroy(&e->status);
    broker_destroy(&e->broker);
    lookup_destroy(&e->lookup);
    store_close(&e->store); // writes what is left
    while (e->asked) {
        waiting_t *w = e->asked;
        e->asked = w->next;
        free(w);
    }
    while (e->first) {
        held_t *h = e->first;
        e->first = h->next;
        free(h);
    }
    if (e->router) zmq_close(e->router);
    zmq_ctx_term(e->context);
    arena_destroy(&e->arena);
    buf_free(&e->out);
}

int edge_run(const edge_config_t *config)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    pthread_sigmask(SIG_BLOCK, &mask, NULL); // before any thread starts
    int signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(signals >= 0);
    edge_t e = {.context = zmq_ctx_new(), .arena = arena_new(DECODE_ARENA)};
    e.last = &e.first;
    e.last_asked = &e.asked;
    buf_init(&e.out, MAX_CONTROL_MESSAGE);
    int failed = start(&e, config);
    while (!failed && !e.stop) turn(&e, signals);
    if (!failed) broker_stop(e.broker, instant_now());
    finish(&e);
    close(signals);
    if (!failed) log_info("stopped", "%s", "");
    return failed ? 1 : 0;
}
