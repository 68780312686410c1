// Outcomes: a ring that doubles.
#include "miner/outcomes.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

void outcomes_init(outcomes_t *o)
{
    *o = (outcomes_t){0};
}

void outcomes_free(outcomes_t *o)
{
    outcomes_acked(o, o->last);
    free(o->ring);
    *o = (outcomes_t){0};
}

static void grow(outcomes_t *o)
{
    size_t cap = o->cap ? o->cap * 2 : 256;
    wire_outcome_t **ring = xcalloc(cap, sizeof *ring);
    for (size_t i = 0; i < o->n; i++) ring[i] = o->ring[(o->head + i) % o->cap];
    free(o->ring);
    o->ring = ring;
    o->cap = cap;
    o->head = 0;
}

void outcomes_add(outcomes_t *o, wire_outcome_t *outcome)
{
    if (o->n == o->cap) grow(o);
    outcome->seq = ++o->last;
    o->ring[(o->head + o->n++) % o->cap] = outcome;
}

void outcomes_acked(outcomes_t *o, uint64_t seq)
{
    while (o->n && o->ring[o->head]->seq <= seq) {
        free(o->ring[o->head]);
        o->head = (o->head + 1) % o->cap;
        o->n--;
    }
}

static size_t row_size(const wire_outcome_t *o)
{
    return 144 + strlen(o->etag) + strlen(o->last_modified) + strlen(o->fetch_url) + strlen(o->detail) +
           strlen(o->memory);
}

size_t outcomes_chunk(const outcomes_t *o, uint64_t after, wire_outcome_t *rows, size_t max)
{
    uint64_t first = o->last - o->n + 1; // number of the oldest
    size_t skip = after >= first ? (size_t)(after - first + 1) : 0, n = 0, bytes = 0;
    for (size_t i = skip; i < o->n && n < max && bytes < ASSIGN_CHUNK; i++) {
        rows[n] = *o->ring[(o->head + i) % o->cap];
        bytes += row_size(&rows[n++]);
    }
    return n;
}
