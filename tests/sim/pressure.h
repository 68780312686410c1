// Pressure: what becomes of priorities when there is more to do than can be done. After the calm, worlds with
// short slots go on for a dozen of them: crowded ones, where two polls at most run at once in the cluster and
// more are wanted, and others with all miners overloaded, so that they get high and critical work only.
#ifndef RTM_TESTS_SIM_PRESSURE_H
#define RTM_TESTS_SIM_PRESSURE_H

#include "tests/sim/world.h"

// Goes on under pressure, and checks that every class has its share, that nobody waits for more than ten
// slots, and that what is urgent is in time while the rest is put off.
void pressure_run(world_t *world);
// A poll of page starts, late by so many ms. True: its dues before may have been put off.
bool pressure_poll(world_t *world, page_t *page, int64_t late);

#endif
