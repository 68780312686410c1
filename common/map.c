// Map: linear probing at a load of at most 3/4.
#include "common/map.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

enum { SMALL = 64 };

// The finalizer of MurmurHash3, which is a bijection of 64 bits.
static uint64_t mix(uint64_t k)
{
    k ^= k >> 33;
    k *= 0xff51afd7ed558ccdULL;
    k ^= k >> 33;
    k *= 0xc4ceb9fe1a85ec53ULL;
    return k ^ (k >> 33);
}

void map_init(map_t *m)
{
    *m = (map_t){0};
}

void map_free(map_t *m)
{
    free(m->slots);
    *m = (map_t){0};
}

void map_clear(map_t *m)
{
    if (m->cap > SMALL) return map_free(m);
    if (m->count) memset(m->slots, 0, m->cap * sizeof *m->slots);
    m->count = 0;
}

static struct map_slot *find(const map_t *m, uint64_t key)
{
    size_t i = mix(key) & (m->cap - 1);
    while (m->slots[i].value && m->slots[i].key != key) i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

void *map_get(const map_t *m, uint64_t key)
{
    return m->cap ? find(m, key)->value : NULL;
}

// Small tables come and go with documents; unlike calloc, malloc gives at once what was freed just before.
static struct map_slot *empty_slots(size_t cap)
{
    if (cap > SMALL) return xcalloc(cap, sizeof(struct map_slot));
    return memset(xmalloc(cap * sizeof(struct map_slot)), 0, cap * sizeof(struct map_slot));
}

static void resize(map_t *m, size_t cap)
{
    map_t old = *m;
    m->cap = cap;
    m->slots = empty_slots(cap);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].value) *find(m, old.slots[i].key) = old.slots[i];
    free(old.slots);
}

void map_reserve(map_t *m, size_t count)
{
    size_t cap = m->cap ? m->cap : 16;
    while (count * 4 > cap * 3) cap *= 2;
    if (cap > m->cap) resize(m, cap);
}

void **map_at(map_t *m, uint64_t key)
{
    if ((m->count + 1) * 4 > m->cap * 3) map_reserve(m, m->count + 1);
    struct map_slot *s = find(m, key);
    if (!s->value) m->count++;
    s->key = key;
    return &s->value;
}

void *map_put(map_t *m, uint64_t key, void *value)
{
    CHECK(value != NULL);
    void **at = map_at(m, key), *before = *at;
    *at = value;
    return before;
}

void *map_del(map_t *m, uint64_t key)
{
    if (!m->cap) return NULL;
    struct map_slot *s = find(m, key);
    void *value = s->value;
    if (!value) return NULL;
    size_t hole = (size_t)(s - m->slots), mask = m->cap - 1;
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t home = mix(m->slots[i].key) & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue; // it stands between its home and the hole
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->slots[hole].value = NULL;
    m->count--;
    return value;
}

void *map_next(const map_t *m, size_t *pos)
{
    while (*pos < m->cap)
        if (m->slots[(*pos)++].value) return m->slots[*pos - 1].value;
    return NULL;
}

uint64_t map_key(const map_t *m, size_t pos)
{
    return m->slots[pos - 1].key;
}
