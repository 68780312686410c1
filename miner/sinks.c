// Sinks: per sink a list of batches in order of their numbers; those before `unsent` are on the wire.
#include "miner/sinks.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "miner/ship.h"

enum { RETRY_MS = 20 }; // after a send that did not go

typedef struct batch {
    uint64_t seq, token;
    unsigned worker;
    char *frame;
    size_t len;
    struct batch *next;
} batch_t;

typedef struct {
    dealer_t dealer;
    bool granted;        // this session may send batches
    int64_t hello_at;    // when HELLO was sent, monotonic ms
    bool stuck;          // the socket took no more
    int64_t lost_at;     // when it was there last, monotonic ms
    bool gone;           // it is not there: its batches went to others
    uint64_t life;       // batches went to others so often: its numbers began anew, under another incarnation
    uint64_t last_seq;   // highest number given
    uint64_t credit;     // bytes
    size_t bytes, wired; // of all batches; of those on the wire
    size_t count;
    batch_t *oldest, *newest, *unsent;
} sink_t;

struct sinks {
    sinks_options_t options;
    char *endpoints;
    sink_t sinks[MAX_PEERS];
    size_t n;
    homes_t homes;
};

sinks_t *sinks_new(const sinks_options_t *options)
{
    sinks_t *ss = xcalloc(1, sizeof *ss);
    ss->options = *options;
    ss->endpoints = xstrdup(options->endpoints);
    int64_t now = clock_mono_ms();
    char *rest = NULL;
    for (char *e = strtok_r(ss->endpoints, ",", &rest); e; e = strtok_r(NULL, ",", &rest)) {
        if (ss->n == MAX_PEERS) {
            sinks_destroy(&ss);
            return NULL;
        }
        ss->sinks[ss->n].lost_at = now;
        dealer_init(&ss->sinks[ss->n++].dealer, options->zmq, e, "sink", MAX_BATCH_MESSAGE);
        homes_add(&ss->homes, e);
    }
    if (ss->n == 0) sinks_destroy(&ss);
    return ss;
}

static void drop_oldest(sink_t *s)
{
    batch_t *b = s->oldest;
    s->oldest = b->next;
    if (!s->oldest) s->newest = NULL;
    if (s->unsent == b)
        s->unsent = b->next;
    else
        s->wired -= b->len;
    s->bytes -= b->len;
    s->count--;
    free(b->frame);
    free(b);
}

void sinks_destroy(sinks_t **sinks)
{
    sinks_t *ss = *sinks;
    if (!ss) return;
    for (size_t i = 0; i < ss->n; i++) {
        while (ss->sinks[i].oldest) drop_oldest(&ss->sinks[i]);
        dealer_free(&ss->sinks[i].dealer, 0);
    }
    free(ss->endpoints);
    free(ss);
    *sinks = NULL;
}

// -- batches --------------------------------------------------------------------------------------

const homes_t *sinks_homes(const sinks_t *ss)
{
    return &ss->homes;
}

// Appends a batch under the sink's next number.
static void append(sink_t *s, batch_t *b)
{
    b->seq = ++s->last_seq;
    b->next = NULL;
    ship_number(b->frame, b->len, b->seq);
    if (s->newest)
        s->newest->next = b;
    else
        s->oldest = b;
    s->newest = b;
    if (!s->unsent) s->unsent = b;
    s->bytes += b->len;
    s->count++;
}

// A sink that is there, the one with the least to do; NULL: none is.
static sink_t *heir(sinks_t *ss)
{
    sink_t *best = NULL;
    for (size_t i = 0; i < ss->n; i++) {
        sink_t *s = &ss->sinks[i];
        if (s->granted && (!best || s->bytes < best->bytes)) best = s;
    }
    return best;
}

void sinks_add(sinks_t *ss, unsigned home, unsigned worker, uint64_t token, char *frame, size_t len)
{
    sink_t *s = &ss->sinks[home];
    if (s->gone && heir(ss)) s = heir(ss);
    batch_t *b = xcalloc(1, sizeof *b);
    *b = (batch_t){.token = token, .worker = worker, .frame = frame, .len = len};
    append(s, b);
}

// All that the sink has not acknowledged goes to one other, in order. It may have stored some of it, which is
// no harm. Its numbers begin anew, under another incarnation: none of a former life can be taken for one of
// the next.
static void bequeath(sinks_t *ss, sink_t *s, int64_t now)
{
    sink_t *to = heir(ss);
    log_info("batches_moved", "from=%s to=%s batches=%zu bytes=%zu", s->dealer.endpoint, to->dealer.endpoint,
             s->count, s->bytes);
    for (batch_t *b = s->oldest, *next; b; b = next) {
        next = b->next;
        append(to, b);
    }
    s->oldest = s->newest = s->unsent = NULL;
    s->bytes = s->wired = s->count = 0;
    s->last_seq = 0;
    s->life++;
    if (s->dealer.socket)
        dealer_hang_up(&s->dealer, now, "gone"); // a late GRANT would be for the former life
}

// At least one batch may always be on the wire, or a credit smaller than a batch would be the end.
static void send_batches(sink_t *s)
{
    s->stuck = false;
    while (s->granted && s->unsent && (s->wired == 0 || s->wired + s->unsent->len <= s->credit)) {
        batch_t *b = s->unsent;
        if (dealer_send_frame(&s->dealer, b->frame, b->len)) {
            s->stuck = true;
            return;
        }
        s->wired += b->len;
        s->unsent = b->next;
        failpoint("miner_after_batch_send");
    }
}

// -- who is there ---------------------------------------------------------------------------------

static void greet(sinks_t *ss, sink_t *s)
{
    wire_hello_t hello = {.version = WIRE_VERSION,
                          .miner = ss->options.miner,
                          .incarnation = ss->options.incarnation + s->life,
                          .software = "rtm-miner " RTM_VERSION};
    s->granted = false;
    s->hello_at = clock_mono_ms();
    (void)dealer_send(&s->dealer, WIRE_TYPE_HELLO, &hello);
}

// Sources move. Those that stay where they are must not be taken for ones that never went elsewhere: to each
// sink this is a new session.
static void set_gone(sinks_t *ss, sink_t *s, bool gone)
{
    s->gone = gone;
    log_warn(gone ? "sink_gone" : "sink_back", "endpoint=%s", s->dealer.endpoint);
    homes_set(&ss->homes, (unsigned)(s - ss->sinks), !gone);
    for (size_t i = 0; i < ss->n; i++)
        if (&ss->sinks[i] != s && ss->sinks[i].granted) greet(ss, &ss->sinks[i]);
}

static void look_who_is_there(sinks_t *ss, sink_t *s, int64_t now)
{
    if (s->granted) s->lost_at = now;
    if (now - s->lost_at < SINK_GONE_MS || !heir(ss)) return;
    if (s->count) bequeath(ss, s, now);
    if (!s->gone) set_gone(ss, s, true);
}

// -- messages of a sink ---------------------------------------------------------------------------

static void handle_grant(sinks_t *ss, sink_t *s, const wire_grant_t *grant)
{
    log_info("sink_granted", "endpoint=%s credit=%llu unacked=%zu", s->dealer.endpoint,
             (unsigned long long)grant->credit, s->bytes);
    dealer_settle(&s->dealer, grant->heartbeat_ms, grant->liveness_ms);
    s->granted = true;
    if (s->gone) set_gone(ss, s, false);
    s->credit = grant->credit;
    s->unsent = s->oldest;
    s->wired = 0;
}

static const wire_verdicts_t *verdicts_of(const wire_ack_t *ack, uint64_t seq)
{
    for (size_t i = 0; i < ack->verdicts.n; i++)
        if (ack->verdicts.v[i].seq == seq) return &ack->verdicts.v[i];
    return NULL;
}

static void handle_ack(sinks_t *ss, sink_t *s, const wire_ack_t *ack)
{
    failpoint("miner_after_ack");
    s->credit = ack->credit;
    while (s->oldest && s->oldest->seq <= ack->seq) {
        const wire_verdicts_t *v = verdicts_of(ack, s->oldest->seq);
        ss->options.verdicts(ss->options.context, s->oldest->worker, s->oldest->token,
                             v ? v->items.data : NULL, v ? v->items.len : 0);
        drop_oldest(s);
    }
}

static void handle(sinks_t *ss, sink_t *s, wire_type_t type, const void *message)
{
    const wire_disconnect_t *bye = message;
    const wire_error_t *error = message;
    switch ((int)type) {
    case WIRE_TYPE_GRANT: handle_grant(ss, s, message); break;
    case WIRE_TYPE_ACK: handle_ack(ss, s, message); break;
    case WIRE_TYPE_HEARTBEAT: break; // that it came is all it says
    case WIRE_TYPE_DISCONNECT:
        if (!s->granted) break; // of each batch that was on the wire; HELLO is out already
        log_warn("sink_disconnected", "endpoint=%s reason=\"%s\"", s->dealer.endpoint, bye->reason);
        greet(ss, s);
        break;
    case WIRE_TYPE_ERROR:
        log_warn("peer_error", "peer=sink code=%llu text=\"%s\"", (unsigned long long)error->code,
                 error->text);
        break;
    default: log_warn("unexpected_message", "peer=sink type=%s", wire_type_name(type));
    }
}

void sinks_receive(sinks_t *ss, int64_t now)
{
    wire_type_t type;
    void *message;
    for (size_t i = 0; i < ss->n; i++) {
        sink_t *s = &ss->sinks[i];
        while (dealer_receive(&s->dealer, now, &type, &message)) handle(ss, s, type, message);
        send_batches(s);
    }
}

// -- time -----------------------------------------------------------------------------------------

void sinks_tick(sinks_t *ss, int64_t now, int64_t broker_now)
{
    for (size_t i = 0; i < ss->n; i++) {
        sink_t *s = &ss->sinks[i];
        bool ungreeted = s->dealer.socket && !s->granted && now - s->hello_at >= s->dealer.liveness_ms;
        if (dealer_tick(&s->dealer, now) || ungreeted) greet(ss, s);
        if (!s->dealer.socket) s->granted = false;
        look_who_is_there(ss, s, now);
        wire_heartbeat_t beat = {.now = broker_now};
        if (dealer_beat(&s->dealer, now)) (void)dealer_send(&s->dealer, WIRE_TYPE_HEARTBEAT, &beat);
        send_batches(s);
    }
}

int64_t sinks_deadline(const sinks_t *ss)
{
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < ss->n; i++) {
        const sink_t *s = &ss->sinks[i];
        int64_t next = dealer_deadline(&s->dealer);
        if (s->stuck && s->dealer.heard_at + RETRY_MS < next) next = s->dealer.heard_at + RETRY_MS;
        if (next < at) at = next;
    }
    return at;
}

size_t sinks_poll_items(const sinks_t *ss, zmq_pollitem_t *items)
{
    size_t n = 0;
    for (size_t i = 0; i < ss->n; i++)
        if (ss->sinks[i].dealer.socket)
            items[n++] = (zmq_pollitem_t){.socket = ss->sinks[i].dealer.socket, .events = ZMQ_POLLIN};
    return n;
}

// -- counts ---------------------------------------------------------------------------------------

size_t sinks_unacked(const sinks_t *ss)
{
    size_t bytes = 0;
    for (size_t i = 0; i < ss->n; i++) bytes += ss->sinks[i].bytes;
    return bytes;
}

size_t sinks_batches(const sinks_t *ss)
{
    size_t count = 0;
    for (size_t i = 0; i < ss->n; i++) count += ss->sinks[i].count;
    return count;
}

uint64_t sinks_credit(const sinks_t *ss)
{
    uint64_t credit = 0;
    for (size_t i = 0; i < ss->n; i++) credit += ss->sinks[i].granted ? ss->sinks[i].credit : 0;
    return credit;
}

uint64_t sinks_dials(const sinks_t *ss)
{
    uint64_t dials = 0;
    for (size_t i = 0; i < ss->n; i++) dials += ss->sinks[i].dealer.dials;
    return dials;
}
