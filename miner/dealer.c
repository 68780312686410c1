// Dealer: see the header.
#include "miner/dealer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "common/check.h"
#include "common/log.h"

enum {
    HEARTBEAT_MS = 1000, // until the peer says otherwise
    LIVENESS_MS = 4000,
    BACKOFF_MIN_MS = 250,
    BACKOFF_MAX_MS = 2000,
    HANDSHAKE_MS = 5000,
    QUEUE_MESSAGES = 10000, // per direction
    MESSAGE_ARENA = 64 << 20,
};

void dealer_init(dealer_t *d, void *context, const char *endpoint, const char *peer, size_t max_message)
{
    *d = (dealer_t){.context = context,
                    .endpoint = endpoint,
                    .peer = peer,
                    .max_message = max_message,
                    .heartbeat_ms = HEARTBEAT_MS,
                    .liveness_ms = LIVENESS_MS,
                    .backoff_ms = BACKOFF_MIN_MS,
                    .seed = (unsigned)(uintptr_t)d ^ (unsigned)time(NULL)};
    d->arena = arena_new(MESSAGE_ARENA);
    buf_init(&d->frame, max_message);
}

static void hang_up(dealer_t *d, int linger_ms)
{
    if (!d->socket) return;
    zmq_setsockopt(d->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_close(d->socket);
    d->socket = NULL;
}

void dealer_free(dealer_t *d, int linger_ms)
{
    hang_up(d, linger_ms);
    arena_destroy(&d->arena);
    buf_free(&d->frame);
}

// -- connection -----------------------------------------------------------------------------------

static void set_int(void *socket, int option, int value)
{
    CHECK(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

static int dial(dealer_t *d)
{
    int64_t max = 2 * (int64_t)d->max_message;
    d->socket = zmq_socket(d->context, ZMQ_DEALER);
    CHECK(d->socket != NULL);
    set_int(d->socket, ZMQ_LINGER, 0);
    set_int(d->socket, ZMQ_SNDHWM, QUEUE_MESSAGES);
    set_int(d->socket, ZMQ_RCVHWM, QUEUE_MESSAGES);
    set_int(d->socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    set_int(d->socket, ZMQ_RECONNECT_IVL, BACKOFF_MIN_MS);
    set_int(d->socket, ZMQ_RECONNECT_IVL_MAX, BACKOFF_MAX_MS);
    set_int(d->socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS);
    set_int(d->socket, ZMQ_HEARTBEAT_TIMEOUT, 2 * LIVENESS_MS);
    CHECK(zmq_setsockopt(d->socket, ZMQ_MAXMSGSIZE, &max, sizeof max) == 0);
    return zmq_connect(d->socket, d->endpoint);
}

void dealer_hang_up(dealer_t *d, int64_t now, const char *reason)
{
    int64_t wait = d->backoff_ms / 2 + (int64_t)((uint64_t)rand_r(&d->seed) % (uint64_t)d->backoff_ms);
    log_warn("reconnect", "peer=%s endpoint=%s reason=\"%s\" in_ms=%lld", d->peer, d->endpoint, reason,
             (long long)wait);
    hang_up(d, 0);
    d->dial_at = now + wait;
    d->backoff_ms = d->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : d->backoff_ms * 2;
}

bool dealer_tick(dealer_t *d, int64_t now)
{
    if (d->socket && now - d->heard_at >= d->liveness_ms) dealer_hang_up(d, now, "silent");
    if (d->socket || now < d->dial_at) return false;
    d->heard_at = d->beat_at = now;
    d->dials++;
    if (dial(d) == 0) return true;
    dealer_hang_up(d, now, zmq_strerror(zmq_errno()));
    return false;
}

bool dealer_beat(dealer_t *d, int64_t now)
{
    if (!d->socket || now < d->beat_at) return false;
    d->beat_at = now + d->heartbeat_ms;
    return true;
}

int64_t dealer_deadline(const dealer_t *d)
{
    if (!d->socket) return d->dial_at;
    int64_t silent = d->heard_at + d->liveness_ms;
    return silent < d->beat_at ? silent : d->beat_at;
}

static int64_t clamp(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

void dealer_settle(dealer_t *d, int64_t heartbeat_ms, int64_t liveness_ms)
{
    d->heartbeat_ms = clamp(heartbeat_ms ? heartbeat_ms : HEARTBEAT_MS, 10, 60000);
    d->liveness_ms = clamp(liveness_ms ? liveness_ms : LIVENESS_MS, 2 * d->heartbeat_ms, 300000);
    d->backoff_ms = BACKOFF_MIN_MS;
}

// -- messages -------------------------------------------------------------------------------------

int dealer_send_frame(dealer_t *d, const void *bytes, size_t len)
{
    if (!d->socket) return -1;
    int n;
    do n = zmq_send(d->socket, bytes, len, ZMQ_DONTWAIT);
    while (n < 0 && zmq_errno() == EINTR);
    return n < 0 ? -1 : 0;
}

int dealer_send(dealer_t *d, wire_type_t type, const void *message)
{
    if (!d->socket) return -1;
    buf_reset(&d->frame);
    if (wire_encode(&d->frame, type, message)) {
        log_error("message_too_large", "type=%s peer=%s", wire_type_name(type), d->peer);
        return -1;
    }
    return dealer_send_frame(d, d->frame.data, d->frame.len);
}

static void refuse(dealer_t *d, int code, const char *why)
{
    d->bad_frames++;
    log_warn("bad_message", "peer=%s code=%d reason=\"%s\"", d->peer, code, why);
    wire_error_t error = {.code = (uint64_t)code, .text = why};
    (void)dealer_send(d, WIRE_TYPE_ERROR, &error);
}

// One message has one frame; the others of a longer one are read and dropped. Its code, 0: good.
static int check_parts(dealer_t *d, zmq_msg_t *msg, const char **why)
{
    bool more = zmq_msg_more(msg) != 0;
    if (more) *why = "a message is one frame";
    int code = more ? 400 : 0;
    while (more) {
        zmq_msg_t rest;
        zmq_msg_init(&rest);
        more = zmq_msg_recv(&rest, d->socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&rest);
        zmq_msg_close(&rest);
    }
    if (!code && zmq_msg_size(msg) > d->max_message) code = 413, *why = "the message is too large";
    return code;
}

bool dealer_receive(dealer_t *d, int64_t now, wire_type_t *type, void **message)
{
    while (d->socket) {
        zmq_msg_t msg;
        const char *why = "";
        zmq_msg_init(&msg);
        if (zmq_msg_recv(&msg, d->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&msg);
            return false;
        }
        d->heard_at = now;
        arena_reset(d->arena);
        int code = check_parts(d, &msg, &why);
        if (!code) code = wire_decode(d->arena, zmq_msg_data(&msg), zmq_msg_size(&msg), type, message, &why);
        zmq_msg_close(&msg);
        if (!code) return true;
        refuse(d, code, why);
    }
    return false;
}
