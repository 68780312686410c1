// Seen: linear search, backwards from where the last one ended.
#include "miner/seen.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"

uint64_t seen_hash(const char *key, uint64_t content_hash)
{
    return XXH3_64bits_withSeed(key, strlen(key), content_hash);
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

void seen_add(seen_t *s, const uint64_t *hashes, size_t n, size_t listed)
{
    size_t max = listed > SEEN_MAX ? listed : SEEN_MAX;
    if (n > max) {
        hashes += n - max;
        n = max;
    }
    if (n == 0) return;
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
