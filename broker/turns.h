// Turns: work that waits for its turn. An entry first waits for a time, then among those that are ready for
// its class's share: the classes (priorities) share the turns 1 : 2 : 4 : 8 (shares.h), and whoever has been
// ready for `patience` goes first, so nobody starves. Within a class the order is that of arrival; entries
// may be put in front. An entry with a deadline moves up to high when `promote_at` comes. No clock in here.
#ifndef RTM_BROKER_TURNS_H
#define RTM_BROKER_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/heap.h"
#include "common/shares.h"
#include "proto/template.h"

enum { TURN_CLASSES = PRIORITY_CRITICAL + 1 };
_Static_assert((int)TURN_CLASSES == SHARE_CLASSES, "each priority has its share");

typedef struct {
    heap_node_t timer; // until it is ready: ready_at; then, if it has one: promote_at
    heap_node_t place; // in its class, or in the list of the ready by age
    heap_node_t age;   // among all that are ready, by ready_at
    int64_t ready_at;
    int64_t promote_at; // INT64_MAX: never
    priority_t priority;
    bool ready;
} turn_t;

typedef struct {
    heap_t timers, classes[TURN_CLASSES], ages;
    shares_t shares;
    int64_t front, back; // next places
    int64_t patience;
    size_t count;
    bool aged; // the last turn went by age: at most every second does, so that age does not undo the shares
} turns_t;

void turns_init(turns_t *turns, int64_t patience_ms);
// Frees no entries.
void turns_free(turns_t *turns);
// Puts entry in, or moves it: it is ready at ready_at; ahead: in front of all that wait in its class now.
// promote_at: INT64_MAX for none.
void turns_put(turns_t *turns, turn_t *turn, priority_t priority, int64_t ready_at, int64_t promote_at,
               bool ahead);
// Puts an entry that was popped back where it was: it is ready, and looked at again at `again`.
void turns_return(turns_t *turns, turn_t *turn, int64_t again);
// Takes entry out; nothing if it is not in.
void turns_remove(turns_t *turns, turn_t *turn);
bool turns_has(const turn_t *turn);
// Whether it was put in front; and whether a goes before b: by class, then by place.
bool turns_ahead(const turn_t *turn);
bool turns_before(const turn_t *a, const turn_t *b);
// Another class, keeping its place in time.
void turns_raise(turns_t *turns, turn_t *turn, priority_t priority);
// The entry whose turn it is at now, taken out; NULL: none is ready.
turn_t *turns_pop(turns_t *turns, int64_t now);
// When turns_pop may give something: now or earlier if some are ready; INT64_MAX: nothing is in.
int64_t turns_next(const turns_t *turns);
// The first n entries in the order in which they would be taken from now on if none came meanwhile, waiting
// ones after the ready by time; how many there are.
size_t turns_peek(const turns_t *turns, int64_t now, turn_t **out, size_t n);

#endif
