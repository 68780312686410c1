// Blocks: sixteen bytes at a time, in the compiler's vectors; comparisons of them give all bits or none.
#ifndef RTM_MINER_BLOCKS_H
#define RTM_MINER_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef unsigned char block_t __attribute__((vector_size(16)));

static inline block_t block_load(const char *s)
{
    block_t b;
    memcpy(&b, s, sizeof b);
    return b;
}

// The greater one of each two bytes: one instruction, in the end.
static inline block_t block_max(block_t a, block_t b)
{
    for (size_t i = 0; i < sizeof a; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}

// Is any bit set?
static inline bool block_any(block_t b)
{
    uint64_t halves[2];
    memcpy(halves, &b, sizeof b);
    return halves[0] | halves[1];
}

#endif
