// Arena: allocations that are freed together, with a stated maximum. One arena per fetched document.
#ifndef RTM_COMMON_ARENA_H
#define RTM_COMMON_ARENA_H

#include <stddef.h>

typedef struct arena arena_t;

// An arena that never holds more than max bytes of allocations.
arena_t *arena_new(size_t max);
void arena_destroy(arena_t **arena);

// Memory aligned for any type, or NULL when the maximum would be passed (or malloc fails). Not zeroed.
void *arena_alloc(arena_t *arena, size_t size);
// The same, zeroed; count * size is checked for overflow.
void *arena_calloc(arena_t *arena, size_t count, size_t size);
// Copies with a NUL behind; NULL as above. src may be NULL if len is 0.
char *arena_strndup(arena_t *arena, const char *src, size_t len);
char *arena_strdup(arena_t *arena, const char *src);
__attribute__((format(printf, 2, 3))) char *arena_printf(arena_t *arena, const char *fmt, ...);

// Has the next arena_reset or arena_destroy call release(p): for what a library allocated and texts of the
// arena point into. -1: the arena is full; p is still the caller's then.
__attribute__((warn_unused_result)) int arena_defer(arena_t *arena, void (*release)(void *), void *p);

// Bytes handed out since the last reset.
size_t arena_used(const arena_t *arena);
// Forgets every allocation; keeps its largest usual block (at most 1 MiB) for reuse.
void arena_reset(arena_t *arena);

#endif
