// Calm: the second half of a world's life: all faults end, and after three slots everything must be normal
// again: every source polled in time by one owner, everything stored, every task at its end.
#ifndef RTM_TESTS_SIM_CALM_H
#define RTM_TESTS_SIM_CALM_H

#include "tests/sim/world.h"

void calm_run(world_t *world);

#endif
