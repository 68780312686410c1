// Slew: a bounded correction per elapsed time.
#include "broker/slew.h"

enum { SLEW_ONE_IN = 50 };

void slew_init(slew_t *s, instant_t now, int64_t not_before)
{
    int64_t start = now.wall > not_before ? now.wall : not_before;
    *s = (slew_t){.offset = start - now.mono, .last = now.mono};
}

int64_t slew_now(slew_t *s, instant_t now)
{
    int64_t budget = (now.mono - s->last) / SLEW_ONE_IN;
    if (budget > 0) {
        int64_t error = now.wall - (now.mono + s->offset);
        if (error > budget) error = budget;
        if (error < -budget) error = -budget;
        s->offset += error;
        s->last = now.mono;
    }
    return now.mono + s->offset;
}
