// Homes: see the header.
#include "miner/homes.h"

#include <string.h>
#include <xxhash.h>

void homes_add(homes_t *h, const char *endpoint)
{
    h->salts[h->n] = XXH3_64bits(endpoint, strlen(endpoint));
    homes_set(h, h->n++, 1);
}

void homes_set(homes_t *h, unsigned sink, int there)
{
    unsigned bit = 1U << sink, now = atomic_load(&h->there);
    atomic_store(&h->there, there ? now | bit : now & ~bit);
}

unsigned homes_of(const homes_t *h, uint64_t source)
{
    unsigned there = atomic_load_explicit(&h->there, memory_order_relaxed), best = 0;
    uint64_t highest = 0;
    for (unsigned i = 0; i < h->n && h->n > 1; i++) {
        if (there && !(there >> i & 1)) continue;
        uint64_t score = XXH3_64bits_withSeed(&source, sizeof source, h->salts[i]);
        if (score >= highest) highest = score, best = i;
    }
    return best;
}
