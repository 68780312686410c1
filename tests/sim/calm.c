// Calm: see the header.
#include "tests/sim/calm.h"

#include <stdio.h>

#include <yyjson.h>

#include "tests/sim/control.h"
#include "tests/sim/edge.h"
#include "tests/sim/host.h"
#include "tests/sim/policy.h"
#include "tests/sim/pressure.h"

enum {
    CLOSING_MS = 16000, // after a slot's end
    POISON_KILLS = 30,
    LATE_MS = 2000, // in the calm, after a due
    SETTLING_MS = 3000,
    DRAIN_MS = 10000,
    REPORTED_MS = LIVENESS_MS + 4000, // until all miners have told what they did
    LONGEST_EVERY_MS = 2000 + SIM_EVERY_STEPS * 1000,
};

#define WEEK_MS (8 * 86400000LL)

// When nobody is frozen any more.
static int64_t last_sleeper(const world_t *w)
{
    int64_t at = w->broker_away_until > w->now ? w->broker_away_until : w->now;
    for (int i = 0; i < MAX_MINERS; i++)
        if (w->miners[i].alive && w->miners[i].frozen_until > at) at = w->miners[i].frozen_until;
    return at;
}

// All faults end: everybody is up.
static void end_faults(world_t *w)
{
    w->extra_delay_until = w->sink_away_until = w->slow_disk_until = w->now;
    for (int i = 0; i < MAX_MINERS; i++) w->miners[i].sick_until = w->miners[i].overloaded_until = 0;
    if (!w->broker) sim_start_broker(w);
    for (int i = 0; i < MAX_HOSTS; i++)
        w->host_fails_until[i] = w->host_slow_until[i] = w->host_limits_until[i] = w->now;
    for (int i = 0; i < w->n_pages; i++) w->pages[i].broken_until = 0;
    w->poison = -1;
    for (int i = 0; i < 3; i++)
        if (!w->miners[i].alive) miner_start(w, &w->miners[i]);
}

// Every template is there; what failed until now is past.
static void begin_anew(world_t *w)
{
    for (int t = 0; t < w->n_templates; t++) w->off[t] = false;
    for (int t = 0; t < w->n_templates; t++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", t);
        wire_arg_t args[] = {{"name", name}};
        control_add(w, t, true);
        control_ask(w, "enable", args, 1);
    }
}

// In the calm each source is polled once per period, by one owner, and nothing stays open.
static void check_calm(world_t *w, int64_t span)
{
    for (int i = 0; i < w->n_pages; i++) {
        page_t *p = &w->pages[i];
        if (policy_is_lost(w, p)) continue; // it is in quarantine
        int64_t every = w->every[p->template];
        // broker time may run 2 % fast or slow after a jump of the wall clock
        int64_t least = span * 97 / 100 / every - 1, most = span * 103 / 100 / every + 2;
        const when_t *when = &w->when[p->template];
        if (policy_waits(w, p->template)) { // it may wait for its turn, but not for ever
            int64_t longest = span / 2 > 3 * every ? span / 2 : 3 * every;
            bool late = when->kind == WHEN_PERIOD && !w->crowded &&
                        (!p->polled_at || w->now - p->polled_at > longest);
            if (late) control_explain(w, p);
            if (late)
                sim_fail(w, "%s (every %lld ms) was not polled for %lld ms", p->url, (long long)every,
                         (long long)(w->now - p->polled_at));
            continue;
        }
        if (when->kind == WHEN_PERIOD && (p->polls < least || p->polls > most))
            sim_fail(w, "%s (every %lld ms) was polled %d times in %lld ms of calm", p->url, (long long)every,
                     p->polls, (long long)span);
        int64_t since = p->polled_due ? p->polled_due : w->settled_at + SETTLING_MS;
        bool overdue = schedule_overdue(when, every, since, sim_broker_time(w) - LATE_MS - host_slack(w));
        if (overdue) control_explain(w, p);
        if (overdue) sim_fail(w, "%s was not polled after its due at %lld", p->url, (long long)since);
        if (!broker_owner(w->broker, p->id)[0]) sim_fail(w, "%s has no owner", p->url);
    }
}

// Loads are levelled when a slot is closed; what they are may have changed since.
static void check_balance(world_t *w)
{
    if (!broker_balanced(w->broker)) sim_run_until(w, w->now + w->slot_ms + CLOSING_MS);
    if (!w->failure[0] && !broker_balanced(w->broker)) sim_fail(w, "one miner has more than its share");
}

// Others may not be due for an hour.
static bool is_polled_often(const when_t *when)
{
    return when->kind == WHEN_PERIOD || when->kind == WHEN_CONTINUOUS ||
           (when->kind == WHEN_CRON && when->all_hours);
}

// Once nothing changes any more, everything that there was is stored: no validator ever hid a change.
static void check_stored(world_t *w)
{
    for (int i = 0; i < w->n_pages; i++)
        if (!policy_is_lost(w, &w->pages[i]) && is_polled_often(&w->when[w->pages[i].template]) &&
            !policy_waits(w, w->pages[i].template) && w->pages[i].stored_version != w->pages[i].version)
            sim_fail(w, "%s is at version %llu, the sink has %llu", w->pages[i].url,
                     (unsigned long long)w->pages[i].version, (unsigned long long)w->pages[i].stored_version);
}

// What was asked for has been done, or given up.
static void check_tasks(world_t *w)
{
    size_t open = broker_counts(w->broker).tasks;
    if (open) control_ask(w, "tasks", NULL, 0);
    for (int i = 0; open && i < w->n_pages; i++) control_explain(w, &w->pages[i]);
    if (open) sim_fail(w, "%zu tasks have not ended", open);
    if (w->poisoned > POISON_KILLS) sim_fail(w, "one page killed %d miners", w->poisoned);
}

// A miner that joins disturbs nobody: what moves to it is polled on time and by one at once.
static void join_another(world_t *w)
{
    for (int i = 0; i < MAX_MINERS; i++) {
        if (w->miners[i].alive) continue;
        miner_start(w, &w->miners[i]);
        return;
    }
}

// A miner that is told to drain disturbs nobody, and ends soon.
static void drain_one(world_t *w)
{
    sim_miner_t *m = &w->miners[0];
    uint64_t incarnation = m->incarnation;
    wire_arg_t args[] = {{"name", m->name}};
    if (!m->alive || !m->welcomed) return;
    control_ask(w, "drain", args, 1);
    if (sim_run_until(w, w->now + DRAIN_MS) && m->alive && m->incarnation == incarnation)
        sim_fail(w, "%s has not drained in %d ms", m->name, DRAIN_MS);
}

// One source is polled once more, now.
static void replay_one(world_t *w)
{
    page_t *p = &w->pages[sim_random(w, (uint64_t)w->n_pages)];
    char id[24];
    wire_arg_t args[] = {{"source", id}};
    snprintf(id, sizeof id, "%016llx", (unsigned long long)p->id);
    int64_t due = yyjson_get_sint(yyjson_obj_get(control_ask(w, "replay", args, 1), "due_ms"));
    if (!due || policy_waits(w, p->template)) return; // there is a reason why not, or why later
    p->polled_at = p->polled_due = 0;                 // a due of its schedule may be skipped for it
    if (sim_run_until(w, w->now + LATE_MS + host_slack(w)) && p->heard.settled_due < due)
        sim_fail(w, "%s was to be polled again at %lld", p->url, (long long)due);
    p->polled_at = p->polled_due = 0;
}

// Everything stops for eight days: what is too old by then leaves, and the rest goes on.
static void sleep_a_week(world_t *w)
{
    sim_stop_broker(w, 1000);
    w->wall_error += WEEK_MS;
    w->settled = false;
    for (int i = 0; i < w->n_pages; i++) w->pages[i].polls = 0;
    if (!sim_run_until(w, w->now + 3 * w->slot_ms + 15000)) return;
    if (w->curious) control_look(w);
    for (int i = 0; i < w->n_pages && !w->failure[0]; i++) {
        const page_t *p = &w->pages[i];
        bool often = !w->off[p->template] && w->when[p->template].kind == WHEN_PERIOD &&
                     !policy_waits(w, p->template) && w->every[p->template] < 2 * w->slot_ms;
        if (often && !policy_is_lost(w, p) && p->heard.settled_due < w->broker_began)
            sim_fail(w, "%s was not polled since the broker slept", p->url);
    }
}

// What is disabled is polled no more.
static void disable_one(world_t *w)
{
    wire_arg_t args[] = {{"name", "t0"}};
    control_ask(w, "disable", args, 1);
    w->off[0] = true;
    sim_run_until(w, w->now + 500);
    w->removed[0] = true;
    sim_run_until(w, w->now + w->slot_ms);
}

void calm_run(world_t *w)
{
    w->calm = true;
    if (!sim_run_until(w, last_sleeper(w))) return;
    end_faults(w);
    if (!sim_run_until(w, w->now + REPORTED_MS)) return;
    begin_anew(w);
    if (w->failure[0] || !sim_run_until(w, w->now + 3 * w->slot_ms + 15000)) return;
    int64_t span = 3 * w->slot_ms + 65000;
    int64_t begin = w->now;
    w->settled = true;
    w->settled_at = sim_broker_time(w);
    if (sim_run_until(w, w->now + span / 2)) join_another(w);
    if (!w->failure[0] && sim_run_until(w, w->now + span / 4)) drain_one(w);
    int64_t end = begin + span;
    if (!w->failure[0] && sim_run_until(w, end)) check_calm(w, span);
    if (!w->failure[0]) check_balance(w);
    w->quiet = true;
    if (!w->failure[0] && sim_run_until(w, w->now + LONGEST_EVERY_MS + 5000)) check_stored(w);
    if (!w->failure[0]) check_tasks(w);
    if (!w->failure[0]) replay_one(w);
    if (!w->failure[0]) control_look(w);
    if (!w->failure[0]) pressure_run(w);
    if (!w->failure[0]) disable_one(w);
    if (!w->failure[0] && w->curious) sleep_a_week(w);
}
