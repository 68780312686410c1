// Rows: the history as the broker's file keeps it, in every eighth world: the real archive over a database in
// memory is given what became durable, and must keep what is young enough, and nothing else.
#ifndef RTM_TESTS_SIM_ROWS_H
#define RTM_TESTS_SIM_ROWS_H

#include "tests/sim/world.h"

void rows_begin(world_t *world);
// An operation's history that the archive may be given later, or NULL.
const store_history_t *rows_keep(world_t *world, const store_history_t *history);
// The first n operations are durable. last: no others will follow in this run of the broker.
void rows_durable(world_t *world, size_t n, bool last);
void rows_end(world_t *world);

#endif
