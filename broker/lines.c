// Lines: a heap for each class and one by age, made anew each time: templates with parked jobs are few.
#include "broker/lines.h"

#include <stdlib.h>

#include "broker/state.h"
#include "common/check.h"

// -- one line ------------------------------------------------------------------------------------------

void lines_unpark(broker_t *b, job_t *job)
{
    listing_t *l = job->source->listing;
    *(job->previous ? &job->previous->next : &l->parked_first) = job->next;
    *(job->next ? &job->next->previous : &l->parked_last) = job->previous;
    if (l->hastened_last == job) l->hastened_last = job->previous;
    job->previous = job->next = NULL;
    heap_remove(&b->jobs.deadlines, &job->deadline);
    b->jobs.parked--;
}

// Somebody asked for it to be polled before the others of its template.
static bool is_hastened(const job_t *job)
{
    return job->why != ERR_dependency &&
           (turns_ahead(&job->entry) || job->entry.priority > job->source->listing->urgency);
}

// Whom it stands behind, NULL: nobody. Those that are hastened come first, by class and then as they came;
// the others in order of age, but who waits for a dependency last.
static job_t *place_of(const listing_t *l, const job_t *job)
{
    job_t *after = l->parked_last;
    int n = 0;
    if (is_hastened(job)) {
        job_t *j = l->parked_first;
        for (after = NULL; j && is_hastened(j) && n < LOOK_BEHIND; n++, after = j, j = j->next)
            if (turns_before(&job->entry, &j->entry)) return after;
        if (n < LOOK_BEHIND || !l->hastened_last) return after;
        // they are very many: most come last
        for (after = l->hastened_last;
             after && n < 2 * LOOK_BEHIND && turns_before(&job->entry, &after->entry); n++)
            after = after->previous;
        return after;
    }
    for (; job->why != ERR_dependency && after && n < LOOK_BEHIND; n++, after = after->previous)
        if (after->why != ERR_dependency &&
            (after->entry.ready_at <= job->entry.ready_at || is_hastened(after)))
            break;
    return after;
}

void lines_park(broker_t *b, job_t *job, bool first)
{
    listing_t *l = job->source->listing;
    bool back = first && job->why != ERR_dependency; // else those that are hastened would come in front of it
    job_t *after = back ? NULL : place_of(l, job);
    job->state = JOB_PARKED;
    job->previous = after;
    job->next = after ? after->next : l->parked_first;
    *(job->previous ? &job->previous->next : &l->parked_first) = job;
    *(job->next ? &job->next->previous : &l->parked_last) = job;
    if (is_hastened(job) && (!job->next || !is_hastened(job->next))) l->hastened_last = job;
    if (job->entry.priority < PRIORITY_HIGH && job->entry.promote_at != INT64_MAX)
        heap_set(&b->jobs.deadlines, &job->deadline, job->entry.promote_at);
    b->jobs.parked++;
}

void lines_promote(broker_t *b)
{
    heap_node_t *n;
    for (int i = 0; i < b->config.budget && (n = heap_min(&b->jobs.deadlines)) && n->key <= b->now; i++) {
        job_t *job = HEAP_OWNER(n, job_t, deadline);
        lines_unpark(b, job);
        job->entry.priority = PRIORITY_HIGH;
        lines_park(b, job, false);
        b->jobs.changed = true;
    }
}

// -- all lines -----------------------------------------------------------------------------------------

// The least goes first: who was put in front, the latest of them before the others; then by age.
static int64_t rank(const job_t *job)
{
    return turns_ahead(&job->entry) ? INT64_MIN / 2 + job->entry.place.key : job->entry.ready_at;
}

static void line_up(lines_t *l, line_t *line, const job_t *first)
{
    line->first = first;
    line->class = first->entry.priority;
    heap_set(&l->classes[line->class], &line->place, rank(first));
    heap_set(&l->ages, &line->age, first->entry.ready_at);
}

void lines_leave(lines_t *l, line_t *line)
{
    heap_remove(&l->classes[line->class], &line->place);
    heap_remove(&l->ages, &line->age);
}

void lines_init(lines_t *l, const broker_t *b)
{
    size_t n = 0, pos = 0;
    *l = (lines_t){
        .all = xcalloc(b->jobs.parked + 1, sizeof *l->all), .shares = b->jobs.shares, .aged = b->jobs.aged};
    for (int c = 0; c < TURN_CLASSES; c++) heap_init(&l->classes[c]);
    heap_init(&l->ages);
    for (listing_t *listing; (listing = map_next(&b->catalog.listings, &pos));) {
        if (!listing->parked_first) continue;
        l->all[n].listing = listing;
        line_up(l, &l->all[n++], listing->parked_first);
    }
    for (int c = 0; c < TURN_CLASSES; c++)
        if (!l->classes[c].count) shares_join(&l->shares, c); // it saves up no turns
}

void lines_free(lines_t *l)
{
    for (int c = 0; c < TURN_CLASSES; c++) heap_free(&l->classes[c]);
    heap_free(&l->ages);
    free(l->all);
}

line_t *lines_next(const lines_t *l, const broker_t *b, bool *aged)
{
    const heap_node_t *oldest = heap_min(&l->ages);
    unsigned wants = 0;
    if (!oldest) return NULL;
    *aged = !l->aged && oldest->key + b->jobs.queue.patience <= b->now;
    if (*aged) return HEAP_OWNER(oldest, line_t, age);
    for (int c = 0; c < TURN_CLASSES; c++) wants |= (unsigned)(l->classes[c].count > 0) << c;
    return HEAP_OWNER(heap_min(&l->classes[shares_next(&l->shares, wants)]), line_t, place);
}

void lines_turn(lines_t *l, line_t *line, bool aged, const job_t *first)
{
    l->aged = aged;
    if (!aged) shares_take(&l->shares, (int)line->class);
    lines_leave(l, line);
    if (first) line_up(l, line, first);
}

size_t lines_peek(const broker_t *b, const job_t **out, size_t most)
{
    lines_t l;
    size_t n = 0;
    bool aged;
    lines_init(&l, b);
    for (line_t *line; n < most && (line = lines_next(&l, b, &aged));) {
        out[n++] = line->first;
        lines_turn(&l, line, aged, line->first->next);
    }
    lines_free(&l);
    return n;
}
