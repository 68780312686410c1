// Grid: when a source is due. Dues are phase + k * every in broker time, for every whole k; all arithmetic on
// them is here. A source's phase is stable: its host's hash plus its ordinal at that host times the golden
// ratio, which spreads any number of sources of a host evenly over the period without ever moving one (a
// low-discrepancy sequence).
#ifndef RTM_BROKER_GRID_H
#define RTM_BROKER_GRID_H

#include <stdint.h>

typedef struct {
    int64_t phase; // ms, 0 <= phase < every
    int64_t every; // ms, > 0
} grid_t;

grid_t grid_of(uint64_t host_hash, uint32_t ordinal, int64_t every);
// The least due > after.
int64_t grid_next(grid_t grid, int64_t after);
// The greatest due <= upto.
int64_t grid_last(grid_t grid, int64_t upto);
// How many dues are in (after, upto].
uint64_t grid_count(grid_t grid, int64_t after, int64_t upto);

#endif
