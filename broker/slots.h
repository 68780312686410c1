// Slots: the books: how many dues each recent slot had and what came of them.
#ifndef RTM_BROKER_SLOTS_H
#define RTM_BROKER_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/grid.h"
#include "proto/wire.h"

enum { SLOTS_KEPT = 32 };

typedef struct {
    int64_t slot; // number
    bool closed;
    uint64_t due, polled, failed, stored, skipped;
    uint64_t reasons[ERR_COUNT]; // of the skipped
} slot_account_t;

typedef enum { SLOT_DUE, SLOT_POLLED, SLOT_FAILED, SLOT_STORED } slot_entry_t;

typedef struct {
    int64_t slot_ms;
    slot_account_t ring[SLOTS_KEPT];
    slot_account_t total; // since start
} slots_t;

void slots_init(slots_t *slots, int64_t slot_ms);
int64_t slots_number(const slots_t *slots, int64_t time);
// The account of the slot that time (broker ms) is in; NULL if that is too long ago.
slot_account_t *slots_at(slots_t *slots, int64_t time);
// Books one due at time.
void slots_book(slots_t *slots, int64_t time, slot_entry_t entry);
// Books all dues of grid in (after, upto] as due, or as skipped for reason.
void slots_book_range(slots_t *slots, grid_t grid, int64_t after, int64_t upto, slot_entry_t entry,
                      error_class_t reason);
void slots_book_skip(slots_t *slots, int64_t time, error_class_t reason, uint64_t count);

#endif
