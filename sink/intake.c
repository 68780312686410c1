// Intake: one thread, one ROUTER. Tick, wait, dispatch; nothing in it blocks but the poll.
#include "sink/intake.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/wire.h"
#include "sink/group.h"
#include "sink/job.h"
#include "sink/session.h"
#include "sink/stats.h"

enum {
    HEARTBEAT_MS = 1000,
    LIVENESS_MS = 3 * HEARTBEAT_MS + 1000,
    STATS_MS = 10000,
    FRAMES_A_TURN = 256, // taken before timers and the writer get their turn
    MAX_ROUTE = 7,       // bytes of an anonymous routing id, which is packed into a number: libzmq gives 5
    SOCKET_HWM = 64,     // messages per miner in libzmq's queues
};

struct intake {
    void *context, *router;
    queue_t *jobs, *done;
    sessions_t sessions;
    arena_t *arena; // of the message under way
    buf_t out;
    stats_t stats;
    int64_t broker_offset;
    int64_t next_tick, next_stats; // monotonic ms
    http_status_t *status;         // or NULL
    api_t *api;                    // whose metrics go there too, or NULL
    bool writer_gone;
};

// -- sending ------------------------------------------------------------------------------------------

static uint64_t pack_route(const void *bytes, size_t len)
{
    uint64_t route = len;
    for (size_t i = 0; i < len; i++) route = route << 8 | ((const uint8_t *)bytes)[i];
    return route;
}

static size_t unpack_route(uint64_t route, uint8_t *bytes)
{
    size_t len = 0;
    while (len < MAX_ROUTE && (route >> (8 * len)) > MAX_ROUTE) len++;
    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)(route >> (8 * (len - 1 - i)));
    return len;
}

// 0, or -1: the peer is gone, or reads nothing any more.
static int send_message(intake_t *in, uint64_t route, wire_type_t type, const void *message)
{
    uint8_t id[MAX_ROUTE];
    size_t len = unpack_route(route, id);
    buf_reset(&in->out);
    CHECK(wire_encode(&in->out, type, message) == 0);
    if (zmq_send(in->router, id, len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) return -1;
    return zmq_send(in->router, in->out.data, in->out.len, ZMQ_DONTWAIT) < 0 ? -1 : 0;
}

static void leave(intake_t *in, session_t *s, const char *reason)
{
    log_info("leave", "miner=%s incarnation=%016" PRIx64 " reason=%s waiting=%zu", s->miner, s->incarnation,
             reason, s->waiting_batches);
    sessions_leave(&in->sessions, s);
}

// Tells a session; one that cannot be told is given up, and will say HELLO again.
static void tell(intake_t *in, session_t *s, wire_type_t type, const void *message)
{
    if (send_message(in, s->route, type, message))
        leave(in, s, errno == EAGAIN ? "does_not_read" : "unreachable");
}

static void disconnect(intake_t *in, uint64_t route, const char *reason)
{
    session_t *s = sessions_of_route(&in->sessions, route);
    if (s) leave(in, s, reason);
    send_message(in, route, WIRE_TYPE_DISCONNECT, &(wire_disconnect_t){.reason = reason});
}

static void refuse(intake_t *in, uint64_t route, int code, const char *why)
{
    session_t *s = sessions_of_route(&in->sessions, route);
    in->stats.now.refused++;
    log_warn("refused", "miner=%s code=%d reason=\"%s\"", s ? s->miner : "?", code, why);
    send_message(in, route, WIRE_TYPE_ERROR, &(wire_error_t){.code = (uint64_t)code, .text = why});
}

// -- handling -----------------------------------------------------------------------------------------

static void handle_hello(intake_t *in, uint64_t route, const wire_hello_t *m)
{
    if (m->version != WIRE_VERSION)
        return refuse(in, route, 400, "this sink speaks version 1 of the protocol");
    if (!*m->miner) return refuse(in, route, 400, "HELLO names no miner");
    session_t *s = sessions_hello(&in->sessions, route, m->miner, m->incarnation, clock_mono_ms());
    if (!s) return refuse(in, route, 503, "too many miners for the sink's memory");
    log_info("join", "miner=%s incarnation=%016" PRIx64 " software=\"%s\" committed=%" PRIu64, s->miner,
             s->incarnation, m->software, s->committed);
    wire_grant_t grant = {session_grant(&in->sessions, s), HEARTBEAT_MS, LIVENESS_MS};
    tell(in, s, WIRE_TYPE_GRANT, &grant);
}

static void pass_on(intake_t *in, session_t *s, uint64_t seq, const void *frame, size_t len)
{
    job_t *job = xmalloc(sizeof *job + len);
    *job = (job_t){.origin = s->origin,
                   .session = s->number,
                   .seq = seq,
                   .broker_offset = in->broker_offset,
                   .len = len};
    memcpy(job->frame, frame, len);
    if (queue_push(in->jobs, job) == 0) return;
    free(job);
    session_untake(&in->sessions, s, seq, len);
    disconnect(in, s->route, "busy");
}

static void handle_batch(intake_t *in, session_t *s, wire_batch_t *b, const void *frame, size_t len)
{
    const char *wrong = b->seq ? group_check_batch(b) : "a batch has no number";
    if (wrong) return refuse(in, s->route, 400, wrong);
    if (!group_can_hold(b, arena_used(in->arena)))
        return refuse(in, s->route, 413, "the batch needs too much memory");
    switch (session_take(&in->sessions, s, b->seq, len)) {
    case TAKE_OK: pass_on(in, s, b->seq, frame, len); break;
    case TAKE_WAITING: break;
    case TAKE_GAP: refuse(in, s->route, 409, "a batch before this one is missing"); break;
    case TAKE_NO_CREDIT: disconnect(in, s->route, "credit_exceeded"); break;
    }
}

static void handle_heartbeat(session_t *s, const wire_heartbeat_t *m)
{
    if (m->now <= 0) return;
    s->offset = m->now - clock_wall_ms();
    s->has_offset = true;
}

static void dispatch(intake_t *in, uint64_t route, const void *frame, size_t len)
{
    wire_type_t type;
    void *message;
    const char *why;
    arena_reset(in->arena);
    if (len > MAX_BATCH_MESSAGE) return refuse(in, route, 413, "a frame has at most 4 MiB");
    int code = wire_decode(in->arena, frame, len, &type, &message, &why);
    if (code) return refuse(in, route, code, why);
    session_t *s = sessions_of_route(&in->sessions, route);
    if (s) s->heard = clock_mono_ms();
    if (type == WIRE_TYPE_HELLO)
        handle_hello(in, route, message);
    else if (type == WIRE_TYPE_ERROR)
        log_warn("peer_error", "miner=%s code=%" PRIu64 " text=\"%s\"", s ? s->miner : "?",
                 ((wire_error_t *)message)->code, ((wire_error_t *)message)->text);
    else if (type != WIRE_TYPE_BATCH && type != WIRE_TYPE_HEARTBEAT)
        refuse(in, route, 400, "a sink takes HELLO, BATCH and HEARTBEAT");
    else if (!s)
        disconnect(in, route, "unknown_session");
    else if (type == WIRE_TYPE_BATCH)
        handle_batch(in, s, message, frame, len);
    else
        handle_heartbeat(s, message);
}

// -- receiving ----------------------------------------------------------------------------------------

// Drops the parts that are left of a message.
static void drop_rest(void *router)
{
    int more = 1;
    size_t size = sizeof more;
    while (zmq_getsockopt(router, ZMQ_RCVMORE, &more, &size) == 0 && more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        zmq_msg_recv(&part, router, ZMQ_DONTWAIT);
        zmq_msg_close(&part);
    }
}

// Takes one message. False: none is there.
static bool receive(intake_t *in)
{
    zmq_msg_t id, body;
    zmq_msg_init(&id);
    if (zmq_msg_recv(&id, in->router, ZMQ_DONTWAIT) < 0) return zmq_msg_close(&id), false;
    size_t id_len = zmq_msg_size(&id);
    uint64_t route = id_len <= MAX_ROUTE ? pack_route(zmq_msg_data(&id), id_len) : 0;
    bool has_body = zmq_msg_more(&id);
    zmq_msg_close(&id);
    zmq_msg_init(&body);
    if (has_body && zmq_msg_recv(&body, in->router, ZMQ_DONTWAIT) >= 0) {
        bool single = !zmq_msg_more(&body);
        if (!single) drop_rest(in->router);
        if (!route)
            log_warn("refused", "reason=\"a routing id that is not anonymous\"");
        else if (!single)
            refuse(in, route, 400, "a message is one frame");
        else
            dispatch(in, route, zmq_msg_data(&body), zmq_msg_size(&body));
    }
    zmq_msg_close(&body);
    return true;
}

static void receive_some(intake_t *in)
{
    for (int i = 0; i < FRAMES_A_TURN && receive(in); i++) {
    }
}

// -- the writer's messages ------------------------------------------------------------------------------

static void handle_done(intake_t *in, done_t *d)
{
    session_t *s = sessions_of_origin(&in->sessions, d->origin);
    stats_batch(&in->stats, d);
    CHECK(s != NULL); // an origin with waiting batches is never forgotten
    session_committed(&in->sessions, s, d->seq, d->bytes);
    if (!s->route) return;
    wire_verdicts_t verdicts = {d->seq, {d->verdicts, d->n}};
    wire_ack_t ack = {
        .seq = s->committed, .credit = session_grant(&in->sessions, s), .verdicts = {&verdicts, 1}};
    tell(in, s, WIRE_TYPE_ACK, &ack);
}

static void take_done(intake_t *in)
{
    queue_clear(in->done);
    for (done_t *d; (d = queue_pop(in->done)); free(d)) {
        in->stats.spool_bytes = d->spool_bytes;
        in->stats.restored = d->restored;
        in->stats.restored_since = d->restored_since;
        switch (d->kind) {
        case DONE_BATCH: handle_done(in, d); break;
        case DONE_STATE: in->stats.postgres_up = d->postgres_up; break;
        case DONE_EXIT: in->writer_gone = true; break;
        }
    }
}

// -- timers -------------------------------------------------------------------------------------------

// A late tick means that this process stood still: the miners' silence is then not theirs.
static void tick(intake_t *in, int64_t now)
{
    int64_t stall = now - in->next_tick;
    session_t *silent = NULL;
    size_t pos = 0;
    in->next_tick = now + HEARTBEAT_MS;
    in->broker_offset = sessions_broker_offset(&in->sessions);
    for (session_t *s; (s = sessions_next(&in->sessions, &pos));) {
        if (stall > HEARTBEAT_MS) s->heard += stall;
        if (now - s->heard > LIVENESS_MS) silent = s;
    }
    if (silent) { // one a tick is not enough when many go: look again at once
        disconnect(in, silent->route, "silent");
        in->next_tick = now;
        return;
    }
    pos = 0;
    for (session_t *s; (s = sessions_next(&in->sessions, &pos));)
        send_message(in, s->route, WIRE_TYPE_HEARTBEAT,
                     &(wire_heartbeat_t){.now = clock_wall_ms() + in->broker_offset});
}

static void measure(intake_t *in)
{
    in->stats.sessions = in->sessions.live;
    in->stats.waiting = in->sessions.waiting;
}

// Without Postgres the sink is not well, even if the spool takes what comes.
static void publish(intake_t *in)
{
    char metrics[8192], health[300], restored[128] = "";
    if (!in->status) return;
    measure(in);
    stats_metrics(&in->stats, metrics, sizeof metrics / 2);
    size_t n = strlen(metrics);
    if (in->api) api_metrics(in->api, metrics + n, sizeof metrics - n);
    if (in->stats.restored)
        snprintf(restored, sizeof restored, " database_restored since_ms=%" PRId64 " (see rtm-ctl refetch)",
                 in->stats.restored_since);
    snprintf(health, sizeof health, "%s sessions=%zu waiting=%zu spool=%" PRIu64 "%s\n",
             in->stats.postgres_up ? "ok" : "Postgres is away", in->stats.sessions, in->stats.waiting,
             in->stats.spool_bytes, restored);
    http_status_publish(in->status, in->stats.postgres_up, health, metrics);
}

static void report(intake_t *in)
{
    measure(in);
    stats_log(&in->stats);
}

static void run_timers(intake_t *in)
{
    int64_t now = clock_mono_ms();
    if (now >= in->next_tick) {
        tick(in, now);
        publish(in);
    }
    if (now < in->next_stats) return;
    in->next_stats = now + STATS_MS;
    report(in);
}

static int timeout(const intake_t *in)
{
    int64_t next = in->next_tick < in->next_stats ? in->next_tick : in->next_stats;
    int64_t left = next - clock_mono_ms();
    return left < 0 ? 0 : (int)left;
}

// -- life ---------------------------------------------------------------------------------------------

static void set_option(void *socket, int option, int value)
{
    CHECK(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

static void set_options(void *router, const char *listen)
{
    int64_t largest = 2 * MAX_BATCH_MESSAGE;
    CHECK(zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &largest, sizeof largest) == 0);
    set_option(router, ZMQ_ROUTER_MANDATORY, 1);
    set_option(router, ZMQ_SNDTIMEO, 0);
    set_option(router, ZMQ_RCVHWM, SOCKET_HWM);
    set_option(router, ZMQ_SNDHWM, 1000);
    set_option(router, ZMQ_LINGER, 1000);
    set_option(router, ZMQ_HANDSHAKE_IVL, 5000);
    set_option(router, ZMQ_HEARTBEAT_IVL, 2000);
    set_option(router, ZMQ_HEARTBEAT_TIMEOUT, 6000);
    set_option(router, ZMQ_IPV6, strchr(listen, '[') != NULL);
}

intake_t *intake_new(const char *listen, size_t memory, queue_t *jobs, queue_t *done, char *err,
                     size_t err_size)
{
    intake_t *in = xcalloc(1, sizeof *in);
    char endpoint[256];
    size_t size = sizeof endpoint;
    in->context = zmq_ctx_new();
    in->router = zmq_socket(in->context, ZMQ_ROUTER);
    CHECK(in->router != NULL);
    in->jobs = jobs;
    in->done = done;
    in->arena = arena_new(GROUP_ARENA);
    buf_init(&in->out, MAX_BATCH_MESSAGE);
    sessions_init(&in->sessions, memory);
    in->next_tick = clock_mono_ms() + HEARTBEAT_MS;
    in->next_stats = in->next_tick - HEARTBEAT_MS + STATS_MS;
    set_options(in->router, listen);
    if (zmq_bind(in->router, listen) || zmq_getsockopt(in->router, ZMQ_LAST_ENDPOINT, endpoint, &size)) {
        snprintf(err, err_size, "cannot listen on %s: %s", listen, zmq_strerror(errno));
        intake_destroy(&in);
        return NULL;
    }
    log_info("listening", "endpoint=%s", endpoint);
    return in;
}

void intake_destroy(intake_t **intake)
{
    if (!*intake) return;
    zmq_close((*intake)->router);
    zmq_ctx_term((*intake)->context);
    sessions_free(&(*intake)->sessions);
    arena_destroy(&(*intake)->arena);
    buf_free(&(*intake)->out);
    free(*intake);
    *intake = NULL;
}

void intake_publish_to(intake_t *in, http_status_t *status, api_t *api)
{
    in->status = status;
    in->api = api;
}

void intake_run(intake_t *in, int stop_fd)
{
    for (;;) {
        zmq_pollitem_t items[] = {{in->router, 0, ZMQ_POLLIN, 0},
                                  {NULL, queue_fd(in->done), ZMQ_POLLIN, 0},
                                  {NULL, stop_fd, ZMQ_POLLIN, 0}};
        zmq_poll(items, 3, timeout(in));
        if (items[2].revents) return;
        receive_some(in);
        take_done(in);
        run_timers(in);
    }
}

void intake_finish(intake_t *in)
{
    while (!in->writer_gone) {
        struct pollfd fd = {.fd = queue_fd(in->done), .events = POLLIN};
        poll(&fd, 1, -1);
        take_done(in);
    }
    report(in);
}
