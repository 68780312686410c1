// Next: see the header.
#include "tests/sim/user_next.h"

#include <stdio.h>
#include <string.h>

#include <yyjson.h>

#include "proto/template.h"
#include "tests/sim/control.h"
#include "tests/sim/heard.h"
#include "tests/sim/user_tasks.h"

enum {
    BURST_MOST = 6,
    PATIENCE_SLOTS = 8, // after which age goes before class and place
    EVERY_TICKS = 4,
    WAITS_MS = 20000, // for tasks to start
};

static yyjson_val *ask(world_t *w, const char *limit)
{
    wire_arg_t args[] = {{"limit", limit}};
    return control_ask(w, "next", args, 1);
}

// -- tasks --------------------------------------------------------------------------------------------------

// Who goes before whom of one class: the last that was put in front, then as they came.
static int64_t place(const sim_task_t *t)
{
    return t->ahead ? -(int64_t)t->id : (int64_t)t->id;
}

static bool is_old(const world_t *w, const sim_task_t *t)
{
    return t->at + PATIENCE_SLOTS * w->slot_ms <= heard_now(w);
}

// last: of the same class.
static void check_order(world_t *w, const sim_task_t *t, const sim_task_t *last)
{
    bool known = last && t->given && last->given && !last->deadline && !t->deadline; // which may be near
    if (known && place(last) > place(t) && !is_old(w, last))
        sim_fail(w, "task %llu is said to start before task %llu", (unsigned long long)last->id,
                 (unsigned long long)t->id);
}

// Notes the tasks whose time has come, in the order in which they are said to start.
static void note_tasks(world_t *w)
{
    yyjson_val *rows = ask(w, "1000"), *row;
    const sim_task_t *last[PRIORITY_CRITICAL + 1] = {0};
    size_t i, n;
    w->n_planned = 0;
    yyjson_arr_foreach(rows, i, n, row)
    {
        sim_task_t *t = map_get(&w->tasks, (uint64_t)row_number(row, "task"));
        if (!row_number(row, "task")) continue;
        if (!t || t->at > heard_now(w) || w->n_planned == SIM_PLANNED) break;
        int p = PRIORITY_LOW;
        while (p < PRIORITY_CRITICAL && strcmp(row_text(row, "priority"), priority_name((priority_t)p)) != 0)
            p++;
        check_order(w, t, last[p]);
        last[p] = t;
        if (!t->deadline) w->planned[w->n_planned++] = t->id; // else it may near until then
    }
    w->planned_at = w->now;
    w->planned_run = w->broker_runs;
}

void user_next_burst(world_t *w)
{
    int n = 2 + (int)sim_random(w, BURST_MOST - 1);
    for (int i = 0; i < n; i++) control_trigger(w);
    user_tasks_look(w);
    note_tasks(w);
}

// Those that started are the first ones of the plan.
static void check_tasks(world_t *w)
{
    size_t started = 0, first = 0;
    user_tasks_look(w);
    for (size_t i = 0; i < w->n_planned; i++) {
        const sim_task_t *t = map_get(&w->tasks, w->planned[i]);
        bool waits = t && t->state == TASK_SEEN_WAITING;
        started += !waits;
        first += !waits && started == i + 1;
    }
    if (started != first)
        sim_fail(w, "of %zu tasks %zu have started, and they are not those that were said to", w->n_planned,
                 started);
    if (started) w->n_planned = 0;
}

// -- polls --------------------------------------------------------------------------------------------------

// Everybody waits for one thing only.
static bool is_plain(const world_t *w)
{
    bool plain = w->crowded && w->pressed;
    for (int t = 0; t < w->n_templates; t++)
        plain &= !w->policies[t].deadline_ms; // what nears its own moves up
    return plain;
}

// The source that is said to start first of those that wait for the limit, 0: none.
static uint64_t first_named(world_t *w)
{
    yyjson_val *row = yyjson_arr_get_first(ask(w, "5"));
    for (int i = 0; i < w->n_pages && !strcmp(row_text(row, "waits_for"), "limited"); i++)
        if (!strcmp(w->pages[i].url, row_text(row, "url"))) return w->pages[i].id;
    return 0;
}

void user_next_before(world_t *w)
{
    w->named = w->starts = 0;
    if (is_plain(w) && w->ticks++ % EVERY_TICKS == 0) w->named = first_named(w);
}

void user_next_started(world_t *w, uint64_t source)
{
    w->starts++;
    if (w->named == source) w->named = 0;
}

void user_next_after(world_t *w)
{
    if (w->named && w->starts && first_named(w) == w->named) // else its host was moving, say
        sim_fail(w, "%s was named as next, and %zu others start", sim_page(w, w->named)->url, w->starts);
    w->named = 0;
    if (!w->n_planned) return;
    if (w->planned_run != w->broker_runs || w->now > w->planned_at + WAITS_MS)
        w->n_planned = 0;
    else
        check_tasks(w);
}
