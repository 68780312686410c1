// Moves: session number and a hash of the due share one word; a hash that meets another's only bumps once
// more.
#include "sink/moves.h"

void moves_init(moves_t *moves)
{
    map_init(&moves->last);
}

void moves_free(moves_t *moves)
{
    map_free(&moves->last);
}

// Never 0, which the map takes for nothing.
static uint64_t pack(uint64_t session, int64_t due)
{
    return UINT64_C(1) << 63 | (session & INT32_MAX) << 32 | ((uint64_t)due & UINT32_MAX);
}

bool moves_note(moves_t *moves, uint64_t source, uint64_t session, int64_t due)
{
    uint64_t packed = pack(session, due);
    uint64_t before = (uint64_t)(uintptr_t)map_get(&moves->last, source);
    if (before >> 32 == packed >> 32) return before == packed;
    if (moves->last.count >= MOVES_MAX) {
        map_free(&moves->last);
        map_init(&moves->last);
    }
    map_put(&moves->last, source, (void *)(uintptr_t)packed); // NOLINT: a number, never followed
    return true;
}
