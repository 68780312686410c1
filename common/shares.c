// Shares: see the header.
#include "common/shares.h"

static const uint64_t stride[SHARE_CLASSES] = {8, 4, 2, 1};

void shares_join(shares_t *s, int class)
{
    if (s->marks[class] < s->last) s->marks[class] = s->last; // it saved up no turns
}

int shares_next(const shares_t *s, unsigned wants)
{
    int best = -1;
    for (int c = SHARE_CLASSES - 1; c >= 0; c--)
        if ((wants >> c & 1) && (best < 0 || s->marks[c] + stride[c] < s->marks[best] + stride[best]))
            best = c;
    return best;
}

void shares_take(shares_t *s, int class)
{
    s->marks[class] += stride[class];
    s->last = s->marks[class];
}
