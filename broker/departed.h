// Departed: miners that are gone, for as long as somebody may ask what became of them: some minutes, the
// latest DEPARTED_MAX.
#ifndef RTM_BROKER_DEPARTED_H
#define RTM_BROKER_DEPARTED_H

#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"

enum { DEPARTED_MAX = 1000, DEPARTED_KEEP_MS = 600000 };

typedef struct {
    char name[MAX_NAME + 1];
    const char *reason;         // why it went; static
    int64_t joined_at, left_at; // broker ms
    int64_t silent_ms;          // for how long it had been when it left
    uint64_t polls;             // since its start
    int64_t last_outcome;       // broker ms, 0: none
    uint8_t last_result, last_error;
} gone_t;

typedef struct {
    gone_t *ring; // NULL until one is gone
    size_t head, n;
} departed_t;

void departed_free(departed_t *departed);
// Copies gone; the oldest leaves when there are too many, and one of the same name in any case.
void departed_add(departed_t *departed, const gone_t *gone);
// The miner of that name is back.
void departed_forget(departed_t *departed, const char *name);
// Forgets those that left at `before` or earlier.
void departed_trim(departed_t *departed, int64_t before);
// Number i, the one that left last first; NULL beyond the last.
const gone_t *departed_at(const departed_t *departed, size_t i);

#endif
