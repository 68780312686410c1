// Effort: the CPU time that reading one document may take. Bounds of steps keep each algorithm in hand, but a
// step costs a nanosecond here and thirty there; this is the bound of all of them together, so that no
// document holds up the others of its thread. The one clock in this folder.
#ifndef RTM_MINER_EFFORT_H
#define RTM_MINER_EFFORT_H

#include <stdbool.h>

enum { READ_BUDGET_MS = 150 }; // for which eight megabytes of ordinary markup are parsed and read

// A document of this thread begins / has been read: outside of these nothing is over.
void effort_begin(void);
void effort_end(void);
// Whether the budget is used up. Some nanoseconds.
bool effort_over(void);
// For code that does not ask: stop is called when the budget is used up, by a signal of this thread, until
// effort_end. It may jump out of the code; else it only writes.
void effort_alarm(void (*stop)(void));

#endif
