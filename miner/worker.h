// Worker: one thread with its share of the hosts. It holds the sources that the link hands to it, starts a
// poll when a due's time has come, and tells the link by messages what came of it.
#ifndef RTM_MINER_WORKER_H
#define RTM_MINER_WORKER_H

#include <stdatomic.h>
#include <stddef.h>

#include "common/queue.h"
#include "miner/fetch.h"
#include "miner/homes.h"
#include "miner/watch.h"

typedef struct worker worker_t;

typedef struct {
    unsigned number; // what its messages are marked with
    size_t slots;    // transfers at once
    fetch_options_t fetch;
    queue_t *to_link;     // borrowed
    const homes_t *homes; // of sources at sinks, borrowed
    const atomic_bool
        *lazy; // set while the miner is overloaded: only high and critical work is polled; may be NULL
    const atomic_bool *pressure; // set while nothing new is to be polled, as the sink does not keep up
} worker_options_t;

enum { WORKER_INBOX = 1 << 20 }; // messages

// Starts the thread.
worker_t *worker_start(const worker_options_t *options);
// Whether it comes back to its loop.
watch_t *worker_watch(worker_t *worker);
// Its inbox; MESSAGE_STOP ends the thread.
queue_t *worker_inbox(worker_t *worker);
// Waits for the thread's end, then frees it.
void worker_join(worker_t **worker);

#endif
