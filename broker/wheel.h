// Wheel: which sources are due in which slot. A hashed timing wheel (Varghese and Lauck, 1987) with one
// bucket per slot number modulo its size; a node of a later turn stays where it is.
#ifndef RTM_BROKER_WHEEL_H
#define RTM_BROKER_WHEEL_H

#include <stdint.h>

typedef struct wheel_node {
    struct wheel_node *prev, *next; // NULL: not in the wheel
    int64_t slot;
} wheel_node_t;

enum { WHEEL_SIZE = 1024 };

typedef struct {
    wheel_node_t buckets[WHEEL_SIZE]; // list heads
    wheel_node_t ripe;                // the bucket that is being taken
    wheel_node_t never;               // nodes of slots that do not come
    int64_t opened;                   // its slot
} wheel_t;

void wheel_init(wheel_t *wheel);
// Puts node into slot, or moves it there.
void wheel_put(wheel_t *wheel, wheel_node_t *node, int64_t slot);
// Takes node out; nothing if it is not in.
void wheel_remove(wheel_node_t *node);
// Opens slot: wheel_take then hands out its nodes one by one, then NULL. Slots are opened in order, each
// once.
void wheel_open(wheel_t *wheel, int64_t slot);
wheel_node_t *wheel_take(wheel_t *wheel);

#endif
