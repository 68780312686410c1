// Continuity: does a list in order of time reach back to what the poll before has listed? Then nothing was
// missed in between. It is told the list's items in their order, over all its pages.
//
// An item is old if a stored poll has listed it. Two old ones below all new ones prove it: one may be pinned,
// or may have been deleted and posted again. What stands below most of the anchors is older than the list was
// long (the site deleted something above it), and says nothing.
#ifndef RTM_MINER_CONTINUITY_H
#define RTM_MINER_CONTINUITY_H

#include <stdbool.h>
#include <stdint.h>

enum { CONTINUITY_PROOF = 2 }; // old items that prove it

typedef struct {
    uint32_t anchors; // of the poll before, at most so many are found
    uint32_t found;   // of them
    uint32_t below;   // old items since the last new one
} continuity_t;

// Most of what the poll before has listed stands above the next item: it is older than that.
bool continuity_is_below(const continuity_t *continuity);
void continuity_item(continuity_t *continuity, bool anchor, bool old);
// What was told so far reaches back.
bool continuity_is_proven(const continuity_t *continuity);

#endif
