// Edge: the broker's edge as a model: messages that wait for the store, a disk that forgets what was not yet
// durable when the broker is killed, and a broker's start from what it holds.
#ifndef RTM_TESTS_SIM_EDGE_H
#define RTM_TESTS_SIM_EDGE_H

#include "tests/sim/world.h"

// What the broker's clocks show now.
instant_t sim_instant(const world_t *world);
// What the broker calls now is known exactly.
void sim_note_time(world_t *world);
void sim_start_broker(world_t *world);
// It starts again after away ms.
void sim_kill_broker(world_t *world, int64_t away);
// The same, in an orderly way: everything is durable.
void sim_stop_broker(world_t *world, int64_t away);
// Something became durable: sends what waited for it.
void sim_release(world_t *world);
// Forgets what waits.
void sim_drop_held(world_t *world);

#endif
