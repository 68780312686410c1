// Stream: see the header for the states; stream_move is the one place where they change.
#include "miner/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/line.h"
#include "common/log.h"
#include "miner/memory.h"
#include "miner/stream_state.h"

enum { DUE_WAIT_MS = 10000 }; // a due waits so long for the next try, else it fails at once

// -- states ---------------------------------------------------------------------------------------

void stream_move(stream_t *st, stream_state_t to, int64_t wake)
{
    streams_t *ss = st->streams;
    CHECK(st->state != STREAM_CLOSED);
    st->state = to;
    if (to == STREAM_CLOSED) ss->closing++;
    if (wake == INT64_MAX)
        heap_remove(&ss->timers, &st->timer);
    else
        heap_set(&ss->timers, &st->timer, wake);
}

void stream_free(stream_t *st)
{
    streams_t *ss = st->streams;
    if (st->state == STREAM_CLOSED) ss->closing--;
    heap_remove(&ss->timers, &st->timer);
    if (st->previous)
        st->previous->next = st->next;
    else
        ss->all = st->next;
    if (st->next) st->next->previous = st->previous;
    ss->n--;
    for (uint32_t i = 0; i < st->n; i++) free(st->marks[(st->first + i) % st->cap].position);
    st->source->stream = NULL;
    definition_unref(&st->definition);
    events_destroy(&st->events);
    free(st->marks);
    free(st->position);
    free(st->stored);
    free(st);
}

void stream_set_text(char **to, const char *text)
{
    char *copy = text && *text ? xstrdup(text) : NULL;
    free(*to);
    *to = copy;
}

// -- outcomes -------------------------------------------------------------------------------------

bool stream_is_quiet(const stream_t *st, int64_t now)
{
    return !st->paused && now - st->byte_at >= (st->quiet ? STREAM_QUIET_MS : STREAM_FIRST_QUIET_MS);
}

// Up to when everything is stored that the stream had. While that cannot be said, as it has not been quiet
// since its very first connection: when that was made, like for the first poll of a page.
static int64_t known_until(const stream_t *st)
{
    int64_t until = st->quiet;
    bool quiet = st->state == STREAM_OPEN && stream_is_quiet(st, clock_mono_ms());
    if (st->n)
        until = st->marks[st->first].absent;
    else if (quiet)
        until = st->byte_at + st->streams->offset;
    return until ? until : st->began + st->streams->offset;
}

static void add_state(stream_t *st, wire_outcome_t *o)
{
    source_t *s = st->source;
    int64_t until = known_until(st);
    o->last_ok = until > s->last_ok ? until : s->last_ok;
    o->generation = st->generation;
    if (st->generation != s->generation || st->definition != s->definition) return;
    o->has_state = true;
    o->etag = st->stored ? st->stored : "";
    o->fetch_url = s->fetch_url;
    source_advance(s, o);
    st->unreported = false;
}

static void report(stream_t *st, wire_outcome_t *o)
{
    streams_t *ss = st->streams;
    o->kind = OUTCOME_BOTH;
    o->source = st->source->id;
    o->status = st->status;
    o->bytes = st->bytes;
    o->cpu_us = st->cpu_us;
    o->took_ms = st->cpu_us / 1000;
    st->bytes = st->cpu_us = 0;
    if (o->due > st->source->done) st->source->done = o->due;
    ss->options.report(ss->options.context, o);
}

static void count_stored(stream_t *st, wire_outcome_t *o)
{
    o->items = st->items;
    o->fresh = st->fresh;
    o->result = st->items ? RESULT_changed : RESULT_unchanged;
    st->items = st->fresh = 0;
}

void stream_report_position(stream_t *st)
{
    wire_outcome_t o = {.due = st->last_due.due, .cause = st->last_due.cause, .result = RESULT_unchanged};
    if (!st->unreported) return;
    o.started = st->began + st->streams->offset;
    add_state(st, &o);
    report(st, &o);
}

static due_t take_due(stream_t *st)
{
    due_t due = st->due;
    st->due = (due_t){0};
    st->last_due = due;
    return due;
}

static void finished(stream_t *st)
{
    st->streams->options.finished(st->streams->options.context, st->source);
}

void stream_settle_failed(stream_t *st, error_class_t error, const char *detail)
{
    char line[MAX_DETAIL + 1];
    if (!st->due.due) return;
    stream_report_position(st);
    due_t due = take_due(st);
    wire_outcome_t o = {.due = due.due,
                        .cause = due.cause,
                        .result = RESULT_failed,
                        .error = error,
                        .detail = line_copy(line, sizeof line, detail),
                        .items = st->items,
                        .fresh = st->fresh,
                        .started = st->began + st->streams->offset,
                        .generation = st->generation,
                        .retry_after_s = st->retry_after_s};
    st->items = st->fresh = 0;
    st->streams->counts.failed++;
    report(st, &o);
    finished(st);
}

void stream_settle_skipped(stream_t *st, error_class_t reason)
{
    if (!st->due.due) return;
    due_t due = take_due(st);
    wire_outcome_t o = {.due = due.due, .cause = due.cause, .result = RESULT_skipped, .error = reason};
    report(st, &o);
    finished(st);
}

wire_sink_template_t stream_sink_template(const stream_t *st)
{
    const template_t *t = st->definition->template;
    return (wire_sink_template_t){.id = st->definition->id,
                                  .name = t->name,
                                  .fresh_within = t->fresh_within_ms,
                                  .keep_age = t->keep_age_ms,
                                  .keep_items = t->keep_items};
}

static wire_continuity_t continuity_of(const stream_t *st)
{
    return st->gap_since ? CONTINUITY_gap : CONTINUITY_continuous;
}

// Whether the sink knows what is to be reported of the stream's continuity.
static bool is_proven(const stream_t *st)
{
    memory_t m;
    memory_parse(&m, st->source->memory);
    return st->gap_since ? st->gap_since == st->gap_proven : m.told == continuity_of(st);
}

// Tells the sink. Nobody else would do it if this miner died after the broker has heard of it: so the due
// waits for the answer.
static void ship_proof(stream_t *st)
{
    const source_t *s = st->source;
    int64_t now = clock_mono_ms();
    wire_sink_template_t template = stream_sink_template(st);
    wire_sink_source_t source = {s->id, st->definition->id, s->url};
    wire_poll_t poll = {.source = s->id,
                        .due = st->due.due,
                        .started = st->began + st->streams->offset,
                        .fetched = now + st->streams->offset,
                        .continuity = continuity_of(st),
                        .gap_since = st->gap_since,
                        .gap_reason = st->gap_since ? GAP_not_resumed : GAP_none};
    mark_t *m = stream_add_mark(st);
    m->proof = true;
    m->unacked = 1;
    st->proving = continuity_of(st);
    st->gap_proven = st->gap_since;
    ship_add_poll(quays_of(st->streams->options.quays, s->id), now, &template, &source, &poll, st);
}

void stream_proven(stream_t *st)
{
    char memory[MAX_MEMORY + 1];
    memory_t m;
    memory_parse(&m, st->source->memory);
    m.told = (uint8_t)st->proving;
    memory_write(&m, memory);
    source_remember(st->source, memory);
    st->remembers = true;
    st->proving = CONTINUITY_unknown;
}

// The stream is there: the due is settled with what was stored since the last one.
void stream_settle_open(stream_t *st)
{
    char text[80];
    if (!st->due.due || st->proving) return;
    uint64_t unreadable = st->unreadable;
    if (unreadable && !st->items) {
        st->unreadable = 0;
        snprintf(text, sizeof text, "%llu events could not be read, and none could",
                 (unsigned long long)unreadable);
        stream_settle_failed(st, st->unreadable_error, text);
        return;
    }
    if (!is_proven(st)) {
        ship_proof(st);
        return;
    }
    st->unreadable = 0;
    due_t due = take_due(st);
    wire_outcome_t o = {.due = due.due, .cause = due.cause, .started = st->began + st->streams->offset};
    count_stored(st, &o);
    if (o.items) st->streams->counts.changed++;
    add_state(st, &o);
    o.continuity = continuity_of(st);
    o.gap_since = st->gap_since;
    o.gap_reason = st->gap_since ? GAP_not_resumed : GAP_none;
    o.memory = st->remembers ? st->source->memory : NULL;
    st->gap_since = st->gap_proven = 0;
    st->remembers = false;
    report(st, &o);
    finished(st);
}

// -- one stream -----------------------------------------------------------------------------------

static stream_t *stream_new(streams_t *ss, source_t *s)
{
    stream_t *st = xcalloc(1, sizeof *st);
    st->streams = ss;
    st->source = s;
    st->definition = definition_ref(s->definition);
    st->generation = s->generation;
    st->retry_ms = -1;
    st->quiet = s->last_ok;
    st->began = clock_mono_ms();
    stream_set_text(&st->position, s->etag);
    stream_set_text(&st->stored, s->etag);
    st->next = ss->all;
    if (ss->all) ss->all->previous = st;
    ss->all = st;
    ss->n++;
    s->stream = st;
    return st;
}

static void stop_connection(stream_t *st)
{
    gate_cancel(st->streams->options.gate, &st->visit);
    events_destroy(&st->events);
}

bool streams_busy(const source_t *s)
{
    const stream_t *st = s->stream;
    return st && (st->due.due || st->state == STREAM_CLOSED);
}

bool streams_has_due(const source_t *s, int64_t due)
{
    return s->stream && s->stream->due.due && s->stream->due.due == due;
}

void streams_close(streams_t *ss, source_t *s)
{
    stream_t *st = s->stream;
    (void)ss;
    if (!st) return;
    st->due = (due_t){0};
    if (st->state == STREAM_CLOSED) return;
    stop_connection(st);
    stream_move(st, STREAM_CLOSED, INT64_MAX);
    if (st->n) return;
    stream_report_position(st);
    stream_free(st);
}

// Whether it is to be read in another way than it is.
static bool is_outdated(const stream_t *st)
{
    return st->definition != st->source->definition || st->generation != st->source->generation;
}

void stream_hand_on(const stream_t *st)
{
    source_t *s = st->source;
    if (st->generation == s->generation && st->stored) stream_set_text(&s->etag, st->stored);
}

static void refuse(streams_t *ss, source_t *s, const due_t *due)
{
    wire_outcome_t o = {.kind = OUTCOME_BOTH,
                        .source = s->id,
                        .due = due->due,
                        .cause = due->cause,
                        .result = RESULT_skipped,
                        .error = ERR_overloaded};
    if (due->due > s->done) s->done = due->due;
    ss->options.report(ss->options.context, &o);
    ss->options.finished(ss->options.context, s);
}

void streams_due(streams_t *ss, source_t *s, const due_t *due)
{
    int64_t now = clock_mono_ms();
    ss->counts.dues++;
    if (s->stream && is_outdated(s->stream)) {
        stream_hand_on(s->stream);
        streams_close(ss, s);
    }
    stream_t *st = s->stream;
    if (st) {
        st->due = *due; // of a closed one: when it has finished, see streams_verdict
        if (st->state == STREAM_OPEN)
            stream_settle_open(st);
        else if (st->state == STREAM_WAITING && st->retry_at - now > DUE_WAIT_MS)
            stream_settle_failed(st, st->error, st->detail);
    } else if (ss->n >= MAX_STREAMS) {
        refuse(ss, s, due);
    } else {
        st = stream_new(ss, s);
        st->due = *due;
        stream_queue(st);
    }
}

// -- all streams ----------------------------------------------------------------------------------

streams_t *streams_new(const streams_options_t *options)
{
    streams_t *ss = xcalloc(1, sizeof *ss);
    ss->options = *options;
    ss->arena = arena_new(DOCUMENT_ARENA);
    heap_init(&ss->timers);
    return ss;
}

void streams_destroy(streams_t **streams)
{
    streams_t *ss = *streams;
    if (!ss) return;
    for (stream_t *st = ss->all, *next; st; st = next) {
        next = st->next;
        stop_connection(st);
        stream_free(st);
    }
    heap_free(&ss->timers);
    arena_destroy(&ss->arena);
    free(ss);
    *streams = NULL;
}

void streams_set_clock(streams_t *ss, int64_t offset)
{
    ss->offset = offset;
}

static void give_up(stream_t *st, const char *what)
{
    char detail[80];
    snprintf(detail, sizeof detail, "%s for %lld ms", what, (long long)st->definition->template->timeout_ms);
    gate_cancel(st->streams->options.gate, &st->visit);
    stream_disconnected(st, ERR_timeout, detail);
}

static void look_at_open(stream_t *st, int64_t now)
{
    int64_t timeout = st->definition->template->timeout_ms;
    if (st->paused && !stream_must_wait(st))
        fetch_resume(gate_fetch(st->streams->options.gate), st->visit.transfer);
    if (st->paused)
        heap_set(&st->streams->timers, &st->timer, now + PAUSE_MS);
    else if (now - st->byte_at >= timeout)
        give_up(st, "nothing came");
    else
        heap_set(&st->streams->timers, &st->timer, st->byte_at + timeout);
}

static void wake(stream_t *st, int64_t now)
{
    switch (st->state) {
    case STREAM_WAITING: stream_queue(st); break;
    case STREAM_CONNECTING: give_up(st, "no answer"); break;
    case STREAM_OPEN: look_at_open(st, now); break;
    case STREAM_QUEUED:
    case STREAM_CLOSED: heap_remove(&st->streams->timers, &st->timer); break;
    }
}

void streams_run(streams_t *ss, int64_t now)
{
    for (heap_node_t *n; (n = heap_min(&ss->timers)) && n->key <= now;)
        wake(HEAP_OWNER(n, stream_t, timer), now);
}

int64_t streams_deadline(const streams_t *ss)
{
    const heap_node_t *n = heap_min(&ss->timers);
    return n ? n->key : INT64_MAX;
}

size_t streams_closing(const streams_t *ss)
{
    return ss->closing;
}

streams_counts_t streams_counts(const streams_t *ss)
{
    return ss->counts;
}
