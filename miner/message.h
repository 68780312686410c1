// Message: what the link thread and the workers tell each other. Each is one heap struct that goes through a
// queue; whoever pops it owns it and all it points to.
#ifndef RTM_MINER_MESSAGE_H
#define RTM_MINER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/queue.h"
#include "proto/wire.h"

typedef enum {
    // link -> worker
    MESSAGE_ASSIGN,    // assign
    MESSAGE_REVOKE,    // ids
    MESSAGE_VERDICTS,  // verdicts
    MESSAGE_CLOCK,     // clock
    MESSAGE_INVENTORY, // inventory.round: answer with MESSAGE_HOLDINGS
    MESSAGE_BACKOFF,   // backoff; also worker -> link, which tells the other workers
    MESSAGE_DRAIN,     // answer with MESSAGE_DRAINING at once, with MESSAGE_DRAINED when nothing runs
    MESSAGE_STOP,      // end the thread
    // worker -> link
    MESSAGE_OUTCOME,  // outcome
    MESSAGE_BATCH,    // batch
    MESSAGE_REVOKED,  // ids: all asked for, then those of them that still run
    MESSAGE_HOLDINGS, // inventory
    MESSAGE_DRAINING, // ids: running only
    MESSAGE_DRAINED,
    MESSAGE_STATS, // stats
} message_type_t;

// Counts of one worker; the first block is now, the second since the start.
typedef struct {
    uint64_t sources, running, held;
    uint64_t polls, changed, failed, skipped, items;
    uint64_t requests, connections, robots, backoffs;
} worker_stats_t;

typedef struct {
    message_type_t type;
    unsigned worker; // which one it is from
    arena_t *arena;  // of what assign and inventory point to, or NULL
    union {
        struct {
            wire_assign_t wire;
            int64_t start, now; // of the slot; when it came: monotonic ms
        } assign;
        struct {
            uint64_t *sources, *running; // malloc
            size_t n_sources, n_running;
            uint64_t number; // of the REVOKE
        } ids;
        struct {
            uint64_t token;    // of the batch, as the worker gave it
            uint8_t *verdicts; // malloc, or NULL
            size_t n;
        } verdicts;
        struct {
            int64_t offset; // broker ms = monotonic ms + offset
            int64_t slot_ms;
        } clock;
        struct {
            uint64_t round; // echoed
            wire_holding_t *holdings;
            size_t n;
        } inventory;
        struct {
            char *host;    // malloc; see polite_host_name
            int64_t until; // monotonic ms
            bool reported; // to the link: an outcome tells the broker, too
        } backoff;
        wire_outcome_t *outcome; // from outcome_copy
        struct {
            unsigned sink; // number of its home
            uint64_t token;
            char *frame; // encoded BATCH whose seq is a placeholder (ship.h), malloc
            size_t len;
        } batch;
        worker_stats_t stats;
    };
} message_t;

message_t *message_new(message_type_t type, unsigned worker);
// Frees it and all it still owns.
void message_free(void *message);
// For a worker, n messages at once: waits (a millisecond at a time) while the link's queue is full, which is
// the back pressure.
void message_post(queue_t *queue, message_t **messages, size_t n);

// One allocation that holds the row and its texts; free() it.
wire_outcome_t *outcome_copy(const wire_outcome_t *outcome);

#endif
