// Arena: allocations that are freed together, with a stated maximum. One arena per fetched document.
#ifndef RTM_COMMON_ARENA_H
#define RTM_COMMON_ARENA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ARENA_ALIGN = 16 };

// Seen here for arena_alloc's sake.
typedef struct {
    char *next;                      // what is free of the newest block
    size_t left;                     // of it, within the maximum: bytes, a multiple of ARENA_ALIGN
    size_t opened;                   // `left` when the block was new
    size_t used, max;                // bytes: of the older blocks, of all
    struct arena_block *newest;      // a chain
    struct arena_deferred *deferred; // in the blocks
} arena_t;

// An arena that never holds more than max bytes of allocations.
arena_t *arena_new(size_t max);
void arena_destroy(arena_t **arena);

// Memory aligned for any type, or NULL when the maximum would be passed (or malloc fails). Not zeroed.
static inline void *arena_alloc(arena_t *arena, size_t size);
// The same, zeroed; count * size is checked for overflow.
void *arena_calloc(arena_t *arena, size_t count, size_t size);
// Copies with a NUL behind; NULL as above. src may be NULL if len is 0.
static inline char *arena_strndup(arena_t *arena, const char *src, size_t len);
char *arena_strdup(arena_t *arena, const char *src);
__attribute__((format(printf, 2, 3))) char *arena_printf(arena_t *arena, const char *fmt, ...);

// Has the next arena_reset or arena_destroy call release(p): for what a library allocated and texts of the
// arena point into. -1: the arena is full; p is still the caller's then.
__attribute__((warn_unused_result)) int arena_defer(arena_t *arena, void (*release)(void *), void *p);

// Bytes handed out since the last reset.
size_t arena_used(const arena_t *arena);
// Forgets every allocation; keeps its largest usual block (at most 1 MiB) for reuse.
void arena_reset(arena_t *arena);

// arena_alloc from a new block.
void *arena_alloc_block(arena_t *arena, size_t size);

static inline void *arena_alloc(arena_t *arena, size_t size)
{
    if (size - 1 >= arena->left) return arena_alloc_block(arena, size); // none at all, too
    size = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    void *p = arena->next;
    arena->next += size;
    arena->left -= size;
    return p;
}

static inline char *arena_strndup(arena_t *arena, const char *src, size_t len)
{
    char *p = len < SIZE_MAX ? arena_alloc(arena, len + 1) : NULL;
    if (!p) return NULL;
    if (len) memcpy(p, src, len);
    p[len] = '\0';
    return p;
}

#endif
