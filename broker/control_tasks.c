// Control, tasks: trigger, tasks, cancel, next, dead letters, release of sources, drain of miners.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/control.h"
#include "broker/trouble.h"
#include "common/check.h"
#include "common/log.h"

enum { NEXT_MOST = 1000, SAME_URL = 16 };

static int64_t number(const call_t *c, const char *name)
{
    return strtoll(call_arg(c, name), NULL, 10);
}

static bool priority_of(call_t *c, const char *word, priority_t *out)
{
    for (int p = PRIORITY_LOW; p <= PRIORITY_CRITICAL; p++)
        if (!strcmp(priority_name((priority_t)p), word)) return *out = (priority_t)p, true;
    call_refuse(c, 400, "priority", "'%.40s' is no priority; use low, normal, high or critical", word);
    return false;
}

// What `name` names: a template, or a source by its id or URL.
static listing_t *target(call_t *c, const char *name, source_t **source)
{
    source_t *found[SAME_URL];
    *source = NULL;
    listing_t *l = catalog_find(&c->broker->catalog, name);
    if (l) return l;
    size_t n = call_sources(c, name, found, SAME_URL);
    if (n == 1) return *source = found[0], found[0]->listing;
    if (n)
        call_refuse(c, 409, "name", "%zu templates have this URL; give the source's id (`rtm-ctl sources`)",
                    n);
    else
        call_refuse(c, 404, "name",
                    "there is no template or source '%.300s'; `rtm-ctl list` and `rtm-ctl sources` show "
                    "those there are",
                    name);
    return NULL;
}

// -- tasks ------------------------------------------------------------------------------------------------

static void put_task(call_t *c, yyjson_mut_val *o, const task_t *t)
{
    const source_t *s = t->source ? map_get(&c->broker->catalog.sources, t->source) : NULL;
    put_int(c, o, "task", (int64_t)t->id);
    put_str(c, o, "template", t->name);
    put_str(c, o, "url", s ? s->url : "");
    put_str(c, o, "state", task_state_name(t->state));
    put_str(c, o, "priority", priority_name(t->entry.priority));
    put_time(c, o, "at_ms", t->at);
    put_time(c, o, "deadline_ms", t->deadline);
    yyjson_mut_obj_add_bool(c->doc, o, "deadline_missed", t->missed);
    put_int(c, o, "sources", t->n_legs);
    put_int(c, o, "left", t->n_open);
    put_int(c, o, "failed", t->n_failed);
    put_time(c, o, "created_ms", t->created);
    put_time(c, o, "started_ms", t->started);
    put_time(c, o, "finished_ms", t->finished);
}

void command_trigger(call_t *c)
{
    broker_t *b = c->broker;
    task_t wanted = {0};
    source_t *s;
    const listing_t *l = target(c, call_arg(c, "name"), &s);
    if (!l) return;
    if (!l->enabled) {
        call_refuse(c, 409, "name", "the template '%s' is disabled; `rtm-ctl enable %s` first",
                    l->template->name, l->template->name);
        return;
    }
    wanted.source = s ? s->id : 0;
    wanted.priority = l->urgency;
    if (call_arg(c, "priority")[0] && !priority_of(c, call_arg(c, "priority"), &wanted.priority)) return;
    wanted.ahead = call_flag(c, "front");
    wanted.at = call_arg(c, "at_ms")[0] ? number(c, "at_ms") : b->now + number(c, "in_ms");
    if (call_arg(c, "deadline_ms")[0]) wanted.deadline = number(c, "deadline_ms");
    if (call_arg(c, "deadline_in_ms")[0]) wanted.deadline = b->now + number(c, "deadline_in_ms");
    if (wanted.deadline && wanted.deadline <= (wanted.at > b->now ? wanted.at : b->now)) {
        call_refuse(c, 400, "deadline", "is before the task could start");
        return;
    }
    snprintf(wanted.name, sizeof wanted.name, "%s", l->template->name);
    task_t *t = task_add(b, &wanted);
    if (!t) {
        call_refuse(c, 503, "name", "there are %d tasks already; wait until some are done", MAX_TASKS);
        return;
    }
    log_info("task", "id=%" PRIu64 " template=%s source=%016" PRIx64 " priority=%s state=waiting", t->id,
             t->name, t->source, priority_name(t->priority));
    put_task(c, call_object(c), t);
}

static int by_id_falling(const void *a, const void *b)
{
    uint64_t x = (*(task_t *const *)a)->id, y = (*(task_t *const *)b)->id;
    return (x < y) - (x > y);
}

void command_tasks(call_t *c)
{
    const tasks_t *tasks = &c->broker->tasks;
    const char *name = call_arg(c, "name"), *cursor = call_arg(c, "cursor");
    uint64_t before = cursor[0] ? strtoull(cursor, NULL, 10) : UINT64_MAX;
    task_t **all = xcalloc(tasks->by_id.count + 1, sizeof(task_t *));
    size_t n = 0, pos = 0, shown = 0, i = 0;
    for (task_t *t; (t = map_next(&tasks->by_id, &pos));)
        if (t->id < before && (!name[0] || !strcmp(name, t->name))) all[n++] = t;
    qsort(all, n, sizeof(task_t *), by_id_falling);
    yyjson_mut_val *rows = call_table(c);
    for (; i < n && shown < PAGE_ROWS; i++, shown++)
        put_task(c, yyjson_mut_arr_add_obj(c->doc, rows), all[i]);
    if (i < n) snprintf(c->cursor, sizeof c->cursor, "%" PRIu64, all[i - 1]->id);
    free(all);
}

void command_cancel(call_t *c)
{
    task_t *t = map_get(&c->broker->tasks.by_id, strtoull(call_arg(c, "id"), NULL, 10));
    if (!t) {
        call_refuse(c, 404, "id", "there is no task %.20s; `rtm-ctl tasks` shows those there are",
                    call_arg(c, "id"));
        return;
    }
    if (t->state <= TASK_RUNNING) task_cancel(c->broker, t);
    put_task(c, call_object(c), t);
}

// -- what comes next --------------------------------------------------------------------------------------

static void put_next(call_t *c, yyjson_mut_val *rows, const char *what, const char *name, const source_t *s,
                     const turn_t *turn, const char *waits_for)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(c->doc, rows);
    put_str(c, o, "what", what);
    put_str(c, o, "template", name);
    put_str(c, o, "url", s ? s->url : "");
    put_str(c, o, "priority", priority_name(turn->priority));
    put_time(c, o, "at_ms", turn->ready_at);
    put_str(c, o, "waits_for", waits_for);
}

static size_t put_parked(call_t *c, yyjson_mut_val *rows, size_t most)
{
    size_t n = 0, pos = 0;
    for (const listing_t *l; (l = map_next(&c->broker->catalog.listings, &pos));)
        for (const job_t *j = l->parked_first; j && n < most; j = j->next, n++)
            put_next(c, rows, wire_cause_name(j->cause), l->template->name, j->source, &j->entry,
                     error_class_name(j->why));
    return n;
}

// The sources that are due next by their schedules alone: the n earliest.
static size_t earliest(const broker_t *b, const source_t **out, int64_t *at, size_t n)
{
    size_t found = 0, pos = 0;
    for (const source_t *s; (s = map_next(&b->catalog.sources, &pos));) {
        int64_t due = s->entered && !jobs_gate(s) && !source_is_quarantined(s) ? dues_next(b, s) : 0;
        if (!due || (found == n && due >= at[n - 1])) continue;
        size_t i = found < n ? found++ : n - 1;
        for (; i > 0 && at[i - 1] > due; i--) at[i] = at[i - 1], out[i] = out[i - 1];
        at[i] = due;
        out[i] = s;
    }
    return found;
}

// What runs next, in order: tasks and jobs whose turn it is, those that something stops, then those that wait
// for their time, merged with the sources that are due next.
void command_next(call_t *c)
{
    broker_t *b = c->broker;
    size_t limit = call_arg(c, "limit")[0] ? (size_t)number(c, "limit") : 10;
    if (limit < 1 || limit > NEXT_MOST) limit = NEXT_MOST;
    turn_t **tasks = xcalloc(limit, sizeof(turn_t *)), **jobs = xcalloc(limit, sizeof(turn_t *));
    const source_t **sources = xcalloc(limit, sizeof(source_t *));
    int64_t *at = xcalloc(limit, sizeof *at);
    size_t n_tasks = turns_peek(&b->tasks.queue, tasks, limit),
           n_jobs = turns_peek(&b->jobs.queue, jobs, limit);
    size_t n_sources = earliest(b, sources, at, limit), t = 0, j = 0, s = 0;
    yyjson_mut_val *rows = call_table(c);
    size_t shown = put_parked(c, rows, limit);
    for (; shown < limit && (t < n_tasks || j < n_jobs || s < n_sources); shown++) {
        int64_t ta = t < n_tasks ? tasks[t]->ready_at : INT64_MAX,
                ja = j < n_jobs ? jobs[j]->ready_at : INT64_MAX;
        int64_t sa = s < n_sources ? at[s] : INT64_MAX;
        if (ta <= ja && ta <= sa) {
            const task_t *task = HEAP_OWNER(tasks[t++], task_t, entry);
            put_next(c, rows, "task", task->name, map_get(&b->catalog.sources, task->source), &task->entry,
                     "");
        } else if (ja <= sa) {
            const job_t *job = HEAP_OWNER(jobs[j++], job_t, entry);
            put_next(c, rows, wire_cause_name(job->cause), job->source->listing->template->name, job->source,
                     &job->entry, job->why ? error_class_name(job->why) : "");
        } else {
            turn_t turn = {.priority = source_urgency(sources[s]), .ready_at = at[s]};
            put_next(c, rows, "scheduled", sources[s]->listing->template->name, sources[s], &turn, "");
            s++;
        }
    }
    free(tasks);
    free(jobs);
    free(sources);
    free(at);
}

// -- dead letters -----------------------------------------------------------------------------------------

static void put_letter(call_t *c, yyjson_mut_val *o, const letter_t *x)
{
    const source_t *s = map_get(&c->broker->catalog.sources, x->source);
    put_int(c, o, "id", (int64_t)x->id);
    put_str(c, o, "kind", letter_kind_name(x->kind));
    put_str(c, o, "template", x->template_name);
    put_str(c, o, "url", s ? s->url : "");
    put_str(c, o, "error", error_class_name(x->error));
    put_int(c, o, "count", (int64_t)x->count);
    put_time(c, o, "first_ms", x->first);
    put_time(c, o, "last_ms", x->last);
    put_str(c, o, "detail", x->detail);
}

// Retries what the letter is about: the source is let out of quarantine and polled.
static bool retry_letter(broker_t *b, letter_t *x)
{
    source_t *s = map_get(&b->catalog.sources, x->source);
    const listing_t *l = catalog_find(&b->catalog, x->template_name);
    if (!l || !l->enabled || (x->source && !s) || b->tasks.by_id.count >= MAX_TASKS) return false;
    task_t wanted = {.source = x->source, .priority = l->urgency, .at = b->now};
    snprintf(wanted.name, sizeof wanted.name, "%s", x->template_name);
    uint64_t id = x->id;
    if (s) trouble_clear(b, s, "retried");
    if (!task_add(b, &wanted)) return false;
    x = letter_find(&b->letters, id); // releasing the source may have taken it
    if (x) letter_remove(b, x);
    return true;
}

static letter_t *letter_of(call_t *c)
{
    letter_t *x = letter_find(&c->broker->letters, strtoull(call_arg(c, "id"), NULL, 10));
    if (!x)
        call_refuse(c, 404, "id", "there is no dead letter %.20s; `rtm-ctl dlq list` shows those there are",
                    call_arg(c, "id"));
    return x;
}

static void list_letters(call_t *c)
{
    const char *name = call_arg(c, "name"), *cursor = call_arg(c, "cursor");
    yyjson_mut_val *rows = call_table(c);
    const letter_t *x = cursor[0] ? letter_find(&c->broker->letters, strtoull(cursor, NULL, 10)) : NULL;
    size_t shown = 0;
    for (x = x ? x->previous : cursor[0] ? NULL : c->broker->letters.newest; x; x = x->previous) {
        if (name[0] && strcmp(name, x->template_name) != 0) continue;
        put_letter(c, yyjson_mut_arr_add_obj(c->doc, rows), x);
        if (++shown < PAGE_ROWS || !x->previous) continue;
        snprintf(c->cursor, sizeof c->cursor, "%" PRIu64, x->id);
        break;
    }
}

// For each letter, or (all) each of a template: action.
static void act_on_letters(call_t *c, bool (*action)(broker_t *b, letter_t *x), const char *done)
{
    broker_t *b = c->broker;
    const char *name = call_arg(c, "name");
    uint64_t n = 0, refused = 0;
    if (call_arg(c, "id")[0]) {
        letter_t *x = letter_of(c);
        if (!x) return;
        if (action == retry_letter && b->tasks.by_id.count >= MAX_TASKS) {
            call_refuse(c, 503, "id", "there are %d tasks already; wait until some are done", MAX_TASKS);
            return;
        }
        if (!action(b, x)) {
            call_refuse(c, 409, "id",
                        "its template or source is gone or disabled; `rtm-ctl dlq drop` removes the letter");
            return;
        }
        n = 1;
    } else {
        size_t all = 0;
        uint64_t *ids = xcalloc(b->letters.by_id.count + 1, sizeof *ids);
        for (const letter_t *x = b->letters.oldest; x; x = x->next)
            if (!name[0] || !strcmp(name, x->template_name)) ids[all++] = x->id;
        for (size_t i = 0; i < all; i++) { // acting on one may take another of its source along
            letter_t *x = letter_find(&b->letters, ids[i]);
            if (x) *(action(b, x) ? &n : &refused) += 1;
        }
        free(ids);
    }
    yyjson_mut_val *o = call_object(c);
    put_str(c, o, "action", done);
    put_int(c, o, "letters", (int64_t)n);
    put_int(c, o, "refused", (int64_t)refused);
}

static bool drop_letter(broker_t *b, letter_t *x)
{
    letter_remove(b, x);
    return true;
}

void command_dlq(call_t *c)
{
    const char *action = call_arg(c, "action");
    if (!strcmp(action, "list") || !action[0]) {
        list_letters(c);
    } else if (!strcmp(action, "show")) {
        const letter_t *x = letter_of(c);
        if (x) put_letter(c, call_object(c), x);
    } else if (!strcmp(action, "retry")) {
        act_on_letters(c, retry_letter, "retried");
    } else if (!strcmp(action, "drop")) {
        act_on_letters(c, drop_letter, "dropped");
    } else {
        call_refuse(c, 400, "action", "'%.40s' is none; use list, show, retry or drop", action);
    }
}

// -- sources and miners -----------------------------------------------------------------------------------

// Lets a source, or all of a template, out of quarantine. How many there were.
size_t release_sources(broker_t *b, listing_t *l, source_t *only)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n_sources; i++) {
        source_t *s = only ? only : l->sources[i];
        if (trouble_clear(b, s, "enabled")) {
            n++;
            jobs_leave(b, s);
            dues_open_extra(b, s, CAUSE_triggered, 0);
            dues_send_extra(b, s);
        }
        if (only) break;
    }
    return n;
}

void command_release(call_t *c)
{
    source_t *s;
    listing_t *l = target(c, call_arg(c, "name"), &s);
    if (!l) return;
    size_t n = release_sources(c->broker, l, s);
    yyjson_mut_val *o = call_object(c);
    put_str(c, o, "name", call_arg(c, "name"));
    put_str(c, o, "action", n ? "released" : "unchanged");
    put_int(c, o, "sources", (int64_t)n);
}

void command_drain(call_t *c)
{
    miner_t *m = registry_by_name(&c->broker->registry, call_arg(c, "name"));
    if (!m) {
        call_refuse(c, 404, "name", "there is no miner '%.100s'; `rtm-ctl miners` shows those there are",
                    call_arg(c, "name"));
        return;
    }
    wire_goodbye_t bye = {.reason = "rtm-ctl drain"};
    broker_send(c->broker, m->peer, WIRE_TYPE_GOODBYE, &bye);
    yyjson_mut_val *o = call_object(c);
    put_str(c, o, "miner", m->name);
    put_str(c, o, "action", "draining");
}
