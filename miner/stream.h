// Stream: sources of kind stream: one long response each, whose events become items as they come.
//
//   waiting ──▶ queued ──▶ connecting ──▶ open ──▶ (waiting)       closed
//      ▲           └────────────┴── failed ──┘
//
// waiting: until it may be tried again. queued: for its host. closed: its source was taken away, and what was
// sent is not all acknowledged yet. A due of the source makes sure that the stream is there, and is settled
// with what was stored since the one before. How far the stream was read goes to the broker with that, and
// only when everything up to there is stored: so whoever reads it next begins there. All streams of one
// worker are a streams_t, which has no thread.
#ifndef RTM_MINER_STREAM_H
#define RTM_MINER_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "miner/gate.h"
#include "miner/quays.h"
#include "miner/source.h"
#include "miner/watch.h"

typedef struct streams streams_t;
typedef struct stream stream_t;

enum {
    MAX_STREAMS = 1000,          // of a worker
    STREAM_UNACKED = 4096,       // events on their way to the sink, above which nothing more is read
    STREAM_QUIET_MS = 50,        // without a byte: what has come is all there was
    STREAM_FIRST_QUIET_MS = 500, // the same while it was never quiet: what stood there before may come first
    STREAM_RETRY_MS = 1000,     // until a stream that ended is asked for again, where the server says nothing
    STREAM_RETRY_MAX = 60000,   // and where that fails again and again
    STREAM_STOPPED_MS = 600000, // after HTTP 204, which asks not to come back
};

typedef struct {
    // as in polls_options_t
    void (*report)(void *context, const wire_outcome_t *outcome);
    void (*finished)(void *context, source_t *source);
    void *context;
    gate_t *gate;
    quays_t *quays;              // of their own: see streams_verdict
    watch_t *watch;              // told what is read; may be NULL
    const atomic_bool *pressure; // nothing is read while it is set; may be NULL
} streams_options_t;

// Since the start.
typedef struct {
    uint64_t dues, changed, failed, items, gaps;
} streams_counts_t;

streams_t *streams_new(const streams_options_t *options);
// Sources stay the caller's.
void streams_destroy(streams_t **streams);

void streams_set_clock(streams_t *streams, int64_t offset);
// A due of source has come; its definition is ready and of kind stream.
void streams_due(streams_t *streams, source_t *source, const due_t *due);
// Whether a due is at hand, or the stream is closed and not all of it is stored.
bool streams_busy(const source_t *source);
// Whether the due at hand is this one (broker ms).
bool streams_has_due(const source_t *source, int64_t due);
// Ends source's stream, without an outcome for a due at hand; its end is finished() if it is busy then.
void streams_close(streams_t *streams, source_t *source);
// For ship_verdicts.
void streams_verdict(void *owner, uint32_t index, wire_verdict_t verdict);

// Does what is due at now (monotonic ms).
void streams_run(streams_t *streams, int64_t now);
// When streams_run has to be called, monotonic ms; INT64_MAX: not.
int64_t streams_deadline(const streams_t *streams);
// Closed streams that are not finished.
size_t streams_closing(const streams_t *streams);
streams_counts_t streams_counts(const streams_t *streams);

#endif
