// Control, tasks: trigger, tasks, cancel, next, dead letters, release of sources, drain of miners.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/control.h"
#include "broker/trouble.h"
#include "common/check.h"
#include "common/log.h"

enum { SAME_URL = 16 };
#define LATEST_MS 253402300800000LL // the year 10000, or as long

// A time in broker ms: argument `name`, or as long from now as argument `span` says. otherwise: none is
// given. False: refused.
static bool time_arg(call_t *c, const char *name, const char *span, int64_t otherwise, int64_t *at)
{
    bool from_now = !call_arg(c, name)[0];
    const char *text = call_arg(c, from_now ? span : name);
    char *end;
    errno = 0;
    int64_t ms = strtoll(text, &end, 10);
    if (!*text) return *at = otherwise, true;
    if (!errno && !*end && ms >= 0 && ms < LATEST_MS) return *at = ms + (from_now ? c->broker->now : 0), true;
    call_refuse(c, 400, from_now ? span : name, "\"%.60s\" is no time in ms that can come", text);
    return false;
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

// "" if there is no such source (any more).
static const char *url_of(const call_t *c, uint64_t source)
{
    const source_t *s = source ? map_get(&c->broker->catalog.sources, source) : NULL;
    return s ? s->url : "";
}

static void put_task(call_t *c, yyjson_mut_val *o, const task_t *t)
{
    put_int(c, o, "task", (int64_t)t->id);
    put_str(c, o, "template", t->name);
    put_str(c, o, "url", url_of(c, t->source));
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
    if (!time_arg(c, "at_ms", "in_ms", b->now, &wanted.at) ||
        !time_arg(c, "deadline_ms", "deadline_in_ms", 0, &wanted.deadline))
        return;
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

static int falling(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

// The newest first: by their ids, falling.
void command_tasks(call_t *c)
{
    const map_t *by_id = &c->broker->tasks.by_id;
    const char *name = call_arg(c, "name"), *cursor = call_arg(c, "cursor");
    uint64_t before = cursor[0] ? strtoull(cursor, NULL, 10) : UINT64_MAX, last = 0;
    uint64_t *ids = xcalloc(by_id->count + 1, sizeof *ids);
    size_t n = 0, pos = 0;
    while (map_next(by_id, &pos)) // by their keys: there may be very many, and each would be a miss
        if (map_key(by_id, pos) < before) ids[n++] = map_key(by_id, pos);
    qsort(ids, n, sizeof *ids, falling);
    yyjson_mut_val *rows = call_table(c);
    for (size_t i = 0; i < n; i++) {
        const task_t *t = map_get(by_id, ids[i]);
        if (name[0] && strcmp(name, t->name) != 0) continue;
        if (!call_row(c, strlen(url_of(c, t->source)))) {
            snprintf(c->cursor, sizeof c->cursor, "%" PRIu64, last);
            break;
        }
        put_task(c, yyjson_mut_arr_add_obj(c->doc, rows), t);
        last = t->id;
    }
    free(ids);
}

void command_cancel(call_t *c)
{
    task_t *t = map_get(&c->broker->tasks.by_id, strtoull(call_arg(c, "id"), NULL, 10));
    if (!t) {
        call_refuse(c, 404, "id", "there is no task %.20s; `rtm-ctl tasks` shows those there are",
                    call_arg(c, "id"));
        return;
    }
    if (t->state == TASK_DONE || t->state == TASK_FAILED) {
        call_refuse(c, 409, "id", "task %" PRIu64 " has ended already: %s", t->id, task_state_name(t->state));
        return;
    }
    if (t->state <= TASK_RUNNING) task_cancel(c->broker, t);
    put_task(c, call_object(c), t);
}

// -- dead letters -----------------------------------------------------------------------------------------

static void put_letter(call_t *c, yyjson_mut_val *o, const letter_t *x)
{
    put_int(c, o, "id", (int64_t)x->id);
    put_str(c, o, "kind", letter_kind_name(x->kind));
    put_str(c, o, "template", x->template_name);
    put_str(c, o, "url", url_of(c, x->source));
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
    const letter_t *x = c->broker->letters.newest;
    uint64_t last = cursor[0] ? strtoull(cursor, NULL, 10) : UINT64_MAX, dropped = c->broker->letters.dropped;
    if (dropped && !cursor[0])
        snprintf(c->message, sizeof c->message,
                 "older letters that were dropped, as there were too many: %" PRIu64, dropped);
    while (x && x->place >= last) x = x->previous; // what came since is on the page before
    for (; x; x = x->previous) {
        if (name[0] && strcmp(name, x->template_name) != 0) continue;
        if (!call_row(c, strlen(x->detail) + strlen(url_of(c, x->source)))) {
            snprintf(c->cursor, sizeof c->cursor, "%" PRIu64, last);
            break;
        }
        put_letter(c, yyjson_mut_arr_add_obj(c->doc, rows), x);
        last = x->place;
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
