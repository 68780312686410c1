// Quays: a ship for each sink; what a source's polls found goes on that of its home.
#ifndef RTM_MINER_QUAYS_H
#define RTM_MINER_QUAYS_H

#include "miner/homes.h"
#include "miner/ship.h"

typedef struct quays quays_t;

// As ship_send_fn, for sink number `sink`.
typedef void quays_send_fn(void *context, unsigned sink, uint64_t token, char *frame, size_t len);

// homes is borrowed.
quays_t *quays_new(const homes_t *homes, quays_send_fn *send, void *context);
void quays_destroy(quays_t **quays);

// The ship that what is found at source is to be added to, now.
ship_t *quays_of(const quays_t *quays, uint64_t source);
// As those of ship.h, for all.
void quays_tick(quays_t *quays, int64_t now);
int64_t quays_deadline(const quays_t *quays);
void quays_verdicts(quays_t *quays, uint64_t token, const uint8_t *verdicts, size_t n, ship_verdict_fn *tell);

#endif
