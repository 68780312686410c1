// Events: lines are cut out of the pieces, without a copy where a piece holds a whole one.
#include "miner/read/events.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/check.h"
#include "proto/limits.h"

enum { MAX_RETRY_MS = 86400000, RECORD_SEPARATOR = 0x1E }; // RFC 7464 puts it before each value

struct events {
    events_format_t format;
    buf_t line;               // the beginning of a line whose end has not come
    buf_t data;               // of the event
    bool had_cr;              // the last line ended with CR: an LF that follows belongs to it
    bool line_big, event_big; // passed MAX_EVENT
    bool has_data, new_id;
    bool given;   // the event was handed out; the next call begins another
    unsigned bom; // bytes of a byte order mark seen at the start; 3: it is over
    char type[MAX_NAME + 1], id[MAX_VALIDATOR + 1];
    int64_t retry_ms;
};

bool events_format(const char *content_type, events_format_t *format)
{
    static const char *const lines[] = {"application/x-ndjson",      "application/ndjson",
                                        "application/jsonl",         "application/x-jsonlines",
                                        "application/jsonlines",     "application/stream+json",
                                        "application/json-seq",      "application/json",
                                        "application/x-json-stream", "text/plain"};
    *format = EVENTS_LINES;
    if (!content_type || !*content_type) return true;
    size_t len = strcspn(content_type, "; \t");
    if (len == 17 && strncasecmp(content_type, "text/event-stream", len) == 0) {
        *format = EVENTS_SSE;
        return true;
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strlen(lines[i]) == len && strncasecmp(content_type, lines[i], len) == 0) return true;
    return false;
}

events_t *events_new(events_format_t format)
{
    events_t *e = xcalloc(1, sizeof *e);
    e->format = format;
    e->retry_ms = -1;
    buf_init(&e->line, MAX_EVENT);
    buf_init(&e->data, MAX_EVENT + 1);
    return e;
}

void events_destroy(events_t **events)
{
    events_t *e = *events;
    if (!e) return;
    buf_free(&e->line);
    buf_free(&e->data);
    free(e);
    *events = NULL;
}

int64_t events_retry_ms(const events_t *e)
{
    return e->retry_ms;
}

// -- lines ----------------------------------------------------------------------------------------

static const char *find_end(const events_t *e, const char *bytes, size_t len)
{
    const char *lf = memchr(bytes, '\n', len);
    if (e->format == EVENTS_LINES) return lf;
    const char *cr = memchr(bytes, '\r', lf ? (size_t)(lf - bytes) : len);
    return cr ? cr : lf;
}

static void keep_part(events_t *e, const char *bytes, size_t len)
{
    if (e->line_big || buf_append(&e->line, bytes, len) == 0) return;
    e->line_big = true;
    buf_free(&e->line);
}

// The next whole line, without its end; it lives until the next call.
static bool next_line(events_t *e, const char **bytes, size_t *len, const char **line, size_t *n)
{
    if (e->had_cr && *len) {
        e->had_cr = false;
        if (**bytes == '\n') ++*bytes, --*len;
    }
    const char *end = *len ? find_end(e, *bytes, *len) : NULL;
    size_t part = end ? (size_t)(end - *bytes) : *len;
    const char *start = *bytes;
    *bytes += part + (end != NULL);
    *len -= part + (end != NULL);
    if (!end || e->line.len || e->line_big) keep_part(e, start, part);
    if (!end) return false;
    e->had_cr = *end == '\r';
    bool kept = e->line.len || e->line_big;
    *line = kept ? e->line.data : start;
    *n = kept ? e->line.len : part;
    return true;
}

// -- server-sent events ---------------------------------------------------------------------------

static void add_data(events_t *e, const char *value, size_t n)
{
    e->has_data = true;
    if (e->event_big) return;
    if (buf_append(&e->data, value, n) == 0 && buf_append(&e->data, "\n", 1) == 0) return;
    e->event_big = true;
    buf_free(&e->data);
}

// A value that is too long is none: half an id would resume somewhere else.
static void set_text(char *to, size_t size, const char *value, size_t n)
{
    if (n >= size) n = 0;
    memcpy(to, value, n);
    to[n] = 0;
}

static void set_retry(events_t *e, const char *value, size_t n)
{
    int64_t ms = 0;
    for (size_t i = 0; i < n; i++) {
        if (value[i] < '0' || value[i] > '9') return;
        if (ms < MAX_RETRY_MS) ms = ms * 10 + (value[i] - '0');
    }
    if (n) e->retry_ms = ms > MAX_RETRY_MS ? MAX_RETRY_MS : ms;
}

static bool is_name(const char *line, size_t n, const char *name)
{
    return n == strlen(name) && memcmp(line, name, n) == 0;
}

static void take_field(events_t *e, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    size_t name = colon ? (size_t)(colon - line) : n;
    const char *value = colon ? colon + 1 : line + n;
    size_t len = (size_t)(line + n - value);
    if (len && *value == ' ') value++, len--;
    if (is_name(line, name, "data")) {
        add_data(e, value, len);
    } else if (is_name(line, name, "event")) {
        set_text(e->type, sizeof e->type, value, len);
    } else if (is_name(line, name, "id")) {
        // none of these belongs into a header
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)value[i] < ' ' || value[i] == 0x7F) return;
        set_text(e->id, sizeof e->id, value, len);
        e->new_id = true;
    } else if (is_name(line, name, "retry")) {
        set_retry(e, value, len);
    }
}

// An empty line has come. What it points to stays until begin_event.
static bool dispatch(events_t *e, event_t *event)
{
    if (!e->has_data && !e->new_id) {
        e->type[0] = 0;
        return false;
    }
    bool too_big = e->event_big;
    *event = (event_t){.type = e->type[0] ? e->type : "message", .id = e->id, .too_big = too_big};
    if (e->has_data && !too_big) {
        event->data = e->data.data;
        event->len = e->data.len - 1;
    }
    return true;
}

static void begin_event(events_t *e)
{
    buf_reset(&e->data);
    e->type[0] = 0;
    e->has_data = e->new_id = e->event_big = false;
}

static bool take_line(events_t *e, const char *line, size_t n, event_t *event)
{
    if (e->line_big) { // which can only be data that matters
        add_data(e, "", 0);
        e->event_big = true;
        return false;
    }
    if (n == 0) return dispatch(e, event);
    if (*line != ':') take_field(e, line, n);
    return false;
}

// -- JSON lines -----------------------------------------------------------------------------------

static bool take_json(const events_t *e, const char *line, size_t n, event_t *event)
{
    *event = (event_t){.type = "", .id = "", .too_big = e->line_big};
    if (e->line_big) return true;
    while (n && strchr(" \t\r\x1E", *line) && *line) line++, n--;
    while (n && strchr(" \t\r\x1E", line[n - 1]) && line[n - 1]) n--;
    event->data = line;
    event->len = n;
    return n > 0;
}

// -- events ---------------------------------------------------------------------------------------

static void skip_bom(events_t *e, const char **bytes, size_t *len)
{
    static const char bom[] = "\xEF\xBB\xBF";
    while (*len && e->bom < 3) {
        if (**bytes != bom[e->bom]) {
            if (e->bom) keep_part(e, bom, e->bom);
            e->bom = 3;
            return;
        }
        e->bom++, ++*bytes, --*len;
    }
}

static void begin_line(events_t *e)
{
    buf_reset(&e->line);
    e->line_big = false;
}

bool events_next(events_t *e, const char **bytes, size_t *len, event_t *event)
{
    const char *line;
    size_t n;
    if (e->given) begin_event(e);
    e->given = false;
    if (e->bom < 3) skip_bom(e, bytes, len);
    while (!e->given && next_line(e, bytes, len, &line, &n)) {
        e->given = e->format == EVENTS_SSE ? take_line(e, line, n, event) : take_json(e, line, n, event);
        begin_line(e);
    }
    return e->given;
}

bool events_end(events_t *e, event_t *event)
{
    if (e->format == EVENTS_SSE || (!e->line.len && !e->line_big)) return false;
    bool found = take_json(e, e->line.data, e->line.len, event);
    begin_line(e);
    return found;
}
