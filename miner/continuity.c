// Continuity: see the header.
#include "miner/continuity.h"

bool continuity_is_below(const continuity_t *c)
{
    return c->anchors && c->found * 4 >= c->anchors * 3;
}

void continuity_item(continuity_t *c, bool anchor, bool old)
{
    c->found += anchor;
    if (anchor || old)
        c->below++;
    else if (!continuity_is_below(c))
        c->below = 0;
}

bool continuity_is_proven(const continuity_t *c)
{
    return c->anchors && c->below >= (c->anchors < CONTINUITY_PROOF ? c->anchors : CONTINUITY_PROOF);
}
