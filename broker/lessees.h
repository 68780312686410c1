// Lessees: miners that may run polls under leases. A broker after this one is to know them: each is stored
// before it is welcome, and until all leases that it may have are over for certain. A broker that starts
// doubts those that it has not heard of.
#ifndef RTM_BROKER_LESSEES_H
#define RTM_BROKER_LESSEES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/map.h"

typedef struct {
    map_t doubtful; // hash of names: miners that an earlier broker knew and this one has not heard
    map_t silent;   // hash of names: miners that are gone, -> broker ms at which their last lease is over
    bool knew_any;  // an earlier broker knew any
    int64_t doubt_until; // broker ms: the last lease that they may have is over; 0: there is no doubt
} lessees_t;

struct broker;
struct miner;

void lessees_init(lessees_t *lessees);
void lessees_free(lessees_t *lessees);
// An earlier broker knew the miner (hash of its name).
void lessees_load(struct broker *broker, uint64_t miner);
void lessees_start(struct broker *broker);
// All leases that were given until now are over by then, for certain: broker ms.
int64_t lessees_last_end(const struct broker *broker);

// miner is about to be welcomed; it has told what it runs; it is silent; its process has ended.
void lessees_new(struct broker *broker, const struct miner *miner);
void lessees_known(struct broker *broker, const struct miner *miner);
void lessees_silent(struct broker *broker, const struct miner *miner);
void lessees_gone(struct broker *broker, const struct miner *miner);
// There were some, and all have told what they run.
bool lessees_told_all(const struct broker *broker);

// Ends what has lasted long enough: the doubt, in each tick; what silent miners may run, once a slot.
void lessees_tick(struct broker *broker);
void lessees_forget_silent(struct broker *broker);

#endif
