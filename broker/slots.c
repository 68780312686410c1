// Slots: a ring of accounts.
#include "broker/slots.h"

#include <stddef.h>
#include <string.h>

void slots_init(slots_t *s, int64_t slot_ms)
{
    memset(s, 0, sizeof *s);
    s->slot_ms = slot_ms;
    for (int i = 0; i < SLOTS_KEPT; i++) s->ring[i].slot = -1;
}

int64_t slots_number(const slots_t *s, int64_t time)
{
    return time / s->slot_ms;
}

slot_account_t *slots_at(slots_t *s, int64_t time)
{
    int64_t n = slots_number(s, time);
    if (n < 0) return NULL;
    slot_account_t *a = &s->ring[n % SLOTS_KEPT];
    if (a->slot > n) return NULL;
    if (a->slot < n) *a = (slot_account_t){.slot = n};
    return a;
}

static void add(slot_account_t *a, slot_entry_t entry, uint64_t n)
{
    uint64_t *const cells[] = {&a->due, &a->polled, &a->failed, &a->stored};
    *cells[entry] += n;
}

void slots_book(slots_t *s, int64_t time, slot_entry_t entry)
{
    add(&s->total, entry, 1);
    slot_account_t *a = slots_at(s, time);
    if (a) add(a, entry, 1);
}

void slots_book_skip(slots_t *s, int64_t time, error_class_t reason, uint64_t count)
{
    s->total.skipped += count;
    s->total.reasons[reason] += count;
    slot_account_t *a = slots_at(s, time);
    if (!a) return;
    a->skipped += count;
    a->reasons[reason] += count;
}

void slots_book_range(slots_t *s, grid_t g, int64_t after, int64_t upto, slot_entry_t entry,
                      error_class_t reason)
{
    uint64_t all = grid_count(g, after, upto), booked = 0;
    int64_t first = slots_number(s, upto) - SLOTS_KEPT + 1; // older slots have left the ring
    if (first < slots_number(s, after + 1)) first = slots_number(s, after + 1);
    for (int64_t n = first; n <= slots_number(s, upto) && booked < all; n++) {
        int64_t from = n * s->slot_ms - 1, to = from + s->slot_ms;
        uint64_t count = grid_count(g, from > after ? from : after, to < upto ? to : upto);
        if (!count) continue;
        booked += count;
        if (reason) {
            slots_book_skip(s, to, reason, count);
            continue;
        }
        add(&s->total, entry, count);
        slot_account_t *a = slots_at(s, to);
        if (a) add(a, entry, count);
    }
    if (booked == all) return;
    if (reason) {
        s->total.skipped += all - booked;
        s->total.reasons[reason] += all - booked;
    } else {
        add(&s->total, entry, all - booked);
    }
}
