// Next: whether `rtm-ctl next` tells the truth: what it names starts next. Users ask after they gave several
// tasks at once, and, where the cluster's limit is all that anybody waits for, before a tick now and then.
#ifndef RTM_TESTS_SIM_USER_NEXT_H
#define RTM_TESTS_SIM_USER_NEXT_H

#include "tests/sim/world.h"

// Gives some tasks at once and asks.
void user_next_burst(world_t *world);
// The broker is about to tick; sends a due under a lease; has ticked.
void user_next_before(world_t *world);
void user_next_started(world_t *world, uint64_t source);
void user_next_after(world_t *world);

#endif
