// Link: a request goes out only on a connection whose handshake is done (ZMQ_IMMEDIATE), so "cannot be
// reached" and "does not answer" are told apart.
#include "ctl/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "common/check.h"
#include "common/clock.h"

struct link {
    void *context;
    void *sockets[LINK_ENDPOINTS_MAX];
    char *endpoints[LINK_ENDPOINTS_MAX];
    size_t n;
    char *all; // as the user wrote them
    uint64_t last_id;
    int64_t patience_ms;
    buf_t out;
    arena_t *arena; // of the latest reply
};

static int open_socket(link_t *link, const char *endpoint)
{
    int off = 0, on = 1, interval = 2000;
    int64_t max = 2 * MAX_CONTROL_MESSAGE;
    void *s = zmq_socket(link->context, ZMQ_DEALER);
    CHECK(s);
    link->sockets[link->n] = s;
    link->endpoints[link->n++] = xstrdup(endpoint);
    zmq_setsockopt(s, ZMQ_LINGER, &off, sizeof off);
    zmq_setsockopt(s, ZMQ_IMMEDIATE, &on, sizeof on);
    zmq_setsockopt(s, ZMQ_IPV6, &on, sizeof on);
    zmq_setsockopt(s, ZMQ_HANDSHAKE_IVL, &interval, sizeof interval);
    zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &max, sizeof max);
    return zmq_connect(s, endpoint);
}

link_t *link_new(const char *endpoints, char *err, size_t err_size)
{
    link_t *link = xcalloc(1, sizeof *link);
    link->context = zmq_ctx_new();
    CHECK(link->context);
    link->all = xstrdup(endpoints);
    link->patience_ms = LINK_REPLY_MS;
    link->last_id = (uint64_t)clock_mono_us();
    link->arena = arena_new(4 * MAX_CONTROL_MESSAGE);
    buf_init(&link->out, MAX_CONTROL_MESSAGE);
    char *copy = xstrdup(endpoints), *rest = copy, *endpoint;
    int rc = 0;
    while (!rc && (endpoint = strsep(&rest, ", "))) {
        if (!*endpoint) continue;
        rc = link->n == LINK_ENDPOINTS_MAX ? -1 : open_socket(link, endpoint);
        if (rc)
            snprintf(err, err_size, "\"%s\" is no broker's address, such as tcp://127.0.0.1:7440", endpoint);
    }
    free(copy);
    if (!rc && !link->n) {
        snprintf(err, err_size, "no broker's address given, such as tcp://127.0.0.1:7440");
        rc = -1;
    }
    if (rc) link_destroy(&link);
    return link;
}

void link_set_patience(link_t *link, int64_t ms)
{
    link->patience_ms = ms;
}

void link_destroy(link_t **link_p)
{
    link_t *link = *link_p;
    if (!link) return;
    for (size_t i = 0; i < link->n; i++) {
        zmq_close(link->sockets[i]);
        free(link->endpoints[i]);
    }
    zmq_ctx_term(link->context);
    buf_free(&link->out);
    arena_destroy(&link->arena);
    free(link->all);
    free(link);
    *link_p = NULL;
}

// The first socket, other than those in `passed` (a bit each), that can send before the deadline; -1: none.
static int reach(link_t *link, unsigned passed, int64_t deadline)
{
    for (;;) {
        zmq_pollitem_t items[LINK_ENDPOINTS_MAX];
        for (size_t i = 0; i < link->n; i++)
            items[i] =
                (zmq_pollitem_t){.socket = link->sockets[i], .events = passed & 1u << i ? 0 : ZMQ_POLLOUT};
        int64_t left = deadline - clock_mono_ms();
        zmq_poll(items, (int)link->n, left > 0 ? (long)left : 0);
        for (size_t i = 0; i < link->n; i++)
            if (items[i].revents & ZMQ_POLLOUT) return (int)i;
        if (left <= 0) return -1;
    }
}

// The next message from socket before the deadline: its length, or -1. Bytes are copied into the arena.
static int receive(link_t *link, void *socket, int64_t deadline, const void **bytes)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    int n = -1;
    for (int64_t left; n < 0 && (left = deadline - clock_mono_ms()) > 0;) {
        zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, (long)left);
        if (item.revents & ZMQ_POLLIN) n = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT);
    }
    if (n >= 0) {
        void *copy = arena_alloc(link->arena, (size_t)n + 1);
        if (copy) memcpy(copy, zmq_msg_data(&frame), (size_t)n);
        *bytes = copy;
        if (!copy) n = -1;
    }
    zmq_msg_close(&frame);
    return n;
}

// A message as the reply to the latest request, or NULL when it is none.
static const wire_reply_t *as_reply(link_t *link, const void *bytes, int len)
{
    wire_type_t type;
    void *message;
    const char *why;
    if (wire_decode(link->arena, bytes, (size_t)len, &type, &message, &why)) return NULL;
    if (type == WIRE_TYPE_ERROR) {
        const wire_error_t *error = message;
        wire_reply_t *reply = arena_calloc(link->arena, 1, sizeof *reply);
        if (!reply) return NULL;
        *reply = (wire_reply_t){.id = link->last_id,
                                .code = error->code ? error->code : 400,
                                .field = "",
                                .message = error->text,
                                .json = "",
                                .cursor = ""};
        return reply;
    }
    const wire_reply_t *reply = message;
    return type == WIRE_TYPE_REPLY && reply->id == link->last_id ? reply : NULL;
}

static const wire_reply_t *exchange(link_t *link, void *socket)
{
    int64_t deadline = clock_mono_ms() + link->patience_ms;
    const void *bytes;
    arena_reset(link->arena);
    if (zmq_send(socket, link->out.data, link->out.len, ZMQ_DONTWAIT) < 0) return NULL;
    for (int n; (n = receive(link, socket, deadline, &bytes)) >= 0;) {
        const wire_reply_t *reply = as_reply(link, bytes, n);
        if (reply) return reply;
    }
    return NULL;
}

int link_call(link_t *link, int64_t reach_ms, const char *command, const wire_arg_t *args, size_t n_args,
              const wire_reply_t **reply, char *err, size_t err_size)
{
    wire_request_t request = {.id = ++link->last_id, .command = command};
    request.args.v = (wire_arg_t *)(uintptr_t)args, request.args.n = n_args;
    buf_reset(&link->out);
    if (wire_encode(&link->out, WIRE_TYPE_REQUEST, &request)) {
        snprintf(err, err_size, "too big for one message (%d KiB)", MAX_CONTROL_MESSAGE >> 10);
        return -2;
    }
    int64_t deadline = clock_mono_ms() + reach_ms;
    unsigned passed = 0;
    int silent = -1, at;
    *reply = NULL;
    while ((at = reach(link, passed, deadline)) >= 0) {
        passed |= 1u << at;
        *reply = exchange(link, link->sockets[at]);
        if (!*reply) silent = at;
        // a standby says 503: another one may be active, but its answer is the best so far
        if (*reply && ((*reply)->code != 503 || passed == (1u << link->n) - 1)) return 0;
    }
    if (*reply) return 0;
    if (silent >= 0)
        snprintf(err, err_size, "the broker at %s took the request but did not answer within %d s",
                 link->endpoints[silent], (int)(link->patience_ms / 1000));
    else
        snprintf(err, err_size,
                 "no broker can be reached at %s (tried for %.3g s); is rtm-broker running? "
                 "--broker tcp://HOST:PORT or RTM_BROKER says where it is",
                 link->all, (double)reach_ms / 1000);
    return -1;
}
