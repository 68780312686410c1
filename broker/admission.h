// Admission: which dues of a slot are worth handing out when a miner has more than it can do. A miner that
// says it is overloaded gets only high and critical work; one whose sources cost more than its places can
// serve gives the classes their shares (8 : 4 : 2 : 1, what one does not need goes to the others). What was
// put off seven times in a row goes ahead as high: with what was handed out before its miner said so, and its
// own turn, that makes ten slots. What is put off is settled as skipped, overloaded.
#ifndef RTM_BROKER_ADMISSION_H
#define RTM_BROKER_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/catalog.h"

enum { ADMISSION_PATIENCE = 7, ADMISSION_CLASSES = PRIORITY_CRITICAL + 1 };

// What one miner's classes want, and get.
typedef struct {
    uint64_t wanted[ADMISSION_CLASSES]; // ms of places, in the slot being built
    double part[ADMISSION_CLASSES];     // of it that is admitted in the next slot
    double credit[ADMISSION_CLASSES];   // what part adds up to
    bool scarce;
} admission_t;

struct broker;

void admission_init(admission_t *admission);
// A slot has been built: what was wanted decides what is admitted in the next one. capacity: ms of places.
void admission_close(admission_t *admission, uint64_t capacity);
// Whether the dues of source in the slot being built are to be polled.
bool admission_admits(struct broker *broker, source_t *source);
// How urgent source is: its template's urgency, less while it keeps failing, high when it was put off for
// long.
priority_t source_urgency(const source_t *source);

#endif
