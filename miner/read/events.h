// Events: the bytes of one long response, as they come, cut into events: server-sent events (WHATWG HTML,
// 9.2.6), or JSON, one value a line. Pure and incremental: where a piece ends means nothing.
#ifndef RTM_MINER_EVENTS_H
#define RTM_MINER_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_EVENT = 1 << 20 }; // bytes of one event's data, and of one line

typedef enum { EVENTS_SSE, EVENTS_LINES } events_format_t;

typedef struct events events_t;

// Texts live until the next call.
typedef struct {
    const char *type; // "message" where none is given; "" for lines
    const char *id;   // the last event id as of this event, "": none
    const char *data; // not NUL-terminated; NULL: there is only a new id
    size_t len;
    bool too_big; // it passed MAX_EVENT: data is NULL
} event_t;

// The format that a Content-Type says. false: it is no stream of events. NULL counts as lines.
bool events_format(const char *content_type, events_format_t *format);

events_t *events_new(events_format_t format);
void events_destroy(events_t **events);
// Takes bytes from *bytes (*len left) up to the end of the next event; false: all are taken and there is none
// yet.
bool events_next(events_t *events, const char **bytes, size_t *len, event_t *event);
// The response has ended. A last line without a line end is an event; half a server-sent event is none.
bool events_end(events_t *events, event_t *event);
// What the server asked to wait before reconnecting, ms; -1: nothing.
int64_t events_retry_ms(const events_t *events);

#endif
