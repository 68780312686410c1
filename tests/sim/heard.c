// Heard: see the header.
#include "tests/sim/heard.h"

#include <stdio.h>
#include <string.h>

#include "proto/template.h"
#include "tests/sim/policy.h"
#include "tests/sim/user_next.h"
#include "tests/sim/user_tasks.h"

enum {
    SLACK_MS = 100,      // the broker's time is known to a heartbeat's slew
    LEAST_PAUSE_MS = 50, // before another attempt
    TURN_MS = 300,       // and until its turn comes, where nothing is in the way
    SAVED_RETRIES = 10,  // that a broker may spend at its start; then one in so many polls
    POLLS_A_RETRY = 10,
    CHANGES_MS = 10000,  // after which nobody remembers of a host that it had been removed
    MOVE_MS = 60000,     // that a host which fails may be on its way to another miner
    MORE_STRIKES = 3,    // outcomes that may not have counted
    PAUSE_SLOTS = 10,    // before the first probe, then twice as long each time
    ENOUGH_RETRIES = 10, // to say something of their spread
};

int64_t heard_now(const world_t *w)
{
    return w->now + w->broker_offset;
}

// -- outcomes -------------------------------------------------------------------------------------------

static void note_failure(world_t *w, page_t *p, const event_t *e, const wire_outcome_t *o)
{
    heard_t *h = &p->heard;
    if (o->error != ERR_parse && o->error != ERR_rotted) w->host_failed_at[p->host] = heard_now(w);
    bool again = h->attempt_due == o->due && h->attempts;
    bool probe = h->probe_due == o->due;
    if (!again) {
        // else it may be of a due that is settled, or a success of such a one was heard meanwhile, and the
        // attempts go on
        h->sure = !h->failed && h->attempt_due != o->due;
        h->attempts = 0;
    }
    h->failures[h->failed++ % HEARD_FAILURES] =
        (failure_t){.at = heard_now(w),
                    .due = o->due,
                    .error = o->error,
                    .retry_after_ms = (int64_t)o->retry_after_s * 1000,
                    .peer = e->peer};
    bool owner = !strcmp(broker_owner(w->broker, p->id), w->miners[e->miner].name); // else it may not count
    if (o->error == ERR_parse && !again && owner && o->due > w->broker_began && o->due <= heard_now(w) &&
        o->due > p->done_due && o->due > w->changed_due[p->template])
        h->strikes++;
    bool told = heard_now(w) > w->broker_began + GRACE_MS; // before that it may know nothing of the probe
    if (probe && told) h->probes++, h->probe_failed_at = heard_now(w);
    if (probe && !told) h->probes = 0, h->probe_due = 0;
    h->after = w->n_ops;
}

static void note_outcome(world_t *w, const event_t *e, const wire_outcome_t *o)
{
    page_t *p = sim_page(w, o->source);
    if (!(o->kind & OUTCOME_STORED) || o->result == RESULT_skipped) return;
    w->heard_polls++;
    if (o->due > p->heard.settled_due) p->heard.settled_due = o->due;
    if (o->result == RESULT_failed)
        note_failure(w, p, e, o);
    else
        p->heard = (heard_t){.settled_due = p->heard.settled_due,
                             .attempt_due = p->heard.attempt_due,
                             .asked_due = p->heard.asked_due, // it may be on its way
                             .listed = p->heard.listed};
    bool lost = w->changed_at[p->template] + CHANGES_MS > w->broker_started; // perhaps: it may not know p
    if (!o->retry_after_s || w->off[p->template] || lost) return;
    int64_t until = heard_now(w) + (int64_t)o->retry_after_s * 1000;
    if (w->trace)
        printf("%lld h%d is to be left alone until %lld\n", (long long)w->now, p->host, (long long)until);
    if (until > w->limits[p->host].until)
        w->limits[p->host] = (limit_t){until, w->now + (int64_t)o->retry_after_s * 1000, w->n_ops};
}

void heard_outcomes(world_t *w, const event_t *e, const wire_outcomes_t *msg)
{
    uint64_t heard = (uintptr_t)map_get(&w->heard, e->incarnation);
    for (size_t i = 0; i < msg->outcomes.n; i++) {
        if (msg->outcomes.v[i].seq <= heard) continue; // sent again
        heard = msg->outcomes.v[i].seq;
        note_outcome(w, e, &msg->outcomes.v[i]);
    }
    map_put(&w->heard, e->incarnation, (void *)(uintptr_t)heard);
}

void heard_inventory(world_t *w, const wire_inventory_t *msg)
{
    for (size_t i = 0; i < msg->holdings.n; i++) {
        page_t *p = sim_page(w, msg->holdings.v[i].source);
        if (!p) continue;
        p->heard.listed = w->broker_runs;
        if (msg->holdings.v[i].done > p->done_due) p->done_due = msg->holdings.v[i].done;
    }
}

void heard_goodbye(world_t *w, const event_t *e)
{
    sim_miner_t *m = &w->miners[e->miner];
    if (m->incarnation == e->incarnation) m->left_run = w->broker_runs;
}

void heard_restart(world_t *w, size_t n_ops)
{
    w->heard_polls = w->heard_retries = 0;
    map_free(&w->heard);
    for (int i = 0; i < w->n_hosts; i++)
        if (w->limits[i].after > n_ops) w->limits[i].until = 0;
    for (int i = 0; i < w->n_pages; i++) {
        heard_t *h = &w->pages[i].heard;
        bool kept = h->after <= n_ops; // strikes and attempts are not
        *h = (heard_t){.settled_due = h->settled_due,
                       .probe_due = kept ? h->probe_due : 0,
                       .probes = kept ? h->probes : 0,
                       .probe_failed_at = kept ? h->probe_failed_at : 0};
    }
}

void heard_release(page_t *p)
{
    p->heard.strikes = p->heard.probes = 0;
    p->heard.probe_due = 0;
}

// -- another attempt --------------------------------------------------------------------------------------

// The longest pause before an attempt; n: of those before it.
static int64_t longest_pause(const policy_t *policy, int n)
{
    double most = policy->initial_ms;
    for (int i = 0; i < n && most < policy->max_ms; i++) most *= policy->coefficient;
    return most < policy->max_ms ? (int64_t)most : policy->max_ms;
}

// A failure that may have led to an attempt at due, NULL: none.
static const failure_t *failure_before(const heard_t *h, const policy_t *policy, int64_t due)
{
    for (int i = 1; i <= HEARD_FAILURES && i <= h->failed; i++) {
        const failure_t *f = &h->failures[(h->failed - i) % HEARD_FAILURES];
        int64_t pause = f->retry_after_ms > LEAST_PAUSE_MS ? f->retry_after_ms : LEAST_PAUSE_MS;
        if (due >= f->at + pause - SLACK_MS / 2 && !(policy->final_errors >> f->error & 1)) return f;
    }
    return NULL;
}

// How it was put off, where nothing but its pause can have done so.
static void check_pause(world_t *w, const page_t *p, const failure_t *f, uint64_t peer, int64_t due)
{
    int64_t most = longest_pause(&w->policies[p->template], p->heard.attempts), pause = due - f->at;
    bool alone = !policy_waits(w, p->template) && !w->budget && w->broker_away_until + most < w->now &&
                 f->at > w->broker_began + GRACE_MS && f->peer == peer && p->heard.sure &&
                 p->heard.failed <= HEARD_FAILURES;
    bool moves = w->host_moved_at[p->host] > f->at - MOVE_MS || w->host_failed_at[p->host] > f->at - MOVE_MS;
    if (!alone || f->retry_after_ms || w->limits[p->host].until > f->at) return;
    if (pause > most + LEAST_PAUSE_MS + TURN_MS && !moves)
        sim_fail(w, "%s is tried again (%d) %lld ms after it failed, of %lld at most", p->url,
                 p->heard.attempts, (long long)pause, (long long)most);
    if (pause > most + LEAST_PAUSE_MS) return; // it was put off
    w->spread[0]++;
    w->spread[1] += pause - LEAST_PAUSE_MS < most / 4;
    w->spread[2] += pause - LEAST_PAUSE_MS > most - most / 4;
}

static void check_attempt(world_t *w, page_t *p, uint64_t peer, int64_t due)
{
    heard_t *h = &p->heard;
    const policy_t *policy = &w->policies[p->template];
    if (due == h->attempt_due) return; // said again
    const failure_t *f = failure_before(h, policy, due);
    if (!f && (h->failed || !policy_waits(w, p->template))) // it may have waited for its turn for long
        sim_fail(
            w, "%s is tried again at %lld, though it has not failed (%d), too early or for good (%s at %lld)",
            p->url, (long long)due, h->failed, error_class_name(h->failures[0].error),
            (long long)h->failures[0].at);
    else if (f)
        check_pause(w, p, f, peer, due);
    h->attempt_due = due;
    h->attempts++;
    if (h->attempts >= policy->max_attempts)
        sim_fail(w, "%s is tried for the %d. time, of %d", p->url, h->attempts + 1, policy->max_attempts);
    w->heard_retries++;
    if (w->heard_retries > SAVED_RETRIES + w->heard_polls / POLLS_A_RETRY)
        sim_fail(w, "%llu polls were tried again, of %llu", (unsigned long long)w->heard_retries,
                 (unsigned long long)w->heard_polls);
}

void heard_check(world_t *w)
{
    const int *n = w->spread;
    if (n[0] >= ENOUGH_RETRIES && (n[1] == n[0] || n[2] == n[0]))
        sim_fail(w, "of %d other attempts %d came in the first quarter of their pauses, %d in the last", n[0],
                 n[1], n[2]);
}

// -- what is left alone -----------------------------------------------------------------------------------

static bool by_schedule(uint64_t cause)
{
    return cause != CAUSE_probe && cause != CAUSE_triggered && cause != CAUSE_replay;
}

static void check_limit(world_t *w, const page_t *p, const wire_due_t *d, int64_t due, int64_t now)
{
    int64_t until = w->limits[p->host].until;
    bool over = w->changed_at[p->template] + CHANGES_MS > w->now || due == p->heard.asked_due ||
                d->cause == CAUSE_reassigned || w->now >= w->limits[p->host].over - SLACK_MS ||
                now >= until - SLACK_MS;
    if (by_schedule(d->cause) && due < until - SLACK_MS && !over)
        sim_fail(w, "%s is to be polled at %lld, cause %s; at %lld its host is to be left alone until %lld",
                 p->url, (long long)due, wire_cause_name(d->cause), (long long)now, (long long)until);
}

static void check_quarantine(world_t *w, page_t *p, const wire_due_t *d, int64_t due, int64_t now)
{
    heard_t *h = &p->heard;
    int most = w->policies[p->template].max_failures + MORE_STRIKES;
    if (by_schedule(d->cause) && d->cause != CAUSE_reassigned && h->strikes >= most)
        sim_fail(w, "%s failed %d times in a row and is to be polled, cause %s", p->url, h->strikes,
                 wire_cause_name(d->cause));
    if (by_schedule(d->cause) || d->cause == CAUSE_replay) h->probes = 0, h->probe_due = 0; // it is in none
    if (d->cause != CAUSE_probe || due == h->probe_due) return;
    int64_t least = PAUSE_SLOTS * w->slot_ms << (h->probes < 20 ? h->probes : 20);
    bool hosts =
        w->host_failed_at[p->host] > h->probe_failed_at - MOVE_MS; // it may be the host that is probed
    if (h->probes && policy_is_lost(w, p) && !hosts && now < h->probe_failed_at + least - SLACK_MS)
        sim_fail(w, "%s is probed for the %d. time in a row, %lld ms after the last", p->url, h->probes + 1,
                 (long long)(now - h->probe_failed_at));
    h->probe_due = due;
}

// -- dues -------------------------------------------------------------------------------------------------

static void check_deadline(world_t *w, const page_t *p, const wire_due_t *d, int64_t due, int64_t now)
{
    int64_t within = w->policies[p->template].deadline_ms;
    bool scheduled = d->cause == CAUSE_scheduled || d->cause == CAUSE_waited;
    if (d->until && within && scheduled && now > due + within && d->priority < PRIORITY_HIGH)
        sim_fail(w, "%s was to be stored by %lld, and is polled %lld ms later with priority %llu", p->url,
                 (long long)(due + within), (long long)(now - due - within), (unsigned long long)d->priority);
    if (d->cause == CAUSE_triggered && d->priority < PRIORITY_HIGH) user_tasks_check_urgency(w, p, now);
}

// What was missed is caught up once, or not at all.
static void check_catch_up(world_t *w, const page_t *p, const wire_due_t *d, int64_t due)
{
    int missed = 0, most = w->policies[p->template].skips ? 0 : 1;
    if (p->heard.listed == w->broker_runs) return; // what its miner had may be handed to another
    if (d->cause != CAUSE_catch_up || w->when[p->template].kind != WHEN_PERIOD || d->until) return;
    for (uint64_t k = 0; k < d->count; k++) missed += due + (int64_t)(k * d->step) < w->broker_began;
    if (missed > most)
        sim_fail(w, "%s has %d dues from %lld on to catch up with, of %d at most", p->url, missed,
                 (long long)due, most);
}

static void check_due(world_t *w, uint64_t peer, const wire_due_t *d, int64_t due, int64_t now)
{
    page_t *p = sim_page(w, d->source);
    if (!by_schedule(d->cause)) p->heard.asked_due = due;
    if (d->until) user_next_started(w, p->id);
    if (d->cause == CAUSE_retry) check_attempt(w, p, peer, due);
    check_limit(w, p, d, due, now);
    check_quarantine(w, p, d, due, now);
    check_deadline(w, p, d, due, now);
    check_catch_up(w, p, d, due);
}

void heard_assign(world_t *w, uint64_t peer, const wire_assign_t *a)
{
    int64_t now = a->slot_start - a->starts_in;
    for (int i = 0; a->dues.n && i < MAX_MINERS; i++)
        if (w->miners[i].alive && w->miners[i].peer == peer && w->miners[i].left_run == w->broker_runs)
            sim_fail(w, "%s is given work though it drains", w->miners[i].name);
    for (size_t i = 0; i < a->dues.n; i++) {
        for (int m = 0; m < MAX_MINERS; m++)
            if (w->miners[m].peer == peer) sim_page(w, a->dues.v[i].source)->sent_to = m + 1;
        check_due(w, peer, &a->dues.v[i], a->slot_start + a->dues.v[i].offset, now);
    }
}
