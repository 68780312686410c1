// Brokers: the miner's side of section 2 of PROTOCOL.md towards every broker it was told of. It obeys the one
// with the highest epoch, tells it what came of dues, and keeps outcomes until they are durable there.
#ifndef RTM_MINER_BROKERS_H
#define RTM_MINER_BROKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "miner/dealer.h"
#include "proto/wire.h"

typedef struct brokers brokers_t;

// What the link does with what a broker wants. Messages live during the call.
typedef struct {
    void (*assign)(void *context, const wire_assign_t *assign, int64_t start); // of the slot, monotonic ms
    void (*revoke)(void *context, const wire_ids_t *sources, uint64_t number);
    // Wants brokers_holdings from each worker, with this round.
    void (*inventory)(void *context, uint64_t round);
    // broker ms = monotonic ms + offset; how long a slot is
    void (*clock)(void *context, int64_t offset, int64_t slot_ms);
    void (*welcome)(void *context); // a session began
    void (*drain)(void *context);   // somebody asked for the miner to drain
} brokers_events_t;

typedef struct {
    void *zmq;
    const char *endpoints;
    const char *miner; // id
    uint64_t incarnation;
    unsigned workers;
    size_t slots;
    brokers_events_t events;
    void *context;
} brokers_options_t;

// NULL: endpoints names none, or too many.
brokers_t *brokers_new(const brokers_options_t *options);
// linger_ms: for what was sent last.
void brokers_destroy(brokers_t **brokers, int linger_ms);

// Takes over outcome (from outcome_copy).
void brokers_outcome(brokers_t *brokers, wire_outcome_t *outcome);
// What one worker holds, for round; of a later round it is ignored. The last one of `workers` ends it.
void brokers_holdings(brokers_t *brokers, uint64_t round, wire_holding_t *holdings, size_t n);
void brokers_revoked(brokers_t *brokers, const wire_revoked_t *message);
// host (see polite_host_name) is to be left alone for ms.
void brokers_backed_off(brokers_t *brokers, const char *host, int64_t ms);
void brokers_goodbye(brokers_t *brokers, bool done, uint64_t *running, size_t n_running);

// What the heartbeats say. epoch and heard_ms are filled in here. holdings: sources held, for READY.
void brokers_set_beat(brokers_t *brokers, const wire_heartbeat_t *beat, uint64_t holdings);

// Dials, beats, sends outcomes.
void brokers_tick(brokers_t *brokers, int64_t now);
void brokers_receive(brokers_t *brokers, int64_t now);
int64_t brokers_deadline(const brokers_t *brokers);
size_t brokers_poll_items(const brokers_t *brokers, zmq_pollitem_t *items);

// Broker ms at now, 0: not known yet. Outcomes not acknowledged. Dials since the start.
int64_t brokers_now(const brokers_t *brokers, int64_t now);
size_t brokers_unacked(const brokers_t *brokers);
uint64_t brokers_dials(const brokers_t *brokers);
uint64_t brokers_epoch(const brokers_t *brokers);
// The session with the active broker stands.
bool brokers_connected(const brokers_t *brokers);

#endif
