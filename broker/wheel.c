// Wheel: circular lists with a head each.
#include "broker/wheel.h"

#include <stddef.h>

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
    list_append(&w->buckets[(uint64_t)slot % WHEEL_SIZE], n);
}

void wheel_open(wheel_t *w, int64_t slot)
{
    wheel_node_t *head = &w->buckets[(uint64_t)slot % WHEEL_SIZE];
    for (wheel_node_t *n = head->next, *next; n != head; n = next) {
        next = n->next;
        if (n->slot > slot) continue;
        wheel_remove(n);
        list_append(&w->ripe, n);
    }
}

wheel_node_t *wheel_take(wheel_t *w)
{
    wheel_node_t *n = w->ripe.next;
    if (n == &w->ripe) return NULL;
    wheel_remove(n);
    return n;
}
