// Stream state: one stream as the files of stream.h share it, and nobody else.
#ifndef RTM_MINER_STREAM_STATE_H
#define RTM_MINER_STREAM_STATE_H

#include "common/heap.h"
#include "miner/request.h"
#include "miner/stream.h"

enum {
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
    bool proof; // no event, but what the sink is told of continuity
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

    // what it proves
    wire_continuity_t
        proving; // on the way to the sink, which the due at hand waits for; CONTINUITY_unknown: nothing
    int64_t gap_proven; // gap_since that the sink has
    bool remembers;     // source->memory is to be reported
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

// -- stream.c ---------------------------------------------------------------------------------------

// The one place where a stream's state changes. wake: when streams_run looks at it, INT64_MAX: not.
void stream_move(stream_t *stream, stream_state_t to, int64_t wake);
void stream_free(stream_t *stream);
// Empty texts become NULL.
void stream_set_text(char **to, const char *text);
// Whether all is read that there was. While nothing was read nobody knows what came.
bool stream_is_quiet(const stream_t *stream, int64_t now);
// Tells the position without waiting for the next due: by an outcome of the last one once more.
void stream_report_position(stream_t *stream);
// Its source is to be read in another way, from where it is.
void stream_hand_on(const stream_t *stream);
// The sink knows what it was told to prove.
void stream_proven(stream_t *stream);
// These settle the due at hand, if there is one.
void stream_settle_failed(stream_t *stream, error_class_t error, const char *detail);
void stream_settle_skipped(stream_t *stream, error_class_t reason);
void stream_settle_open(stream_t *stream);
wire_sink_template_t stream_sink_template(const stream_t *stream);

// -- stream_events.c --------------------------------------------------------------------------------

// A mark for what is on its way to the sink from now on.
mark_t *stream_add_mark(stream_t *stream);
void stream_take_event(stream_t *stream, const event_t *event);
// Whether nothing more is to be read now.
bool stream_must_wait(const stream_t *stream);
// For fetch_stream_t.
fetch_take_t stream_data(void *owner, const char *bytes, size_t len);

// -- stream_connection.c ----------------------------------------------------------------------------

// Sends it on its way to its host.
void stream_queue(stream_t *stream);
// The connection is gone.
void stream_disconnected(stream_t *stream, error_class_t error, const char *detail);

#endif
