// Heap: a 4-ary min-heap of nodes that live in their owners and know their place, so that a node can be
// moved or removed in O(log n). Keys are times or ranks; equal keys keep no order.
#ifndef RTM_COMMON_HEAP_H
#define RTM_COMMON_HEAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t key;
    size_t pos; // 1-based place in the heap; 0: not in a heap
} heap_node_t;

typedef struct {
    heap_node_t **nodes;
    size_t count, cap;
} heap_t;

void heap_init(heap_t *heap);
// Frees the array, not the nodes.
void heap_free(heap_t *heap);
// Inserts node with key, or moves it there if it is in.
void heap_set(heap_t *heap, heap_node_t *node, int64_t key);
// Takes node out; nothing if it is not in.
void heap_remove(heap_t *heap, heap_node_t *node);
// The node with the least key, or NULL.
heap_node_t *heap_min(const heap_t *heap);

// The struct that holds a node.
#define HEAP_OWNER(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
// The first n nodes by their keys, in that order, and up to `ties` more whose key is that of the last of
// them; how many there are. The heap stays as it is, and however large it is only those and their children
// are looked at. out has room for n + ties.
size_t heap_first(const heap_t *heap, heap_node_t **out, size_t n, size_t ties);

#endif
