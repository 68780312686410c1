// Policy: what templates of a world are to each other, pages that are trouble, and checks that no poll starts
// which the rules forbid. A poll under a lease counts as running until that is over by its miner's own
// reckoning.
#ifndef RTM_TESTS_SIM_POLICY_H
#define RTM_TESTS_SIM_POLICY_H

#include "tests/sim/world.h"

// Makes up the world's policies; its templates and pages are known.
void policy_make(world_t *world);
// A template's members, each with a comma behind.
void policy_json(const world_t *world, int template, char *out, size_t size);
// The template's polls may have to wait for others (some of which may be off now).
bool policy_waits(const world_t *world, int template);
// The same now.
bool policy_gated(const world_t *world, int template);
// The page can never be read.
bool policy_is_lost(const world_t *world, const page_t *page);
// miner starts to poll holding for due.
void policy_check_start(world_t *world, const sim_miner_t *miner, const holding_t *holding, int64_t due);

#endif
