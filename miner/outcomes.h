// Outcomes: what is to be told to the broker, numbered from 1 without gaps, kept until the broker has it for
// sure. Bounded by the dues that the broker gives out: at OUTCOMES_MAX the link takes no more of them.
#ifndef RTM_MINER_OUTCOMES_H
#define RTM_MINER_OUTCOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

enum { OUTCOMES_MAX = 1 << 18 };

typedef struct {
    wire_outcome_t **ring; // those not acknowledged, oldest at head
    size_t head, n, cap;
    uint64_t last; // highest number given
} outcomes_t;

void outcomes_init(outcomes_t *outcomes);
void outcomes_free(outcomes_t *outcomes);
// Takes over outcome (from outcome_copy) and numbers it.
void outcomes_add(outcomes_t *outcomes, wire_outcome_t *outcome);
// Forgets all up to seq.
void outcomes_acked(outcomes_t *outcomes, uint64_t seq);
// Fills rows with at most max outcomes (and ASSIGN_CHUNK bytes) that follow number `after`; how many. Their
// texts stay the log's.
size_t outcomes_chunk(const outcomes_t *outcomes, uint64_t after, wire_outcome_t *rows, size_t max);

#endif
