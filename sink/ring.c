// Ring: numbers never wrap, slots do.
#include "sink/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"

enum { EVENT_FRAME = 64 }; // bytes of an event that are neither cursor nor JSON, at most

static ring_event_t **slot(ring_t *r, uint64_t n)
{
    return &r->events[n % RING_EVENTS];
}

const ring_event_t *ring_get(const ring_t *r, uint64_t n)
{
    CHECK(n >= r->tail && n < r->head);
    return r->events[n % RING_EVENTS];
}

static position_t position_of(const ring_event_t *e)
{
    char text[POSITION_TEXT];
    position_t position;
    snprintf(text, sizeof text, "%.*s", (int)e->cursor_len, e->text + 4);
    CHECK(position_parse(&position, text) == 0);
    return position;
}

static void drop_oldest(ring_t *r)
{
    ring_event_t **e = slot(r, r->tail++);
    r->bytes -= (*e)->len;
    free(*e);
    *e = NULL;
}

void ring_restart(ring_t *r, const position_t *start)
{
    while (r->tail < r->head) drop_oldest(r);
    r->start = r->read = *start;
}

void ring_reached(ring_t *r, const position_t *read)
{
    r->read = *read;
}

void ring_free(ring_t *r)
{
    while (r->tail < r->head) drop_oldest(r);
}

// -- texts ----------------------------------------------------------------------------------------------

int ring_format(buf_t *out, const page_row_t *row)
{
    char cursor[POSITION_TEXT];
    position_print(&row->position, cursor);
    // the row's JSON begins with a brace and is not empty
    return buf_printf(out, "id: %s\ndata: {\"cursor\":\"%s\",", cursor, cursor) ||
                   buf_append(out, row->json + 1, row->json_len - 1) || buf_append(out, "\n\n", 2)
               ? -1
               : 0;
}

static uint64_t text_hash(const char *text)
{
    return XXH3_64bits(text, strlen(text)) | 1; // 0 means all
}

void ring_push(ring_t *r, const page_row_t *row)
{
    char cursor[POSITION_TEXT];
    buf_t text;
    buf_init(&text, row->json_len + 2 * sizeof cursor + EVENT_FRAME);
    CHECK(ring_format(&text, row) == 0);
    position_print(&row->position, cursor);
    ring_event_t *e = xmalloc(sizeof *e + text.len);
    *e = (ring_event_t){.template_name = text_hash(row->template_name),
                        .source = row->source,
                        .source_url = text_hash(row->source_url),
                        .cursor_len = strlen(cursor),
                        .len = text.len};
    memcpy(e->text, text.data, text.len);
    buf_free(&text);
    while (r->tail < r->head && (r->head - r->tail == RING_EVENTS || r->bytes + e->len > RING_BYTES)) {
        r->start = position_of(ring_get(r, r->tail));
        drop_oldest(r);
    }
    r->bytes += e->len;
    *slot(r, r->head++) = e;
}

// -- positions ------------------------------------------------------------------------------------------

bool ring_find(const ring_t *r, const position_t *position, uint64_t *n)
{
    uint64_t low = r->tail, high = r->head;
    if (position_compare(position, &r->start) < 0) return false;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        position_t there = position_of(ring_get(r, middle));
        if (position_compare(&there, position) > 0)
            high = middle;
        else
            low = middle + 1;
    }
    *n = low;
    return true;
}

position_t ring_position(const ring_t *r, uint64_t n)
{
    if (n == r->head) return r->read;
    return n > r->tail ? position_of(ring_get(r, n - 1)) : r->start;
}

// -- filters --------------------------------------------------------------------------------------------

ring_filter_t ring_filter(const char *template_name, const char *source)
{
    ring_filter_t filter = {0};
    if (template_name) filter.template_name = text_hash(template_name);
    if (source && strlen(source) == 16 && strspn(source, "0123456789abcdef") == 16)
        filter.source = strtoull(source, NULL, 16);
    else if (source)
        filter.source = text_hash(source);
    return filter;
}

static bool passes(const ring_event_t *e, ring_filter_t f)
{
    return (!f.template_name || f.template_name == e->template_name) &&
           (!f.source || f.source == e->source || f.source == e->source_url);
}

uint64_t ring_skip(const ring_t *r, ring_filter_t filter, uint64_t n)
{
    while (n < r->head && !passes(ring_get(r, n), filter)) n++;
    return n;
}
