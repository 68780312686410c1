// Clocks. Durations use the monotonic clock, only what is shown or stored uses the wall clock.
#ifndef RTM_COMMON_CLOCK_H
#define RTM_COMMON_CLOCK_H

#include <stdint.h>

// Milliseconds / microseconds of CLOCK_MONOTONIC.
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
// Milliseconds since 1970-01-01 UTC.
int64_t clock_wall_ms(void);
// CPU time of the calling thread, microseconds.
int64_t clock_thread_cpu_us(void);

#endif
