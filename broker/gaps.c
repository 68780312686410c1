// Gaps: a ring of a fixed size, made when the first one comes.
#include "broker/gaps.h"

#include <stdbool.h>
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

// A list that cannot keep up has a gap at every poll, which is one long one.
static bool follows(const gap_t *gap, const gap_t *old)
{
    return gap->closed == old->closed && gap->due > old->due && gap->since >= old->since &&
           gap->since <= old->until && gap->until >= old->until;
}

static void lengthen(gap_t *old, const gap_t *gap)
{
    old->until = gap->until;
    old->reason = gap->reason;
    old->found += gap->found;
}

const gap_t *gaps_put(gaps_t *g, const gap_t *gap)
{
    if (!g->ring) g->ring = xcalloc(GAPS_KEPT, sizeof *g->ring);
    CHECK(g->ring != NULL);
    gap_t *old;
    for (size_t i = 0; i < SEARCHED && (old = at(g, i)); i++) {
        if (old->source != gap->source) continue;
        if (old->due == gap->due)
            *old = *gap;
        else if (follows(gap, old))
            lengthen(old, gap);
        else
            break;
        return old;
    }
    if (g->n == GAPS_KEPT) {
        g->head = (g->head + 1) % GAPS_KEPT;
        g->n--;
    }
    gap_t *place = &g->ring[(g->head + g->n++) % GAPS_KEPT];
    *place = *gap;
    return place;
}
