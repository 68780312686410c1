// Host: how many polls of one host a miner runs at once, as its templates say; in every fourth world. All
// sources of a host belong to one miner, so no host is asked more often.
#ifndef RTM_TESTS_SIM_HOST_H
#define RTM_TESTS_SIM_HOST_H

#include "tests/sim/world.h"

// Chooses a limit that the pages' polls hardly ever reach.
void host_make(world_t *world);
// The templates' member, with a comma behind, or "".
const char *host_json(const world_t *world);
// miner asks page's host as often as it may.
bool host_is_full(const world_t *world, const sim_miner_t *miner, const page_t *page);
// A poll of holding starts at miner; in the calm nobody else may ask its host.
void host_enter(world_t *world, const sim_miner_t *miner, holding_t *holding);
// Its document is here, or it is given up: the next one that waits may start.
void host_leave(world_t *world, sim_miner_t *miner, holding_t *holding);
// How long a poll may wait for others of its host, ms.
int64_t host_slack(const world_t *world);

#endif
