// Poll: the life of one due, from the politeness gate to the outcome that says that its findings are stored.
//
//   waiting ──▶ fetching ──▶ storing ◀──▶ following ──▶ (finished)
//      │            └── nothing to store, or failed ───────▲
//      └── handed back
//
// waiting: for its host, and its robots.txt. fetching: the list page. storing: findings are on the way to the
// sink, no detail page is. following: detail pages are fetched (findings may be on the way too). All polls of
// one worker are a polls_t, which has no thread: the worker calls it.
#ifndef RTM_MINER_POLL_H
#define RTM_MINER_POLL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "miner/gate.h"
#include "miner/quays.h"
#include "miner/source.h"
#include "miner/watch.h"

typedef struct polls polls_t;

typedef struct {
    // Takes an outcome; copies what it keeps.
    void (*report)(void *context, const wire_outcome_t *outcome);
    quays_send_fn *send;
    // The source's poll is over; source->poll is NULL again.
    void (*finished)(void *context, source_t *source);
    // An answer says that the host of url is not to be asked before `until` (monotonic ms). reports: an
    // outcome says so too.
    void (*backed_off)(void *context, const char *url, int64_t until, bool reports);
    void *context;
    size_t slots; // transfers at once
    fetch_options_t fetch;
    int watched;                 // see fetch_new
    const homes_t *homes;        // of the sources
    watch_t *watch;              // told what is read; may be NULL
    const atomic_bool *pressure; // streams are not read while it is set; may be NULL
} polls_options_t;

// Since the start.
typedef struct {
    uint64_t polls, changed, failed, skipped, items;
    gate_counts_t gate;
} polls_counts_t;

polls_t *polls_new(const polls_options_t *options);
// Polls under way are dropped; their sources stay the caller's.
void polls_destroy(polls_t **polls);

// The next due of source has come: its poll starts no further details, but leaves them to the next one.
void polls_hurry(source_t *source);

// broker ms = monotonic ms + offset; how long a slot is.
void polls_set_clock(polls_t *polls, int64_t offset, int64_t slot_ms);
// host (see polite_host) is not asked before `until` (monotonic ms); polls that wait for it are settled as
// skipped. An `until` that has passed: it may be asked again.
void polls_back_off(polls_t *polls, uint64_t host, int64_t until);
// Starts a poll of source, which has none.
void polls_start(polls_t *polls, source_t *source, const due_t *due);
// Takes a poll back that has not started to fetch, without an outcome, and closes a stream. Whether something
// of the source is still under way: its end is told by finished().
bool polls_take_back(polls_t *polls, source_t *source);
// Whether a due of source is at hand, or something that it found is on the way to the sink.
bool polls_busy(const source_t *source);
// Whether source's poll is that of due (broker ms).
bool polls_has_due(const source_t *source, int64_t due);
void polls_verdicts(polls_t *polls, uint64_t token, const uint8_t *verdicts, size_t n);

// Does what is due.
void polls_run(polls_t *polls);
// Waits for transfers, at most until the time `until` (monotonic ms), and lets them progress.
void polls_wait(polls_t *polls, int64_t until);

// Polls that have begun to fetch and are not finished, and closed streams.
size_t polls_running(const polls_t *polls);
polls_counts_t polls_counts(const polls_t *polls);

#endif
