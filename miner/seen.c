// Seen: linear search, backwards from where the last one ended.
#include "miner/seen.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "common/map.h"

static const uint64_t KEY = (UINT64_C(1) << 28) - 1; // the bits of a hash that are of the key

uint64_t seen_hash(const char *key, uint64_t content_hash)
{
    size_t len = strlen(key);
    return (XXH3_64bits_withSeed(key, len, content_hash) & ~KEY) | (XXH3_64bits(key, len) & KEY);
}

void seen_forget(seen_t *s, const uint64_t *hashes, size_t n)
{
    map_t keys;
    uint32_t kept = 0;
    if (s->n == 0) return;
    map_init(&keys);
    for (size_t i = 0; i < n; i++) map_put(&keys, (hashes[i] & KEY) + 1, s);
    for (uint32_t i = 0; i < s->n; i++)
        if (!map_get(&keys, (s->hashes[i] & KEY) + 1)) s->hashes[kept++] = s->hashes[i];
    s->n = kept;
    map_free(&keys);
}

bool seen_has(const seen_t *s, uint64_t hash, uint32_t *hint)
{
    uint32_t start = *hint <= s->n ? *hint : s->n;
    for (uint32_t i = start; i-- > 0;)
        if (s->hashes[i] == hash) return *hint = i, true;
    for (uint32_t i = s->n; i-- > start;)
        if (s->hashes[i] == hash) return *hint = i, true;
    return false;
}

bool seen_otherwise(const seen_t *s, uint64_t hash)
{
    for (uint32_t i = 0; i < s->n; i++)
        if ((s->hashes[i] & KEY) == (hash & KEY)) return true;
    return false;
}

void seen_add(seen_t *s, const uint64_t *hashes, size_t n, size_t listed)
{
    size_t max = listed > SEEN_MAX ? listed : SEEN_MAX;
    if (n > max) {
        hashes += n - max;
        n = max;
    }
    if (n == 0) return;
    seen_forget(s, hashes, n);
    size_t kept = s->n < max - n ? s->n : max - n;
    if (kept < s->n) memmove(s->hashes, s->hashes + (s->n - kept), kept * sizeof *s->hashes);
    s->hashes = xrealloc(s->hashes, (kept + n) * sizeof *s->hashes);
    memcpy(s->hashes + kept, hashes, n * sizeof *hashes);
    s->n = (uint32_t)(kept + n);
}

void seen_free(seen_t *s)
{
    free(s->hashes);
    *s = (seen_t){0};
}
