// Arena: a chain of blocks; allocation bumps a pointer in the newest one.
#include "common/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

enum { ALIGN = 16, FIRST_BLOCK = 16 * 1024, LARGEST_BLOCK = 1024 * 1024 };

typedef struct block {
    struct block *older;
    size_t size, used;
    _Alignas(16) char bytes[];
} block_t;

typedef struct deferred {
    struct deferred *next;
    void (*release)(void *);
    void *p;
} deferred_t;

struct arena {
    block_t *newest;
    deferred_t *deferred; // in the blocks
    size_t used, max;     // bytes, over all blocks
};

arena_t *arena_new(size_t max)
{
    arena_t *a = xcalloc(1, sizeof *a);
    a->max = max;
    return a;
}

int arena_defer(arena_t *a, void (*release)(void *), void *p)
{
    deferred_t *d = arena_alloc(a, sizeof *d);
    if (!d) return -1;
    *d = (deferred_t){a->deferred, release, p};
    a->deferred = d;
    return 0;
}

static void release_deferred(arena_t *a)
{
    for (deferred_t *d = a->deferred; d; d = d->next) d->release(d->p);
    a->deferred = NULL;
}

void arena_destroy(arena_t **arena)
{
    if (!*arena) return;
    release_deferred(*arena);
    for (block_t *b = (*arena)->newest, *older; b; b = older) {
        older = b->older;
        free(b);
    }
    free(*arena);
    *arena = NULL;
}

static block_t *add_block(arena_t *a, size_t need)
{
    size_t size = a->newest ? a->newest->size * 2 : FIRST_BLOCK;
    if (size > LARGEST_BLOCK) size = LARGEST_BLOCK;
    if (size > a->max) size = a->max;
    if (size < need) size = need;
    block_t *b = malloc(sizeof *b + size);
    if (!b) return NULL;
    *b = (block_t){.older = a->newest, .size = size};
    a->newest = b;
    return b;
}

void *arena_alloc(arena_t *a, size_t size)
{
    if (size > a->max) return NULL;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (size == 0) size = ALIGN;
    if (size > a->max - a->used) return NULL;
    block_t *b = a->newest;
    if (!b || b->size - b->used < size) b = add_block(a, size);
    if (!b) return NULL;
    void *p = b->bytes + b->used;
    b->used += size;
    a->used += size;
    return p;
}

void *arena_calloc(arena_t *a, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) return NULL;
    void *p = arena_alloc(a, count * size);
    if (p) memset(p, 0, count * size);
    return p;
}

char *arena_strndup(arena_t *a, const char *src, size_t len)
{
    if (len == SIZE_MAX) return NULL;
    char *p = arena_alloc(a, len + 1);
    if (!p) return NULL;
    if (len) memcpy(p, src, len);
    p[len] = '\0';
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
    return a->used;
}

void arena_reset(arena_t *a)
{
    release_deferred(a);
    block_t *keep = NULL;
    for (block_t *b = a->newest, *older; b; b = older) {
        older = b->older;
        bool better = b->size <= LARGEST_BLOCK && (!keep || b->size > keep->size);
        free(better ? keep : b);
        if (better) keep = b;
    }
    if (keep) keep->older = NULL, keep->used = 0;
    a->newest = keep;
    a->used = 0;
}
