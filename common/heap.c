// Heap: 4-ary, which touches fewer cache lines than a binary one.
#include "common/heap.h"

#include <stdlib.h>

#include "common/check.h"

void heap_init(heap_t *h)
{
    *h = (heap_t){0};
}

void heap_free(heap_t *h)
{
    free(h->nodes);
    *h = (heap_t){0};
}

static void place(heap_t *h, size_t i, heap_node_t *n)
{
    h->nodes[i] = n;
    n->pos = i + 1;
}

static void sift_up(heap_t *h, size_t i, heap_node_t *n)
{
    while (i > 0) {
        size_t parent = (i - 1) / 4;
        if (h->nodes[parent]->key <= n->key) break;
        place(h, i, h->nodes[parent]);
        i = parent;
    }
    place(h, i, n);
}

static void sift_down(heap_t *h, size_t i, heap_node_t *n)
{
    for (;;) {
        size_t first = i * 4 + 1, least = first;
        if (first >= h->count) break;
        for (size_t c = first + 1; c < first + 4 && c < h->count; c++)
            if (h->nodes[c]->key < h->nodes[least]->key) least = c;
        if (h->nodes[least]->key >= n->key) break;
        place(h, i, h->nodes[least]);
        i = least;
    }
    place(h, i, n);
}

void heap_set(heap_t *h, heap_node_t *n, int64_t key)
{
    if (n->pos) {
        CHECK(h->nodes != NULL); // n is in this heap
        int64_t before = n->key;
        n->key = key;
        if (key < before)
            sift_up(h, n->pos - 1, n);
        else
            sift_down(h, n->pos - 1, n);
        return;
    }
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->nodes = xrealloc(h->nodes, h->cap * sizeof *h->nodes);
    }
    n->key = key;
    sift_up(h, h->count++, n);
}

void heap_remove(heap_t *h, heap_node_t *n)
{
    if (!n->pos) return;
    size_t i = n->pos - 1;
    n->pos = 0;
    heap_node_t *last = h->nodes[--h->count];
    if (last == n) return;
    if (last->key < n->key)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

heap_node_t *heap_min(const heap_t *h)
{
    return h->count ? h->nodes[0] : NULL;
}

// A node that the walk has come to, but not passed.
typedef struct {
    heap_node_t node;
    size_t at;
} step_t;

size_t heap_first(const heap_t *h, heap_node_t **out, size_t n, size_t ties)
{
    heap_t border;
    step_t *steps = xcalloc(4 * (n + ties) + 1, sizeof *steps);
    size_t used = 0, found = 0;
    heap_init(&border);
    if (h->count) heap_set(&border, &steps[used++].node, h->nodes[0]->key);
    for (heap_node_t *m; (m = heap_min(&border)) && found < n + ties;) {
        if (found >= n && (!n || m->key != out[n - 1]->key)) break;
        size_t at = HEAP_OWNER(m, step_t, node)->at;
        heap_remove(&border, m);
        out[found++] = h->nodes[at];
        for (size_t c = at * 4 + 1; c < at * 4 + 5 && c < h->count; c++) {
            steps[used].at = c;
            heap_set(&border, &steps[used++].node, h->nodes[c]->key);
        }
    }
    heap_free(&border);
    free(steps);
    return found;
}
