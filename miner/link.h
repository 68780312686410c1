// Link: the miner's main thread. It owns all ZeroMQ sockets and the workers, and carries messages between
// them: definitions and dues to the worker that has the source's host, outcomes to the broker, batches to the
// sink and its verdicts back.
#ifndef RTM_MINER_LINK_H
#define RTM_MINER_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "miner/fetch.h"
#include "miner/overload.h"

typedef struct link link_t;

enum { MAX_WORKERS = 256 };

typedef struct {
    const char *brokers, *sinks; // endpoints, comma lists
    const char *id;              // of this miner
    unsigned workers;
    size_t slots;  // transfers at once, per worker
    size_t buffer; // bytes of batches not acknowledged, above which nothing new is polled
    fetch_options_t fetch;
    overload_limits_t lazy;
    int64_t stuck_ms;   // a worker that is not in its loop for so long is stuck; 0: never
    const char *health; // HOST:PORT for /healthz and /metrics, or NULL
} link_options_t;

// Blocks SIGTERM and SIGINT (for all threads to come) and starts the workers. NULL: an option is wrong
// (logged).
link_t *link_new(const link_options_t *options);
// Runs until a signal has drained the miner: at most DRAIN_MS; 0. A second signal ends the process. -1: a
// worker is stuck, which was told the broker: nothing is left to do but to start the process anew, without
// link_destroy, which would wait for it.
int link_run(link_t *link);
void link_destroy(link_t **link);

#endif
