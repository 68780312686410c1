// Wheel: circular lists with a head each.
#include "broker/wheel.h"

#include <stddef.h>

#define NEVER (1LL << 42) // a slot of a second in the year 140000

static void list_init(wheel_node_t *head)
{
    head->prev = head->next = head;
}

static void list_append(wheel_node_t *head, wheel_node_t *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}

void wheel_init(wheel_t *w)
{
    for (int i = 0; i < WHEEL_SIZE; i++) list_init(&w->buckets[i]);
    list_init(&w->ripe);
    list_init(&w->never);
}

void wheel_remove(wheel_node_t *n)
{
    if (!n->next) return;
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->prev = n->next = NULL;
}

void wheel_put(wheel_t *w, wheel_node_t *n, int64_t slot)
{
    wheel_remove(n);
    n->slot = slot;
    list_append(slot >= NEVER ? &w->never : &w->buckets[(uint64_t)slot % WHEEL_SIZE], n);
}

void wheel_open(wheel_t *w, int64_t slot)
{
    wheel_node_t *head = &w->buckets[(uint64_t)slot % WHEEL_SIZE], *ripe = &w->ripe;
    w->opened = slot;
    if (head->next == head) return;
    head->next->prev = ripe->prev; // the whole list in one step, however long it is
    ripe->prev->next = head->next;
    head->prev->next = ripe;
    ripe->prev = head->prev;
    list_init(head);
}

wheel_node_t *wheel_take(wheel_t *w)
{
    for (;;) {
        wheel_node_t *n = w->ripe.next;
        if (n == &w->ripe) return NULL;
        wheel_remove(n);
        if (n->slot <= w->opened) return n;
        wheel_put(w, n, n->slot); // of a later turn
    }
}
