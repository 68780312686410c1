// Control: the commands that users give, as rtm-ctl sends them.
#ifndef RTM_TESTS_SIM_CONTROL_H
#define RTM_TESTS_SIM_CONTROL_H

#include <yyjson.h>

#include "tests/sim/world.h"

// Gives a command, unless the broker is down or stalled. Its answer, as soon as it is made, which lives until
// the next one; NULL: there is none, or it was refused (world->refused: with that code).
yyjson_val *control_ask(world_t *world, const char *command, wire_arg_t *args, size_t n);
// The broker's answer; and it has reached the user, so what it tells is durable.
void control_answered(world_t *world, const wire_reply_t *reply);
void control_told(world_t *world, const wire_reply_t *reply);
// What the broker calls now; 0: nobody is there.
int64_t control_now(world_t *world);
// A member of an object of it; 0 or "": it has none.
int64_t row_number(yyjson_val *row, const char *name);
const char *row_text(yyjson_val *row, const char *name);
void control_add(world_t *world, int template, bool replace);
// -- at random: a template is disabled, enabled, removed or replaced; one source, or all of a template, is
// polled out of turn; what there is is looked at, or a task, a dead letter, a source or a miner is dealt with
void control_change(world_t *world);
bool control_replay(world_t *world);
void control_trigger(world_t *world);
bool control_deal(world_t *world);
// Looks at everything there is to see.
void control_look(world_t *world);
// For whoever reads the trace of a world that failed: what the broker itself says of a source.
void control_explain(world_t *world, const page_t *page);

#endif
