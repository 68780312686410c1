// Ring: the latest items as texts of server-sent events, numbered, one copy for all clients of the stream.
// The oldest leave when it is full. Pure: no thread, no socket.
#ifndef RTM_SINK_RING_H
#define RTM_SINK_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "sink/page.h"

enum {
    RING_EVENTS = 1 << 14,
    RING_BYTES = 8 << 20, // beyond it at most one event
};

// What a client wants to see; 0: all.
typedef struct {
    uint64_t template_name, source; // by ring_filter_*
} ring_filter_t;

typedef struct {
    uint64_t template_name, source, source_url; // for filters
    size_t cursor_len, len;
    char text[]; // "id: CURSOR\ndata: {...}\n\n"
} ring_event_t;

typedef struct {
    ring_event_t *events[RING_EVENTS]; // number n is at n % RING_EVENTS
    uint64_t tail, head;               // numbers of the oldest, and of the next one to come
    size_t bytes;
    position_t start; // the ring holds all that came behind it ...
    position_t read;  // ... up to here
} ring_t;

// Empties it: what comes next comes behind start.
void ring_restart(ring_t *ring, const position_t *start);
void ring_free(ring_t *ring);
void ring_push(ring_t *ring, const page_row_t *row);
// All up to here was pushed.
void ring_reached(ring_t *ring, const position_t *read);
// An event that is there: tail <= n < head.
const ring_event_t *ring_get(const ring_t *ring, uint64_t n);
// The number of the first event behind position. false: events in between may have left.
bool ring_find(const ring_t *ring, const position_t *position, uint64_t *n);
// The position in front of event n.
position_t ring_position(const ring_t *ring, uint64_t n);

// The event's text of a row, appended. 0 or -1.
__attribute__((warn_unused_result)) int ring_format(buf_t *out, const page_row_t *row);

// name, and a hex id or a URL; NULL: all.
ring_filter_t ring_filter(const char *template_name, const char *source);
// The first event from n on that passes; head: none yet.
uint64_t ring_skip(const ring_t *ring, ring_filter_t filter, uint64_t n);

#endif
