// Catalog: what there is to poll: templates ("listings" once they are in), their sources, and the hosts
// ("lanes") that placement deals out. It keeps these in step with each other; it decides nothing.
#ifndef RTM_BROKER_CATALOG_H
#define RTM_BROKER_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/grid.h"
#include "broker/wheel.h"
#include "common/map.h"
#include "proto/template.h"
#include "proto/wire.h"

typedef struct source source_t;
typedef struct lane lane_t;
typedef struct listing listing_t;
struct miner;
struct job;
struct trouble;
struct outage;

#define NO_ORDINAL UINT32_MAX

// What a source's next poll starts from; follows the sink's ack (invariant 2).
typedef struct {
    uint64_t body_hash;
    char *etag, *last_modified, *fetch_url, *memory; // never NULL, often empty
} validators_t;

struct source {
    uint64_t id;
    listing_t *listing;
    lane_t *lane;
    source_t *lane_prev, *lane_next;
    wheel_node_t wheel;       // the slot of its next due that no slot holds yet
    const char *url;          // as declared; the listing's
    validators_t *validators; // NULL: none
    struct job *job;          // it waits for its turn or runs under a lease, see jobs.h; NULL: no
    struct trouble *trouble;  // what is held against it, see trouble.h; NULL: nothing
    uint32_t ordinal;         // at its host; makes the phase. NO_ORDINAL: none yet
    uint32_t generation;      // another one voids what miners remember
    // Dues, broker ms. Those in (done, held] of the grid, and extra (0: none), are open: given out or waiting
    // to be. extra is one that was added, or one whose poll runs while later dues are settled.
    int64_t done, held, extra;
    int64_t turn;      // mode continuous: its one due of the grid, 0: none yet
    int64_t ok_due;    // the latest due that was stored (after a restart a time in its poll), 0: none
    int64_t polled;    // latest due reported polled but not stored yet, 0: none
    int64_t last_ok;   // request start of the last stored success, 0: never
    int64_t polled_at; // broker ms of the last polled outcome
    uint32_t cost_ms;  // slot use of one poll, smoothed
    uint32_t items;    // in the last document
    uint16_t failures; // in a row
    uint8_t last_result, last_error;
    uint8_t continuity; // wire_continuity_t, of the last poll that told
    uint8_t extra_cause;
    uint8_t turn_cause, turn_attempt; // mode continuous: of its due of the grid
    // What gathered of the history since the store heard of it, see history.h. run_first: broker ms,
    // run_span: ms from there to the last; run_key: which dues are of one kind, 0: none yet.
    uint8_t run_result, run_error;
    uint32_t run_key, run_count, run_span;
    int64_t run_first;
    uint8_t attempt;     // of `extra`: 0 first, then 1, 2, ...
    uint8_t put_off;     // dues in a row that were skipped because its miner was overloaded
    uint8_t late_cause;  // of its next due, if that is not `scheduled`
    bool known_to_owner; // the lane's owner has its definition
    bool entered;        // it is scheduled (see dues.c)
    bool away;           // a miner that no longer holds it runs a poll of it (see runs.h)
    bool mark;           // see source_mark
    bool earlier;        // an earlier broker may have opened a due outside of the grid that is not settled
};

struct lane {
    char *host; // "example.org:443"
    uint64_t hash;
    source_t *sources;
    uint32_t n_sources, next_ordinal;
    int64_t cost; // us of slot use per minute, all its sources that are entered
    struct miner *owner;
    struct miner *target; // where it goes once owner has given it back; NULL: to whom it suits then
    bool moving;          // a REVOKE is out for those that are marked
    uint32_t n_marked;
    int64_t moved_at;      // mono ms, of the REVOKE
    uint64_t recall;       // the least number that it may have
    struct outage *outage; // what is held against the host, see outage.h; NULL: nothing
    lane_t *prev, *next;   // among its owner's, or the orphans
    lane_t *emptied_next;
    bool emptied; // it is listed as such
};

struct listing { // a template in the catalog
    uint64_t id;
    uint64_t version; // counts replacements, for people
    uint64_t stamp;   // hash of json, never 0: what the wire calls version
    bool enabled;
    char *json; // as it was added
    arena_t *arena;
    template_t *template; // in arena
    schedule_t schedule;
    bool plain; // the schedule is a period and nothing else
    source_t **sources;
    size_t n_sources;
    // Its sources are being scheduled, see entering.c: so many are. unsaved: the store gets their rows then.
    bool entering, unsaved;
    size_t n_entered;
    struct listing *entering_next;
    uint64_t polled, stored, failed, items; // since start
    uint64_t skipped[ERR_COUNT];            // since the last slot was closed
    int64_t missed_from, missed_to;         // dues of the grid among them that were missed while down
    char last_error[64];

    // See relations.h.
    bool excludes;                          // it blocks another, or another blocks it
    bool awaited;                           // another depends on it
    bool gated;                             // its polls run under leases, each when its turn comes
    uint32_t running;                       // those that do
    priority_t urgency;                     // its priority, or that of who waits for it if that is higher
    int64_t ready_before;                   // all its sources are stored for every time before this one
    uint64_t laggard;                       // the source that sets it, 0: unknown
    struct job *parked_first, *parked_last; // jobs that wait for what stops the listing
    struct job *hastened_last;              // of those at the front that are hastened
    int64_t blocked_since; // broker ms: since then it waits for one that keeps it out; 0: it does not
    uint64_t deadlines_missed;
    uint32_t took[24]; // how many polls took less than 2^n ms, old ones fading
};

typedef struct {
    map_t listings, sources, lanes; // by id, id, hash of host
    lane_t *orphans;                // lanes of nobody
    size_t n_orphans;
    lane_t *emptied; // lanes that lost their last source, see catalog_take_emptied
} catalog_t;

void catalog_init(catalog_t *catalog);
void catalog_free(catalog_t *catalog);

listing_t *catalog_find(const catalog_t *catalog, const char *name);
// Takes over arena (which holds template); zone is the template's. The listing has no sources yet. Its name
// must be free.
listing_t *catalog_add(catalog_t *catalog, arena_t *arena, template_t *template, const zone_t *zone,
                       const char *json, uint64_t version);
// Sources must be gone.
void catalog_remove(catalog_t *catalog, listing_t *listing);
// All listings in the order of their names; *n of them; the caller frees the array.
listing_t **catalog_sorted(const catalog_t *catalog, size_t *n);

// Makes room for one more template, however large, where a table is large already: to grow takes tens of
// milliseconds, so one grows at a time, and not while a template is added.
void catalog_make_room(catalog_t *catalog);
// Adds a source for each URL of listing's template, and their lanes to the orphans if they are new. They have
// no ordinal yet.
void catalog_add_sources(catalog_t *catalog, listing_t *listing);
// Gives source its ordinal; NO_ORDINAL: the next one of its host.
void source_set_ordinal(source_t *source, uint32_t ordinal);
// The source is gone after this; it must not be in the wheel. Its lane stays, empty perhaps.
void catalog_remove_source(catalog_t *catalog, source_t *source);
// A lane that has no sources any more, each once; NULL: no other.
lane_t *catalog_take_emptied(catalog_t *catalog);
// Removes such a lane; nobody may own it.
void catalog_remove_lane(catalog_t *catalog, lane_t *lane);

// Marks: in a lane that moves those that its owner has yet to give back; else, while its owner lists what it
// holds, those that were listed.
void source_mark(source_t *source, bool mark);
void lane_unmark(lane_t *lane);

grid_t source_grid(const source_t *source);
bool source_is_open(const source_t *source);
// Replaces the validators; texts are copied.
void source_set_validators(source_t *source, const char *etag, const char *last_modified,
                           const char *fetch_url, uint64_t body_hash);
// What miners remember of it, see PROTOCOL.md; never NULL.
const char *source_memory(const source_t *source);
void source_set_memory(source_t *source, const char *memory);
// Polls a minute times cost, us: what the source adds to its lane.
int64_t source_cost(const source_t *source);

#endif
