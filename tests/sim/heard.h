// Heard: what the broker was told of each page, and whether what it then asks for fits: other attempts,
// back-offs of hosts, quarantine and its probes, deadlines, what was missed while it was down, miners that
// drain. By the messages alone.
#ifndef RTM_TESTS_SIM_HEARD_H
#define RTM_TESTS_SIM_HEARD_H

#include "tests/sim/world.h"

// The broker has taken outcomes of a miner; what it lists; its word that it drains; and sends this to peer.
void heard_outcomes(world_t *world, const event_t *event, const wire_outcomes_t *message);
void heard_inventory(world_t *world, const wire_inventory_t *message);
void heard_goodbye(world_t *world, const event_t *event);
void heard_assign(world_t *world, uint64_t peer, const wire_assign_t *message);
// A broker has started: it knows what was durable, which is n_ops operations.
void heard_restart(world_t *world, size_t n_ops);
// Users have let page out of quarantine perhaps, or changed its template.
void heard_release(page_t *page);
// At the end: whether other attempts were spread as they should be.
void heard_check(world_t *world);
// What the broker calls now, about.
int64_t heard_now(const world_t *world);

#endif
