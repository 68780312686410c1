// Registry: the miners that the broker knows, by session and by name, and when each expires.
#ifndef RTM_BROKER_REGISTRY_H
#define RTM_BROKER_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/admission.h"
#include "broker/catalog.h"
#include "broker/outage.h"
#include "common/heap.h"
#include "common/map.h"
#include "proto/wire.h"

typedef enum {
    MINER_JOINING, // READY came, its inventory is on the way: no work is sent to it yet
    MINER_LISTING, // a part of its inventory came; what is revoked now is so after that
    MINER_LIVE,
    MINER_LEAVING, // it drains: it finishes what runs and gets nothing new
} miner_phase_t;

// Rows on their way to one miner, see outbox.h.
typedef struct {
    wire_template_t *templates;
    wire_source_t *sources;
    wire_due_t *dues;
    uint64_t *revoked;
    size_t n_templates, n_sources, n_dues, n_revoked;
    size_t cap_templates, cap_sources, cap_dues, cap_revoked;
    size_t bytes;       // estimate of the ASSIGN
    int64_t base;       // broker ms that the dues' offsets count from
    const char *reason; // of the revocations
    bool queued;        // in the outbox's list
    struct miner *next;
} outbox_rows_t;

typedef struct miner {
    char *name;
    uint64_t peer, incarnation;
    miner_phase_t phase;
    heap_node_t expiry; // mono ms
    int64_t heard;      // mono ms of its last message
    int64_t joined_at;  // broker ms
    uint64_t workers, slots;
    wire_heartbeat_t beat;      // its latest
    uint64_t outcome_seq;       // highest taken
    map_t templates;            // id -> version it holds (as a pointer)
    lane_t *lanes, *lanes_last; // those that are on their way to another stand last
    uint32_t n_lanes, n_moving; // n_moving: of those
    uint32_t n_coming;          // lanes whose target it is
    uint32_t evicted;           // lanes that are still to be taken from it, as it is sick
    size_t n_sources;           // of its lanes
    int64_t load;               // us of slot use per minute, its lanes together
    int64_t planned;            // the same once every lane that moves has arrived
    int64_t last_outcome;       // broker ms, 0: none
    uint8_t last_result, last_error;
    uint64_t progress;                  // outcomes since the last slot was closed
    int idle_slots;                     // closed slots in a row in which it owed polls and reported none
    uint32_t suspects;                  // that it runs, see jobs.h: at most one
    health_t health;                    // see outage.h
    int64_t sick_until;                 // broker ms
    uint32_t host_polls, host_failures; // since it was last judged
    admission_t admission;
    outbox_rows_t rows;
    // Its lanes are taken from it, see assign_release. gone: the registry does not know it any more.
    bool leaving, gone;
    struct miner *leaving_next;
    uint64_t *in_flight; // sources that it may have died of, see trouble.h; NULL: it did not die
    size_t n_in_flight, cap_in_flight;
    int64_t alive_at; // broker ms, when it died
} miner_t;

typedef struct {
    map_t by_peer, by_name; // by_name: XXH3-64 of the name
    heap_t expiries;
} registry_t;

void registry_init(registry_t *registry);
void registry_free(registry_t *registry);

miner_t *registry_by_peer(const registry_t *registry, uint64_t peer);
miner_t *registry_by_name(const registry_t *registry, const char *name);
// Walks all miners: start with *pos = 0.
miner_t *registry_next(const registry_t *registry, size_t *pos);

miner_t *registry_add(registry_t *registry, const char *name, uint64_t incarnation);
// It is known no more, and its name is free.
void registry_remove(registry_t *registry, miner_t *miner);
// The same was done; its lanes must be gone.
void registry_free_miner(miner_t *miner);
// The miner is now reached as peer (0: not at all).
void registry_set_peer(registry_t *registry, miner_t *miner, uint64_t peer);
// It was heard at mono; it expires at expires.
void registry_heard(registry_t *registry, miner_t *miner, int64_t mono, int64_t expires);
// A miner whose expiry is due, or NULL. Moves nothing.
miner_t *registry_expired(const registry_t *registry, int64_t mono);
// The broker itself was away for ms: nobody can be blamed for silence in that time.
void registry_forgive(registry_t *registry, int64_t ms);
size_t registry_live(const registry_t *registry);

// Polls that a miner runs at once on the average, if they take as long as they did.
double miner_load(const miner_t *miner);

// Who polls what is on the lane, or will; NULL: nobody, it waits to be dealt out.
miner_t *lane_owner(const lane_t *lane);

// The one place where a lane changes hands (miner NULL: nobody); keeps counts and loads.
void lane_give(catalog_t *catalog, lane_t *lane, miner_t *miner);
// It is to go to another miner (NULL: to be decided) when its owner has given it back.
void lane_move(lane_t *lane, miner_t *target);
// The one place where a source's cost changes; it is kept within bounds.
void source_set_cost(source_t *source, uint32_t cost_ms);
// A source enters (sign 1) or leaves (sign -1) its lane's counts.
void lane_count(source_t *source, int sign);

#endif
