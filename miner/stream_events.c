// Stream events: from bytes to what is on its way to the sink, and back from its acknowledgements. What was
// read but is not stored yet is a queue of marks, one an event; as their items are acknowledged in order, the
// position moves on.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/line.h"
#include "common/log.h"
#include "miner/read/url.h"
#include "miner/stream_state.h"

// -- marks ----------------------------------------------------------------------------------------

mark_t *stream_add_mark(stream_t *st)
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
static void stream_pop_marks(stream_t *st)
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
    if (st->unreported && !st->source->etag) stream_report_position(st);
}

// The mark of a verdict; there is one of a proof at most.
static mark_t *mark_of(const stream_t *st, uint32_t index)
{
    for (uint32_t i = 0; index == SHIP_POLL && i < st->n; i++)
        if (st->marks[(st->first + i) % st->cap].proof) index = st->base + i;
    CHECK(index - st->base < st->n);
    return &st->marks[(st->first + (index - st->base)) % st->cap];
}

void streams_verdict(void *owner, uint32_t index, wire_verdict_t verdict)
{
    stream_t *st = owner;
    mark_t *m = mark_of(st, index);
    bool proof = m->proof;
    if (verdict == VERDICT_new || verdict == VERDICT_changed) m->fresh++;
    if (verdict == VERDICT_rejected)
        log_warn("item_rejected", "template=%s source=%016llx", st->definition->name,
                 (unsigned long long)st->source->id);
    m->unacked--;
    m->proof = false;
    stream_pop_marks(st);
    if (proof) stream_proven(st);
    if (proof && st->state == STREAM_OPEN) {
        stream_settle_open(st); // which may be its end
        return;
    }
    if (st->state != STREAM_CLOSED || st->n) return;
    source_t *s = st->source;
    streams_t *ss = st->streams;
    due_t due = st->due;
    if (due.due) stream_hand_on(st);
    stream_report_position(st);
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

static const char *stream_text(const char *text)
{
    return text ? text : "";
}

static void ship_item(stream_t *st, const item_t *item, uint32_t index)
{
    const source_t *s = st->source;
    int64_t now = clock_mono_ms();
    wire_sink_template_t template = stream_sink_template(st);
    wire_sink_source_t source = {s->id, st->definition->id, s->url};
    wire_poll_t poll = {.source = s->id,
                        .due = version_of(st, item->key),
                        .started = st->began + st->streams->offset,
                        .fetched = now + st->streams->offset,
                        .absent = st->quiet,
                        .backfill = st->quiet == 0,
                        .cause = st->last_due.cause};
    wire_item_t row = {.part = PART_LIST,
                       .key = item->key,
                       .content_hash = item->content_hash,
                       .published = item->published_ms,
                       .url = stream_text(item->url),
                       .title = stream_text(item->title),
                       .author = stream_text(item->author),
                       .summary = stream_text(item->summary),
                       .content = stream_text(item->content),
                       .image = stream_text(item->image),
                       .fields = stream_text(item->fields),
                       .url_norm = stream_text(
                           item->url ? urls_norm(urls_of_thread(), st->streams->arena, item->url) : NULL)};
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

void stream_take_event(stream_t *st, const event_t *event)
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
    if (moved) stream_set_text(&st->position, position);
    if (!items.n_items && !moved) return;
    mark_t *m = stream_add_mark(st);
    uint32_t index = st->base + st->n - 1;
    if (moved) m->position = xstrdup(position);
    m->items = m->unacked = (uint32_t)items.n_items;
    ss->counts.items += items.n_items;
    for (size_t i = 0; i < items.n_items; i++) ship_item(st, &items.items[i], index);
    stream_pop_marks(st);
}

bool stream_must_wait(const stream_t *st)
{
    const atomic_bool *pressure = st->streams->options.pressure;
    return st->n >= STREAM_UNACKED || (pressure && atomic_load_explicit(pressure, memory_order_relaxed));
}

static void note_byte(stream_t *st)
{
    int64_t now = clock_mono_ms();
    if (stream_is_quiet(st, now)) st->quiet = st->byte_at + st->streams->offset;
    st->byte_at = now;
    st->paused = false;
}

fetch_take_t stream_data(void *owner, const char *bytes, size_t len)
{
    stream_t *st = owner;
    event_t event;
    if (st->refused) return FETCH_STOP;
    if (stream_must_wait(st)) {
        st->paused = true;
        heap_set(&st->streams->timers, &st->timer, clock_mono_ms() + PAUSE_MS);
        return FETCH_PAUSED;
    }
    note_byte(st);
    st->bytes += len;
    int64_t cpu = clock_thread_cpu_us();
    wire_outcome_t poll = {.source = st->source->id, .due = st->last_due.due, .cause = st->last_due.cause};
    watch_begin(st->streams->options.watch, &poll, st->definition->name, source_fetch_url(st->source));
    while (!st->exhausting && events_next(st->events, &bytes, &len, &event)) stream_take_event(st, &event);
    watch_end(st->streams->options.watch);
    st->cpu_us += (uint64_t)(clock_thread_cpu_us() - cpu);
    if (!st->exhausting) return FETCH_TAKEN;
    // a piece may hold a thousand of these, and others wait
    st->refused = true;
    st->error = ERR_too_complex;
    snprintf(st->detail, sizeof st->detail, "an event takes too much time to read");
    return FETCH_STOP;
}
