// Sessions: miners come, list what they hold, beat, report and go; what that means for their work.
#include <stdio.h>
#include <string.h>

#include "broker/outage.h"
#include "broker/state.h"
#include "broker/trouble.h"
#include "common/line.h"
#include "common/log.h"

void session_refuse(broker_t *b, uint64_t peer, const char *reason)
{
    wire_disconnect_t msg = {.epoch = b->epoch, .reason = reason};
    broker_send(b, peer, WIRE_TYPE_DISCONNECT, &msg);
}

// What m runs for others is over; stale: only what it has not named since runs_doubt.
static void release_runs(broker_t *b, const miner_t *m, bool stale)
{
    for (run_t *r = b->runs.first, *next; r; r = next) {
        next = r->next;
        if (r->miner == m && (r->stale || !stale)) dues_run_over(b, r);
    }
}

void sessions_expire_runs(broker_t *b)
{
    for (run_t *r; (r = b->runs.first) && r->until <= b->instant.mono;) {
        log_warn("run_expired", "source=%016llx miner=%s", (unsigned long long)r->source->id, r->miner->name);
        dues_run_over(b, r);
    }
}

// What was gathered for the miner is void: it will register again.
static void end_session(broker_t *b, miner_t *m)
{
    outbox_drop(b, m);
    if (m->phase != MINER_LEAVING) m->phase = MINER_JOINING;
}

static void note_gone(broker_t *b, const miner_t *m, const char *reason)
{
    gone_t gone = {.reason = reason,
                   .joined_at = m->joined_at,
                   .left_at = b->now,
                   .silent_ms = b->instant.mono - m->heard,
                   .polls = m->beat.polls,
                   .last_outcome = m->last_outcome,
                   .last_result = m->last_result,
                   .last_error = m->last_error};
    snprintf(gone.name, sizeof gone.name, "%s", m->name);
    departed_add(&b->departed, &gone);
}

// The miner's process or connection is over: its work moves at once.
void session_gone(broker_t *b, miner_t *m, const char *reason)
{
    log_info("left", "miner=%s reason=%s hosts=%u load=%.2f", m->name, reason, m->n_lanes, miner_load(m));
    bool certain = strcmp(reason, "silent") != 0 && strcmp(reason, "no_progress") != 0;
    bool died = m->phase != MINER_LEAVING && (!strcmp(reason, "silent") || !strcmp(reason, "restarted"));
    outbox_drop(b, m);
    m->phase = MINER_LEAVING;
    if (died) trouble_dies(b, m);
    release_runs(b, m, false);
    note_gone(b, m, reason);
    jobs_miner_gone(b, m, certain);
    registry_remove(&b->registry, m);
    assign_release(b, m);
    assign_orphans(b, CAUSE_reassigned, reason);
}

static void heard(broker_t *b, miner_t *m)
{
    registry_heard(&b->registry, m, b->instant.mono, b->instant.mono + b->config.liveness_ms);
}

static void welcome(broker_t *b, miner_t *m)
{
    wire_welcome_t msg = {.epoch = b->epoch,
                          .now = b->now,
                          .slot_ms = b->config.slot_ms,
                          .heartbeat_ms = b->config.heartbeat_ms,
                          .liveness_ms = b->config.liveness_ms,
                          .outcomes_acked = m->outcome_seq};
    broker_send_durable(b, m->peer, WIRE_TYPE_WELCOME, &msg);
}

// A name goes into records, replies and logs.
static bool is_name(const char *text)
{
    char line[MAX_NAME + 1];
    return *text && !strcmp(line_copy(line, sizeof line, text), text);
}

void session_ready(broker_t *b, uint64_t peer, const wire_ready_t *r)
{
    if (r->version != WIRE_VERSION || !is_name(r->miner) || !r->incarnation) {
        wire_error_t e = {.code = 400,
                          .text = "READY needs version 1, a miner id (a line of UTF-8) and an incarnation"};
        broker_send(b, peer, WIRE_TYPE_ERROR, &e);
        return;
    }
    miner_t *m = registry_by_peer(&b->registry, peer);
    if (m && strcmp(m->name, r->miner) != 0) session_gone(b, m, "renamed");
    m = registry_by_name(&b->registry, r->miner);
    if (m && m->incarnation != r->incarnation) {
        session_gone(b, m, "restarted");
        m = NULL;
    }
    if (!m) {
        m = registry_add(&b->registry, r->miner, r->incarnation);
        m->joined_at = b->now;
        departed_forget(&b->departed, m->name);
    }
    end_session(b, m);
    registry_set_peer(&b->registry, m, peer);
    assign_keep(b, m);
    m->phase = MINER_JOINING;
    m->workers = r->workers;
    m->slots = r->slots;
    map_free(&m->templates); // the inventory tells which it has; sending one twice does no harm
    heard(b, m);
    lessees_new(b, m);
    welcome(b, m);
}

// Its dues were taken back, and the word was lost; or an earlier broker handed them out before the source had
// to wait for its turns: no due runs under a lease before its time.
static bool is_recalled(const broker_t *b, const source_t *s, const wire_holding_t *h)
{
    return (s->entered && !s->known_to_owner && h->held > h->done) || (jobs_gate(s) && h->held > b->now);
}

// A source that the miner lists: it keeps it, or drops it.
static void on_holding(broker_t *b, miner_t *m, const wire_holding_t *h)
{
    source_t *s = map_get(&b->catalog.sources, h->source);
    bool wanted = s && s->listing->enabled;
    if (wanted && h->version && !lane_owner(s->lane) && b->grace_until) lane_give(&b->catalog, s->lane, m);
    bool owned = wanted && h->version && s->lane->owner == m;
    // no broker of this cluster gave out dues that are later than built_until
    bool sound = h->held <= b->built_until && h->done <= b->built_until;
    if (!owned || s->lane->moving || h->version != s->listing->stamp || !sound || is_recalled(b, s, h)) {
        if (s) jobs_listed(b, m, s, h); // what it has may begin until it is told
        if (h->version) outbox_revoke(b, m, h->source, "not yours any more");
        if (wanted && s->lane->owner == m && !s->lane->moving) s->known_to_owner = false;
        if (wanted && h->running) dues_runs_at(b, s, m);
        if (!s) jobs_listed_stray(b, m, h);
        if (owned && s->lane->moving) source_mark(s, true); // once more
        return;
    }
    if (s->away) runs_remove(&b->runs, runs_of(&b->runs, s)); // too late to wait for that
    source_mark(s, true);
    s->known_to_owner = true;
    map_put(&m->templates, s->listing->id, (void *)(uintptr_t)h->version);
    int64_t held = h->held > 0 ? h->held : 0;
    int64_t oldest = held - 2 * b->config.slot_ms; // nobody is given dues for longer; `done` may be none yet
    int64_t done = h->done > oldest ? h->done : oldest;
    bool one = s->listing->template->mode == MODE_CONTINUOUS; // of any age: no later due will settle it
    if (s->entered)
        dues_send(b, s, one ? INT64_MIN : h->held, CAUSE_scheduled);
    else if (h->held > 0)
        dues_enter(b, s, done, h->held > done ? h->held : done);
    jobs_listed(b, m, s, h);
}

// What the miner did not list of its lanes it does not have. Of a lane that was on its way to another miner
// that may be all: then its answer to the REVOKE was lost, but it has given the lane back.
static void send_unlisted(broker_t *b, miner_t *m)
{
    for (lane_t *l = m->lanes_last, *before; l && l->moving; l = before) {
        before = l->prev;
        if (!l->n_marked) assign_returned(b, l);
    }
    for (lane_t *l = m->lanes; l && !l->moving; l = l->next) {
        for (source_t *s = l->sources; s; s = s->lane_next) {
            if (s->mark) continue;
            s->known_to_owner = false;
            dues_send(b, s, INT64_MIN, CAUSE_reassigned);
        }
        lane_unmark(l);
    }
}

static void start_listing(broker_t *b, miner_t *m)
{
    m->phase = MINER_LISTING;
    runs_doubt(&b->runs, m);
    jobs_doubt(b, m);
    for (lane_t *l = m->lanes; l; l = l->next) lane_unmark(l);
}

static void on_inventory(broker_t *b, miner_t *m, const wire_inventory_t *inv)
{
    if (m->phase == MINER_JOINING) start_listing(b, m);
    if (m->phase != MINER_LISTING) return;
    for (size_t i = 0; i < inv->holdings.n; i++) on_holding(b, m, &inv->holdings.v[i]);
    if (!inv->last) return;
    m->phase = MINER_LIVE;
    lessees_known(b, m);
    log_info("joined", "miner=%s incarnation=%016llx hosts=%u live=%zu", m->name,
             (unsigned long long)m->incarnation, m->n_lanes, registry_live(&b->registry));
    outage_tell(b, m); // before it is sent anything to poll there
    jobs_unlisted(b, m);
    send_unlisted(b, m);
    release_runs(b, m, true);
    b->evicting |= m->evicted > 0;
    assign_orphans(b, CAUSE_reassigned, "joined");
    assign_balance(b);
}

static void on_heartbeat(broker_t *b, miner_t *m, const wire_heartbeat_t *beat)
{
    if (beat->state != m->beat.state)
        log_info("miner_state", "miner=%s state=%s was=%s", m->name, wire_miner_state_name(beat->state),
                 wire_miner_state_name(m->beat.state));
    m->beat = *beat;
    wire_heartbeat_t answer = {
        .epoch = b->epoch, .now = b->now, .slot = (uint64_t)slots_number(&b->slots, b->now)};
    broker_send(b, m->peer, WIRE_TYPE_HEARTBEAT, &answer);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// What was said, with everything in the range that makes sense: the rest of the broker relies on that.
static wire_outcome_t within_bounds(const broker_t *b, const wire_outcome_t *said)
{
    wire_outcome_t o = *said;
    if (o.kind < OUTCOME_POLLED || o.kind > OUTCOME_BOTH) o.kind = OUTCOME_BOTH;
    if (o.result >= RESULT_COUNT) o.result = RESULT_failed;
    if (o.error >= ERR_COUNT) o.error = ERR_internal;
    if (o.due < 0 || o.due > b->built_until) o.due = 0; // nobody was given it: of no due
    if (o.started < 0) o.started = 0;
    if (o.gap_reason >= GAP_COUNT) o.gap_reason = GAP_none;
    if (o.last_ok > b->now) o.last_ok = b->now; // a later one would shut out all that come after it
    o.items = least(o.items, UINT32_MAX);
    o.fresh = least(o.fresh, UINT32_MAX);
    o.gap_found = least(o.gap_found, UINT32_MAX);
    o.took_ms = least(o.took_ms, MAX_BACKOFF);
    o.retry_after_s = least(o.retry_after_s, MAX_BACKOFF / 1000);
    return o;
}

static void on_outcomes(broker_t *b, miner_t *m, const wire_outcomes_t *msg)
{
    for (size_t i = 0; i < msg->outcomes.n; i++) {
        if (msg->outcomes.v[i].seq <= m->outcome_seq) continue; // sent again
        wire_outcome_t o = within_bounds(b, &msg->outcomes.v[i]);
        m->outcome_seq = o.seq;
        m->progress++;
        m->last_outcome = b->now;
        m->last_result = (uint8_t)o.result;
        m->last_error = (uint8_t)o.error;
        source_t *s = map_get(&b->catalog.sources, o.source);
        if (o.kind & OUTCOME_STORED) jobs_stray_ended(b, m, o.source, o.due);
        if (s) dues_outcome(b, m, s, &o);
    }
    wire_outcomes_ack_t ack = {.seq = m->outcome_seq};
    broker_send_durable(b, m->peer, WIRE_TYPE_OUTCOMES_ACK, &ack);
}

// Sources that miner no longer owns, but still runs a poll of.
static void note_running(broker_t *b, miner_t *m, const wire_ids_t *running)
{
    for (size_t i = 0; i < running->n; i++) {
        source_t *s = map_get(&b->catalog.sources, running->v[i]);
        if (!s || !s->listing->enabled || (lane_owner(s->lane) == m && !s->lane->moving)) continue;
        dues_runs_at(b, s, m);
    }
}

static void on_revoked(broker_t *b, miner_t *m, const wire_revoked_t *msg)
{
    map_t running;
    map_init(&running);
    for (size_t i = 0; i < msg->running.n; i++) {
        map_put(&running, msg->running.v[i], m);
        jobs_goes_on(b, m, msg->running.v[i]);
    }
    note_running(b, m, &msg->running);
    for (size_t i = 0; i < msg->sources.n; i++)
        if (!map_get(&running, msg->sources.v[i])) jobs_not_running(b, m, msg->sources.v[i], msg->number);
    map_free(&running);
    bool orphans = false;
    for (size_t i = 0; i < msg->sources.n; i++) {
        source_t *s = map_get(&b->catalog.sources, msg->sources.v[i]);
        if (!s || s->lane->owner != m || !s->lane->moving || msg->number < s->lane->recall) continue;
        source_mark(s, false);
        if (s->lane->n_marked) continue;
        assign_returned(b, s->lane);
        orphans |= s->lane->owner == NULL;
    }
    if (orphans) assign_orphans(b, CAUSE_reassigned, "returned");
}

static void on_goodbye(broker_t *b, miner_t *m, const wire_goodbye_t *msg)
{
    if (msg->done) {
        session_gone(b, m, "drained");
        return;
    }
    if (m->phase == MINER_LEAVING) return;
    log_info("draining", "miner=%s hosts=%u running=%zu reason=%s", m->name, m->n_lanes, msg->running.n,
             msg->reason);
    outbox_drop(b, m);
    m->phase = MINER_LEAVING;
    assign_release(b, m);
    runs_doubt(&b->runs, m);
    note_running(b, m, &msg->running);
    release_runs(b, m, true);
    assign_orphans(b, CAUSE_reassigned, "draining");
    assign_balance(b);
}

void broker_unreachable(broker_t *b, instant_t now, uint64_t peer)
{
    (void)now;
    miner_t *m = registry_by_peer(&b->registry, peer);
    if (!m) return;
    log_warn("unreachable", "miner=%s waiting for it to dial again", m->name);
    end_session(b, m);
    registry_set_peer(&b->registry, m, 0);
}

void session_message(broker_t *b, uint64_t peer, wire_type_t type, const void *message)
{
    miner_t *m = registry_by_peer(&b->registry, peer);
    if (!m) {
        session_refuse(b, peer, "unknown session");
        return;
    }
    heard(b, m);
    switch (type) {
    case WIRE_TYPE_INVENTORY: on_inventory(b, m, message); break;
    case WIRE_TYPE_HEARTBEAT: on_heartbeat(b, m, message); break;
    case WIRE_TYPE_OUTCOMES: on_outcomes(b, m, message); break;
    case WIRE_TYPE_REVOKED: on_revoked(b, m, message); break;
    case WIRE_TYPE_GOODBYE: on_goodbye(b, m, message); break;
    case WIRE_TYPE_BACKOFF: outage_told(b, m, message); break;
    default: break;
    }
}
