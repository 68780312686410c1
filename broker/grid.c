// Grid: arithmetic on a source's dues.
#include "broker/grid.h"

// 2^64 divided by the golden ratio: multiples of it, taken modulo 2^64, are spread evenly (Knuth, TAOCP
// 3, 6.4).
#define GOLDEN 0x9e3779b97f4a7c15ULL

grid_t grid_of(uint64_t host_hash, uint32_t ordinal, int64_t every)
{
    uint64_t turn = host_hash + ordinal * GOLDEN; // a fraction of the period, in 2^-64
    return (grid_t){.phase = (int64_t)(((turn >> 32) * (uint64_t)every) >> 32), .every = every};
}

int64_t grid_last(grid_t g, int64_t upto)
{
    int64_t since = (upto - g.phase) % g.every;
    if (since < 0) since += g.every;
    return upto - since;
}

int64_t grid_next(grid_t g, int64_t after)
{
    return grid_last(g, after) + g.every;
}

uint64_t grid_count(grid_t g, int64_t after, int64_t upto)
{
    if (upto <= after) return 0;
    return (uint64_t)((grid_last(g, upto) - grid_last(g, after)) / g.every);
}
