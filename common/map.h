// Map: 64-bit key -> pointer, open addressing with backward-shift deletion. Keys are mixed first, so hostile
// keys cost no more than others unless somebody inverts the mix. Values must not be NULL.
#ifndef RTM_COMMON_MAP_H
#define RTM_COMMON_MAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    struct map_slot {
        uint64_t key;
        void *value; // NULL: free slot
    } * slots;
    size_t count, cap; // cap is a power of two, or 0
} map_t;

void map_init(map_t *map);
// Makes room for count keys in all, so that the table does not grow on the way there.
void map_reserve(map_t *map, size_t count);
// Frees the table, not the values.
void map_free(map_t *map);
// Forgets all keys; a small table is kept.
void map_clear(map_t *map);
// The value of key, or NULL.
void *map_get(const map_t *map, uint64_t key);
// Sets key's value; the one it replaces, or NULL.
void *map_put(map_t *map, uint64_t key, void *value);
// Where key's value stands, or NULL does, which the caller has to replace before the next call.
void **map_at(map_t *map, uint64_t key);
// Removes key; its value, or NULL.
void *map_del(map_t *map, uint64_t key);
// Walks all values: start with *pos = 0; NULL at the end. Deleting while walking may skip or repeat values.
void *map_next(const map_t *map, size_t *pos);
// The key of what map_next has just given; pos as it left it.
uint64_t map_key(const map_t *map, size_t pos);

#endif
