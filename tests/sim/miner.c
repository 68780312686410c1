// Miner: a model of a miner that keeps to PROTOCOL.md, without HTTP: a poll takes a while and finds a page's
// version.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/sim/heard.h"
#include "tests/sim/host.h"
#include "tests/sim/policy.h"
#include "tests/sim/pressure.h"
#include "tests/sim/world.h"

enum {
    CLOCK_FALL_MS = 50, // at a message, at most
    SETTLED_MS = 20000, // a miner that has been up for longer does not die by itself; with what a broker lags
};

static void say(world_t *w, sim_miner_t *m, wire_type_t type, const void *message)
{
    buf_t bytes;
    buf_init(&bytes, MAX_CONTROL_MESSAGE);
    CHECK(wire_encode(&bytes, type, message) == 0);
    event_t *e = sim_transmit(w, EV_TO_BROKER, m->peer, bytes.data, bytes.len);
    e->miner = m->index;
    e->incarnation = m->incarnation;
    buf_free(&bytes);
}

static event_t *later(world_t *w, sim_miner_t *m, int64_t delay, event_type_t type)
{
    event_t *e = sim_schedule(w, delay, type, NULL, 0);
    e->miner = m->index;
    e->incarnation = m->incarnation;
    return e;
}

static holding_t *holding_of(const sim_miner_t *m, uint64_t source)
{
    return map_get(&m->holdings, source);
}

static void forget(sim_miner_t *m, holding_t *h)
{
    map_del(&m->holdings, h->id);
    free(h);
}

// -- outcomes -----------------------------------------------------------------------------------------

static void send_outcomes(world_t *w, sim_miner_t *m, int from)
{
    if (!m->welcomed || from >= m->n_unacked) return;
    wire_outcomes_t msg = {0};
    msg.outcomes.v = &m->unacked[from];
    msg.outcomes.n = (size_t)(m->n_unacked - from);
    say(w, m, WIRE_TYPE_OUTCOMES, &msg);
}

// cause: of the due, as it was assigned.
static void report(world_t *w, sim_miner_t *m, const holding_t *h, int64_t due, uint64_t cause, int kind,
                   int result, int error)
{
    if (m->n_unacked == MAX_UNACKED) {
        sim_fail(w, "%s has %d outcomes that nobody acknowledged", m->name, m->n_unacked);
        return;
    }
    if (result == RESULT_failed && due > h->page->failed_due) h->page->failed_due = due;
    int i = m->n_unacked++;
    wire_outcome_t *o = &m->unacked[i];
    *o = (wire_outcome_t){.seq = ++m->seq,
                          .kind = (uint64_t)kind,
                          .source = h->id,
                          .due = due,
                          .cause = cause,
                          .result = (uint64_t)result,
                          .error = (uint64_t)error,
                          .took_ms = 50,
                          .retry_after_s = error == ERR_rate_limited ? 5 : 0,
                          .started = h->started,
                          .generation = h->running ? h->running_generation : h->generation,
                          .etag = "",
                          .last_modified = "",
                          .fetch_url = "",
                          .memory = ""};
    if ((kind & OUTCOME_STORED) && result <= RESULT_not_modified) {
        snprintf(m->etags[i], sizeof m->etags[i], "%llu", (unsigned long long)h->read_version);
        o->etag = m->etags[i];
        o->has_state = true;
        o->last_ok = h->started;
    }
    send_outcomes(w, m, i);
}

static void on_ack(sim_miner_t *m, uint64_t seq)
{
    int n = 0;
    while (n < m->n_unacked && m->unacked[n].seq <= seq) n++;
    m->n_unacked -= n;
    memmove(m->unacked, m->unacked + n, (size_t)m->n_unacked * sizeof m->unacked[0]);
    memmove(m->etags, m->etags + n, (size_t)m->n_unacked * sizeof m->etags[0]);
    for (int i = 0; i < m->n_unacked; i++)
        if (m->unacked[i].has_state) m->unacked[i].etag = m->etags[i];
    if (seq > m->acked) m->acked = seq;
}

// -- polls --------------------------------------------------------------------------------------------

static void settle(holding_t *h, int64_t due)
{
    if (due > h->done) h->done = due;
}

static void drop_due(holding_t *h, int i)
{
    h->n_dues--;
    memmove(&h->dues[i], &h->dues[i + 1], (size_t)(h->n_dues - i) * sizeof h->dues[0]);
}

// In the calm each page is polled in time, by one miner at a time.
static void watch(world_t *w, const sim_miner_t *m, const holding_t *h, int64_t due)
{
    page_t *p = h->page;
    int64_t every = w->every[p->template];
    const when_t *when = &w->when[p->template];
    bool put_off = pressure_poll(w, p, w->now + m->offset - due);
    p->polls++;
    bool extra =
        due == p->heard.asked_due ||
        (when->kind == WHEN_PERIOD && due - p->polled_due < every); // a probe or a retry lies between
    if (w->removed[p->template]) sim_fail(w, "%s is polled though it is disabled", p->url);
    put_off |= policy_is_lost(w, p);
    if (when->kind == WHEN_PERIOD && !policy_waits(w, p->template) && !put_off && p->polled_at &&
        w->now - p->polled_at > every * 21 / 20 + 1000 + host_slack(w))
        sim_fail(w, "%s (every %lld ms) was not polled for %lld ms", p->url, (long long)every,
                 (long long)(w->now - p->polled_at));
    if (!policy_waits(w, p->template) && !put_off && p->polled_due && !extra &&
        !schedule_follows(when, every, p->polled_due, due))
        sim_fail(w, "%s: after its due at %lld came %lld", p->url, (long long)p->polled_due, (long long)due);
    p->polled_at = w->now;
    if (due != p->heard.asked_due) p->polled_due = due;
    for (int i = 0; i < MAX_MINERS; i++) {
        const sim_miner_t *other = &w->miners[i];
        const holding_t *theirs = other->alive && other != m ? holding_of(other, h->id) : NULL;
        if (theirs && theirs->running) sim_fail(w, "%s and %s poll %s at once", m->name, other->name, p->url);
        if (theirs && theirs->n_dues) sim_fail(w, "%s and %s hold dues of %s", m->name, other->name, p->url);
    }
}

static void start_poll(world_t *w, sim_miner_t *m, holding_t *h, int64_t due, uint64_t cause, int64_t until)
{
    h->lease_at = until ? until - m->offset : 0;
    if (until && h->lease_at <= w->now) { // too late to begin
        settle(h, due);
        report(w, m, h, due, cause, OUTCOME_BOTH, RESULT_failed, ERR_timeout);
        return;
    }
    policy_check_start(w, m, h, due);
    host_enter(w, m, h);
    h->running = true;
    h->running_due = due;
    h->running_cause = cause;
    h->running_generation = h->generation;
    h->run = ++m->polls;
    h->started = w->now + m->offset;
    int64_t took = 20 + (int64_t)sim_random(w, 300);
    if (w->host_slow_until[h->page->host] > w->now) took += (int64_t)sim_random(w, 20000);
    if (w->settled) watch(w, m, h, due);
    event_t *e = later(w, m, took, EV_POLL_READ);
    e->source = h->id;
    e->run = h->run;
    if (!until) return;
    e = later(w, m, h->lease_at - w->now, EV_LEASE);
    e->source = h->id;
    e->run = h->run;
}

// All dues whose time has come: the latest is polled, those before it are skipped; while a poll runs all are.
static void take_dues(world_t *w, sim_miner_t *m, holding_t *h)
{
    bool urgent = h->n_dues && h->dues[0].priority >= PRIORITY_HIGH;
    bool overloaded = m->overloaded_until > w->now && !urgent;
    int ready = 0, wanted = h->running || overloaded ? 0 : 1;
    error_class_t reason = h->running   ? ERR_still_running
                           : overloaded ? ERR_overloaded
                                        : ERR_missed_while_down;
    while (ready < h->n_dues && h->dues[ready].at <= w->now) ready++;
    while (ready > wanted) {
        settle(h, h->dues[0].due);
        report(w, m, h, h->dues[0].due, h->dues[0].cause, OUTCOME_BOTH, RESULT_skipped, reason);
        drop_due(h, 0);
        ready--;
    }
    if (ready == 1 && !host_is_full(w, m, h->page)) {
        int64_t due = h->dues[0].due, until = h->dues[0].until;
        uint64_t cause = h->dues[0].cause;
        drop_due(h, 0);
        start_poll(w, m, h, due, cause, until);
    }
}

static void end_poll(world_t *w, sim_miner_t *m, holding_t *h)
{
    h->running = false;
    host_leave(w, m, h);
    settle(h, h->running_due);
    if (h->revoked)
        forget(m, h);
    else
        take_dues(w, m, h);
}

static void note_success(const holding_t *h)
{
    if (h->running_due > h->page->stored_due) h->page->stored_due = h->running_due;
    h->page->troubled = false;
}

static void fail_poll(world_t *w, sim_miner_t *m, holding_t *h, error_class_t error)
{
    h->page->troubled = true;
    report(w, m, h, h->running_due, h->running_cause, OUTCOME_BOTH, RESULT_failed, (int)error);
    end_poll(w, m, h);
}

// A page that kills who reads it.
static void die(world_t *w, sim_miner_t *m)
{
    w->poisoned++;
    miner_lost(w, m);
    miner_free(m);
    if (sim_random(w, 3)) miner_start(w, m);
}

static void on_read(world_t *w, sim_miner_t *m, holding_t *h)
{
    if (h->page == &w->pages[w->poison < 0 ? 0 : w->poison] && w->poison >= 0) {
        die(w, m);
        return;
    }
    host_leave(w, m, h);
    if (h->page->broken_until > w->now || policy_is_lost(w, h->page)) {
        bool empty = !policy_is_lost(w, h->page) && (h->page - w->pages) % 2;
        fail_poll(w, m, h, empty ? ERR_rotted : ERR_parse);
        return;
    }
    if (w->host_limits_until[h->page->host] > w->now) {
        fail_poll(w, m, h, ERR_rate_limited);
        return;
    }
    bool sick = m->sick_until > w->now;
    if (w->host_fails_until[h->page->host] > w->now || sick) {
        fail_poll(w, m, h, sick ? ERR_dns : ERR_http_5xx);
        return;
    }
    h->read_version = h->page->version;
    if (h->read_version == h->known_version) {
        note_success(h);
        report(w, m, h, h->running_due, h->running_cause, OUTCOME_BOTH, RESULT_not_modified, ERR_none);
        end_poll(w, m, h);
        return;
    }
    report(w, m, h, h->running_due, h->running_cause, OUTCOME_POLLED, RESULT_changed, ERR_none);
    int64_t took = 5 + (int64_t)sim_random(w, 60);
    if (w->sink_away_until > w->now) took += w->sink_away_until - w->now;
    event_t *e = later(w, m, took, EV_POLL_STORED);
    e->source = h->id;
    e->run = h->run;
}

static uint64_t stored_key(uint64_t source, uint64_t generation)
{
    return source ^ generation * 0x9e3779b97f4a7c15ULL;
}

static void on_stored(world_t *w, sim_miner_t *m, holding_t *h)
{
    if (h->read_version > h->page->stored_version) h->page->stored_version = h->read_version;
    uint64_t key = stored_key(h->id, h->running_generation);
    if (h->read_version >= (uintptr_t)map_get(&w->stored, key))
        map_put(&w->stored, key, (void *)(uintptr_t)(h->read_version + 1));
    if (h->running_generation == h->generation) h->known_version = h->read_version;
    note_success(h);
    report(w, m, h, h->running_due, h->running_cause, OUTCOME_STORED, RESULT_changed, ERR_none);
    end_poll(w, m, h);
}

// -- messages -----------------------------------------------------------------------------------------

static void send_ready(world_t *w, sim_miner_t *m)
{
    wire_ready_t r = {.version = WIRE_VERSION,
                      .miner = m->name,
                      .incarnation = m->incarnation,
                      .software = "sim",
                      .slots = 100,
                      .epoch = m->epoch,
                      .outcome_seq = m->seq,
                      .holdings = m->holdings.count};
    m->welcomed = false;
    say(w, m, WIRE_TYPE_READY, &r);
}

static void send_inventory(world_t *w, sim_miner_t *m)
{
    wire_holding_t rows[16];
    size_t n = 0, pos = 0;
    for (holding_t *h; (h = map_next(&m->holdings, &pos));) {
        rows[n++] = (wire_holding_t){h->id, h->done, h->held, h->running, h->version};
        if (n < 16) continue;
        wire_inventory_t chunk = {.last = false};
        chunk.holdings.v = rows, chunk.holdings.n = n;
        say(w, m, WIRE_TYPE_INVENTORY, &chunk);
        n = 0;
    }
    wire_inventory_t last = {.last = true};
    last.holdings.v = rows, last.holdings.n = n;
    say(w, m, WIRE_TYPE_INVENTORY, &last);
}

static void on_welcome(world_t *w, sim_miner_t *m, const wire_welcome_t *msg)
{
    m->welcomed = true;
    m->offset = msg->now - w->now;
    m->epoch = msg->epoch;
    if (msg->outcomes_acked) on_ack(m, msg->outcomes_acked);
    send_outcomes(w, m, 0);
    if (m->draining) {
        miner_drain(w, m);
        return;
    }
    send_inventory(w, m);
}

static void define(world_t *w, sim_miner_t *m, const wire_source_t *row)
{
    holding_t *h = holding_of(m, row->id);
    if (!h) {
        h = xcalloc(1, sizeof *h);
        h->id = row->id;
        h->page = sim_page(w, row->id);
        CHECK(h->page != NULL);
        map_put(&m->holdings, h->id, h);
    }
    h->revoked = false;
    h->template = row->template_id;
    h->generation = row->generation;
    h->known_version = strtoull(row->etag, NULL, 10);
    h->last_ok = row->last_ok;
    uint64_t stored = (uintptr_t)map_get(&w->stored, stored_key(h->id, h->generation));
    if (h->known_version >= stored && h->known_version)
        sim_fail(w, "%s: the broker knows version %llu, the sink has %llu of this generation", h->page->url,
                 (unsigned long long)h->known_version, (unsigned long long)stored - (stored > 0));
}

static bool has_due(const holding_t *h, int64_t due)
{
    for (int i = 0; i < h->n_dues; i++)
        if (h->dues[i].due == due) return true;
    return h->running && h->running_due == due;
}

static void on_assign(world_t *w, sim_miner_t *m, const wire_assign_t *a)
{
    for (size_t i = 0; i < a->templates.n; i++)
        map_put(&m->templates, a->templates.v[i].id, (void *)(uintptr_t)a->templates.v[i].version);
    for (size_t i = 0; i < a->sources.n; i++) define(w, m, &a->sources.v[i]);
    for (size_t i = 0; i < a->dues.n; i++) {
        const wire_due_t *d = &a->dues.v[i];
        holding_t *h = holding_of(m, d->source);
        if (!h) {
            sim_fail(w, "%s got a due of source %016llx, which it does not hold", m->name,
                     (unsigned long long)d->source);
            return;
        }
        h->version = (uintptr_t)map_get(&m->templates, h->template);
        if (!h->version) sim_fail(w, "%s got a due of a template that it does not hold", m->name);
        for (uint64_t k = 0; k < d->count; k++) {
            int64_t due = a->slot_start + d->offset + (int64_t)(k * d->step);
            if (d->cause == CAUSE_added && due != h->page->heard.asked_due &&
                w->when[h->page->template].kind == WHEN_TRIGGERED)
                sim_fail(w, "%s is polled though nobody triggered it", h->page->url);
            if (d->cause == CAUSE_scheduled && !schedule_is_due(&w->when[h->page->template], due))
                sim_fail(w, "%s is due at %lld, where it is not", h->page->url, (long long)due);
            if (has_due(h, due)) continue;
            if (h->n_dues == MAX_DUES) {
                sim_fail(w, "%s holds too many dues of a source: now %lld + %llu x %llu from %lld, cause %s",
                         m->name, (long long)(w->now + m->offset), (unsigned long long)d->count,
                         (unsigned long long)d->step, (long long)(a->slot_start + d->offset),
                         wire_cause_name(d->cause));
                return;
            }
            int64_t wait = due - a->slot_start + a->starts_in;
            int i_due = h->n_dues++; // in order of time
            while (i_due > 0 && h->dues[i_due - 1].due > due) {
                h->dues[i_due] = h->dues[i_due - 1];
                i_due--;
            }
            h->dues[i_due].due = due;
            h->dues[i_due].at = w->now + wait;
            h->dues[i_due].until = d->until ? a->slot_start + d->until : 0;
            h->dues[i_due].priority = d->priority;
            h->dues[i_due].cause = d->cause;
            if (due > h->held) h->held = due;
            event_t *e = later(w, m, wait > 0 ? wait : 0, EV_POLL_DUE);
            e->source = h->id;
        }
    }
}

static void on_revoke(world_t *w, sim_miner_t *m, const wire_revoke_t *msg)
{
    uint64_t *running = xcalloc(msg->sources.n, sizeof *running);
    wire_revoked_t answer = {.sources = msg->sources, .running = {running, 0}, .number = msg->number};
    for (size_t i = 0; i < msg->sources.n; i++) {
        holding_t *h = holding_of(m, msg->sources.v[i]);
        const page_t *p = sim_page(w, msg->sources.v[i]);
        if (p) w->host_moved_at[p->host] = heard_now(w);
        if (!h) continue;
        h->n_dues = 0;
        h->held = h->done;
        if (h->running) {
            h->revoked = true;
            h->version = 0;
            running[answer.running.n++] = h->id;
        } else {
            forget(m, h);
        }
    }
    say(w, m, WIRE_TYPE_REVOKED, &answer);
    free(running);
}

// A message may be read late, but is never early.
static void note_clock(sim_miner_t *m, int64_t offset)
{
    int64_t fall = (m->offset - offset) / 8;
    m->offset = offset > m->offset ? offset : m->offset - (fall < CLOCK_FALL_MS ? fall : CLOCK_FALL_MS);
}

static void on_message(world_t *w, sim_miner_t *m, wire_type_t type, const void *msg)
{
    m->heard = w->now;
    switch (type) {
    case WIRE_TYPE_WELCOME: on_welcome(w, m, msg); break;
    case WIRE_TYPE_ASSIGN:
        if (m->welcomed && !m->draining) on_assign(w, m, msg);
        break;
    case WIRE_TYPE_REVOKE:
        if (m->welcomed) on_revoke(w, m, msg);
        break;
    case WIRE_TYPE_HEARTBEAT: note_clock(m, ((const wire_heartbeat_t *)msg)->now - w->now); break;
    case WIRE_TYPE_OUTCOMES_ACK: on_ack(m, ((const wire_outcomes_ack_t *)msg)->seq); break;
    case WIRE_TYPE_DISCONNECT: send_ready(w, m); break;
    case WIRE_TYPE_GOODBYE:
        if (!m->draining) miner_drain(w, m);
        break;
    case WIRE_TYPE_ERROR: sim_fail(w, "%s was told: %s", m->name, ((const wire_error_t *)msg)->text); break;
    default: break;
    }
}

// -- life ---------------------------------------------------------------------------------------------

void miner_dial(world_t *w, sim_miner_t *m)
{
    m->peer = w->next_peer++;
    m->heard = w->now;
    send_ready(w, m);
}

void miner_start(world_t *w, sim_miner_t *m)
{
    int index = (int)(m - w->miners);
    *m = (sim_miner_t){.alive = true, .index = index, .incarnation = w->next_incarnation++, .born = w->now};
    snprintf(m->name, sizeof m->name, "m%d", index);
    map_init(&m->holdings);
    map_init(&m->templates);
    miner_dial(w, m);
    later(w, m, (int64_t)sim_random(w, BEAT_MS), EV_MINER_BEAT);
}

void miner_free(sim_miner_t *m)
{
    size_t pos = 0;
    for (holding_t *h; (h = map_next(&m->holdings, &pos));) free(h);
    map_free(&m->holdings);
    map_free(&m->templates);
    m->alive = false;
}

void miner_lost(world_t *w, const sim_miner_t *m)
{
    for (int i = 0; i < w->n_pages; i++) {
        page_t *p = &w->pages[i];
        if (!holding_of(m, p->id) && p->sent_to != m->index + 1) continue;
        p->deaths++;
        p->settled_deaths += w->now > m->born + SETTLED_MS;
    }
}

static bool busy(const sim_miner_t *m)
{
    size_t pos = 0;
    for (holding_t *h; (h = map_next(&m->holdings, &pos));)
        if (h->running) return true;
    return false;
}

void miner_drain(world_t *w, sim_miner_t *m)
{
    uint64_t running[MAX_SOURCES];
    wire_goodbye_t bye = {.reason = "drain", .running = {running, 0}};
    m->draining = true;
    size_t pos = 0;
    for (holding_t *h; (h = map_next(&m->holdings, &pos));) {
        h->n_dues = 0;
        if (h->running) running[bye.running.n++] = h->id;
    }
    if (m->welcomed) say(w, m, WIRE_TYPE_GOODBYE, &bye);
    later(w, m, 200, EV_DRAINED);
}

static void on_drained(world_t *w, sim_miner_t *m)
{
    if (busy(m) || m->n_unacked || !m->welcomed) {
        later(w, m, 200, EV_DRAINED);
        return;
    }
    wire_goodbye_t bye = {.reason = "drain", .done = true};
    say(w, m, WIRE_TYPE_GOODBYE, &bye);
    miner_free(m);
}

static void on_beat(world_t *w, sim_miner_t *m)
{
    later(w, m, BEAT_MS, EV_MINER_BEAT);
    if (w->now - m->heard > LIVENESS_MS) {
        miner_dial(w, m);
        return;
    }
    wire_heartbeat_t beat = {.heard_ms = w->now - m->heard, .polls = m->polls, .state = MINER_ok};
    if (m->overloaded_until > w->now) beat.state = MINER_overloaded;
    if (m->draining) beat.state = MINER_draining;
    say(w, m, WIRE_TYPE_HEARTBEAT, &beat);
}

void miner_event(world_t *w, sim_miner_t *m, const event_t *e)
{
    if (e->type == EV_TO_MINER) {
        wire_type_t type;
        void *message;
        const char *why;
        arena_reset(w->scratch);
        CHECK(wire_decode(w->scratch, e->bytes, e->len, &type, &message, &why) == 0);
        sim_trace(w, "broker", m->name, type, message);
        on_message(w, m, type, message);
        return;
    }
    if (e->incarnation != m->incarnation) return;
    holding_t *h = e->source ? holding_of(m, e->source) : NULL;
    switch (e->type) {
    case EV_MINER_BEAT: on_beat(w, m); break;
    case EV_DRAINED: on_drained(w, m); break;
    case EV_POLL_DUE:
        if (h) take_dues(w, m, h);
        break;
    case EV_POLL_READ:
        if (h && h->running && h->run == e->run) on_read(w, m, h);
        break;
    case EV_LEASE:
        if (h && h->running && h->run == e->run) fail_poll(w, m, h, ERR_timeout);
        break;
    case EV_POLL_STORED:
        if (h && h->running && h->run == e->run) on_stored(w, m, h);
        break;
    default: break;
    }
}
