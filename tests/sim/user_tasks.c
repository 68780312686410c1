// Tasks: see the header.
#include "tests/sim/user_tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/template.h"
#include "tests/sim/control.h"
#include "tests/sim/heard.h"

enum {
    LEAST_P95_MS = 50,  // polls take at least so long, as miners report
    MOST_P95_MS = 5000, // the templates' timeout, while nothing is known
    SLACK_MS = 100,
    ALL = -1,         // pages of a template
    UNKNOWN = -2,     // which page it was of: that is gone
    LOOK_MS = 120,    // before a deadline, and after it
    START_MS = 15000, // in the calm
    SOON_MS = 3000,
    POISON_DEATHS = 3,
    CHANGES_MS = 120000, // a command's reply may take so long
};
#define KEPT_MS (7 * 86400000LL)

static bool says(yyjson_val *row, const char *name, const char *value)
{
    return yyjson_equals_str(yyjson_obj_get(row, name), value);
}

static int state_of(yyjson_val *row)
{
    static const char *const names[] = {"waiting", "running", "done", "failed", "cancelled"};
    for (int i = 0; i < 5; i++)
        if (says(row, "state", names[i])) return i;
    return -1;
}

static sim_task_t *task_of(world_t *w, yyjson_val *row)
{
    uint64_t id = (uint64_t)row_number(row, "task");
    sim_task_t *t = map_get(&w->tasks, id);
    if (t) return t;
    const char *name = yyjson_get_str(yyjson_obj_get(row, "template")),
               *url = yyjson_get_str(yyjson_obj_get(row, "url"));
    CHECK(name && url);
    t = xcalloc(1, sizeof *t);
    *t = (sim_task_t){.id = id,
                      .template = atoi(name + 1),
                      .page = w->off[atoi(name + 1)] ? UNKNOWN : ALL,
                      .at = row_number(row, "at_ms"),
                      .deadline = row_number(row, "deadline_ms"),
                      .born = w->now};
    for (int i = 0; i < w->n_pages; i++)
        if (w->pages[i].template == t->template && !strcmp(w->pages[i].url, url)) t->page = i;
    map_put(&w->tasks, id, t);
    return t;
}

void user_tasks_gave(world_t *w, yyjson_val *row, bool ahead)
{
    sim_task_t *t = task_of(w, row);
    t->ahead = ahead;
    t->given = true;
}

void user_tasks_told(world_t *w, yyjson_val *row)
{
    sim_task_t *t = task_of(w, row);
    int state = state_of(row);
    if (!t->acknowledged && t->deadline && w->curious) {
        int64_t left = t->deadline - heard_now(w);
        if (left > LOOK_MS) sim_schedule(w, left - LOOK_MS, EV_LOOK, NULL, 0);
        if (left > 0) sim_schedule(w, left + LOOK_MS, EV_LOOK, NULL, 0);
    }
    t->acknowledged = true;
    if (state <= TASK_SEEN_RUNNING) return;
    t->ended = t->ended_told = state;
    t->ended_at = t->ended_told_at = row_number(row, "finished_ms");
}

// -- what the broker says -----------------------------------------------------------------------------------

static bool covers(const sim_task_t *t, const world_t *w, int page)
{
    return t->page == ALL ? w->pages[page].template == t->template : t->page == page;
}

static void check_done(world_t *w, const sim_task_t *t)
{
    for (int i = 0; i < w->n_pages; i++)
        if (covers(t, w, i) && w->pages[i].stored_due < t->at)
            sim_fail(w, "task %llu (at %lld) is done, %s was last stored for %lld", (unsigned long long)t->id,
                     (long long)t->at, w->pages[i].url, (long long)w->pages[i].stored_due);
}

static void check_given_up(world_t *w, const sim_task_t *t)
{
    if (t->page == UNKNOWN || w->changed_due[t->template] > t->at - CHANGES_MS)
        return; // disabled, removed, replaced
    for (int i = 0; i < w->n_pages; i++)
        if (covers(t, w, i) && (w->pages[i].failed_due >= t->at || w->pages[i].deaths >= POISON_DEATHS))
            return;
    sim_fail(w, "task %llu (at %lld) failed, and no poll of it did", (unsigned long long)t->id,
             (long long)t->at);
}

// A broker that has had its turn lately.
static bool is_awake(const world_t *w)
{
    return w->grace_end < w->now && w->ticked_at + 600 > w->now;
}

static void check_deadline(world_t *w, sim_task_t *t, yyjson_val *row, int64_t now)
{
    bool missed = yyjson_get_bool(yyjson_obj_get(row, "deadline_missed"));
    int64_t end = t->state > TASK_SEEN_RUNNING ? t->ended_at : now;
    bool early = end < t->deadline && t->born > w->broker_started; // time may go back at a start
    if (missed && (!t->deadline || early))
        sim_fail(w, "task %llu is said to have missed its deadline, %lld, at %lld", (unsigned long long)t->id,
                 (long long)t->deadline, (long long)end);
    bool known = t->state > TASK_SEEN_RUNNING || (is_awake(w) && end > t->deadline + SLACK_MS);
    if (t->deadline && end > t->deadline && known && !missed)
        sim_fail(w, "task %llu missed its deadline, %lld, at %lld, and nothing says so",
                 (unsigned long long)t->id, (long long)t->deadline, (long long)end);
    if (t->missed && !missed) sim_fail(w, "task %llu missed its deadline no more", (unsigned long long)t->id);
    t->missed = missed;
}

// While it waits it is as urgent as it was, and urgent when its deadline is near.
static void check_priority(world_t *w, sim_task_t *t, yyjson_val *row, int64_t now)
{
    int priority = 0;
    while (priority < PRIORITY_CRITICAL && !says(row, "priority", priority_name((priority_t)priority)))
        priority++;
    if (t->state != TASK_SEEN_WAITING) return;
    if (!t->ranked) t->priority = priority;
    t->ranked = true;
    bool early = !t->deadline || now < t->deadline - 2 * MOST_P95_MS - SLACK_MS;
    bool late = t->deadline && now > t->deadline - 2 * LEAST_P95_MS && t->at + SLACK_MS < now && is_awake(w);
    if (early && priority != t->priority)
        sim_fail(w, "task %llu was of priority %d and is of %d", (unsigned long long)t->id, t->priority,
                 priority);
    if (late && priority < PRIORITY_HIGH)
        sim_fail(w, "task %llu is due in %lld ms and of priority %d", (unsigned long long)t->id,
                 (long long)(t->deadline - now), priority);
    if (w->calm && is_awake(w) && t->at + START_MS < now &&
        now > w->broker_started + w->broker_offset + 2 * GRACE_MS)
        sim_fail(w, "task %llu was to start at %lld", (unsigned long long)t->id, (long long)t->at);
}

static void check_end(world_t *w, sim_task_t *t, yyjson_val *row)
{
    int64_t at = row_number(row, "finished_ms");
    if (t->ended && (t->state != t->ended || at != t->ended_at))
        sim_fail(w, "task %llu had ended at %lld (%d) and is in state %d", (unsigned long long)t->id,
                 (long long)t->ended_at, t->ended, t->state);
    if (t->state <= TASK_SEEN_RUNNING || t->ended_seen) return;
    t->ended = t->state;
    t->ended_seen = true;
    t->ended_at = at;
    t->unmatched = t->state == TASK_SEEN_FAILED && !t->matched;
    if (t->state == TASK_SEEN_DONE) check_done(w, t);
    if (t->state == TASK_SEEN_FAILED) check_given_up(w, t);
}

static void check_row(world_t *w, yyjson_val *row, int64_t now)
{
    sim_task_t *t = task_of(w, row);
    t->state = state_of(row);
    t->seen = w->looks;
    t->seen_at = w->now;
    t->legs = row_number(row, "sources");
    if (t->at != row_number(row, "at_ms") || t->deadline != row_number(row, "deadline_ms"))
        sim_fail(w, "task %llu was for %lld, by %lld, and is for %lld, by %lld", (unsigned long long)t->id,
                 (long long)t->at, (long long)t->deadline, (long long)row_number(row, "at_ms"),
                 (long long)row_number(row, "deadline_ms"));
    check_end(w, t, row);
    check_deadline(w, t, row, now);
    check_priority(w, t, row, now);
}

// What ended may leave: the oldest first, and only if there are too many, or after a week.
typedef struct {
    size_t ended;
    int64_t oldest;
} ended_t;

static void check_missing(world_t *w, sim_task_t *t, const ended_t *all, int64_t now)
{
    bool old = t->ended && t->ended_at < now - KEPT_MS, surplus = all->ended >= w->tasks_kept;
    if (!t->acknowledged && !old && !surplus)
        sim_fail(w, "task %llu is gone", (unsigned long long)t->id);
    else if (t->acknowledged && !old && !surplus)
        sim_fail(w, "task %llu was acknowledged and is gone (state %d)", (unsigned long long)t->id, t->ended);
    else if (!old && all->oldest + 3 * w->slot_ms < t->ended_at) // time may go back at a start
        sim_fail(w, "task %llu left before those that ended earlier", (unsigned long long)t->id);
    map_del(&w->tasks, t->id);
    free(t);
}

static void check_all(world_t *w, const ended_t *ended, int64_t now)
{
    size_t n = 0, pos = 0;
    sim_task_t **missing = xcalloc(w->tasks.count + 1, sizeof(sim_task_t *));
    for (sim_task_t *t; (t = map_next(&w->tasks, &pos));)
        if (t->seen != w->looks) missing[n++] = t;
    for (size_t i = 0; i < n; i++) check_missing(w, missing[i], ended, now);
    free(missing);
    if (ended->ended > w->tasks_kept) sim_fail(w, "%zu tasks that ended are kept", ended->ended);
    if (ended->ended && ended->oldest < now - KEPT_MS - START_MS && is_awake(w))
        sim_fail(w, "a task that ended at %lld is kept", (long long)ended->oldest);
}

void user_tasks_look(world_t *w)
{
    char cursor[128] = "";
    wire_arg_t args[] = {{"cursor", cursor}};
    ended_t ended = {.oldest = INT64_MAX};
    int64_t now = control_now(w);
    if (!now) return;
    w->looks++;
    do {
        yyjson_val *rows = control_ask(w, "tasks", args, 1), *row;
        size_t i, n;
        yyjson_arr_foreach(rows, i, n, row)
        {
            check_row(w, row, now);
            int64_t at = row_number(row, "finished_ms");
            ended.ended += at != 0;
            if (at && at < ended.oldest) ended.oldest = at;
        }
        snprintf(cursor, sizeof cursor, "%s", w->cursor);
    } while (cursor[0] && !w->failure[0]);
    check_all(w, &ended, now);
}

void user_tasks_failed(world_t *w, void (*check)(world_t *w, const sim_task_t *t, void *context),
                       void *context)
{
    size_t pos = 0;
    for (sim_task_t *t; (t = map_next(&w->tasks, &pos));) {
        if (!t->unmatched) continue;
        check(w, t, context);
        t->unmatched = false;
        t->matched = true;
    }
}

// -- what it does -------------------------------------------------------------------------------------------

void user_tasks_check_urgency(world_t *w, const page_t *p, int64_t now)
{
    size_t pos = 0;
    if (!is_awake(w) || p->deaths >= POISON_DEATHS) return;
    for (const sim_task_t *t; (t = map_next(&w->tasks, &pos));) {
        bool open = t->state <= TASK_SEEN_RUNNING && t->seen_at > w->broker_started + GRACE_MS &&
                    !t->cancelled && w->changed_at[t->template] < t->seen_at && t->at + SOON_MS < now &&
                    p->heard.settled_due < t->at;
        if (open && t->deadline && now > t->deadline - 2 * LEAST_P95_MS && covers(t, w, (int)(p - w->pages)))
            sim_fail(
                w, "%s is polled for task %llu, which was to be done by %lld, %lld ms later without urgency",
                p->url, (unsigned long long)t->id, (long long)t->deadline, (long long)(now - t->deadline));
    }
}

static bool is_missed(const char *json)
{
    return strstr(json, "\"missed\":true") != NULL;
}

static bool is_open(const char *json)
{
    return strstr(json, "\"state\":0") || strstr(json, "\"state\":1");
}

void user_tasks_stored(world_t *w, uint64_t id, const char *json)
{
    if (!is_missed(json)) return;
    if (map_get(&w->missed, id) && is_open(json))
        sim_fail(w, "the deadline of task %llu is missed a second time", (unsigned long long)id);
    map_put(&w->missed, id, w);
}

void user_tasks_found(world_t *w, uint64_t id, const char *json)
{
    if (is_missed(json))
        map_put(&w->missed, id, w);
    else
        map_del(&w->missed, id);
}

void user_tasks_restart(world_t *w)
{
    size_t pos = 0, n = 0;
    sim_task_t **lost = xcalloc(w->tasks.count + 1, sizeof(sim_task_t *));
    for (sim_task_t *t; (t = map_next(&w->tasks, &pos));) {
        t->missed = t->ranked = t->unmatched = false;
        t->ended = t->ended_told;
        t->ended_seen = t->ended != 0;
        t->ended_at = t->ended_told_at;
        if (!t->acknowledged) lost[n++] = t;
    }
    for (size_t i = 0; i < n; i++) {
        map_del(&w->tasks, lost[i]->id);
        free(lost[i]);
    }
    free(lost);
    map_free(&w->missed);
}

sim_task_t *user_tasks_any(world_t *w)
{
    size_t pos = 0, n = 0;
    sim_task_t *found = NULL;
    for (sim_task_t *t; (t = map_next(&w->tasks, &pos));)
        if (!t->ended && sim_random(w, ++n) == 0) found = t;
    return found;
}

void user_tasks_free(world_t *w)
{
    size_t pos = 0;
    for (sim_task_t *t; (t = map_next(&w->tasks, &pos));) free(t);
    map_free(&w->tasks);
    map_free(&w->missed);
}
