// Letters: what users know of the dead letters, and whether it can be true: each work that was given up is
// one, none is lost but the oldest of too many, and `retry` and `drop` do what they say.
#ifndef RTM_TESTS_SIM_USER_LETTERS_H
#define RTM_TESTS_SIM_USER_LETTERS_H

#include <yyjson.h>

#include "tests/sim/world.h"

// The list reached the user.
void user_letters_told(world_t *world, yyjson_val *rows);
// Looks at all letters, after a look at the tasks; unless nobody is there.
void user_letters_look(world_t *world);
// A random one, or all of a random template, is retried or dropped.
void user_letters_act(world_t *world);
void user_letters_free(world_t *world);

#endif
