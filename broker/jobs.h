// Jobs: polls that wait for their turn instead of being handed out a slot ahead. Three kinds of source have
// one: those of *gated* templates (`depends_on`, `blocks`, `max_concurrent`, or a limit for the cluster),
// whose polls start one by one as the rules allow and run under leases; suspects of a miner's death, of which
// each miner runs one at a time; and any source that is to be polled once at a certain time (a retry, a
// probe). A source has at most one job.
//
//   QUEUED ──turn──▶ RUNNING ──outcome, or the lease's end──▶ QUEUED (more is open) or gone
//     ▲  └──its template is stopped──▶ PARKED ──something ended──┐
//     └──────────────────────────────────────────────────────────┘
//
// A lease's end is a broker time that the miner is told: it has let go by then, dead or alive. The broker
// waits a liveness interval longer, as the miner's idea of broker time is as old as the last heartbeat.
#ifndef RTM_BROKER_JOBS_H
#define RTM_BROKER_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/catalog.h"
#include "broker/lessees.h"
#include "broker/strays.h"
#include "broker/turns.h"

typedef enum { JOB_QUEUED, JOB_PARKED, JOB_RUNNING } job_state_t;

typedef struct job {
    turn_t entry;         // first
    heap_node_t lease;    // RUNNING: broker ms at which it is over for certain
    heap_node_t deadline; // PARKED: when it becomes urgent, if it does
    source_t *source;
    job_state_t state;
    bool counted;                // RUNNING: it counts for its template's limits
    bool alone;                  // RUNNING: a suspect, which counts for its miner
    bool stale;                  // RUNNING: its miner lists what it has, and has not named it yet
    uint8_t cause;               // wire_cause_t of the due that it opens when its turn comes; scheduled: none
    uint8_t attempt;             // of that due: 0 for the first
    uint8_t why;                 // error_class_t: what it waits for; none: its turn
    int64_t due;                 // RUNNING: its name; 0: any, and the miner may not have it
    int64_t since;               // RUNNING, any: outcomes of dues before this one may be of earlier polls
    uint64_t recall;             // the least number that the REVOKE may have which made that so
    uint64_t miner;              // RUNNING: hash of the miner's name
    struct job *previous, *next; // PARKED: among its template's
} job_t;

typedef struct {
    turns_t queue;
    heap_t leases, deadlines;
    size_t running; // that count
    size_t parked;
    bool changed;    // something ended: parked jobs may go on
    shares_t shares; // of the parked jobs' classes
    bool aged;       // the last one that started went by age
    strays_t strays; // what runs of sources that are gone
    lessees_t lessees;
} jobs_t;

struct broker;
struct miner;

void jobs_init(jobs_t *jobs, int64_t patience_ms);
void jobs_free(jobs_t *jobs); // the sources free their own

// Whether source's dues go through jobs.
bool jobs_gate(const source_t *source);
// How long a poll of listing may take under a lease, ms.
int64_t jobs_lease_ms(const listing_t *listing);
// The source has open dues that only a job can start: it gets one, if it has none. Ready when the first is
// due.
void jobs_want(struct broker *broker, source_t *source);
// One poll outside its schedule, at `at`: opens a due of that cause then, unless the source has one open.
void jobs_schedule(struct broker *broker, source_t *source, wire_cause_t cause, uint8_t attempt, int64_t at);
// For a trigger: the class at least, and whether it goes in front.
void jobs_hasten(struct broker *broker, source_t *source, priority_t priority, bool ahead,
                 int64_t promote_at);
// A poll that waits for its time, and would be made for that cause (a retry, a probe), is needed no more.
void jobs_forgo(struct broker *broker, source_t *source, wire_cause_t cause);
// Its template has become gated, or is not gated any more: what runs under a lease (a suspect, say) counts
// accordingly.
void jobs_regate(struct broker *broker, source_t *source);
// miner runs a poll of source, which has become gated: it counts from now on. since: the last due that it may
// be of; of which one it is, it will say. recall: the least number of a REVOKE whose answer tells of it.
void jobs_adopt(struct broker *broker, struct miner *miner, source_t *source, int64_t since, uint64_t recall);
// miner lists what it holds: jobs_doubt before the first row, jobs_listed with each (a source whose dues go
// through jobs and that it runs or is to run counts from now on), jobs_unlisted after the last one: what was
// given to it and not listed does not run.
void jobs_doubt(struct broker *broker, const struct miner *miner);
void jobs_listed(struct broker *broker, struct miner *miner, source_t *source, const wire_holding_t *row);
// The same of a source that is not in the catalog.
void jobs_listed_stray(struct broker *broker, const struct miner *miner, const wire_holding_t *row);
void jobs_unlisted(struct broker *broker, const struct miner *miner);
// miner is about to be told to drop the source; and it answered to the REVOKE (of that number) that a poll of
// it goes on, or that none runs.
void jobs_recalled(struct broker *broker, source_t *source, const struct miner *miner);
void jobs_goes_on(struct broker *broker, const struct miner *miner, uint64_t source);
void jobs_not_running(struct broker *broker, const struct miner *miner, uint64_t source, uint64_t number);
// A due of source was settled, or (0) its poll has ended at any rate. jobs_stray_ended: miner says so of a
// source that is gone, or was made anew.
void jobs_ended(struct broker *broker, source_t *source, int64_t due);
void jobs_stray_ended(struct broker *broker, const struct miner *miner, uint64_t source, int64_t due);
// The miner's process has ended (certain), or it is silent.
void jobs_miner_gone(struct broker *broker, const struct miner *miner, bool certain);
// The source is not scheduled any more, or (jobs_drop) about to be freed: what runs under a lease still
// counts until that is over.
void jobs_leave(struct broker *broker, source_t *source);
void jobs_drop(struct broker *broker, source_t *source);
// Whether a poll of source runs under a lease: at which miner (hash of its name) and until when that may
// last; and the same for a source that was made anew.
uint64_t jobs_miner(const struct miner *miner); // the hash
bool jobs_running(const source_t *source, uint64_t *miner, int64_t *until);
void jobs_resume(struct broker *broker, source_t *source, uint64_t miner, int64_t until, uint64_t recall);
// Starts what may start. True: there is more to do at once.
bool jobs_tick(struct broker *broker);
// Broker ms of the next thing to do; INT64_MAX: none.
int64_t jobs_next(const struct broker *broker);
// Polls that count for the limit of listing, and for the cluster's.
size_t jobs_of(const struct broker *broker, const listing_t *listing);
size_t jobs_all(const struct broker *broker);
// What keeps a poll of source for the due at hand from starting; ERR_none: nothing.
error_class_t jobs_obstacle(struct broker *broker, const source_t *source);

#endif
