// Gaps: where polls of lists in order of time could not prove, or could prove only by paging back, that
// nothing was missed. The latest GAPS_KEPT, in the order in which they were found; the sink's table has all.
#ifndef RTM_BROKER_GAPS_H
#define RTM_BROKER_GAPS_H

#include <stddef.h>
#include <stdint.h>

enum { GAPS_KEPT = 10000 };

// Times are broker ms. Posts that came in (since, until] may be missing, unless closed.
typedef struct {
    uint64_t source;
    int64_t due; // of the poll that found it
    int64_t since, until;
    uint64_t reason; // wire_gap_reason_t
    uint64_t found;  // items that paging back found
    int closed;      // paging back met what was known
} gap_t;

typedef struct {
    gap_t *ring;
    size_t head, n;
} gaps_t;

void gaps_free(gaps_t *gaps);
// Adds gap, or replaces the one of the same poll, or lengthens the one that it follows without a break (which
// keeps its due); the oldest leaves when there are GAPS_KEPT. The result is what it is part of now.
const gap_t *gaps_put(gaps_t *gaps, const gap_t *gap);
// Number i, the newest first; NULL beyond the last.
const gap_t *gaps_at(const gaps_t *gaps, size_t i);

#endif
