// Slew: broker time. It runs with the monotonic clock and follows the wall clock gently, so that a jump of
// the wall clock neither repeats nor skips a slot.
#ifndef RTM_BROKER_SLEW_H
#define RTM_BROKER_SLEW_H

#include <stdint.h>

// What the clocks said when an event happened, ms.
typedef struct {
    int64_t mono, wall;
} instant_t;

typedef struct {
    int64_t offset; // broker time - monotonic time
    int64_t last;   // mono of the latest correction
} slew_t;

// Broker time starts at the wall clock's, but never before not_before (the end of what was accounted for
// already).
void slew_init(slew_t *slew, instant_t now, int64_t not_before);
// Broker time, ms since 1970. Corrects at most 1 ms in 50.
int64_t slew_now(slew_t *slew, instant_t now);

#endif
