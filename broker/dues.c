// Dues: the life of a source's dues. Those in (done, held] of its grid are open, and so is `extra`. A due
// opens when its slot is built (or when the source enters), and is settled by an outcome or a skip, which
// moves `done` forward. Every due is booked twice: once as due, once as what came of it. One due may be open
// outside of the range, `extra`: one that was added or triggered, or one whose poll runs so long that later
// dues are settled before it.
#include <stdio.h>
#include <string.h>

#include "broker/admission.h"
#include "broker/outage.h"
#include "broker/relations.h"
#include "broker/state.h"
#include "broker/trouble.h"
#include "common/log.h"

enum { RUN_LEASE_MS = 300000, REPLAY_AGAIN_MS = 1000 };
#define REMEMBERED_MS (366 * 86400000LL) // dues missed longer ago do not count

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

bool dues_can_send(const source_t *s)
{
    const lane_t *l = s->lane;
    const miner_t *m = l->owner;
    if (!s->entered || s->away || l->moving || !m) return false;
    return m->phase == MINER_LIVE || (m->phase == MINER_LISTING && s->mark);
}

// Opens the dues of the grid up to upto.
static void open_until(broker_t *b, source_t *s, int64_t upto)
{
    grid_t g = source_grid(s);
    int64_t last = grid_last(g, upto);
    if (last <= s->held) return;
    slots_book_range(&b->slots, g, s->held, last, SLOT_DUE, ERR_none);
    s->held = last;
}

static void note_missed(listing_t *l, int64_t first, int64_t last)
{
    if (!l->missed_to || first < l->missed_from) l->missed_from = first;
    if (last > l->missed_to) l->missed_to = last;
}

// Settles the open dues of the grid up to upto as skipped.
static void skip_until(broker_t *b, source_t *s, int64_t upto, error_class_t reason)
{
    grid_t g = source_grid(s);
    if (upto > s->held) upto = s->held;
    if (upto <= s->done) return;
    uint64_t count = grid_count(g, s->done, upto);
    slots_book_range(&b->slots, g, s->done, upto, SLOT_DUE, reason);
    s->listing->skipped[reason] += count;
    if (count) history_skipped(b, s, grid_next(g, s->done), grid_last(g, upto), count, reason);
    if (count && reason == ERR_missed_while_down)
        note_missed(s->listing, grid_next(g, s->done), grid_last(g, upto));
    s->done = upto;
}

static void skip_extra(broker_t *b, source_t *s, error_class_t reason)
{
    if (!s->extra) return;
    slots_book_skip(&b->slots, s->extra, reason, 1);
    s->listing->skipped[reason]++;
    history_skipped(b, s, s->extra, s->extra, 1, reason);
    s->extra = 0;
}

void dues_skip_before(broker_t *b, source_t *s, int64_t due, error_class_t reason)
{
    skip_until(b, s, due - 1, reason);
}

static void put_into_wheel(broker_t *b, source_t *s)
{
    int64_t next = grid_next(source_grid(s), later(s->held, b->built_until - 1));
    wheel_put(&b->wheel, &s->wheel, slots_number(&b->slots, next));
}

// Sends dues that are not a period apart: a row for each run of those that are equally far from each other.
static void send_runs(broker_t *b, source_t *s, grid_t g, int64_t after, wire_cause_t cause)
{
    int64_t due = grid_next(g, after);
    while (due <= s->held) {
        int64_t next = grid_next(g, due);
        wire_due_t run = {
            .step = (uint64_t)(next - due), .count = 1, .cause = cause, .priority = source_urgency(s)};
        int64_t first = due;
        for (due = next; due <= s->held && due - first == (int64_t)(run.count * run.step); run.count++)
            due = grid_next(g, due);
        if (run.count == 1) run.step = 0;
        outbox_due(b, s->lane->owner, s, run, first);
    }
}

// Sends the open dues of the grid later than after.
static void send_grid(broker_t *b, source_t *s, int64_t after, wire_cause_t cause)
{
    if (!dues_can_send(s)) return;
    grid_t g = source_grid(s);
    int64_t from = later(after, s->done);
    if (cause == CAUSE_scheduled) cause = (wire_cause_t)s->late_cause;
    s->late_cause = CAUSE_scheduled;
    if (s->turn_cause == CAUSE_replay) cause = CAUSE_replay; // wherever it is polled
    if (g.schedule) {
        send_runs(b, s, g, from, cause);
        return;
    }
    uint64_t n = grid_count(g, from, s->held);
    if (!n) return;
    wire_due_t due = {.step = (uint64_t)g.every, .count = n, .cause = cause, .priority = source_urgency(s)};
    outbox_due(b, s->lane->owner, s, due, grid_next(g, from));
}

static void send_extra(broker_t *b, source_t *s, wire_cause_t cause)
{
    if (!s->extra || !dues_can_send(s)) return;
    wire_due_t due = {.count = 1, .cause = cause, .priority = tasks_urgency(b, s, source_urgency(s), NULL)};
    outbox_due(b, s->lane->owner, s, due, s->extra);
}

void dues_send_one(broker_t *b, source_t *s, int64_t at, wire_cause_t cause, int64_t until)
{
    // Other suspects of its miner wait for this one.
    priority_t own = source_is_suspect(s) ? PRIORITY_CRITICAL : s->job->entry.priority;
    wire_due_t due = {.count = 1,
                      .cause = cause,
                      .priority = at == s->extra ? tasks_urgency(b, s, own, NULL) : own,
                      .until = until};
    outbox_due(b, s->lane->owner, s, due, at);
}

// What is open and later than after goes to the owner, or waits for its turn.
static void send_or_queue(broker_t *b, source_t *s, int64_t after, wire_cause_t cause)
{
    if (jobs_gate(s))
        jobs_want(b, s);
    else
        send_grid(b, s, after, cause);
}

void dues_send(broker_t *b, source_t *s, int64_t after, wire_cause_t cause)
{
    // hosts are dealt out as some were added: not all on them were
    bool special = cause != CAUSE_scheduled && cause != CAUSE_added && s->extra_cause != CAUSE_replay;
    if (!jobs_gate(s)) send_extra(b, s, special ? cause : (wire_cause_t)s->extra_cause);
    send_or_queue(b, s, after, cause);
}

// The dues from held to now were missed: the latest is caught up, if that is wanted and it may be polled now.
static wire_cause_t catch_up(broker_t *b, source_t *s)
{
    const schedule_t *when = &s->listing->schedule;
    grid_t g = source_grid(s);
    int64_t missed = grid_last(g, b->now);
    if (missed <= s->held) return CAUSE_scheduled;
    bool latest = when->template->catch_up == CATCH_UP_LATEST && schedule_opens(when, b->now) == b->now;
    open_until(b, s, missed);
    skip_until(b, s, latest ? grid_last(g, missed - 1) : missed, ERR_missed_while_down);
    return CAUSE_catch_up;
}

// When a continuous source is due that enters: at once, but for the gap after its last poll.
static int64_t first_turn(const broker_t *b, const source_t *s, int64_t after)
{
    const schedule_t *when = &s->listing->schedule;
    int64_t ended = s->last_ok < b->now ? s->last_ok : b->now; // before a restart time may have been another
    int64_t at = later(b->now, s->last_ok ? ended + when->template->min_gap_ms : 0);
    return schedule_opens(when, later(at, after) + 1); // a due's time is its name
}

// What keeps the source or its host from being polled at due.
static error_class_t held_back(const source_t *s, int64_t due)
{
    return source_is_quarantined(s) ? ERR_quarantined : outage_reason(s, due);
}

// Moves the due of a continuous source, which is not open, to at.
static void take_turn(broker_t *b, source_t *s, int64_t at, wire_cause_t cause, uint8_t attempt)
{
    s->turn_cause = (uint8_t)cause;
    s->turn_attempt = attempt;
    s->turn = later(at, s->done + 1); // a due's time is its name
    open_until(b, s, b->built_until - 1);
    put_into_wheel(b, s);
    send_or_queue(b, s, s->done, cause);
}

// A continuous source whose dues are all settled has its next turn after the gap.
static void go_on(broker_t *b, source_t *s)
{
    const schedule_t *when = &s->listing->schedule;
    if (when->template->mode != MODE_CONTINUOUS || !s->entered || source_is_open(s)) return;
    int64_t at = b->now + when->template->min_gap_ms;
    if (held_back(s, at)) at = later(at, b->built_until); // the next slot asks again
    take_turn(b, s, schedule_opens(when, at), CAUSE_scheduled, 0);
}

void dues_enter(broker_t *b, source_t *s, int64_t accounted, int64_t held)
{
    const schedule_t *when = &s->listing->schedule;
    s->entered = true;
    lane_count(s, 1);
    accounted = later(accounted, b->now - REMEMBERED_MS);
    if (when->template->mode == MODE_CONTINUOUS) {
        s->turn = held > accounted ? held : first_turn(b, s, accounted);
        s->turn_cause = CAUSE_scheduled;
        s->turn_attempt = 0;
    }
    s->done = s->held = accounted;
    open_until(b, s, held);
    s->held = later(s->held, held);
    wire_cause_t cause = catch_up(b, s);
    open_until(b, s, b->built_until - 1);
    put_into_wheel(b, s);
    error_class_t reason = held_back(s, b->now);
    if (reason) skip_until(b, s, s->held, reason);
    trouble_resume(b, s); // with nothing open, so that it waits for its time
    send_or_queue(b, s, held, cause);
    go_on(b, s);
}

void dues_send_extra(broker_t *b, source_t *s)
{
    if (jobs_gate(s))
        jobs_want(b, s);
    else
        send_extra(b, s, (wire_cause_t)s->extra_cause);
}

void dues_open_extra(broker_t *b, source_t *s, wire_cause_t cause, uint8_t attempt)
{
    if (s->extra || !s->entered) return;
    s->extra = b->now + (grid_last(source_grid(s), b->now) == b->now); // a due's time is its name
    s->extra_cause = cause;
    s->attempt = attempt;
    if (s->listing->template->mode == MODE_TRIGGERED) relations_forget(s->listing);
    slots_book(&b->slots, s->extra, SLOT_DUE);
}

void dues_extra(broker_t *b, source_t *s, wire_cause_t cause, uint8_t attempt)
{
    const schedule_t *when = &s->listing->schedule;
    if (s->extra || !s->entered) return;
    if (cause == CAUSE_added && held_back(s, b->now)) return;
    if (cause == CAUSE_added &&
        (when->template->mode != MODE_SCHEDULED || schedule_opens(when, b->now) > b->now))
        return;
    if (when->template->mode == MODE_CONTINUOUS && s->held == s->done) {
        take_turn(b, s, b->now, cause, attempt);
        return;
    }
    dues_open_extra(b, s, cause, attempt);
    dues_send_extra(b, s);
}

void dues_leave(broker_t *b, source_t *s, error_class_t reason)
{
    if (s->away) runs_remove(&b->runs, runs_of(&b->runs, s));
    if (!s->entered) {
        history_flush(b, s); // what was reported since the broker started
        return;
    }
    wheel_remove(&s->wheel);
    skip_until(b, s, s->held, reason);
    skip_extra(b, s, reason);
    jobs_leave(b, s);
    s->polled = 0;
    lane_count(s, -1);
    s->entered = false;
    history_flush(b, s);
}

void dues_withdraw(broker_t *b, source_t *s, error_class_t reason)
{
    if (!s->entered || !source_is_open(s)) return;
    if (s->known_to_owner && s->lane->owner)
        outbox_revoke(b, s->lane->owner, s->id, error_class_name(reason));
    s->known_to_owner = false;
    skip_until(b, s, s->held, reason);
    skip_extra(b, s, reason);
    s->polled = 0;
    go_on(b, s);
}

// Why what is due in the slot being built is not to be polled; ERR_none: it is.
static error_class_t reason_to_skip(broker_t *b, source_t *s, int64_t due)
{
    error_class_t reason = held_back(s, due);
    if (reason == ERR_host_backoff) s->late_cause = CAUSE_host_backoff;
    if (reason) return reason;
    return admission_admits(b, s) ? ERR_none : ERR_overloaded;
}

// What waits since an earlier slot is too late to be worth a poll.
static void skip_stale(broker_t *b, source_t *s)
{
    int64_t upto = b->built_until - 2 * b->config.slot_ms - 1;
    if (jobs_gate(s)) {
        bool runs = s->job && s->job->state == JOB_RUNNING;
        if (!runs) skip_until(b, s, upto, s->job && s->job->why ? (error_class_t)s->job->why : ERR_no_miner);
    } else if (!dues_can_send(s)) {
        skip_until(b, s, upto, s->away ? ERR_still_running : ERR_no_miner);
    }
}

void dues_extend(broker_t *b, source_t *s)
{
    skip_stale(b, s);
    int64_t before = s->held;
    open_until(b, s, b->built_until - 1);
    put_into_wheel(b, s);
    if (s->held == before) return;
    bool runs = s->done != before; // it goes on
    error_class_t reason = runs ? ERR_none : reason_to_skip(b, s, s->held);
    if (reason) {
        skip_until(b, s, s->held, reason);
        trouble_resume(b, s);
    } else if (!runs) {
        skip_until(b, s, outage_until(s) - 1, ERR_host_backoff);
    }
    if (!reason) send_or_queue(b, s, before, CAUSE_scheduled);
    go_on(b, s);
}

int64_t dues_next(const broker_t *b, const source_t *s)
{
    if (!s->entered) return 0;
    int64_t next = grid_next(source_grid(s), later(s->done, b->now));
    return next == GRID_NEVER ? 0 : next;
}

// -- outcomes -----------------------------------------------------------------------------------------

// The mean of the last few polls: old ones fade by an eighth. What an earlier broker knew is known, too.
static void note_cost(source_t *s, uint64_t took_ms)
{
    if (took_ms > UINT32_MAX) took_ms = UINT32_MAX;
    bool known = s->polled_at || s->last_ok;
    source_set_cost(s, known ? (uint32_t)((s->cost_ms * 7ULL + took_ms) / 8) : (uint32_t)took_ms);
}

// A poll that was reported as polled failed in the end: a further page of its list could not be had, or its
// detail pages lack what they had.
static void note_failed_end(source_t *s, const wire_outcome_t *o)
{
    s->last_result = RESULT_failed;
    s->last_error = (uint8_t)o->error;
    s->failures = (uint16_t)(s->failures + (s->failures < UINT16_MAX));
    s->listing->failed++;
    snprintf(s->listing->last_error, sizeof s->listing->last_error, "%s", error_class_name(o->error));
}

static void note_result(broker_t *b, source_t *s, const wire_outcome_t *o)
{
    listing_t *l = s->listing;
    if (o->result == RESULT_skipped) return; // what the last poll gave is worth more than why there was none
    s->last_result = (uint8_t)o->result;
    s->last_error = (uint8_t)o->error;
    note_cost(s, o->took_ms);
    s->polled_at = b->now;
    l->polled++;
    l->items += o->items;
    if (o->items) s->items = (uint32_t)o->items;
    bool failed = o->result == RESULT_failed;
    s->failures = failed ? (uint16_t)(s->failures + (s->failures < UINT16_MAX)) : 0;
    if (!failed) {
        slots_book(&b->slots, o->due, SLOT_POLLED);
        return;
    }
    l->failed++;
    snprintf(l->last_error, sizeof l->last_error, "%s", error_class_name(o->error));
}

static bool same_validators(const validators_t *v, const wire_outcome_t *o)
{
    if (!v) return !o->etag[0] && !o->last_modified[0] && !o->fetch_url[0] && !o->body_hash;
    return v->body_hash == o->body_hash && !strcmp(v->etag, o->etag) &&
           !strcmp(v->last_modified, o->last_modified) && !strcmp(v->fetch_url, o->fetch_url);
}

// Where posts may be missing, or might have been.
static void take_gap(broker_t *b, const source_t *s, const wire_outcome_t *o)
{
    if (!o->gap_since) return;
    store_op_t op = {.kind = STORE_GAP};
    op.gap = (gap_t){.source = s->id,
                     .due = o->due,
                     .since = o->gap_since,
                     .until = o->started,
                     .reason = o->gap_reason,
                     .found = o->gap_found,
                     .closed = o->continuity == CONTINUITY_continuous};
    op.gap = *gaps_put(&b->gaps, &op.gap);
    broker_store(b, &op);
}

// The soft state follows the latest stored success; what an older poll or an older generation says is past.
// What is remembered follows the list alone, even where details are still missing.
static void take_state(broker_t *b, source_t *s, const wire_outcome_t *o)
{
    if (o->generation != s->generation || o->last_ok < s->last_ok || !o->last_ok) return;
    bool validators = o->has_state && !same_validators(s->validators, o);
    bool memory = o->memory[0] && strcmp(o->memory, source_memory(s)) != 0;
    bool continuity = o->continuity && o->continuity != s->continuity && o->continuity < CONTINUITY_COUNT;
    bool first = s->last_ok == 0;
    s->last_ok = o->last_ok;
    if (validators || memory) outbox_flush(b); // its rows may name the texts that go now
    if (validators) source_set_validators(s, o->etag, o->last_modified, o->fetch_url, o->body_hash);
    if (memory) source_set_memory(s, o->memory);
    if (continuity) s->continuity = (uint8_t)o->continuity;
    take_gap(b, s, o);
    bool awaited = s->listing->awaited; // after a restart its dependents need not wait for its next poll
    if (validators || memory || continuity || first || awaited) broker_store_source(b, s);
}

// Dues that are not on the grid are of an earlier version of the template.
static bool is_open(const source_t *s, int64_t due)
{
    if (s->extra && due == s->extra) return true;
    return due > s->done && due <= s->held && grid_last(source_grid(s), due) == due;
}

// What a due that is not open may be: one that an earlier broker opened, and of which nobody has heard since.
// Before the source is scheduled again that is any of its grid; and one outside of it (just added, triggered,
// a retry), as there was no more than one. It is open from now on.
static bool take_over(broker_t *b, source_t *s, const wire_outcome_t *o)
{
    bool grid = grid_last(source_grid(s), o->due) == o->due;
    if (!o->due || o->due > b->started_at || !s->listing->enabled) return false;
    if (grid ? s->entered || o->due <= s->done : !s->earlier) return false;
    if (!(o->kind & OUTCOME_STORED)) return false; // it goes on where it runs
    if (!grid) s->earlier = false;
    skip_extra(b, s, ERR_still_running);
    s->extra = o->due;
    s->extra_cause = (uint8_t)(o->cause && o->cause < CAUSE_COUNT ? o->cause : CAUSE_catch_up);
    s->attempt = (uint8_t)(o->attempt < UINT8_MAX ? o->attempt : UINT8_MAX);
    slots_book(&b->slots, o->due, SLOT_DUE);
    if (!s->entered) s->done = s->held = o->due;
    return true;
}

// The due at hand is settled because the poll of one before it still runs: that is the latest open one, and
// it stays open while the range moves on.
static void set_aside(broker_t *b, source_t *s, int64_t due)
{
    int64_t before = grid_last(source_grid(s), due - 1);
    if (before <= s->done || before < s->extra) return;
    skip_until(b, s, before - 1, ERR_missed_while_down);
    skip_extra(b, s, ERR_missed_while_down);
    s->done = s->extra = before;
    s->extra_cause = CAUSE_scheduled;
    s->attempt = 0;
}

// Closes an open due, and those before it that nobody reported.
static void settle(broker_t *b, source_t *s, const wire_outcome_t *o)
{
    if (o->due == s->extra) {
        s->extra = 0;
        return;
    }
    if (o->result == RESULT_skipped && o->error == ERR_still_running)
        set_aside(b, s, o->due);
    else if (s->extra < o->due)
        skip_extra(b, s, ERR_missed_while_down);
    skip_until(b, s, o->due - 1, ERR_missed_while_down);
    s->done = o->due;
}

static void note_stored(broker_t *b, source_t *s, const wire_outcome_t *o)
{
    listing_t *l = s->listing;
    s->ok_due = later(s->ok_due, o->due);
    s->put_off = 0;
    listing_note_took(l, (int64_t)o->took_ms);
    if (b->jobs.parked) b->jobs.changed = true;
    if (!l->template->deadline_ms || b->now <= o->due + l->template->deadline_ms) return;
    l->deadlines_missed++;
    log_warn("deadline_missed", "source=%016llx template=%s late_ms=%lld", (unsigned long long)s->id,
             l->template->name, (long long)(b->now - o->due - l->template->deadline_ms));
}

// Its miner put off what had been handed out before: that counts as what is put off here, once a slot.
static void note_put_off(const broker_t *b, source_t *s, int64_t due)
{
    if (due % b->config.slot_ms < s->listing->template->every_ms) s->put_off += s->put_off < UINT8_MAX;
}

static void book_settled(broker_t *b, const miner_t *m, source_t *s, const wire_outcome_t *o,
                         unsigned attempt)
{
    if (o->result == RESULT_skipped) {
        error_class_t reason = o->error ? (error_class_t)o->error : ERR_internal;
        slots_book_skip(&b->slots, o->due, reason, 1);
        s->listing->skipped[reason]++;
        history_skipped(b, s, o->due, o->due, 1, reason);
        if (reason == ERR_overloaded) note_put_off(b, s, o->due);
        return;
    }
    history_outcome(b, m, s, o, attempt, tasks_of(b, s, o->due));
    if (o->result == RESULT_changed || o->result == RESULT_unchanged || o->result == RESULT_not_modified) {
        slots_book(&b->slots, o->due, SLOT_STORED);
        s->listing->stored++;
        note_stored(b, s, o);
    } else {
        slots_book(&b->slots, o->due, SLOT_FAILED);
    }
}

// m's poll is over. Where the lease had been over before, another miner may have been given that due.
static void end_job(broker_t *b, const miner_t *m, source_t *s, const wire_outcome_t *o)
{
    uint64_t miner;
    int64_t until;
    if (o->result == RESULT_skipped && s->job && s->job->since) return; // another poll of it may run
    if (!jobs_running(s, &miner, &until) || miner == jobs_miner(m)) jobs_ended(b, s, o->due);
}

// A due is settled; what that means for its source, its host, and who waits for it.
static void close_due(broker_t *b, miner_t *m, source_t *s, const wire_outcome_t *o)
{
    bool extra = o->due == s->extra;
    settled_t settled = {CAUSE_scheduled, 0};
    if (extra)
        settled = (settled_t){s->extra_cause, s->attempt};
    else if (s->listing->template->mode == MODE_CONTINUOUS)
        settled = (settled_t){s->turn_cause, s->turn_attempt};
    settle(b, s, o);
    if (o->due >= s->polled) s->polled = 0;
    end_job(b, m, s, o); // before another attempt is scheduled
    book_settled(b, m, s, o, settled.attempt);
    bool hosts = outage_outcome(b, m, s, o);
    bool again = trouble_outcome(b, s, o, &settled, hosts);
    tasks_outcome(b, s, o, again);
    bool in_the_way = o->result == RESULT_skipped && o->error == ERR_still_running;
    if (settled.cause == CAUSE_replay && in_the_way)
        jobs_schedule(b, s, CAUSE_replay, 0, b->now + REPLAY_AGAIN_MS); // that poll did not read anew
}

void dues_outcome(broker_t *b, miner_t *m, source_t *s, const wire_outcome_t *o)
{
    bool open = is_open(s, o->due) || take_over(b, s, o);
    bool repeated = s->polled == o->due; // after a death the same due may be polled twice
    if ((o->kind & OUTCOME_POLLED) && open && !repeated) note_result(b, s, o);
    if ((o->kind & OUTCOME_STORED) && open && repeated && o->result == RESULT_failed) note_failed_end(s, o);
    if (o->kind == OUTCOME_POLLED) {
        if (open) s->polled = o->due;
        return;
    }
    bool outdated = o->has_state && o->generation != s->generation; // it missed what made it so
    if (outdated && s->known_to_owner && s->lane->owner == m && !s->lane->moving) outbox_define(b, m, s);
    take_state(b, s, o);
    if (open) {
        close_due(b, m, s, o);
    } else {
        outage_outcome(b, m, s, o);
        end_job(b, m, s, o);
        trouble_late_outcome(b, s, o);
    }
    run_t *run = runs_of(&b->runs, s);
    if (run && run->miner == m && o->result != RESULT_skipped) dues_run_over(b, run);
    if (open) go_on(b, s);
}

// -- runs ---------------------------------------------------------------------------------------------

void dues_runs_at(broker_t *b, source_t *s, miner_t *m)
{
    const lane_t *l = s->lane;
    if (lane_owner(l) && l->owner != m && !l->moving && !s->away) return; // its owner has its dues already
    if (!lane_owner(l)) s->known_to_owner = false;                        // who leaves is sent no more
    runs_add(&b->runs, s, m, b->instant.mono + RUN_LEASE_MS);
}

void dues_run_over(broker_t *b, run_t *run)
{
    source_t *s = run->source;
    runs_remove(&b->runs, run);
    dues_send(b, s, INT64_MIN, CAUSE_reassigned);
}
