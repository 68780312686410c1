// Runs: polls that go on at miners which no longer hold their sources. A source has at most one; until it
// ends nobody else is given the source's dues, so that no page is polled twice at once. A run ends with its
// outcome, with its miner, with an inventory that does not list it, or with its lease, whichever comes first:
// waiting too briefly costs an overlap, which is harmless, waiting for ever would cost the source.
#ifndef RTM_BROKER_RUNS_H
#define RTM_BROKER_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/catalog.h"

typedef struct run {
    source_t *source;
    struct miner *miner;
    int64_t until; // mono ms: its lease
    bool stale;    // its miner has begun to list what it runs, and has not named it yet
    struct run *prev, *next;
} run_t;

typedef struct {
    map_t by_source;
    run_t *first, *last; // in the order of their leases
} runs_t;

void runs_init(runs_t *runs);
void runs_free(runs_t *runs);
// The run of source, or NULL.
run_t *runs_of(const runs_t *runs, const source_t *source);
// Adds a run, or renews its lease if miner has it already. until: not before that of any other run. Nothing
// if another miner runs it.
void runs_add(runs_t *runs, source_t *source, struct miner *miner, int64_t until);
void runs_remove(runs_t *runs, run_t *run);
// All runs of miner are stale until they are added again.
void runs_doubt(runs_t *runs, const struct miner *miner);

#endif
