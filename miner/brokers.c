// Brokers: sessions, epochs, and the log of outcomes.
#include "miner/brokers.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "miner/outcomes.h"
#include "miner/sinks.h"

enum {
    CHUNK_ROWS = 2048,
    HOLDINGS_CHUNK = 4096, // rows of at most 60 bytes
    READY_GAP_MS = 200,    // between two READY on one connection
    CLOCK_STEP_MS = 2,     // smaller changes of the clock are not told
    CLOCK_FALL_MS = 50,    // at a message, at most: a broker's clock is slewed by 2 % a second
    CONFLICT = 409,
    UNAVAILABLE = 503,
};

typedef struct {
    dealer_t dealer;
    bool welcomed;
    uint64_t epoch;
    uint64_t sent;    // highest outcome sent in this session
    int64_t ready_at; // when READY is to be sent, monotonic ms; INT64_MAX: it was
    int64_t said_at;  // when it was
} broker_t;

struct brokers {
    brokers_options_t options;
    char *endpoints;
    broker_t brokers[MAX_PEERS];
    size_t n;
    broker_t *active; // the one obeyed, or NULL
    uint64_t epoch;   // highest seen
    outcomes_t outcomes;
    bool refused;         // an assignment, as there were too many of them
    wire_outcome_t *rows; // of the chunk being sent
    wire_heartbeat_t beat;
    uint64_t holdings;
    uint64_t round;         // of the inventory
    unsigned inventory_due; // workers that have not answered in this round
    bool has_clock;
    int64_t offset, told_offset; // broker ms = monotonic ms + offset
    int64_t slot_ms;
};

brokers_t *brokers_new(const brokers_options_t *options)
{
    brokers_t *bs = xcalloc(1, sizeof *bs);
    bs->options = *options;
    bs->endpoints = xstrdup(options->endpoints);
    bs->rows = xcalloc(CHUNK_ROWS, sizeof *bs->rows);
    outcomes_init(&bs->outcomes);
    char *rest = NULL;
    for (char *e = strtok_r(bs->endpoints, ",", &rest); e; e = strtok_r(NULL, ",", &rest)) {
        if (bs->n == MAX_PEERS) {
            brokers_destroy(&bs, 0);
            return NULL;
        }
        dealer_init(&bs->brokers[bs->n].dealer, options->zmq, e, "broker", MAX_CONTROL_MESSAGE);
        bs->brokers[bs->n++].ready_at = INT64_MAX;
    }
    if (bs->n == 0) brokers_destroy(&bs, 0);
    return bs;
}

void brokers_destroy(brokers_t **brokers, int linger_ms)
{
    brokers_t *bs = *brokers;
    if (!bs) return;
    for (size_t i = 0; i < bs->n; i++) dealer_free(&bs->brokers[i].dealer, linger_ms);
    outcomes_free(&bs->outcomes);
    free(bs->rows);
    free(bs->endpoints);
    free(bs);
    *brokers = NULL;
}

// -- what the miner says --------------------------------------------------------------------------

// The active broker's connection, or NULL while there is no session.
static dealer_t *active(brokers_t *bs)
{
    return bs->active && bs->active->welcomed ? &bs->active->dealer : NULL;
}

static void send_ready(brokers_t *bs, broker_t *b, int64_t now)
{
    wire_ready_t ready = {.version = WIRE_VERSION,
                          .miner = bs->options.miner,
                          .incarnation = bs->options.incarnation,
                          .software = "rtm-miner " RTM_VERSION,
                          .workers = bs->options.workers,
                          .slots = bs->options.slots,
                          .epoch = bs->epoch,
                          .outcome_seq = bs->outcomes.last,
                          .holdings = bs->holdings};
    b->welcomed = false;
    b->ready_at = INT64_MAX;
    b->said_at = now;
    (void)dealer_send(&b->dealer, WIRE_TYPE_READY, &ready);
}

static void send_beat(brokers_t *bs, broker_t *b, int64_t now)
{
    wire_heartbeat_t beat = bs->beat;
    beat.epoch = bs->epoch;
    beat.now = brokers_now(bs, now);
    beat.heard_ms = bs->active ? now - bs->active->dealer.heard_at : 0;
    (void)dealer_send(&b->dealer, WIRE_TYPE_HEARTBEAT, &beat);
}

static void send_outcomes(brokers_t *bs)
{
    dealer_t *d = active(bs);
    while (d && bs->active->sent < bs->outcomes.last) {
        size_t n = outcomes_chunk(&bs->outcomes, bs->active->sent, bs->rows, CHUNK_ROWS);
        if (n == 0) break;
        wire_outcomes_t message = {.outcomes = {bs->rows, n}};
        if (dealer_send(d, WIRE_TYPE_OUTCOMES, &message)) return;
        bs->active->sent = bs->rows[n - 1].seq;
    }
}

void brokers_outcome(brokers_t *bs, wire_outcome_t *outcome)
{
    outcomes_add(&bs->outcomes, outcome);
}

void brokers_holdings(brokers_t *bs, uint64_t round, wire_holding_t *holdings, size_t n)
{
    dealer_t *d = active(bs);
    if (round != bs->round || !bs->inventory_due || !d) return;
    bool last_worker = --bs->inventory_due == 0;
    send_outcomes(bs); // those that came before the worker counted
    for (size_t at = 0; at < n || (last_worker && at == 0); at += HOLDINGS_CHUNK) {
        size_t rows = n - at < HOLDINGS_CHUNK ? n - at : HOLDINGS_CHUNK;
        wire_inventory_t message = {.holdings = {holdings + at, rows}, .last = last_worker && at + rows == n};
        (void)dealer_send(d, WIRE_TYPE_INVENTORY, &message);
    }
}

void brokers_revoked(brokers_t *bs, const wire_revoked_t *message)
{
    dealer_t *d = active(bs);
    send_outcomes(bs);
    if (d) (void)dealer_send(d, WIRE_TYPE_REVOKED, message);
}

void brokers_backed_off(brokers_t *bs, const char *host, int64_t ms)
{
    wire_host_t row = {.host = host, .backoff_ms = ms};
    wire_backoff_t message = {.hosts = {&row, 1}};
    dealer_t *d = active(bs);
    if (d && ms > 0) (void)dealer_send(d, WIRE_TYPE_BACKOFF, &message);
}

void brokers_goodbye(brokers_t *bs, bool done, uint64_t *running, size_t n_running)
{
    wire_goodbye_t message = {.done = done, .running = {running, n_running}, .reason = "signal"};
    dealer_t *d = active(bs);
    send_outcomes(bs);
    if (d) (void)dealer_send(d, WIRE_TYPE_GOODBYE, &message);
}

void brokers_set_beat(brokers_t *bs, const wire_heartbeat_t *beat, uint64_t holdings)
{
    bs->beat = *beat;
    bs->holdings = holdings;
}

// -- what a broker says ---------------------------------------------------------------------------

static void answer_error(broker_t *b, uint64_t code, const char *text)
{
    wire_error_t error = {.code = code, .text = text};
    (void)dealer_send(&b->dealer, WIRE_TYPE_ERROR, &error);
}

// Whether the message is to be obeyed: its epoch is the highest so far.
static bool obeys(brokers_t *bs, broker_t *b, uint64_t epoch)
{
    if (epoch < bs->epoch) {
        log_warn("stale_epoch", "endpoint=%s epoch=%llu highest=%llu", b->dealer.endpoint,
                 (unsigned long long)epoch, (unsigned long long)bs->epoch);
        answer_error(b, CONFLICT, "a higher epoch was seen");
        return false;
    }
    bs->epoch = epoch;
    b->epoch = epoch;
    return true;
}

// A message is never early, so the largest difference between the clocks is the truest; a slow fall follows
// a broker whose clock runs slower. A miner that was frozen reads old messages: they must not put off the
// ends of leases.
static void note_clock(brokers_t *bs, int64_t broker_now, int64_t now)
{
    int64_t offset = broker_now - now;
    int64_t fall = (bs->offset - offset) / 8;
    if (!bs->has_clock || offset > bs->offset)
        bs->offset = offset;
    else
        bs->offset -= fall < CLOCK_FALL_MS ? fall : CLOCK_FALL_MS;
    int64_t change = bs->offset - bs->told_offset;
    if (bs->has_clock && change < CLOCK_STEP_MS && change > -CLOCK_STEP_MS) return;
    bs->has_clock = true;
    bs->told_offset = bs->offset;
    bs->options.events.clock(bs->options.context, bs->offset, bs->slot_ms);
}

static void handle_welcome(brokers_t *bs, broker_t *b, const wire_welcome_t *w, int64_t now)
{
    uint64_t epoch = bs->epoch;
    dealer_settle(&b->dealer, w->heartbeat_ms, w->liveness_ms);
    if (!obeys(bs, b, w->epoch)) return;
    if (bs->epoch != epoch || bs->slot_ms != w->slot_ms)
        bs->has_clock = false; // another broker, another clock
    bs->slot_ms = w->slot_ms;
    log_info("welcome", "endpoint=%s epoch=%llu slot_ms=%lld acked=%llu unacked=%zu", b->dealer.endpoint,
             (unsigned long long)w->epoch, (long long)w->slot_ms, (unsigned long long)w->outcomes_acked,
             bs->outcomes.n);
    bs->active = b;
    b->welcomed = true;
    note_clock(bs, w->now, now);
    outcomes_acked(&bs->outcomes, w->outcomes_acked);
    b->sent = 0;
    send_outcomes(bs);
    bs->inventory_due = bs->options.workers;
    bs->options.events.inventory(bs->options.context, ++bs->round);
    bs->options.events.welcome(bs->options.context);
}

static void handle_heartbeat(brokers_t *bs, broker_t *b, const wire_heartbeat_t *beat, int64_t now)
{
    if (b == bs->active && obeys(bs, b, beat->epoch)) note_clock(bs, beat->now, now);
}

static void handle_assign(brokers_t *bs, broker_t *b, const wire_assign_t *assign, int64_t now)
{
    if (!obeys(bs, b, assign->epoch)) return;
    if (bs->outcomes.n >= OUTCOMES_MAX) {
        log_warn("assign_refused", "outcomes=%zu", bs->outcomes.n);
        bs->refused = true;
        answer_error(b, UNAVAILABLE, "too many outcomes are not acknowledged");
        return;
    }
    bs->options.events.assign(bs->options.context, assign, now + assign->starts_in);
}

static void handle_revoke(brokers_t *bs, broker_t *b, const wire_revoke_t *revoke)
{
    if (!obeys(bs, b, revoke->epoch)) return;
    log_info("revoke", "sources=%zu reason=\"%s\"", revoke->sources.n, revoke->reason);
    bs->options.events.revoke(bs->options.context, &revoke->sources, revoke->number);
}

static void handle_disconnect(brokers_t *bs, broker_t *b, const wire_disconnect_t *bye, int64_t now)
{
    (void)bs;
    if (b->ready_at != INT64_MAX) return;
    log_warn("disconnected", "endpoint=%s reason=\"%s\"", b->dealer.endpoint, bye->reason);
    b->ready_at = b->welcomed ? now : now + READY_GAP_MS;
    b->welcomed = false;
}

static void handle(brokers_t *bs, broker_t *b, wire_type_t type, const void *message, int64_t now)
{
    const wire_error_t *error = message;
    switch ((int)type) {
    case WIRE_TYPE_WELCOME: handle_welcome(bs, b, message, now); break;
    case WIRE_TYPE_HEARTBEAT: handle_heartbeat(bs, b, message, now); break;
    case WIRE_TYPE_ASSIGN: handle_assign(bs, b, message, now); break;
    case WIRE_TYPE_REVOKE: handle_revoke(bs, b, message); break;
    case WIRE_TYPE_OUTCOMES_ACK:
        if (b == bs->active) outcomes_acked(&bs->outcomes, ((const wire_outcomes_ack_t *)message)->seq);
        break;
    case WIRE_TYPE_DISCONNECT: handle_disconnect(bs, b, message, now); break;
    case WIRE_TYPE_GOODBYE:
        if (b == bs->active) bs->options.events.drain(bs->options.context);
        break;
    case WIRE_TYPE_ERROR:
        log_warn("peer_error", "peer=broker code=%llu text=\"%s\"", (unsigned long long)error->code,
                 error->text);
        break;
    default: log_warn("unexpected_message", "peer=broker type=%s", wire_type_name(type));
    }
}

void brokers_receive(brokers_t *bs, int64_t now)
{
    wire_type_t type;
    void *message;
    for (size_t i = 0; i < bs->n; i++)
        while (dealer_receive(&bs->brokers[i].dealer, now, &type, &message))
            handle(bs, &bs->brokers[i], type, message, now);
}

// -- time -----------------------------------------------------------------------------------------

// There is room again: the broker, which believes that the miner has what it refused, is told what it has.
static void ask_again(brokers_t *bs, int64_t now)
{
    if (!bs->refused || !active(bs) || bs->outcomes.n > OUTCOMES_MAX / 2) return;
    bs->refused = false;
    bs->active->ready_at = now;
    bs->active->welcomed = false;
}

void brokers_tick(brokers_t *bs, int64_t now)
{
    ask_again(bs, now);
    for (size_t i = 0; i < bs->n; i++) {
        broker_t *b = &bs->brokers[i];
        if (dealer_tick(&b->dealer, now)) b->ready_at = now;
        if (!b->dealer.socket) b->welcomed = false;
        if (b->dealer.socket && now >= b->ready_at) send_ready(bs, b, now);
        if (b->dealer.socket && !b->welcomed && b->ready_at == INT64_MAX &&
            now - b->said_at >= b->dealer.liveness_ms)
            dealer_hang_up(&b->dealer, now, "not welcomed");
        if (dealer_beat(&b->dealer, now)) send_beat(bs, b, now);
    }
    send_outcomes(bs);
}

int64_t brokers_deadline(const brokers_t *bs)
{
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < bs->n; i++) {
        int64_t next = dealer_deadline(&bs->brokers[i].dealer);
        if (bs->brokers[i].ready_at < next) next = bs->brokers[i].ready_at;
        if (next < at) at = next;
    }
    return at;
}

size_t brokers_poll_items(const brokers_t *bs, zmq_pollitem_t *items)
{
    size_t n = 0;
    for (size_t i = 0; i < bs->n; i++)
        if (bs->brokers[i].dealer.socket)
            items[n++] = (zmq_pollitem_t){.socket = bs->brokers[i].dealer.socket, .events = ZMQ_POLLIN};
    return n;
}

// -- counts ---------------------------------------------------------------------------------------

int64_t brokers_now(const brokers_t *bs, int64_t now)
{
    return bs->has_clock ? now + bs->offset : 0;
}

size_t brokers_unacked(const brokers_t *bs)
{
    return bs->outcomes.n;
}

uint64_t brokers_dials(const brokers_t *bs)
{
    uint64_t dials = 0;
    for (size_t i = 0; i < bs->n; i++) dials += bs->brokers[i].dealer.dials;
    return dials;
}

uint64_t brokers_epoch(const brokers_t *bs)
{
    return bs->epoch;
}

bool brokers_connected(const brokers_t *bs)
{
    return bs->active && bs->active->welcomed;
}
