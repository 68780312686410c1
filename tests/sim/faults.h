// Faults: what befalls a world.
#ifndef RTM_TESTS_SIM_FAULTS_H
#define RTM_TESTS_SIM_FAULTS_H

#include "tests/sim/world.h"

// False: it found nothing to befall.
bool fault_strike(world_t *world, fault_t fault);

#endif
