// Grid: when a source is due; all arithmetic on that is here. Dues are phase + k * every in broker time, for
// every whole k; or the fires of a cron expression; or, mode continuous, one that moves; or, mode triggered,
// none. A source's phase is stable: its host's hash plus its ordinal at that host times the golden ratio,
// which spreads any number of sources of a host evenly over the period without ever moving one (a
// low-discrepancy sequence).
//
// Active hours keep what is in them and drop the rest. Where they drop a due of a period and the next one
// comes later than a minute after they begin, one is made up in that minute, at the source's phase in it.
#ifndef RTM_BROKER_GRID_H
#define RTM_BROKER_GRID_H

#include <stdint.h>

#include "broker/schedule.h"

typedef struct {
    int64_t phase;              // ms, 0 <= phase < every
    int64_t every;              // ms, > 0
    const schedule_t *schedule; // NULL: nothing but the period
    int64_t turn;               // mode continuous: the due, 0: none
} grid_t;

#define GRID_NEVER SCHEDULE_NEVER
#define GRID_NONE  (-SCHEDULE_NEVER)

grid_t grid_of(uint64_t host_hash, uint32_t ordinal, int64_t every);
// The least due > after, or GRID_NEVER.
int64_t grid_next(grid_t grid, int64_t after);
// The greatest due <= upto, or GRID_NONE.
int64_t grid_last(grid_t grid, int64_t upto);
// How many dues are in (after, upto].
uint64_t grid_count(grid_t grid, int64_t after, int64_t upto);

#endif
