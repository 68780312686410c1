// Jobs: see the header for the states. leave() takes a job out of its state, the functions after it put it
// into one.
#include "broker/jobs.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "broker/lines.h"
#include "broker/outage.h"
#include "broker/relations.h"
#include "broker/state.h"
#include "broker/trouble.h"
#include "common/check.h"
#include "common/log.h"

enum {
    LEASE_TIMEOUTS = 4, // a poll's lease, in timeouts of one request
    LEASE_LEAST_MS = 10000,
    TURNS_A_SLOT = 50,    // of templates that keep each other out,
    TURN_LEAST_MS = 1000, // as each change of turns costs the time of a poll
    AGAIN_MS = 200,       // a source that cannot be sent just now is looked at again after this
};

void jobs_init(jobs_t *j, int64_t patience_ms)
{
    *j = (jobs_t){0};
    turns_init(&j->queue, patience_ms);
    heap_init(&j->leases);
    heap_init(&j->deadlines);
    lessees_init(&j->lessees);
    strays_init(&j->strays);
}

void jobs_free(jobs_t *j)
{
    lessees_free(&j->lessees);
    strays_free(&j->strays);
    turns_free(&j->queue);
    heap_free(&j->leases);
    heap_free(&j->deadlines);
}

static bool is_limited(const broker_t *b, const listing_t *l)
{
    return l->template->max_concurrent || b->config.max_concurrent || l->excludes;
}

bool jobs_gate(const source_t *s)
{
    return s->listing->gated || source_is_suspect(s);
}

int64_t jobs_lease_ms(const listing_t *l)
{
    int64_t ms = l->template->timeout_ms * LEASE_TIMEOUTS;
    return ms > LEASE_LEAST_MS ? ms : LEASE_LEAST_MS;
}

uint64_t jobs_miner(const miner_t *m)
{
    return XXH3_64bits(m->name, strlen(m->name));
}

// -- states -------------------------------------------------------------------------------------------

// A suspect's run counts for its miner while that is known.
static void set_alone(broker_t *b, job_t *job, bool alone)
{
    miner_t *m = map_get(&b->registry.by_name, job->miner);
    alone = alone && m;
    if (m && alone != job->alone) m->suspects += alone ? 1U : -1U;
    job->alone = alone;
}

static void set_counted(broker_t *b, job_t *job, bool counted)
{
    if (counted == job->counted) return;
    job->source->listing->running += counted ? 1U : -1U;
    b->jobs.running += counted ? (size_t)1 : (size_t)-1;
    job->counted = counted;
}

static void leave(broker_t *b, job_t *job)
{
    switch (job->state) {
    case JOB_QUEUED: turns_remove(&b->jobs.queue, &job->entry); break;
    case JOB_PARKED: lines_unpark(b, job); break;
    case JOB_RUNNING:
        heap_remove(&b->jobs.leases, &job->lease);
        set_counted(b, job, false);
        set_alone(b, job, false);
        job->stale = false;
        b->jobs.changed = true;
        break;
    }
    job->state = JOB_QUEUED;
}

static void discard(broker_t *b, job_t *job)
{
    leave(b, job);
    job->source->job = NULL;
    free(job);
}

// The source's job, or a new one that is in no container yet.
static job_t *job_of(source_t *s)
{
    if (s->job) return s->job;
    job_t *job = xcalloc(1, sizeof *job);
    job->source = s;
    job->cause = CAUSE_scheduled;
    s->job = job;
    return job;
}

static void enqueue(broker_t *b, job_t *job, int64_t at)
{
    const listing_t *l = job->source->listing;
    int64_t deadline = l->template->deadline_ms, promote = INT64_MAX;
    priority_t priority = tasks_urgency(b, job->source, source_urgency(job->source), &promote);
    if (deadline && at + deadline - 2 * listing_p95(l) < promote)
        promote = at + deadline - 2 * listing_p95(l);
    leave(b, job);
    job->why = ERR_none;
    turns_put(&b->jobs.queue, &job->entry, priority, at, promote, false);
}

static void run(broker_t *b, job_t *job, uint64_t miner, int64_t due, int64_t until)
{
    leave(b, job);
    strays_forget(&b->jobs.strays, job->source->id);
    job->state = JOB_RUNNING;
    job->due = due;
    job->recall = 0;
    job->since = 0;
    job->miner = miner;
    set_counted(b, job, job->source->listing->gated);
    set_alone(b, job, source_is_suspect(job->source));
    heap_set(&b->jobs.leases, &job->lease, until + b->config.liveness_ms);
}

// -- what is open ---------------------------------------------------------------------------------------

// The first open due of the source, INT64_MAX: none.
static int64_t first_open(const source_t *s)
{
    int64_t first = s->extra ? s->extra : INT64_MAX;
    if (s->held > s->done) {
        int64_t due = grid_next(source_grid(s), s->done);
        if (due <= s->held && due < first) first = due;
    }
    return first;
}

void jobs_want(broker_t *b, source_t *s)
{
    const job_t *job = s->job;
    int64_t at = first_open(s);
    if (!s->entered || at == INT64_MAX) return;
    bool later = job && job->state == JOB_QUEUED && job->cause == CAUSE_scheduled && !job->why &&
                 job->entry.ready_at > at; // it waits for a due of its schedule, and another came
    if (!job || later) enqueue(b, job_of(s), at);
}

void jobs_schedule(broker_t *b, source_t *s, wire_cause_t cause, uint8_t attempt, int64_t at)
{
    if (!s->entered || (s->job && s->job->state == JOB_RUNNING)) return; // what runs is as good
    job_t *job = job_of(s);
    job->cause = (uint8_t)cause;
    job->attempt = attempt;
    int64_t open = jobs_gate(s) ? first_open(s) : INT64_MAX;
    enqueue(b, job, open < at ? open : at);
}

void jobs_hasten(broker_t *b, source_t *s, priority_t priority, bool ahead, int64_t promote_at)
{
    jobs_want(b, s);
    job_t *job = s->job;
    if (!job || job->state == JOB_RUNNING) return;
    int64_t at = job->entry.ready_at < b->now ? job->entry.ready_at : b->now;
    if (priority < job->entry.priority) priority = job->entry.priority;
    bool better = ahead || priority > job->entry.priority || promote_at != INT64_MAX;
    if (!better && at == job->entry.ready_at) return; // it waits already, and keeps its place
    if (promote_at > job->entry.promote_at) promote_at = job->entry.promote_at;
    leave(b, job);
    turns_put(&b->jobs.queue, &job->entry, priority, at, promote_at, ahead);
}

// It opens no due of its own any more.
static void forgo(broker_t *b, job_t *job)
{
    int64_t at = jobs_gate(job->source) ? first_open(job->source) : INT64_MAX;
    job->cause = CAUSE_scheduled;
    job->attempt = 0;
    if (at == INT64_MAX)
        discard(b, job);
    else
        enqueue(b, job, at);
}

void jobs_forgo(broker_t *b, source_t *s, wire_cause_t cause)
{
    if (s->job && s->job->state != JOB_RUNNING && s->job->cause == cause) forgo(b, s->job);
}

// -- runs -----------------------------------------------------------------------------------------------

void jobs_regate(broker_t *b, source_t *s)
{
    if (!s->job || s->job->state != JOB_RUNNING) return;
    set_counted(b, s->job, s->listing->gated);
    b->jobs.changed = true;
}

void jobs_adopt(broker_t *b, miner_t *m, source_t *s, int64_t since, uint64_t recall)
{
    if (s->job && s->job->state == JOB_RUNNING) return;
    run(b, job_of(s), jobs_miner(m), 0, b->now + jobs_lease_ms(s->listing));
    s->job->since = since;
    s->job->recall = recall;
}

static bool runs_at(const source_t *s, const miner_t *m)
{
    return s->job && s->job->state == JOB_RUNNING && s->job->miner == jobs_miner(m);
}

void jobs_listed(broker_t *b, miner_t *m, source_t *s, const wire_holding_t *h)
{
    bool has = h->running || h->held > h->done;
    if (runs_at(s, m) && (has || (s->job->due && h->done >= s->job->due))) // done: its outcome is on the way
        s->job->stale = false;
    else if (has && jobs_gate(s))
        jobs_adopt(b, m, s, 0, 0);
}

// Of which template it is, nobody knows: it counts for the cluster's limit.
void jobs_listed_stray(broker_t *b, const miner_t *m, const wire_holding_t *h)
{
    strays_t *all = &b->jobs.strays;
    stray_t stray = {.source = h->source, .miner = jobs_miner(m)};
    if (strays_runs(all, h->source))
        strays_listed(all, stray.miner, h->source, b->revokes + 1);
    else if ((h->running || h->held > h->done) && strays_all(all) < b->config.max_concurrent)
        strays_put(all, &stray, lessees_last_end(b));
}

void jobs_recalled(broker_t *b, source_t *s, const miner_t *m)
{
    if (!runs_at(s, m)) return;
    s->job->due = 0;
    s->job->recall = b->revokes + 1;
}

void jobs_ended(broker_t *b, source_t *s, int64_t due)
{
    job_t *job = s->job;
    if (!job || job->state != JOB_RUNNING || (job->due && due && job->due != due)) return;
    if (!job->due && due && due < job->since) return;
    int64_t at = s->entered && jobs_gate(s) ? first_open(s) : INT64_MAX;
    job->cause = CAUSE_scheduled;
    job->attempt = 0;
    if (at != INT64_MAX) {
        enqueue(b, job, at);
    } else {
        discard(b, job);
        dues_send(b, s, INT64_MIN, CAUSE_waited); // if its turns ended meanwhile: nothing of it was sent
    }
}

void jobs_stray_ended(broker_t *b, const miner_t *m, uint64_t source, int64_t due)
{
    b->jobs.changed |= strays_ended(&b->jobs.strays, jobs_miner(m), source, due);
}

void jobs_goes_on(broker_t *b, const miner_t *m, uint64_t source)
{
    source_t *s = map_get(&b->catalog.sources, source);
    if (s && runs_at(s, m)) s->job->since = 0; // what it reports from now on is of that poll
}

void jobs_not_running(broker_t *b, const miner_t *m, uint64_t source, uint64_t number)
{
    source_t *s = map_get(&b->catalog.sources, source);
    b->jobs.changed |= strays_not_running(&b->jobs.strays, jobs_miner(m), source, number);
    if (s && runs_at(s, m) && !s->job->due && number >= s->job->recall) jobs_ended(b, s, 0);
}

// The sources whose polls run at m; the caller frees the array.
static source_t **all_at(const jobs_t *j, const miner_t *m, size_t *n)
{
    uint64_t hash = jobs_miner(m);
    source_t **all = xcalloc(j->leases.count + 1, sizeof(source_t *));
    *n = 0;
    for (size_t i = 0; i < j->leases.count; i++) {
        const job_t *job = HEAP_OWNER(j->leases.nodes[i], job_t, lease);
        if (job->miner == hash) all[(*n)++] = job->source;
    }
    return all;
}

void jobs_doubt(broker_t *b, const miner_t *m)
{
    size_t n;
    source_t **all = all_at(&b->jobs, m, &n);
    for (size_t i = 0; i < n; i++) all[i]->job->stale = true;
    free(all);
    strays_doubt(&b->jobs.strays, jobs_miner(m));
}

void jobs_unlisted(broker_t *b, const miner_t *m)
{
    size_t n;
    source_t **all = all_at(&b->jobs, m, &n);
    for (size_t i = 0; i < n; i++)
        if (all[i]->job && all[i]->job->stale) jobs_ended(b, all[i], 0);
    free(all);
    b->jobs.changed |= strays_unlisted(&b->jobs.strays, jobs_miner(m));
}

void jobs_miner_gone(broker_t *b, const miner_t *m, bool certain)
{
    size_t n;
    source_t **all = all_at(&b->jobs, m, &n);
    for (size_t i = 0; i < n; i++)
        if (certain || !is_limited(b, all[i]->listing))
            jobs_ended(b, all[i], 0);
        else
            set_alone(b, all[i]->job, false);
    free(all);
    if (!certain) {
        lessees_silent(b, m);
        return;
    }
    b->jobs.changed |= strays_miner_gone(&b->jobs.strays, jobs_miner(m));
    lessees_gone(b, m);
}

static void end_leases(broker_t *b)
{
    for (heap_node_t *n; (n = heap_min(&b->jobs.leases)) && n->key <= b->now;) {
        const job_t *job = HEAP_OWNER(n, job_t, lease);
        log_warn("lease_expired", "source=%016llx template=%s", (unsigned long long)job->source->id,
                 job->source->listing->template->name);
        jobs_ended(b, job->source, 0);
    }
}

void jobs_leave(broker_t *b, source_t *s)
{
    if (s->job && s->job->state != JOB_RUNNING) discard(b, s->job);
}

void jobs_drop(broker_t *b, source_t *s)
{
    const job_t *job = s->job;
    if (!job) return;
    stray_t stray = {.source = s->id,
                     .template = s->listing->id,
                     .miner = job->miner,
                     .due = job->due,
                     .recall = job->recall,
                     .stale = job->stale};
    bool runs = job->counted;
    int64_t until = job->lease.key;
    discard(b, s->job);
    if (runs) strays_put(&b->jobs.strays, &stray, until);
}

bool jobs_running(const source_t *s, uint64_t *miner, int64_t *until)
{
    if (!s->job || s->job->state != JOB_RUNNING) return false;
    *miner = s->job->miner;
    *until = s->job->lease.key;
    return true;
}

void jobs_resume(broker_t *b, source_t *s, uint64_t miner, int64_t until, uint64_t recall)
{
    if (!jobs_gate(s) || (s->job && s->job->state == JOB_RUNNING)) return;
    run(b, job_of(s), miner, 0, until - b->config.liveness_ms);
    s->job->recall = recall;
}

// -- starting -------------------------------------------------------------------------------------------

// Of two templates that keep each other out, one that runs lets the other in once that has waited for a
// while; of two that wait, the one that has done so longer goes first.
static bool yields(const broker_t *b, const listing_t *l)
{
    size_t pos = 0;
    int64_t turn = b->config.slot_ms / TURNS_A_SLOT;
    if (turn < TURN_LEAST_MS) turn = TURN_LEAST_MS;
    int64_t mine = l->blocked_since ? l->blocked_since : b->now - turn;
    for (const listing_t *o; b->jobs.parked && (o = map_next(&b->catalog.listings, &pos));)
        if (o != l && o->parked_first && o->blocked_since && relations_exclude(o, l) &&
            (o->blocked_since < mine || (o->blocked_since == mine && o->id < l->id)))
            return true;
    return false;
}

size_t jobs_of(const broker_t *b, const listing_t *l)
{
    return l->running + strays_of(&b->jobs.strays, l->id);
}

size_t jobs_all(const broker_t *b)
{
    return b->jobs.running + strays_all(&b->jobs.strays);
}

// What keeps the template from starting a poll for due; ERR_none: nothing.
static error_class_t obstacle(broker_t *b, const listing_t *l, const job_t *job, int64_t due)
{
    const char *waits_for;
    bool probe = job && job->source->extra &&
                 job->source->extra_cause == CAUSE_probe; // what it waits for may be as ill
    if (!l->gated) return ERR_none;
    if (!probe && !relations_ready(b, l, due, &waits_for)) return ERR_dependency;
    if (b->jobs.lessees.doubtful.count && is_limited(b, l)) return ERR_limited;
    if (job && strays_runs(&b->jobs.strays, job->source->id)) return ERR_limited;
    if (l->template->max_concurrent && jobs_of(b, l) >= l->template->max_concurrent) return ERR_limited;
    if (b->config.max_concurrent && jobs_all(b) >= b->config.max_concurrent) return ERR_limited;
    if (l->excludes && (relations_blocker(b, l) || yields(b, l))) return ERR_blocked;
    return ERR_none;
}

error_class_t jobs_obstacle(broker_t *b, const source_t *s)
{
    return obstacle(b, s->listing, s->job, s->extra ? s->extra : grid_last(source_grid(s), b->now));
}

// The due that a job's turn is for: the latest that has come; those of the grid before it are skipped.
// INT64_MAX: none has come.
static int64_t due_at_hand(broker_t *b, job_t *job)
{
    source_t *s = job->source;
    int64_t last = grid_last(source_grid(s), b->now < s->held ? b->now : s->held);
    bool grid = s->held > s->done && last > s->done, extra = s->extra && s->extra <= b->now;
    if (!grid && !extra) return INT64_MAX;
    int64_t due = grid && (!extra || last > s->extra) ? last : s->extra;
    if (grid) dues_skip_before(b, s, due, job->why ? (error_class_t)job->why : ERR_missed_while_down);
    return due;
}

// It was popped and must be looked at again at `at`.
static void look_again(broker_t *b, job_t *job, error_class_t why, int64_t at)
{
    job->why = (uint8_t)why;
    turns_return(&b->jobs.queue, &job->entry, at);
}

// A job of a source whose dues go out by themselves, again perhaps: it only opens one more.
static void start_single(broker_t *b, job_t *job)
{
    source_t *s = job->source;
    if (!dues_can_send(s)) {
        look_again(b, job, ERR_no_miner, b->now + AGAIN_MS);
        return;
    }
    wire_cause_t cause = (wire_cause_t)job->cause;
    uint8_t attempt = job->attempt;
    bool one = s->listing->template->mode == MODE_CONTINUOUS, waits = s->extra != 0;
    discard(b, job);
    if (cause != CAUSE_scheduled) dues_extra(b, s, cause, attempt);
    // what was open when its turns ended may not have been sent; a single due may be sent twice
    if (cause == CAUSE_scheduled || one)
        dues_send(b, s, INT64_MIN, CAUSE_waited);
    else if (waits)
        dues_send_extra(b, s);
}

// Its turn came, but the due has not: later, or not at all. What waits for others' ends meanwhile keeps its
// place.
static void wait_for_due(broker_t *b, job_t *job)
{
    int64_t next = first_open(job->source);
    if (next == INT64_MAX)
        discard(b, job);
    else if (job->why)
        look_again(b, job, (error_class_t)job->why, next > b->now ? next : b->now + 1);
    else
        enqueue(b, job, next > b->now ? next : b->now + 1);
}

static void send_gated(broker_t *b, job_t *job, int64_t due)
{
    source_t *s = job->source;
    wire_cause_t cause = (wire_cause_t)(due == s->extra ? s->extra_cause : s->turn_cause);
    if (cause == CAUSE_scheduled && b->now > due + b->config.slot_ms / 4) cause = CAUSE_waited;
    int64_t until = b->now + jobs_lease_ms(s->listing);
    run(b, job, jobs_miner(s->lane->owner), due, until);
    s->listing->blocked_since = 0;
    dues_send_one(b, s, due, cause, until);
}

// Nobody overtakes those of the same template that wait already, unless they wait for dependencies of their
// own.
static bool behind(const listing_t *l, bool first)
{
    return !first && l->parked_first && l->parked_first->why != ERR_dependency;
}

// first: it was the first of the parked and goes back there. False: it had to park.
static bool start_gated(broker_t *b, job_t *job, bool first)
{
    source_t *s = job->source;
    if (!dues_can_send(s) || (source_is_suspect(s) && s->lane->owner->suspects)) {
        look_again(b, job, ERR_no_miner, b->now + AGAIN_MS);
        return true;
    }
    if (trouble_not_before(s) > b->now) {
        look_again(b, job, ERR_no_miner, trouble_not_before(s));
        return true;
    }
    if (job->cause != CAUSE_scheduled) dues_open_extra(b, s, (wire_cause_t)job->cause, job->attempt);
    job->cause = CAUSE_scheduled;
    int64_t due = due_at_hand(b, job);
    if (due == INT64_MAX) {
        wait_for_due(b, job);
        return true;
    }
    error_class_t why =
        behind(s->listing, first) ? s->listing->parked_first->why : obstacle(b, s->listing, job, due);
    if (why) {
        job->why = (uint8_t)why;
        if (why == ERR_blocked && !s->listing->blocked_since) s->listing->blocked_since = b->now;
        lines_park(b, job, first);
    } else {
        send_gated(b, job, due);
    }
    return !why;
}

// Another attempt or a probe of a host that is to be left alone meanwhile waits for the end of that; another
// attempt is not made if the next due comes before, or if the host is down.
static bool is_put_off(broker_t *b, job_t *job)
{
    source_t *s = job->source;
    bool retry = job->cause == CAUSE_retry;
    int64_t until = outage_until(s), next = retry ? dues_next(b, s) : 0;
    bool waits = until > b->now;
    if (!retry && job->cause != CAUSE_probe) return false;
    if (retry && (outage_reason(s, waits ? until : b->now) || (waits && next && until >= next)))
        forgo(b, job);
    else if (waits)
        look_again(b, job, ERR_host_backoff, until);
    else
        return false;
    return true;
}

// job is in no container.
static bool start(broker_t *b, job_t *job, bool first)
{
    CHECK(job->state == JOB_QUEUED && !turns_has(&job->entry));
    if (!job->source->entered)
        discard(b, job);
    else if (is_put_off(b, job))
        return true;
    else if (jobs_gate(job->source))
        return start_gated(b, job, first);
    else
        start_single(b, job);
    return true;
}

// Who waited for a dependency stands last. Once that is over it goes to the front if it is older than the
// first: else those whose deadlines near, and come in front of it, would keep it there for ever.
static void let_forward(broker_t *b, listing_t *l)
{
    const job_t *first = l->parked_first;
    job_t *job = l->parked_last, *longest = NULL;
    for (int n = 0; n < LOOK_BEHIND && job && job->why == ERR_dependency; n++, job = job->previous)
        if (job->entry.priority >= first->entry.priority && job->entry.ready_at < first->entry.ready_at &&
            jobs_obstacle(b, job->source) != ERR_dependency)
            longest = job;
    if (!longest) return;
    lines_unpark(b, longest);
    longest->why = ERR_limited; // by its turn
    lines_park(b, longest, true);
}

// Those of a template that wait look again, in their order, until one starts (true) or must go on waiting.
// What waits for a dependency waits for a time of its own, so some of those behind it look too.
static bool wake_listing(broker_t *b, listing_t *l)
{
    int patience = LOOK_BEHIND, n = 0;
    if (l->parked_first) let_forward(b, l);
    for (; l->parked_first && n < b->config.budget && patience > 0; n++) {
        job_t *job = l->parked_first;
        // what start() freed is not in the list any more: NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
        bool dependency = job->why == ERR_dependency;
        size_t running = b->jobs.running;
        leave(b, job);
        if (!start(b, job, !dependency))
            patience = dependency || job->why == ERR_dependency ? patience - 1 : 0;
        else if (b->jobs.running == running)
            b->jobs.changed = true; // it left the line without a run: somebody may have let it go first
        else
            return true;
    }
    if (l->parked_first && patience > 0) b->jobs.changed = true; // to be continued
    return false;
}

static void wake(broker_t *b)
{
    bool changed = b->jobs.changed, aged = false;
    lines_t lines;
    line_t *line;
    b->jobs.changed = false;
    if (!changed || !b->jobs.parked) return;
    lines_init(&lines, b);
    for (int starts = 0; (line = lines_next(&lines, b, &aged)) && starts < b->config.budget;) {
        if (!wake_listing(b, line->listing)) {
            lines_leave(&lines, line);
            continue;
        }
        // as in wake_listing: NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
        lines_turn(&lines, line, aged, line->listing->parked_first);
        starts++;
    }
    if (line) b->jobs.changed = true; // to be continued
    b->jobs.shares = lines.shares;
    b->jobs.aged = lines.aged;
    lines_free(&lines);
}

bool jobs_tick(broker_t *b)
{
    if (b->grace_until) return false;
    end_leases(b);
    lessees_tick(b);
    b->jobs.changed |= strays_expire(&b->jobs.strays, b->now);
    lines_promote(b);
    wake(b);
    for (int n = 0; n < b->config.budget; n++) {
        turn_t *e = turns_pop(&b->jobs.queue, b->now);
        if (!e) return b->jobs.changed && b->jobs.parked;
        start(b, HEAP_OWNER(e, job_t, entry), false);
    }
    return true;
}

int64_t jobs_next(const broker_t *b)
{
    const jobs_t *j = &b->jobs;
    if (b->grace_until) return INT64_MAX;
    if (j->changed && j->parked) return b->now;
    int64_t at = turns_next(&j->queue);
    heap_node_t *lease = heap_min(&j->leases);
    if (lease && lease->key < at) at = lease->key;
    const heap_node_t *stray = heap_min(&j->strays.leases);
    if (stray && stray->key < at) at = stray->key;
    const heap_node_t *deadline = heap_min(&j->deadlines);
    if (deadline && deadline->key < at) at = deadline->key;
    int64_t doubt = j->lessees.doubt_until;
    return j->parked && doubt && doubt < at ? doubt : at;
}
