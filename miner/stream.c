// Stream: see the header for the states; stream_move is the one place where they change. What was read but is
// not stored yet is a queue of marks, one an event; as their items are acknowledged in order, the position
// moves on.
#include "miner/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/heap.h"
#include "common/line.h"
#include "common/log.h"
#include "miner/memory.h"
#include "miner/read/next.h"
#include "miner/read/url.h"
#include "miner/request.h"

enum {
    DUE_WAIT_MS = 10000,     // a due waits so long for the next try, else it fails at once
    PAUSE_MS = 50,           // between two looks whether reading may go on
    VERSION_KEYS = 64,       // items of one version, see version_of
    MAX_STREAM_HEADERS = 64, // of a request
};

typedef enum { STREAM_WAITING, STREAM_QUEUED, STREAM_CONNECTING, STREAM_OPEN, STREAM_CLOSED } stream_state_t;

// One event that was read.
typedef struct {
    char *position; // after it; NULL: as before
    int64_t absent; // what last_absent_at of its items is
    uint32_t unacked, items, fresh;
} mark_t;

struct stream {
    visit_t visit; // first
    streams_t *streams;
    source_t *source;
    definition_t *definition;
    uint64_t generation;
    stream_state_t state;
    heap_node_t timer;
    due_t due;      // at hand; due 0: none
    due_t last_due; // settled
    struct stream *next, *previous;

    // the connection
    events_t *events;
    bool exhausting; // an event took too much effort: the connection is ended
    bool paused, refused, resumed;
    int64_t began, byte_at, retry_at; // monotonic ms
    int64_t retry_ms;                 // asked for by the server, -1: not
    uint64_t status, retry_after_s;
    error_class_t error; // of the last connection
    char detail[MAX_DETAIL + 1];
    const char *headers[MAX_STREAM_HEADERS]; // of the request
    char id_header[MAX_VALIDATOR + 32];
    unsigned failures; // connections without an event, one after another

    // what was read
    char *position;    // of the last event
    int64_t gap_since; // broker ms, until it is reported; 0: nothing can have been missed
    int64_t quiet;     // broker ms of the last byte before the latest pause, 0: not known
    int64_t version;
    uint64_t version_keys[VERSION_KEYS];
    uint32_t n_version_keys;
    mark_t *marks; // a ring
    uint32_t first, n, cap;
    uint32_t base; // number of the first mark

    // what is stored and not reported
    char *stored; // position
    bool unreported;
    uint64_t items, fresh, bytes, cpu_us, unreadable;
    error_class_t unreadable_error;
};

struct streams {
    streams_options_t options;
    request_texts_t texts; // of the request that starts
    arena_t *arena;        // of one event
    int64_t offset;        // broker ms = monotonic ms + offset
    heap_t timers;
    stream_t *all;
    size_t n, closing;
    streams_counts_t counts;
};

// -- states ---------------------------------------------------------------------------------------

static void stream_move(stream_t *st, stream_state_t to, int64_t wake)
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

static void stream_free(stream_t *st)
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

static void set_text(char **to, const char *text)
{
    char *copy = text && *text ? xstrdup(text) : NULL;
    free(*to);
    *to = copy;
}

// -- outcomes -------------------------------------------------------------------------------------

// Whether all is read that there was. While nothing was read nobody knows what came.
static bool is_quiet(const stream_t *st, int64_t now)
{
    return !st->paused && now - st->byte_at >= (st->quiet ? STREAM_QUIET_MS : STREAM_FIRST_QUIET_MS);
}

// Up to when everything is stored that the stream had. While that cannot be said, as it has not been quiet
// since its very first connection: when that was made, like for the first poll of a page.
static int64_t known_until(const stream_t *st)
{
    int64_t until = st->quiet;
    bool quiet = st->state == STREAM_OPEN && is_quiet(st, clock_mono_ms());
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

// Tells the position without waiting for the next due: by an outcome of the last one once more.
static void report_position(stream_t *st)
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

static void settle_failed(stream_t *st, error_class_t error, const char *detail)
{
    char line[MAX_DETAIL + 1];
    if (!st->due.due) return;
    report_position(st);
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

static void settle_skipped(stream_t *st, error_class_t reason)
{
    if (!st->due.due) return;
    due_t due = take_due(st);
    wire_outcome_t o = {.due = due.due, .cause = due.cause, .result = RESULT_skipped, .error = reason};
    report(st, &o);
    finished(st);
}

static wire_sink_template_t sink_template(const stream_t *st)
{
    const template_t *t = st->definition->template;
    return (wire_sink_template_t){.id = st->definition->id,
                                  .name = t->name,
                                  .fresh_within = t->fresh_within_ms,
                                  .keep_age = t->keep_age_ms,
                                  .keep_items = t->keep_items};
}

// Tells the sink what it does not know of the stream's continuity. memory: for the outcome's.
static void ship_proof(stream_t *st, wire_outcome_t *o, char memory[MAX_MEMORY + 1])
{
    source_t *s = st->source;
    memory_t m;
    memory_parse(&m, s->memory);
    if (!o->gap_since && o->continuity == m.told) return;
    m.told = (uint8_t)o->continuity;
    memory_write(&m, memory);
    o->memory = memory;
    source_remember(s, memory);
    wire_sink_template_t template = sink_template(st);
    wire_sink_source_t source = {s->id, st->definition->id, s->url};
    wire_poll_t poll = {.source = s->id,
                        .due = o->due,
                        .started = o->started,
                        .fetched = clock_mono_ms() + st->streams->offset,
                        .continuity = o->continuity,
                        .gap_since = o->gap_since,
                        .gap_reason = o->gap_reason};
    ship_add_poll(quays_of(st->streams->options.quays, s->id), clock_mono_ms(), &template, &source, &poll,
                  NULL);
}

// The stream is there: the due is settled with what was stored since the last one.
static void settle_open(stream_t *st)
{
    char text[80], memory[MAX_MEMORY + 1];
    if (!st->due.due) return;
    uint64_t unreadable = st->unreadable;
    st->unreadable = 0;
    if (unreadable && !st->items) {
        snprintf(text, sizeof text, "%llu events could not be read, and none could",
                 (unsigned long long)unreadable);
        settle_failed(st, st->unreadable_error, text);
        return;
    }
    due_t due = take_due(st);
    wire_outcome_t o = {.due = due.due, .cause = due.cause, .started = st->began + st->streams->offset};
    count_stored(st, &o);
    if (o.items) st->streams->counts.changed++;
    add_state(st, &o);
    o.continuity = st->gap_since ? CONTINUITY_gap : CONTINUITY_continuous;
    o.gap_since = st->gap_since;
    o.gap_reason = st->gap_since ? GAP_not_resumed : GAP_none;
    st->gap_since = 0;
    ship_proof(st, &o, memory);
    report(st, &o);
    finished(st);
}

// -- marks ----------------------------------------------------------------------------------------

static mark_t *add_mark(stream_t *st)
{
    if (st->n == st->cap) {
        uint32_t cap = st->cap ? st->cap * 2 : 16;
        mark_t *marks = xcalloc(cap, sizeof *marks);
        for (uint32_t i = 0; i < st->n; i++) marks[i] = st->marks[(st->first + i) % st->cap];
        free(st->marks);
        st->marks = marks;
        st->cap = cap;
        st->first = 0;
    }
    mark_t *m = &st->marks[(st->first + st->n++) % st->cap];
    *m = (mark_t){.absent = st->quiet};
    return m;
}

// Moves on over the events whose items are all acknowledged.
static void pop_marks(stream_t *st)
{
    while (st->n && st->marks[st->first].unacked == 0) {
        mark_t *m = &st->marks[st->first];
        if (m->position) {
            free(st->stored);
            st->stored = m->position;
            st->unreported = true;
        }
        st->items += m->items;
        st->fresh += m->fresh;
        st->first = (st->first + 1) % st->cap;
        st->base++;
        st->n--;
    }
    // the first one is what lets anybody else go on from here
    if (st->unreported && !st->source->etag) report_position(st);
}

void streams_verdict(void *owner, uint32_t index, wire_verdict_t verdict)
{
    if (index == SHIP_POLL) return;
    stream_t *st = owner;
    uint32_t at = index - st->base;
    CHECK(at < st->n);
    mark_t *m = &st->marks[(st->first + at) % st->cap];
    if (verdict == VERDICT_new || verdict == VERDICT_changed) m->fresh++;
    if (verdict == VERDICT_rejected)
        log_warn("item_rejected", "template=%s source=%016llx", st->definition->name,
                 (unsigned long long)st->source->id);
    m->unacked--;
    pop_marks(st);
    if (st->state != STREAM_CLOSED || st->n) return;
    source_t *s = st->source;
    streams_t *ss = st->streams;
    due_t due = st->due;
    report_position(st);
    stream_free(st);
    if (due.due)
        streams_due(ss, s, &due);
    else
        ss->options.finished(ss->options.context, s);
}

// -- events ---------------------------------------------------------------------------------------

// The sink takes a row only from a newer version than the one that it has, and an event may change what one
// just before it told: versions are broker time, moved on where a key comes again within a millisecond.
static int64_t version_of(stream_t *st, const char *key)
{
    int64_t now = clock_mono_ms() + st->streams->offset;
    uint64_t hash = XXH3_64bits(key, strlen(key));
    bool again = st->n_version_keys == VERSION_KEYS;
    for (uint32_t i = 0; i < st->n_version_keys && !again; i++) again = st->version_keys[i] == hash;
    if (now > st->version || again) {
        st->version = now > st->version ? now : st->version + 1;
        st->n_version_keys = 0;
    }
    st->version_keys[st->n_version_keys++] = hash;
    return st->version;
}

static const char *part_text(const char *text)
{
    return text ? text : "";
}

static void ship_item(stream_t *st, const item_t *item, uint32_t index)
{
    const source_t *s = st->source;
    int64_t now = clock_mono_ms();
    wire_sink_template_t template = sink_template(st);
    wire_sink_source_t source = {s->id, st->definition->id, s->url};
    wire_poll_t poll = {.source = s->id,
                        .due = version_of(st, item->key),
                        .started = st->began + st->streams->offset,
                        .fetched = now + st->streams->offset,
                        .absent = st->quiet,
                        .backfill = st->quiet == 0,
                        .cause = st->last_due.cause};
    wire_item_t row = {
        .part = PART_LIST,
        .key = item->key,
        .content_hash = item->content_hash,
        .published = item->published_ms,
        .url = part_text(item->url),
        .title = part_text(item->title),
        .author = part_text(item->author),
        .summary = part_text(item->summary),
        .content = part_text(item->content),
        .image = part_text(item->image),
        .fields = part_text(item->fields),
        .url_norm = part_text(item->url ? urls_norm(urls_of_thread(), st->streams->arena, item->url) : NULL)};
    ship_add(quays_of(st->streams->options.quays, s->id), now, &template, &source, &poll, &row, st, index);
}

static error_class_t read_error(read_status_t status)
{
    return status == READ_TOO_BIG ? ERR_too_big : status == READ_TOO_COMPLEX ? ERR_too_complex : ERR_parse;
}

static void note_unreadable(stream_t *st, read_status_t status, const char *detail)
{
    char line[MAX_DETAIL + 1];
    st->unreadable_error = read_error(status);
    st->exhausting |= status == READ_TOO_COMPLEX;
    if (st->unreadable++ == 0)
        log_warn("event_unreadable", "template=%s source=%016llx error=%s detail=\"%s\"",
                 st->definition->name, (unsigned long long)st->source->id,
                 error_class_name(st->unreadable_error), line_copy(line, sizeof line, detail));
}

static void take_event(stream_t *st, const event_t *event)
{
    streams_t *ss = st->streams;
    items_t items;
    const char *position;
    arena_reset(ss->arena);
    read_status_t status = reader_event(st->definition->reader, ss->arena, source_fetch_url(st->source),
                                        event, &items, &position);
    if (status != READ_OK) {
        note_unreadable(st, status, items.detail);
        items.n_items = 0;
    }
    if (!st->exhausting) st->failures = 0;
    bool moved = position && (!st->position || strcmp(position, st->position) != 0);
    if (moved) set_text(&st->position, position);
    if (!items.n_items && !moved) return;
    mark_t *m = add_mark(st);
    uint32_t index = st->base + st->n - 1;
    if (moved) m->position = xstrdup(position);
    m->items = m->unacked = (uint32_t)items.n_items;
    ss->counts.items += items.n_items;
    for (size_t i = 0; i < items.n_items; i++) ship_item(st, &items.items[i], index);
    pop_marks(st);
}

static bool must_wait(const stream_t *st)
{
    const atomic_bool *pressure = st->streams->options.pressure;
    return st->n >= STREAM_UNACKED || (pressure && atomic_load_explicit(pressure, memory_order_relaxed));
}

static void note_byte(stream_t *st)
{
    int64_t now = clock_mono_ms();
    if (is_quiet(st, now)) st->quiet = st->byte_at + st->streams->offset;
    st->byte_at = now;
    st->paused = false;
}

static fetch_take_t on_data(void *owner, const char *bytes, size_t len)
{
    stream_t *st = owner;
    event_t event;
    if (st->refused) return FETCH_STOP;
    if (must_wait(st)) {
        st->paused = true;
        heap_set(&st->streams->timers, &st->timer, clock_mono_ms() + PAUSE_MS);
        return FETCH_PAUSED;
    }
    note_byte(st);
    st->bytes += len;
    int64_t cpu = clock_thread_cpu_us();
    wire_outcome_t poll = {.source = st->source->id, .due = st->last_due.due, .cause = st->last_due.cause};
    watch_begin(st->streams->options.watch, &poll, st->definition->name, source_fetch_url(st->source));
    while (!st->exhausting && events_next(st->events, &bytes, &len, &event)) take_event(st, &event);
    watch_end(st->streams->options.watch);
    st->cpu_us += (uint64_t)(clock_thread_cpu_us() - cpu);
    if (!st->exhausting) return FETCH_TAKEN;
    // a piece may hold a thousand of these, and others wait
    st->refused = true;
    st->error = ERR_too_complex;
    snprintf(st->detail, sizeof st->detail, "an event takes too much time to read");
    return FETCH_STOP;
}

// -- connections ----------------------------------------------------------------------------------

static void note_gap(stream_t *st)
{
    const source_t *s = st->source;
    int64_t since = st->quiet > s->last_ok ? st->quiet : s->last_ok;
    if (st->resumed || !since) return;
    st->streams->counts.gaps++;
    if (!st->gap_since) st->gap_since = since;
    log_warn("stream_gap", "template=%s source=%016llx since_ms=%lld reason=not_resumed",
             st->definition->name, (unsigned long long)s->id, (long long)since);
}

static void on_opened(void *owner, const fetch_result_t *head)
{
    stream_t *st = owner; // a visit is the first member
    events_format_t format = EVENTS_SSE;
    char line[MAX_DETAIL + 1];
    st->status = (uint64_t)head->status;
    // 204: do not come back; what else is empty or no stream is told when it has ended
    st->refused = head->status == 204 || !events_format(head->content_type, &format);
    st->error = head->status == 204 ? ERR_empty_body : ERR_not_this_kind;
    snprintf(st->detail, sizeof st->detail, "%s",
             head->status == 204 ? "HTTP 204: the server wants nobody to come back"
                                 : line_copy(line, sizeof line, head->content_type));
    if (st->refused) return;
    st->events = events_new(format);
    st->error = ERR_none;
    st->byte_at = clock_mono_ms();
    st->retry_after_s = 0;
    stream_move(st, STREAM_OPEN, st->byte_at + st->definition->template->timeout_ms);
    gate_release(st->streams->options.gate, &st->visit);
    note_gap(st);
    log_info("stream_open", "template=%s source=%016llx resumed=%d url=\"%s\"", st->definition->name,
             (unsigned long long)st->source->id, st->resumed, source_fetch_url(st->source));
    settle_open(st);
}

// Between the half and the whole of span, differently for each stream and try.
static int64_t jittered(const stream_t *st, int64_t span)
{
    uint64_t seed[] = {st->source->id, st->failures, (uint64_t)clock_mono_us()};
    return span / 2 + (int64_t)(XXH3_64bits(seed, sizeof seed) % (uint64_t)(span / 2 + 1));
}

static int64_t retry_delay(const stream_t *st)
{
    int64_t least = st->retry_ms >= 0 ? st->retry_ms : STREAM_RETRY_MS / 2;
    int64_t span = st->retry_ms > STREAM_RETRY_MS ? st->retry_ms : STREAM_RETRY_MS;
    for (unsigned i = 1; i < st->failures && span < STREAM_RETRY_MAX; i++) span *= 2;
    if (span > STREAM_RETRY_MAX && span > st->retry_ms) span = STREAM_RETRY_MAX;
    int64_t delay = jittered(st, span), asked = (int64_t)st->retry_after_s * 1000;
    if (st->status == 204) delay = STREAM_STOPPED_MS;
    if (delay < least) delay = least + jittered(st, STREAM_RETRY_MS) / 4;
    return asked > delay ? asked : delay;
}

// The connection is gone.
static void end_connection(stream_t *st, error_class_t error, const char *detail)
{
    bool was_open = st->state == STREAM_OPEN;
    char line[MAX_DETAIL + 1];
    if (st->events && events_retry_ms(st->events) >= 0) st->retry_ms = events_retry_ms(st->events);
    events_destroy(&st->events);
    st->error = error;
    line_copy(line, sizeof line, detail); // which may be st->detail itself
    memcpy(st->detail, line, sizeof line);
    st->failures++;
    int64_t delay = retry_delay(st);
    st->retry_at = clock_mono_ms() + delay;
    stream_move(st, STREAM_WAITING, st->retry_at);
    log_info(was_open ? "stream_ended" : "stream_failed",
             "template=%s source=%016llx error=%s status=%llu again_ms=%lld detail=\"%s\"",
             st->definition->name, (unsigned long long)st->source->id, error_class_name(error),
             (unsigned long long)st->status, (long long)delay, st->detail);
    settle_failed(st, error, st->detail);
}

// Its host asks for a pause: no due waits for that.
static void back_off(stream_t *st, uint64_t span_s)
{
    st->retry_at = clock_mono_ms() + jittered(st, STREAM_RETRY_MAX) + (int64_t)span_s * 1000;
    stream_move(st, STREAM_WAITING, st->retry_at);
    settle_skipped(st, ERR_host_backoff);
}

static void on_done(visit_t *visit, const fetch_result_t *result, bool moved)
{
    stream_t *st = (stream_t *)visit;
    event_t event;
    (void)moved;
    if (result->error == ERR_host_backoff && visit->hops == 0) {
        back_off(st, result->retry_after_s);
        return;
    }
    st->status = (uint64_t)result->status;
    st->retry_after_s = result->retry_after_s;
    if (st->refused) {
        end_connection(st, st->error, st->detail);
        return;
    }
    if (result->error == ERR_none && st->events && events_end(st->events, &event)) take_event(st, &event);
    error_class_t error = result->error != ERR_none ? result->error : ERR_reset;
    end_connection(st, error, result->error != ERR_none ? result->detail : "the server ended the stream");
}

static bool has_header(const template_t *t, const char *name)
{
    for (size_t i = 0; i < t->n_headers; i++)
        if (strncasecmp(t->headers[i], name, strlen(name)) == 0) return true;
    return false;
}

// Where to ask, and how to say where to go on. NULL: it cannot be said.
static const char *where(stream_t *st, buf_t *buf)
{
    const template_t *t = st->definition->template;
    const source_t *s = st->source;
    char text[MAX_URL + 1];
    if (!t->resume || !st->position) {
        const char *url = s->fetch_url ? s->fetch_url : request_url(t, s->url, text);
        return buf_puts(buf, url) ? NULL : buf_cstr(buf);
    }
    const char *at = strstr(t->resume, "{}");
    if (buf_append(buf, t->resume, (size_t)(at - t->resume)) || next_append_escaped(buf, st->position) ||
        buf_puts(buf, at + 2))
        return NULL;
    return buf_cstr(buf);
}

// What the request says besides the template's headers.
static void add_headers(stream_t *st, fetch_request_t *request)
{
    const template_t *t = st->definition->template;
    size_t n = 0;
    for (; n < t->n_headers && n < MAX_STREAM_HEADERS - 3; n++) st->headers[n] = t->headers[n];
    if (!has_header(t, "accept:"))
        st->headers[n++] = "Accept: text/event-stream, application/x-ndjson, application/json;q=0.9";
    st->headers[n++] = "Cache-Control: no-cache";
    if (st->position && !t->resume) {
        snprintf(st->id_header, sizeof st->id_header, "Last-Event-ID: %s", st->position);
        st->headers[n++] = st->id_header;
    }
    request->headers = st->headers;
    request->n_headers = n;
}

static error_class_t on_start(visit_t *visit, fetch_request_t *request)
{
    static const fetch_stream_t stream = {.opened = on_opened, .data = on_data};
    stream_t *st = (stream_t *)visit;
    int64_t now = clock_mono_ms();
    st->began = now;
    st->paused = st->refused = st->exhausting = false;
    st->status = st->retry_after_s = 0;
    stream_move(st, STREAM_CONNECTING, now + st->definition->template->timeout_ms);
    const template_t *t = st->definition->template;
    error_class_t error =
        request_fill(request, t, true, gate_secrets(st->streams->options.gate), &st->streams->texts);
    if (error != ERR_none) visit_explain(visit, st->streams->texts.why);
    if (t->request.cookies && !st->source->jar) st->source->jar = fetch_jar_new();
    if (t->request.cookies) request->jar = st->source->jar;
    add_headers(st, request);
    request->timeout_ms = 0;
    request->stream = &stream;
    return error;
}

static void queue(stream_t *st)
{
    static const visit_ops_t ops = {on_start, on_done};
    buf_t buf;
    buf_init(&buf, MAX_URL + 1);
    const char *url = where(st, &buf);
    st->resumed = st->position != NULL;
    stream_move(st, STREAM_QUEUED, INT64_MAX);
    if (url)
        gate_enter(st->streams->options.gate, &st->visit, &ops, url, st->source->url,
                   st->definition->template, clock_mono_ms());
    buf_free(&buf);
    if (!url) end_connection(st, ERR_bad_url, "the position to resume from makes too long a URL");
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
    set_text(&st->position, s->etag);
    set_text(&st->stored, s->etag);
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
    report_position(st);
    stream_free(st);
}

// Whether it is to be read in another way than it is.
static bool is_outdated(const stream_t *st)
{
    return st->definition != st->source->definition || st->generation != st->source->generation;
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
    if (s->stream && is_outdated(s->stream)) streams_close(ss, s);
    stream_t *st = s->stream;
    if (st) {
        st->due = *due; // of a closed one: when it has finished, see streams_verdict
        if (st->state == STREAM_OPEN)
            settle_open(st);
        else if (st->state == STREAM_WAITING && st->retry_at - now > DUE_WAIT_MS)
            settle_failed(st, st->error, st->detail);
    } else if (ss->n >= MAX_STREAMS) {
        refuse(ss, s, due);
    } else {
        st = stream_new(ss, s);
        st->due = *due;
        queue(st);
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
    end_connection(st, ERR_timeout, detail);
}

static void look_at_open(stream_t *st, int64_t now)
{
    int64_t timeout = st->definition->template->timeout_ms;
    if (st->paused && !must_wait(st)) fetch_resume(gate_fetch(st->streams->options.gate), st->visit.transfer);
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
    case STREAM_WAITING: queue(st); break;
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
