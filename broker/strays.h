// Strays: polls under leases whose sources were removed, or are of templates that a broker which just started
// no longer has. Nobody waits for what they find, but they run, so they count for the limits of the cluster
// and of their template (of what has its name now) until they end or their lease does.
#ifndef RTM_BROKER_STRAYS_H
#define RTM_BROKER_STRAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/heap.h"
#include "common/map.h"

typedef struct {
    heap_node_t lease; // broker ms at which it is over for certain
    uint64_t source, template;
    uint64_t miner;  // hash of its name
    int64_t due;     // its name; 0: any, and the miner may not have it
    uint64_t recall; // the least number that the REVOKE may have which made that so
    bool stale;      // its miner lists what it has, and has not named it yet
} stray_t;

typedef struct {
    heap_t leases;
    map_t by_source;
    map_t counts; // id of a template -> how many
} strays_t;

struct broker;

void strays_init(strays_t *strays);
void strays_free(strays_t *strays);

size_t strays_all(const strays_t *strays);
size_t strays_of(const strays_t *strays, uint64_t template);
bool strays_runs(const strays_t *strays, uint64_t source);

// A copy of what is given, in place of an earlier one of that source. until: its lease.
void strays_put(strays_t *strays, const stray_t *stray, int64_t until);
// Another one counts for the source from now on.
void strays_forget(strays_t *strays, uint64_t source);

// The rest is what jobs are told too (jobs.h). True: something ended.
// miner reports what came of a due of source.
bool strays_ended(strays_t *strays, uint64_t miner, uint64_t source, int64_t due);
// miner answered to the REVOKE of that number that no poll of source runs.
bool strays_not_running(strays_t *strays, uint64_t miner, uint64_t source, uint64_t number);
// miner begins to list what it has; it names one (recall: the number of the next REVOKE); it has listed all:
// what it did not name does not run.
void strays_doubt(strays_t *strays, uint64_t miner);
void strays_listed(strays_t *strays, uint64_t miner, uint64_t source, uint64_t recall);
bool strays_unlisted(strays_t *strays, uint64_t miner);
// The process of miner has ended.
bool strays_miner_gone(strays_t *strays, uint64_t miner);
// Those whose leases are over at now end.
bool strays_expire(strays_t *strays, int64_t now);

#endif
