// Stream: see the header. Each event is a JSON document of its own.
#include "miner/read/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/effort.h"
#include "miner/read/jsonpath.h"
#include "miner/read/text.h"
#include "proto/limits.h"

struct stream_reader {
    const template_t *template;
    json_reader_t *json;
    jsonpath_t *offset; // or NULL
    nodelist_t nodes;
};

stream_reader_t *stream_reader_new(const template_t *t, template_error_t *error)
{
    stream_reader_t *r = xcalloc(1, sizeof *r);
    jsonpath_error_t wrong;
    r->template = t;
    r->json = json_reader_new(t, error);
    if (r->json && t->offset) {
        r->offset = jsonpath_new(t->offset, strlen(t->offset), &wrong);
        if (!r->offset)
            (void)template_fail(error, "offset", "JSONPath \"%.100s\", at character %zu: %s", t->offset,
                                wrong.offset + 1, wrong.text);
    }
    if (!r->json || (t->offset && !r->offset)) stream_reader_destroy(&r);
    return r;
}

void stream_reader_destroy(stream_reader_t **reader)
{
    stream_reader_t *r = *reader;
    if (!r) return;
    json_reader_destroy(&r->json);
    if (r->offset) jsonpath_destroy(&r->offset);
    nodelist_free(&r->nodes);
    free(r);
    *reader = NULL;
}

static bool is_wanted(const template_t *t, const event_t *event)
{
    if (!event->len) return false;
    // lines have no types
    for (size_t i = 0; i < t->n_events && *event->type; i++)
        if (strcmp(t->events[i], event->type) == 0) return true;
    return t->n_events == 0 || !*event->type;
}

// It goes into a header.
static bool has_controls(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7F) return true;
    return false;
}

// A position that is too long to keep is none.
static const char *read_offset(stream_reader_t *r, arena_t *arena, const document_t *document)
{
    int64_t work = JSONPATH_MAX_WORK;
    char detail[200];
    read_status_t status;
    const char *found = NULL;
    yyjson_doc *doc = json_parse(arena, document, &status, detail);
    if (doc && jsonpath_select(r->offset, yyjson_doc_get_root(doc), &work, &r->nodes) == JSONPATH_OK &&
        r->nodes.n) {
        yyjson_val *v = r->nodes.nodes[0];
        const char *text = yyjson_is_str(v) ? yyjson_get_str(v) : yyjson_is_raw(v) ? yyjson_get_raw(v) : NULL;
        size_t len = text ? yyjson_get_len(v) : 0;
        if (len && len <= MAX_VALIDATOR && !has_controls(text, len)) found = arena_strndup(arena, text, len);
    }
    return found;
}

// Without a key of the template's, the event's id is the item's; several items are numbered.
static read_status_t take_id(const template_t *t, arena_t *arena, const event_t *event, items_t *out)
{
    if (t->key || !*event->id) return READ_OK;
    for (size_t i = 0; i < out->n_items; i++) {
        int keep = (int)text_cut(event->id, strlen(event->id), MAX_KEY - 12);
        out->items[i].key = out->n_items == 1 ? arena_printf(arena, "%.*s", keep, event->id)
                                              : arena_printf(arena, "%.*s|%zu", keep, event->id, i + 1);
        if (!out->items[i].key) return READ_TOO_BIG;
    }
    return READ_OK;
}

// How long the object or array is that data begins with, whatever stands behind it; 0: there is none.
static size_t first_value(const char *data, size_t len)
{
    yyjson_doc *doc = yyjson_read_opts((char *)data, len, YYJSON_READ_STOP_WHEN_DONE, NULL, NULL);
    size_t n = yyjson_is_ctn(yyjson_doc_get_root(doc)) ? yyjson_doc_get_read_size(doc) : 0;
    yyjson_doc_free(doc);
    return n;
}

read_status_t stream_event(stream_reader_t *r, arena_t *arena, const char *url, const event_t *event,
                           items_t *out, const char **position)
{
    document_t document = {.bytes = event->data,
                           .len = event->len,
                           .content_type = "application/json; charset=utf-8",
                           .url = url};
    *out = (items_t){.items = NULL};
    *position = NULL;
    if (!r->template->offset && *event->id) *position = arena_strdup(arena, event->id);
    if (event->too_big) {
        snprintf(out->detail, sizeof out->detail, "an event of more than %d bytes", MAX_EVENT);
        return READ_TOO_BIG;
    }
    if (!is_wanted(r->template, event)) return READ_OK;
    if (r->offset) *position = read_offset(r, arena, &document);
    read_status_t status = json_items(r->json, arena, &document, out);
    size_t whole = status == READ_PARSE ? first_value(event->data, event->len) : 0;
    if (whole) {
        document.len = whole;
        status = json_items(r->json, arena, &document, out);
    }
    if (status == READ_ROTTED) return READ_OK; // an event without items is nothing new
    return status == READ_OK ? take_id(r->template, arena, event, out) : status;
}

// -- a saved stream -------------------------------------------------------------------------------

typedef struct {
    items_t *out;
    size_t cap, n_events, n_bad;
    read_status_t bad; // the first event's that could not be read
    char none[200];    // what the first event has in which `items` matched nothing
} collection_t;

static read_status_t collect(const template_t *t, arena_t *arena, collection_t *c, const items_t *one)
{
    items_t *out = c->out;
    size_t selectors = t->n_items + (t->key ? t->key->n_selectors : 0);
    for (size_t i = 0; i < t->n_fields; i++) selectors += t->fields[i].n_selectors;
    if (out->n_items + one->n_items > MAX_ITEMS) return READ_TOO_BIG;
    if (out->n_items + one->n_items > c->cap) {
        size_t cap = c->cap * 2 + one->n_items + 16;
        item_t *items = arena_calloc(arena, cap, sizeof *items);
        if (!items) return READ_TOO_BIG;
        if (out->n_items) memcpy(items, out->items, out->n_items * sizeof *items);
        out->items = items;
        c->cap = cap;
    }
    if (one->n_items) memcpy(out->items + out->n_items, one->items, one->n_items * sizeof *one->items);
    out->n_items += one->n_items;
    out->matched += one->matched;
    if (!out->selector_matches) out->selector_matches = arena_calloc(arena, selectors + 1, sizeof(size_t));
    if (!out->selector_matches) return READ_TOO_BIG;
    for (size_t i = 0; i < selectors && one->selector_matches; i++)
        out->selector_matches[i] += one->selector_matches[i];
    return READ_OK;
}

static read_status_t take_event(stream_reader_t *r, arena_t *arena, const char *url, const event_t *event,
                                collection_t *c)
{
    items_t one;
    const char *position;
    c->n_events++;
    read_status_t status = stream_event(r, arena, url, event, &one, &position);
    if (status == READ_OK) {
        if (*one.detail && !*c->none) snprintf(c->none, sizeof c->none, "%s", one.detail);
        return collect(r->template, arena, c, &one);
    }
    if (effort_over()) return READ_TOO_COMPLEX;
    if (status == READ_TOO_BIG && !event->too_big) return READ_TOO_BIG; // no room is left for any event
    if (c->n_bad++ == 0) {
        c->bad = status;
        snprintf(c->out->detail, sizeof c->out->detail, "event %zu: %.150s", c->n_events, one.detail);
    }
    return READ_OK;
}

read_status_t stream_items(stream_reader_t *r, arena_t *arena, const document_t *document, items_t *out)
{
    events_format_t format;
    event_t event;
    collection_t c = {.out = out};
    const char *bytes = document->bytes;
    size_t len = document->len;
    read_status_t status = READ_OK;
    *out = (items_t){.items = NULL};
    if (len == 0) return READ_EMPTY_BODY;
    if (!events_format(document->content_type, &format)) {
        snprintf(out->detail, sizeof out->detail, "%.100s is no stream of events", document->content_type);
        return READ_NOT_THIS_KIND;
    }
    // a saved file has no Content-Type, but no JSON value begins with what server-sent events do
    size_t head = 0;
    while (head < len && strchr("\xEF\xBB\xBF\r\n\t \x1E", bytes[head])) head++;
    if (!document->content_type && head < len && strchr(":deir", bytes[head])) format = EVENTS_SSE;
    events_t *events = events_new(format);
    while (status == READ_OK && events_next(events, &bytes, &len, &event))
        status = take_event(r, arena, document->url, &event, &c);
    // what was saved may end before the empty line that would end its last event
    const char *end = "\n\n";
    len = 2;
    if (status == READ_OK && events_next(events, &end, &len, &event))
        status = take_event(r, arena, document->url, &event, &c);
    events_destroy(&events);
    if (status == READ_TOO_BIG)
        snprintf(out->detail, sizeof out->detail, "what stands behind event %zu takes too much memory",
                 c.n_events - 1);
    if (status == READ_OK && c.n_bad && c.n_bad == c.n_events) return c.bad;
    if (status != READ_OK || out->matched || !*c.none) return status;
    snprintf(out->detail, sizeof out->detail, "%s", c.none);
    return READ_ROTTED;
}
