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

bool moves_note(moves_t *moves, uint64_t source, uint64_t session, int64_t due)
{
    uintptr_t packed = (uintptr_t)((session << 32) | ((uint64_t)due & UINT32_MAX) | 1);
    uintptr_t before = (uintptr_t)map_get(&moves->last, source);
    if (before && before >> 32 == (uint32_t)session) return before == packed;
    if (moves->last.count >= MOVES_MAX) {
        map_free(&moves->last);
        map_init(&moves->last);
    }
    map_put(&moves->last, source,
            (void *)packed); // NOLINT(performance-no-int-to-ptr): a number, never followed
    return true;
}
