// Continuity: see the header.
#include "miner/continuity.h"

void continuity_item(continuity_t *c, bool anchor, bool old)
{
    c->found += anchor;
    if (anchor || old)
        c->below++;
    else if (c->found * 4 < c->anchors * 3)
        c->below = 0;
}

bool continuity_is_proven(const continuity_t *c)
{
    return c->anchors && c->below >= (c->anchors < CONTINUITY_PROOF ? c->anchors : CONTINUITY_PROOF);
}
