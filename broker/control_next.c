// Control, next: what will run next, in order. Of sources that are due by their schedules alone nothing keeps
// an order, so all are looked at for the earliest: some in each tick, as they may be a million.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/control.h"
#include "broker/lines.h"
#include "broker/trouble.h"
#include "common/check.h"

enum { NEXT_ROWS = 10, SCANS_MAX = 16, AT_ONCE = 20000 };

// One request being answered. Sources by their ids, as some may be removed meanwhile.
typedef struct scan {
    struct scan *next;
    uint64_t peer, request;
    size_t limit, n; // rows wanted, sources found
    size_t pos, cap; // how far the table of sources has been looked at, and its size then
    uint64_t *ids;   // of the earliest ones,
    int64_t *at;     // in the order of these times
} scan_t;

static void scan_free(scan_t *scan)
{
    free(scan->ids);
    free(scan->at);
    free(scan);
}

void control_free(broker_t *b)
{
    for (scan_t *s; (s = b->scans);) {
        b->scans = s->next;
        scan_free(s);
    }
}

// -- looking ----------------------------------------------------------------------------------------------

static void note(scan_t *scan, uint64_t id, int64_t due)
{
    size_t i = scan->n < scan->limit ? scan->n++ : scan->n - 1;
    for (; i > 0 && scan->at[i - 1] > due; i--)
        scan->at[i] = scan->at[i - 1], scan->ids[i] = scan->ids[i - 1];
    scan->at[i] = due;
    scan->ids[i] = id;
}

// Looks at some sources more. False: all have been.
static bool look(const broker_t *b, scan_t *scan, int most)
{
    const map_t *sources = &b->catalog.sources;
    if (scan->cap != sources->cap) scan->pos = scan->n = 0; // the table has grown: from the start again
    scan->cap = sources->cap;
    for (const source_t *s; most > 0 && (s = map_next(sources, &scan->pos)); most--) {
        int64_t due = s->entered && !jobs_gate(s) && !source_is_quarantined(s) ? dues_next(b, s) : 0;
        if (due && (scan->n < scan->limit || due < scan->at[scan->n - 1])) note(scan, s->id, due);
    }
    return most == 0;
}

// -- the answer -------------------------------------------------------------------------------------------

// task: which it is, 0: none. False: the page is full.
static bool put_next(call_t *c, yyjson_mut_val *rows, const char *what, const char *name, const source_t *s,
                     const turn_t *turn, const char *waits_for, uint64_t task)
{
    if (!call_row(c, s ? strlen(s->url) : 0)) return false;
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(c->doc, rows);
    put_str(c, o, "what", what);
    put_str(c, o, "template", name);
    put_str(c, o, "url", s ? s->url : "");
    put_str(c, o, "priority", priority_name(turn->priority));
    put_time(c, o, "at_ms", turn->ready_at);
    put_str(c, o, "waits_for", waits_for);
    put_int(c, o, "task", (int64_t)task);
    return true;
}

static bool put_task(call_t *c, yyjson_mut_val *rows, const task_t *t)
{
    const source_t *s = map_get(&c->broker->catalog.sources, t->source);
    return put_next(c, rows, "task", t->name, s, &t->entry, "", t->id);
}

static bool put_job(call_t *c, yyjson_mut_val *rows, const job_t *j)
{
    return put_next(c, rows, wire_cause_name(j->cause), j->source->listing->template->name, j->source,
                    &j->entry, j->why ? error_class_name(j->why) : "", 0);
}

static bool put_source(call_t *c, yyjson_mut_val *rows, const scan_t *scan, size_t i)
{
    const source_t *s = map_get(&c->broker->catalog.sources, scan->ids[i]);
    if (!s) return true; // removed meanwhile
    turn_t turn = {.priority = source_urgency(s), .ready_at = scan->at[i]};
    return put_next(c, rows, "scheduled", s->listing->template->name, s, &turn, "", 0);
}

static size_t put_parked(call_t *c, yyjson_mut_val *rows, size_t most)
{
    const job_t **jobs = xcalloc(most, sizeof(job_t *));
    size_t all = lines_peek(c->broker, jobs, most), n = 0;
    while (n < all && put_job(c, rows, jobs[n])) n++;
    free(jobs);
    return n;
}

// Tasks and jobs whose turn it is, those that something stops, then those that wait for their time, merged
// with the sources that are due next.
static void put_rows(call_t *c, const scan_t *scan)
{
    broker_t *b = c->broker;
    size_t limit = scan->limit, t = 0, j = 0, s = 0;
    turn_t **tasks = xcalloc(limit, sizeof(turn_t *)), **jobs = xcalloc(limit, sizeof(turn_t *));
    size_t n_tasks = turns_peek(&b->tasks.queue, b->now, tasks, limit),
           n_jobs = turns_peek(&b->jobs.queue, b->now, jobs, limit);
    yyjson_mut_val *rows = call_table(c);
    bool room = true;
    for (size_t n = put_parked(c, rows, limit); room && n < limit; n++) {
        int64_t ta = t < n_tasks ? tasks[t]->ready_at : INT64_MAX,
                ja = j < n_jobs ? jobs[j]->ready_at : INT64_MAX, sa = s < scan->n ? scan->at[s] : INT64_MAX;
        if (t == n_tasks && j == n_jobs && s == scan->n) break;
        if (ta <= ja && ta <= sa)
            room = put_task(c, rows, HEAP_OWNER(tasks[t++], task_t, entry));
        else if (ja <= sa)
            room = put_job(c, rows, HEAP_OWNER(jobs[j++], job_t, entry));
        else
            room = put_source(c, rows, scan, s++);
    }
    if (!room) snprintf(c->message, sizeof c->message, "no more rows fit into one answer");
    free(tasks);
    free(jobs);
}

void command_next(call_t *c)
{
    broker_t *b = c->broker;
    size_t limit = call_arg(c, "limit")[0] ? strtoul(call_arg(c, "limit"), NULL, 10) : NEXT_ROWS, waiting = 0;
    scan_t **last = &b->scans;
    for (; *last; last = &(*last)->next) waiting++;
    if (waiting == SCANS_MAX) {
        call_refuse(c, 429, "", "too many such questions wait; try again");
        return;
    }
    if (limit < 1 || limit > PAGE_ROWS) limit = PAGE_ROWS;
    scan_t *scan = xcalloc(1, sizeof *scan);
    *scan = (scan_t){.peer = c->peer,
                     .request = c->request->id,
                     .limit = limit,
                     .ids = xcalloc(limit, sizeof *scan->ids),
                     .at = xcalloc(limit, sizeof *scan->at)};
    if (b->catalog.sources.count <= AT_ONCE) {
        look(b, scan, INT_MAX);
        put_rows(c, scan);
        scan_free(scan);
    } else {
        *last = scan;
        c->asked = true;
    }
}

void control_tick(broker_t *b)
{
    scan_t *scan = b->scans;
    if (!scan || look(b, scan, b->config.budget)) return;
    b->scans = scan->next;
    wire_request_t request = {.id = scan->request};
    call_t c = {.broker = b, .peer = scan->peer, .request = &request, .doc = yyjson_mut_doc_new(NULL)};
    put_rows(&c, scan);
    call_reply(&c);
    scan_free(scan);
}
