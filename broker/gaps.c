// Gaps: a ring of a fixed size, made when the first one comes.
#include "broker/gaps.h"

#include <stdlib.h>

#include "common/check.h"

enum { SEARCHED = 256 }; // an outcome is repeated soon or never

void gaps_free(gaps_t *g)
{
    free(g->ring);
    *g = (gaps_t){0};
}

static gap_t *at(const gaps_t *g, size_t i)
{
    return i < g->n ? &g->ring[(g->head + g->n - 1 - i) % GAPS_KEPT] : NULL;
}

const gap_t *gaps_at(const gaps_t *g, size_t i)
{
    return at(g, i);
}

void gaps_put(gaps_t *g, const gap_t *gap)
{
    if (!g->ring) g->ring = xcalloc(GAPS_KEPT, sizeof *g->ring);
    CHECK(g->ring != NULL);
    gap_t *old;
    for (size_t i = 0; i < SEARCHED && (old = at(g, i)); i++)
        if (old->source == gap->source && old->due == gap->due) {
            *old = *gap;
            return;
        }
    if (g->n == GAPS_KEPT) {
        g->head = (g->head + 1) % GAPS_KEPT;
        g->n--;
    }
    g->ring[(g->head + g->n++) % GAPS_KEPT] = *gap;
}
