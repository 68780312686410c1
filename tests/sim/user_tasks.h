// Tasks: what users know of the tasks that they gave, and whether what the broker says of them can be true:
// what was acknowledged survives, what has ended stays so, what is done was stored, deadlines are noted once.
#ifndef RTM_TESTS_SIM_USER_TASKS_H
#define RTM_TESTS_SIM_USER_TASKS_H

#include <yyjson.h>

#include "tests/sim/world.h"

// A user gave this one, in front or not; nothing says yet that it will survive.
void user_tasks_gave(world_t *world, yyjson_val *row, bool ahead);
// A row of the broker's reply reached the user.
void user_tasks_told(world_t *world, yyjson_val *row);
// Looks at all tasks that the broker knows, unless nobody is there.
void user_tasks_look(world_t *world);
// Those that were seen to fail since this was asked last: calls check for each.
void user_tasks_failed(world_t *world, void (*check)(world_t *world, const sim_task_t *task, void *context),
                       void *context);
// page is about to be polled because somebody asked for it, without urgency.
void user_tasks_check_urgency(world_t *world, const page_t *page, int64_t now);
// A record of one is stored; and is what a broker that starts finds.
void user_tasks_stored(world_t *world, uint64_t id, const char *json);
void user_tasks_found(world_t *world, uint64_t id, const char *json);
// A broker has started: what was not acknowledged may be lost.
void user_tasks_restart(world_t *world);
// A random one that has not ended, NULL: none is known.
sim_task_t *user_tasks_any(world_t *world);
void user_tasks_free(world_t *world);

#endif
