// Arena: a chain of blocks; allocation bumps a pointer in the newest one.
#include "common/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

enum { FIRST_BLOCK = 16 * 1024, LARGEST_BLOCK = 1024 * 1024 };

typedef struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(ARENA_ALIGN) char bytes[];
} arena_block_t;

typedef struct arena_deferred {
    struct arena_deferred *next;
    void (*release)(void *);
    void *p;
} arena_deferred_t;

arena_t *arena_new(size_t max)
{
    arena_t *a = xcalloc(1, sizeof *a);
    a->max = max;
    return a;
}

int arena_defer(arena_t *a, void (*release)(void *), void *p)
{
    arena_deferred_t *d = arena_alloc(a, sizeof *d);
    if (!d) return -1;
    *d = (arena_deferred_t){a->deferred, release, p};
    a->deferred = d;
    return 0;
}

static void release_deferred(arena_t *a)
{
    for (arena_deferred_t *d = a->deferred; d; d = d->next) d->release(d->p);
    a->deferred = NULL;
}

void arena_destroy(arena_t **arena)
{
    if (!*arena) return;
    release_deferred(*arena);
    for (arena_block_t *b = (*arena)->newest, *older; b; b = older) {
        older = b->older;
        free(b);
    }
    free(*arena);
    *arena = NULL;
}

static arena_block_t *new_block(const arena_t *a, size_t need)
{
    size_t size = a->newest ? a->newest->size * 2 : FIRST_BLOCK;
    if (size > LARGEST_BLOCK) size = LARGEST_BLOCK;
    if (size > a->max) size = a->max;
    if (size < need) size = need;
    arena_block_t *b = malloc(sizeof *b + size);
    if (b) *b = (arena_block_t){.older = a->newest, .size = size};
    return b;
}

// Further allocations are from this block.
static void open_block(arena_t *a, arena_block_t *b)
{
    size_t most = a->max - a->used;
    a->newest = b;
    a->next = b ? b->bytes : NULL;
    a->opened = a->left = !b ? 0 : (b->size < most ? b->size : most) / ARENA_ALIGN * ARENA_ALIGN;
}

void *arena_alloc_block(arena_t *a, size_t size)
{
    if (size == 0) size = 1;
    if (size > a->max - arena_used(a)) return NULL;
    size = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (size > a->max - arena_used(a)) return NULL;
    if (size > a->left) {
        arena_block_t *b = new_block(a, size);
        if (!b) return NULL;
        a->used = arena_used(a);
        open_block(a, b);
    }
    return arena_alloc(a, size);
}

void *arena_calloc(arena_t *a, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) return NULL;
    void *p = arena_alloc(a, count * size);
    if (p) memset(p, 0, count * size);
    return p;
}

char *arena_strdup(arena_t *a, const char *src)
{
    return arena_strndup(a, src, strlen(src));
}

char *arena_printf(arena_t *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) return NULL;
    char *p = arena_alloc(a, (size_t)n + 1);
    if (!p) return NULL;
    va_start(args, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return p;
}

size_t arena_used(const arena_t *a)
{
    return a->used + a->opened - a->left;
}

void arena_reset(arena_t *a)
{
    release_deferred(a);
    arena_block_t *keep = NULL;
    for (arena_block_t *b = a->newest, *older; b; b = older) {
        older = b->older;
        bool better = b->size <= LARGEST_BLOCK && (!keep || b->size > keep->size);
        free(better ? keep : b);
        if (better) keep = b;
    }
    if (keep) keep->older = NULL;
    a->used = 0;
    open_block(a, keep);
}
