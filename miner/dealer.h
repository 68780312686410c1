// Dealer: one ZeroMQ DEALER to one peer, with the protocol's liveness: a peer that was silent for too long is
// dialled anew, on a fresh socket, with backoff. It encodes and decodes; what messages mean is its owner's.
#ifndef RTM_MINER_DEALER_H
#define RTM_MINER_DEALER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "proto/wire.h"

typedef struct {
    void *context;        // of ZeroMQ, borrowed
    const char *endpoint; // borrowed
    const char *peer;     // "broker" or "sink", for the log
    void *socket;         // NULL: between two dials
    size_t max_message;   // bytes of a frame
    int64_t heartbeat_ms, liveness_ms;
    int64_t dial_at, heard_at, beat_at; // monotonic ms: next dial / last heard / next heartbeat
    int64_t backoff_ms;
    unsigned seed;  // of the jitter
    arena_t *arena; // of the message received last
    buf_t frame;    // being sent
    uint64_t dials, bad_frames;
} dealer_t;

// context, endpoint and peer must outlive it.
void dealer_init(dealer_t *dealer, void *context, const char *endpoint, const char *peer, size_t max_message);
// linger_ms: how long the I/O thread may go on sending what was queued.
void dealer_free(dealer_t *dealer, int linger_ms);

// Closes a silent socket, dials when it is time. true: there is a new connection to greet the peer on.
bool dealer_tick(dealer_t *dealer, int64_t now);
// Closes the connection, to be dialled again after the backoff.
void dealer_hang_up(dealer_t *dealer, int64_t now, const char *reason);
// Whether a heartbeat is to be sent now; counts it as sent.
bool dealer_beat(dealer_t *dealer, int64_t now);
// When to call dealer_tick or dealer_beat, monotonic ms.
int64_t dealer_deadline(const dealer_t *dealer);
// The timers as the peer gave them (bounded to what makes sense); it has answered: the backoff is over.
void dealer_settle(dealer_t *dealer, int64_t heartbeat_ms, int64_t liveness_ms);

// 0; -1: not connected, full, or the message is larger than a frame may be (logged).
int dealer_send(dealer_t *dealer, wire_type_t type, const void *message);
// The same for an encoded frame.
int dealer_send_frame(dealer_t *dealer, const void *bytes, size_t len);
// The next message, which lives until the next call. false: there is none. What cannot be decoded is
// answered.
bool dealer_receive(dealer_t *dealer, int64_t now, wire_type_t *type, void **message);

#endif
