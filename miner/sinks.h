// Sinks: the miner's side of section 3 of PROTOCOL.md: batches wait here, numbered, until a sink has them for
// sure. With several sinks each source has a home (homes.h), and each sink numbers of its own. What a sink
// that is gone has not acknowledged goes to another one.
#ifndef RTM_MINER_SINKS_H
#define RTM_MINER_SINKS_H

#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "miner/dealer.h"
#include "miner/homes.h"

typedef struct sinks sinks_t;

enum { SINK_GONE_MS = 2000 }; // after its connection was given up

typedef struct {
    void *zmq;             // ZeroMQ's context
    const char *endpoints; // "tcp://a:1,tcp://b:1"
    const char *miner;     // id
    uint64_t incarnation;
    // The sink's word on a batch; verdicts live during the call.
    void (*verdicts)(void *context, unsigned worker, uint64_t token, const uint8_t *verdicts, size_t n);
    void *context;
} sinks_options_t;

// NULL: endpoints names none, or too many.
sinks_t *sinks_new(const sinks_options_t *options);
// Batches that are left are forgotten.
void sinks_destroy(sinks_t **sinks);

// What the workers go by; lives as long as sinks.
const homes_t *sinks_homes(const sinks_t *sinks);
// Takes over frame, a batch of worker's that it knows as token, for sink number home, or another one if that
// is gone.
void sinks_add(sinks_t *sinks, unsigned home, unsigned worker, uint64_t token, char *frame, size_t len);
// Dials, beats, sends. broker_now: broker ms as far as it is known, or 0.
void sinks_tick(sinks_t *sinks, int64_t now, int64_t broker_now);
// Reads what came.
void sinks_receive(sinks_t *sinks, int64_t now);
// When to call sinks_tick, monotonic ms.
int64_t sinks_deadline(const sinks_t *sinks);
// Appends the sockets that are open; how many.
size_t sinks_poll_items(const sinks_t *sinks, zmq_pollitem_t *items);

// Bytes and batches that are not acknowledged; the credit that is granted; dials since the start.
size_t sinks_unacked(const sinks_t *sinks);
size_t sinks_batches(const sinks_t *sinks);
uint64_t sinks_credit(const sinks_t *sinks);
uint64_t sinks_dials(const sinks_t *sinks);

#endif
