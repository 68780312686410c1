// Overload: whether this machine has more to do than it can. Over a threshold the miner is overloaded at
// once; it is so no more when everything has been below for CALM_MS. Judging is pure; overload_read is the
// edge that asks the system.
#ifndef RTM_MINER_OVERLOAD_H
#define RTM_MINER_OVERLOAD_H

#include <stdbool.h>
#include <stdint.h>

enum { OVERLOAD_CALM_MS = 5000 };

// In percent, load in hundredths of a process per core. A threshold of 0 is never passed.
typedef struct {
    int64_t cpu;    // of the last ten seconds in which somebody waited for a processor (PSI some avg10)
    int64_t load;   // where the kernel has no PSI
    int64_t memory; // used, of the control group's limit or the machine's
    int64_t slots;  // of the polls that may run at once
} overload_limits_t;

typedef struct {
    double cpu, load, memory, slots; // negative: not known
} overload_reading_t;

typedef struct {
    overload_limits_t limits;
    bool on;
    int64_t over_at; // monotonic ms: when something was last over its threshold
    const char *why; // what it was: "cpu", "load", "memory", "slots"
} overload_t;

// avg10 of the line `some` of a PSI file; negative: text is something else.
double overload_psi(const char *text);
// Used part of the memory, in percent, by /proc/meminfo; negative: not known.
double overload_meminfo(const char *text);
// Used part of a control group's limit, in percent, by its files memory.max, memory.current and memory.stat:
// without the cache that the kernel gives back when it is wanted. Negative: there is no limit.
double overload_group(const char *max, const char *current, const char *stat);
// Reads the system; slots is the caller's to fill in. The environment's RTM_PRESSURE_DIR, if it is set, is a
// folder whose files `cpu` and `meminfo` are read instead (for tests).
void overload_read(overload_reading_t *reading);
// Takes a reading. Whether the miner is overloaded.
bool overload_judge(overload_t *overload, const overload_reading_t *reading, int64_t now);

#endif
