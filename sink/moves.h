// Moves: which session polled a source last. While a source stays with one session its polls arrive in order,
// and a known row need not be touched. When another session takes over, batches of the former may still be on
// their way, so the rows that the first poll finds known must learn of the newer poll ("bump"), or a late
// batch could turn them back. Later polls say themselves which items had another version (`again`).
// Forgetting is safe: it only bumps more.
#ifndef RTM_SINK_MOVES_H
#define RTM_SINK_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/map.h"

enum { MOVES_MAX = 400000 }; // sources remembered

typedef struct {
    map_t last; // source -> (session, due of its first poll), packed
} moves_t;

void moves_init(moves_t *moves);
void moves_free(moves_t *moves);
// Notes a poll. true: its session has just taken the source over.
bool moves_note(moves_t *moves, uint64_t source, uint64_t session, int64_t due);

#endif
