// Tasks: see the header for the states; finish() and start() are where they change.
#include "broker/tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/letters.h"
#include "broker/outage.h"
#include "broker/records.h"
#include "broker/relations.h"
#include "broker/state.h"
#include "broker/trouble.h"
#include "common/check.h"
#include "common/log.h"

enum { SWEEP_MS = 1000 };

static const char *const states[] = {"waiting", "running", "done", "failed", "cancelled"};

const char *task_state_name(task_state_t state)
{
    return states[state];
}

void tasks_init(tasks_t *t, int64_t patience_ms)
{
    *t = (tasks_t){.next_id = 1, .verdicts_last = &t->verdicts};
    turns_init(&t->queue, patience_ms);
    heap_init(&t->deadlines);
    map_init(&t->by_id);
    map_init(&t->legs);
}

static void task_free(task_t *t)
{
    free(t->legs);
    free(t);
}

void tasks_free(tasks_t *tasks)
{
    size_t pos = 0;
    for (task_t *t; (t = map_next(&tasks->by_id, &pos));) task_free(t);
    for (verdict_t *v; (v = tasks->verdicts);) {
        tasks->verdicts = v->next;
        free(v);
    }
    map_free(&tasks->by_id);
    map_free(&tasks->legs);
    heap_free(&tasks->deadlines);
    turns_free(&tasks->queue);
}

static void store(broker_t *b, const task_t *t)
{
    yyjson_mut_doc *doc = record_new();
    yyjson_mut_val *o = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_strcpy(doc, o, "template", t->name);
    yyjson_mut_obj_add_uint(doc, o, "source", t->source);
    yyjson_mut_obj_add_uint(doc, o, "priority", t->priority);
    yyjson_mut_obj_add_bool(doc, o, "ahead", t->ahead);
    yyjson_mut_obj_add_bool(doc, o, "missed", t->missed);
    yyjson_mut_obj_add_uint(doc, o, "state", t->state);
    yyjson_mut_obj_add_int(doc, o, "at", t->at);
    yyjson_mut_obj_add_int(doc, o, "deadline", t->deadline);
    yyjson_mut_obj_add_int(doc, o, "created", t->created);
    yyjson_mut_obj_add_int(doc, o, "started", t->started);
    yyjson_mut_obj_add_int(doc, o, "finished", t->finished);
    yyjson_mut_obj_add_uint(doc, o, "sources", t->n_legs);
    yyjson_mut_obj_add_uint(doc, o, "failed", t->n_failed);
    record_put(b, RECORD_TASK, t->id, doc);
}

// -- coming ---------------------------------------------------------------------------------------------

// When its deadline is near.
static int64_t promote_at(const task_t *t, const listing_t *l)
{
    return t->deadline ? t->deadline - 2 * (l ? listing_p95(l) : 0) : INT64_MAX;
}

static void wait_for_turn(broker_t *b, task_t *t)
{
    if (t->deadline && !t->missed) heap_set(&b->tasks.deadlines, &t->late, t->deadline);
    turns_put(&b->tasks.queue, &t->entry, t->priority, t->at,
              promote_at(t, catalog_find(&b->catalog, t->name)), t->ahead);
}

task_t *task_add(broker_t *b, const task_t *wanted)
{
    if (b->tasks.by_id.count >= MAX_TASKS) return NULL;
    task_t *t = xcalloc(1, sizeof *t);
    *t = *wanted;
    t->id = b->tasks.next_id++;
    broker_store_number(b, "next_task", (int64_t)b->tasks.next_id); // a name that was seen names no other
    t->created = b->now;
    map_put(&b->tasks.by_id, t->id, t);
    wait_for_turn(b, t);
    store(b, t);
    return t;
}

static int64_t member(yyjson_val *o, const char *name)
{
    return yyjson_get_sint(yyjson_obj_get(o, name));
}

// What ran when the broker ended starts anew: at least once.
void task_load(broker_t *b, uint64_t id, yyjson_val *o)
{
    const char *name = yyjson_get_str(yyjson_obj_get(o, "template"));
    if (!name || map_get(&b->tasks.by_id, id) || b->tasks.by_id.count >= MAX_TASKS) return;
    task_t *t = xcalloc(1, sizeof *t);
    *t = (task_t){.id = id,
                  .source = yyjson_get_uint(yyjson_obj_get(o, "source")),
                  .ahead = yyjson_get_bool(yyjson_obj_get(o, "ahead")),
                  .missed = yyjson_get_bool(yyjson_obj_get(o, "missed")),
                  .at = member(o, "at"),
                  .deadline = member(o, "deadline"),
                  .created = member(o, "created"),
                  .n_legs = (uint32_t)member(o, "sources"),
                  .n_failed = (uint32_t)member(o, "failed")};
    uint64_t priority = yyjson_get_uint(yyjson_obj_get(o, "priority")),
             state = yyjson_get_uint(yyjson_obj_get(o, "state"));
    t->priority = priority <= PRIORITY_CRITICAL ? (priority_t)priority : PRIORITY_NORMAL;
    t->state = state <= TASK_CANCELLED ? (task_state_t)state : TASK_FAILED;
    snprintf(t->name, sizeof t->name, "%s", name);
    if (id >= b->tasks.next_id) b->tasks.next_id = id + 1;
    map_put(&b->tasks.by_id, id, t);
    if (t->state > TASK_RUNNING) {
        t->entry.priority = t->priority;
        t->started = member(o, "started");
        t->finished = member(o, "finished");
        *(b->tasks.finished_last ? &b->tasks.finished_last->next : &b->tasks.finished_first) = t;
        b->tasks.finished_last = t;
        b->tasks.n_finished++;
        return;
    }
    t->state = TASK_WAITING;
    t->n_failed = 0;
    wait_for_turn(b, t);
}

// -- legs -------------------------------------------------------------------------------------------------

static void link_leg(tasks_t *tasks, task_leg_t *leg)
{
    leg->next = map_get(&tasks->legs, leg->source);
    if (leg->next) leg->next->prev = leg;
    map_put(&tasks->legs, leg->source, leg);
}

static void unlink_leg(tasks_t *tasks, task_leg_t *leg)
{
    task_leg_t *next = leg->next;
    if (next) next->prev = leg->prev;
    if (leg->prev) {
        leg->prev->next = next;
    } else if (leg->verdict) {
        leg->verdict->first = next;
        if (next) next->verdict = leg->verdict;
    } else if (next) {
        map_put(&tasks->legs, leg->source, next);
    } else {
        map_del(&tasks->legs, leg->source);
    }
    leg->prev = leg->next = NULL;
    leg->verdict = NULL;
}

static void close_leg(broker_t *b, task_leg_t *leg, error_class_t error, const char *detail);

static void hasten(broker_t *b, source_t *s, const task_t *t)
{
    jobs_hasten(b, s, t->priority, t->ahead, promote_at(t, s->listing));
}

// Sees to it that the leg's source will be polled.
static void push(broker_t *b, task_leg_t *leg)
{
    bool first = !leg->asked;
    leg->asked = true;
    source_t *s = map_get(&b->catalog.sources, leg->source);
    const task_t *t = leg->task;
    if (s && source_is_quarantined(s) && s->trouble->why == ERR_poison) {
        close_leg(b, leg, ERR_poison,
                  "it is in quarantine because miners died of it; `rtm-ctl enable` lets it out");
        return;
    }
    if (first && s && s->extra && jobs_gate(s)) hasten(b, s, t); // it waits already, for somebody else
    if (!s || !s->entered || s->extra || (s->job && s->job->state == JOB_RUNNING))
        return;                           // later, or it will do
    if (outage_until(s) > b->now) return; // its miner would skip it, each time
    bool planned = s->job && s->job->cause != CAUSE_scheduled && s->job->cause != CAUSE_probe;
    if (planned && (s->job->cause == CAUSE_retry || !jobs_gate(s))) return; // another attempt
    dues_open_extra(b, s, CAUSE_triggered, 0);
    if (jobs_gate(s))
        hasten(b, s, t);
    else
        dues_send_extra(b, s);
}

// -- going ----------------------------------------------------------------------------------------------

static void drop_surplus(broker_t *b)
{
    tasks_t *tasks = &b->tasks;
    for (task_t *t; (t = tasks->finished_first);) {
        if (tasks->n_finished <= b->config.tasks_rows && t->finished > b->now - b->config.tasks_keep_ms)
            return;
        tasks->finished_first = t->next;
        if (!tasks->finished_first) tasks->finished_last = NULL;
        tasks->n_finished--;
        map_del(&tasks->by_id, t->id);
        record_drop(b, RECORD_TASK, t->id);
        task_free(t);
    }
}

static int by_finished(const void *a, const void *b)
{
    const task_t *x = *(task_t *const *)a, *y = *(task_t *const *)b;
    if (x->finished != y->finished) return x->finished < y->finished ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

// They lie in the file in the order in which they were asked for.
void tasks_start(broker_t *b)
{
    tasks_t *tasks = &b->tasks;
    size_t n = 0;
    task_t **all = xcalloc(tasks->n_finished + 1, sizeof(task_t *));
    for (task_t *t = tasks->finished_first; t; t = t->next) all[n++] = t;
    if (n) qsort(all, n, sizeof(task_t *), by_finished);
    for (size_t i = 0; i < n; i++) all[i]->next = all[i + 1];
    tasks->finished_first = all[0];
    tasks->finished_last = n ? all[n - 1] : NULL;
    free(all);
    drop_surplus(b);
    tasks->closable = b->config.budget;
}

static void miss_deadline(broker_t *b, task_t *t)
{
    t->missed = true;
    b->tasks.missed++;
    log_warn("deadline_missed", "task=%llu template=%s state=%s", (unsigned long long)t->id, t->name,
             task_state_name(t->state));
}

static void finish(broker_t *b, task_t *t, task_state_t state)
{
    tasks_t *tasks = &b->tasks;
    turns_remove(&tasks->queue, &t->entry);
    heap_remove(&tasks->deadlines, &t->late);
    for (uint32_t i = 0; t->legs && i < t->n_legs; i++)
        if (t->legs[i].task) unlink_leg(tasks, &t->legs[i]);
    free(t->legs);
    t->legs = NULL;
    t->n_open = 0;
    if (t->deadline && t->deadline < b->now && !t->missed) miss_deadline(b, t); // no tick came between
    t->state = state;
    t->finished = b->now;
    store(b, t);
    log_info("task", "id=%llu template=%s state=%s sources=%u failed=%u took_ms=%lld",
             (unsigned long long)t->id, t->name, task_state_name(state), t->n_legs, t->n_failed,
             (long long)(t->started ? t->finished - t->started : 0));
    t->next = NULL;
    *(tasks->finished_last ? &tasks->finished_last->next : &tasks->finished_first) = t;
    tasks->finished_last = t;
    tasks->n_finished++;
    drop_surplus(b);
}

void task_cancel(broker_t *b, task_t *t)
{
    finish(b, t, TASK_CANCELLED);
}

static void close_leg(broker_t *b, task_leg_t *leg, error_class_t error, const char *detail)
{
    task_t *t = leg->task;
    CHECK(t); // each is closed once
    unlink_leg(&b->tasks, leg);
    leg->task = NULL;
    t->n_open--;
    if (error) {
        t->n_failed++;
        if (error != ERR_removed) // nobody misses it
            letter_put(b, LETTER_TASK, t->name, leg->source, error, detail);
    }
    if (!t->n_open) finish(b, t, t->n_failed ? TASK_FAILED : TASK_DONE);
}

uint64_t tasks_of(const broker_t *b, const source_t *s, int64_t due)
{
    const task_leg_t *leg = map_get(&b->tasks.legs, s->id);
    while (leg && due < leg->task->started) leg = leg->next;
    return leg ? leg->task->id : 0;
}

priority_t tasks_urgency(const broker_t *b, const source_t *s, priority_t own, int64_t *rises)
{
    priority_t most = own;
    for (const task_leg_t *leg = map_get(&b->tasks.legs, s->id); leg; leg = leg->next) {
        const task_t *t = leg->task;
        int64_t at = promote_at(t, s->listing);
        priority_t its = at <= b->now && t->priority < PRIORITY_HIGH ? PRIORITY_HIGH : t->priority;
        if (its > most) most = its;
        if (rises && at < *rises) *rises = at;
    }
    return most;
}

// True: more wait, for the next tick.
static bool close_some(broker_t *b)
{
    tasks_t *tasks = &b->tasks;
    for (verdict_t *v; (v = tasks->verdicts);) {
        for (; v->first && tasks->closable > 0; tasks->closable--)
            close_leg(b, v->first, v->error, v->detail);
        if (v->first) return true;
        tasks->verdicts = v->next;
        if (!v->next) tasks->verdicts_last = &tasks->verdicts;
        free(v);
    }
    return false;
}

// leg and the older ones of its source are not open any more.
static void pronounce(tasks_t *tasks, task_leg_t *leg, error_class_t error, const char *detail)
{
    size_t size = strlen(detail) + 1;
    verdict_t *v = xmalloc(sizeof *v + size);
    *v = (verdict_t){.first = leg, .error = error};
    memcpy(v->detail, detail, size);
    if (leg->prev)
        leg->prev->next = NULL;
    else
        map_del(&tasks->legs, leg->source);
    leg->prev = NULL;
    leg->verdict = v;
    *tasks->verdicts_last = v;
    tasks->verdicts_last = &v->next;
}

void tasks_outcome(broker_t *b, source_t *s, const wire_outcome_t *o, bool retried)
{
    if (o->result == RESULT_skipped || retried) return;
    task_leg_t *leg = map_get(&b->tasks.legs, s->id);
    while (leg && o->due < leg->task->started) leg = leg->next; // it was under way before
    if (!leg) return;
    pronounce(&b->tasks, leg, o->result == RESULT_failed ? (error_class_t)o->error : ERR_none, o->detail);
    close_some(b);
}

// -- starting -------------------------------------------------------------------------------------------

static void make_legs(task_t *t, const listing_t *l, const source_t *only)
{
    t->n_legs = only ? 1 : (uint32_t)l->n_sources;
    t->legs = xcalloc(t->n_legs + 1, sizeof *t->legs);
    for (uint32_t i = 0; i < t->n_legs; i++)
        t->legs[i] = (task_leg_t){.task = t, .source = only ? only->id : l->sources[i]->id};
    t->n_open = t->n_legs;
}

// What it cost, in sources.
static int start(broker_t *b, task_t *t)
{
    const listing_t *l = catalog_find(&b->catalog, t->name);
    const source_t *only = t->source ? map_get(&b->catalog.sources, t->source) : NULL;
    t->started = b->now;
    if (!l || !l->enabled || (t->source && !only)) {
        letter_put(b, LETTER_TASK, t->name, t->source, ERR_removed,
                   l ? "the template is disabled" : "it was removed");
        finish(b, t, TASK_FAILED);
        return 1;
    }
    t->state = TASK_RUNNING;
    make_legs(t, l, only);
    int cost = 1 + (int)t->n_legs;
    for (uint32_t i = 0; i < t->n_legs; i++) link_leg(&b->tasks, &t->legs[i]);
    uint64_t id = t->id;
    uint32_t n = t->n_legs < (uint32_t)b->config.budget ? t->n_legs : (uint32_t)b->config.budget;
    if (n < t->n_legs) b->tasks.swept_at = 0; // the next ticks ask for the rest
    for (uint32_t i = 0; i < n && map_get(&b->tasks.by_id, id) && t->legs; i++) push(b, &t->legs[i]);
    if (t->state == TASK_RUNNING && !t->n_legs) finish(b, t, TASK_DONE);
    return cost;
}

// As many as a tick may; the next one is at once.
static void note_deadlines(broker_t *b)
{
    heap_node_t *n;
    for (int i = 0; i < b->config.budget && (n = heap_min(&b->tasks.deadlines)) && n->key <= b->now; i++) {
        task_t *t = HEAP_OWNER(n, task_t, late);
        heap_remove(&b->tasks.deadlines, n);
        miss_deadline(b, t);
        store(b, t);
    }
}

// What ought to run and does not is started again: a poll may have been skipped, its source replaced. Of very
// many, some in each tick; what moves in the table meanwhile may have to wait for the next round. True: the
// round is not over.
static bool sweep(broker_t *b)
{
    tasks_t *tasks = &b->tasks;
    if (!tasks->sweep_pos) {
        if (b->now < tasks->swept_at + SWEEP_MS && b->now >= tasks->swept_at) return false;
        tasks->swept_at = b->now;
        drop_surplus(b);
    }
    size_t n = 0, most = (size_t)b->config.budget;
    if (most > tasks->legs.count) most = tasks->legs.count;
    task_leg_t **legs = xcalloc(most + 1, sizeof(task_leg_t *));
    for (task_leg_t *leg; n < most && (leg = map_next(&tasks->legs, &tasks->sweep_pos));) legs[n++] = leg;
    if (tasks->sweep_pos >= tasks->legs.cap || !n) tasks->sweep_pos = 0;
    for (size_t i = 0; i < n; i++) {
        source_t *s = map_get(&b->catalog.sources, legs[i]->source);
        if (s && s->listing->enabled)
            push(b, legs[i]);
        else
            close_leg(b, legs[i], ERR_removed, "its source was removed or disabled");
    }
    free(legs);
    return tasks->sweep_pos != 0;
}

bool tasks_tick(broker_t *b)
{
    b->tasks.closable = b->config.budget;
    bool closing = close_some(b);
    note_deadlines(b);
    if (b->grace_until) return closing;
    bool more = sweep(b) || closing;
    for (int n = 0; n < b->config.budget;) {
        turn_t *e = turns_pop(&b->tasks.queue, b->now);
        if (!e) return more;
        n += start(b, HEAP_OWNER(e, task_t, entry));
    }
    return true;
}

int64_t tasks_next(const broker_t *b)
{
    if (b->tasks.verdicts) return b->now;
    if (b->grace_until) return INT64_MAX;
    int64_t at = turns_next(&b->tasks.queue);
    heap_node_t *late = heap_min(&b->tasks.deadlines);
    if (late && late->key < at) at = late->key;
    if (b->tasks.legs.count && b->tasks.swept_at + SWEEP_MS < at) at = b->tasks.swept_at + SWEEP_MS;
    return at;
}
