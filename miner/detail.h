// Detail: what a poll needs to know of the page behind an item: where it is, whether a failure is for good,
// and how list and page become one item.
#ifndef RTM_MINER_DETAIL_H
#define RTM_MINER_DETAIL_H

#include <stdbool.h>

#include "common/arena.h"
#include "miner/read/read.h"
#include "proto/wire.h"

enum { DETAIL_TRIES = 5 }; // polls of one source in which a page fails before its item stays without

// A copy of the item and its texts; NULL: the arena is full.
const item_t *detail_keep(arena_t *arena, const item_t *item);
// The absolute http(s) URL in the item's field `follow`, in arena or item; NULL: there is none.
const char *detail_url(arena_t *arena, const char *follow, const item_t *item);
// Whether a failed request would fail the same way next time.
bool detail_is_permanent(error_class_t error);
// *whole: what the page says, and what only the list said. Texts are shared, or in arena. Key and hash are
// the list's.
void detail_merge(arena_t *arena, const item_t *list, const item_t *page, item_t *whole);

#endif
