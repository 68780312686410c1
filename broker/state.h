// State: the broker's struct, shared by the files of the state machine and nobody else.
#ifndef RTM_BROKER_STATE_H
#define RTM_BROKER_STATE_H

#include "broker/backoffs.h"
#include "broker/broker.h"
#include "broker/catalog.h"
#include "broker/departed.h"
#include "broker/gaps.h"
#include "broker/history.h"
#include "broker/jobs.h"
#include "broker/letters.h"
#include "broker/registry.h"
#include "broker/runs.h"
#include "broker/slots.h"
#include "broker/tasks.h"
#include "broker/unreadable.h"

struct broker {
    broker_config_t config;
    broker_out_t out;
    catalog_t catalog;
    unreadables_t unreadable;
    registry_t registry;
    departed_t departed;
    runs_t runs;
    wheel_t wheel;
    slots_t slots;
    slew_t slew;
    gaps_t gaps;
    jobs_t jobs;
    tasks_t tasks;
    letters_t letters;
    backoffs_t backoffs;
    bool started;
    bool busy;             // tasks or jobs are left to start at once
    uint64_t random;       // state of the generator
    double retry_tokens;   // retries that may be spent, see trouble.c
    int64_t longest_lease; // ms
    size_t open_breakers;
    int64_t judged_at; // broker ms: see outage_judge

    instant_t instant;  // of the event at hand
    int64_t now;        // broker time of the event at hand
    int64_t last_tick;  // mono
    int64_t started_at; // broker time
    int64_t
        grace_until;   // mono: until then miners may claim what they held before the broker started; 0: over
    int64_t report_at; // mono: next heartbeat line

    int64_t built_until;         // broker time: end of the last slot that is (being) given out
    bool building;               // the wheel's ripe list is not empty yet
    size_t enter_pos, enter_cap; // how far the table of sources has been entered at the start
    bool assigning;              // more orphans wait than one tick may deal out, or lanes of those that leave
    wire_cause_t assigning_cause; // of those
    bool balancing;               // more is to be moved than one tick may
    bool evicting;                // sick miners have lanes that are to be taken from them
    int64_t closed_until;         // broker time: end of the last slot that was closed
    int64_t given_until;          // loaded: end of the last slot that was given out before the start
    int64_t accounted;            // loaded: dues up to here were accounted for before the start

    uint64_t epoch;
    uint64_t revokes;    // the number of the last REVOKE; an earlier broker's were smaller
    uint64_t recorded;   // dues whose history was handed to the store, since start
    miner_t *outboxes;   // miners with rows to flush
    miner_t *leaving;    // miners whose lanes are being taken from them, oldest first
    listing_t *entering; // their sources are being scheduled
    struct scan *scans;  // requests that need more than one step, see control_next.c
};

// In broker.c: called by control.c and assign.c.
void broker_send(broker_t *broker, uint64_t peer, wire_type_t type, const void *message);
void broker_send_durable(broker_t *broker, uint64_t peer, wire_type_t type, const void *message);
void broker_store(broker_t *broker, const store_op_t *op);
void broker_store_source(broker_t *broker, const source_t *source);
void broker_store_number(broker_t *broker, const char *name, int64_t value);

// -- dues.c: the life of a source's dues; the only place where done, held and extra change --------------

// Starts to schedule source. Dues up to accounted are settled; a missed one after it is caught up once. held
// (>= accounted): its owner holds dues up to here already.
void dues_enter(broker_t *broker, source_t *source, int64_t accounted, int64_t held);
// Adds one due now, unless one of that kind is open: one that was just added, triggered, a retry. attempt: 0
// for the first. dues_open_extra does not send it.
void dues_extra(broker_t *broker, source_t *source, wire_cause_t cause, uint8_t attempt);
void dues_open_extra(broker_t *broker, source_t *source, wire_cause_t cause, uint8_t attempt);
void dues_send_extra(broker_t *broker, source_t *source);
// Sends one open due under a lease that ends at until (broker ms).
void dues_send_one(broker_t *broker, source_t *source, int64_t due, wire_cause_t cause, int64_t until);
// Takes back what is open, and settles it as skipped for reason. A poll under way goes on.
void dues_withdraw(broker_t *broker, source_t *source, error_class_t reason);
// Settles the open dues of the grid before due as skipped.
void dues_skip_before(broker_t *broker, source_t *source, int64_t due, error_class_t reason);
// Its owner can be sent dues of it now.
bool dues_can_send(const source_t *source);
// Stops scheduling it; what is open is settled as skipped for reason.
void dues_leave(broker_t *broker, source_t *source, error_class_t reason);
// Its first due after now that is not settled; 0: none is known.
int64_t dues_next(const broker_t *broker, const source_t *source);
// Takes its dues before built_until into the slot being built.
void dues_extend(broker_t *broker, source_t *source);
// Sends extra, and what else is open and later than after, to its owner, if it has one that can take it.
void dues_send(broker_t *broker, source_t *source, int64_t after, wire_cause_t cause);
// What came of a due. miner: who says so.
void dues_outcome(broker_t *broker, miner_t *miner, source_t *source, const wire_outcome_t *outcome);
// miner runs a poll of source, which it does not hold (any more): the owner waits.
void dues_runs_at(broker_t *broker, source_t *source, miner_t *miner);
// The run has ended; the owner takes over.
void dues_run_over(broker_t *broker, run_t *run);

// -- sessions.c: miners come, report and go ----------------------------------------------------------------

// READY of any peer; any other message of a miner.
void session_ready(broker_t *broker, uint64_t peer, const wire_ready_t *ready);
void session_message(broker_t *broker, uint64_t peer, wire_type_t type, const void *message);
// DISCONNECT: the peer has no session here (any more).
void session_refuse(broker_t *broker, uint64_t peer, const char *reason);
// The miner's process or connection is over: its work moves at once.
void session_gone(broker_t *broker, miner_t *miner, const char *reason);
// Runs whose leases are over.
void sessions_expire_runs(broker_t *broker);

// -- outbox.c: rows to miners, gathered into messages ---------------------------------------------------

void outbox_due(broker_t *broker, miner_t *miner, source_t *source, wire_due_t due, int64_t first);
// The source's definition and state once more, without a due: they replace what the miner has.
void outbox_define(broker_t *broker, miner_t *miner, const source_t *source);
// Tells miner of hosts that are to be left alone, at once.
void outbox_hosts(broker_t *broker, miner_t *miner, const wire_host_t *hosts, size_t n);
// Nothing if the miner's inventory is still to come: that is compared with what is so then.
void outbox_revoke(broker_t *broker, miner_t *miner, uint64_t source, const char *reason);
// Sends everything that is gathered.
void outbox_flush(broker_t *broker);
// Forgets what is gathered for miner.
void outbox_drop(broker_t *broker, miner_t *miner);

// -- assign.c: who owns which lane ----------------------------------------------------------------------

// Gives every lane without owner to the least loaded miner; if they are very many the rest waits for
// assign_rest.
void assign_orphans(broker_t *broker, wire_cause_t cause, const char *reason);
void assign_rest(broker_t *broker);
// Moves excess from miners above the mean to those below, by REVOKE: some now, the rest by assign_rest.
void assign_balance(broker_t *broker);
// The owner has given lane back (or is gone): its target, or somebody, takes it.
void assign_returned(broker_t *broker, lane_t *lane);
// All lanes of miner, whose phase is LEAVING, become orphans, as steps of assign_orphans and assign_rest. A
// miner that is gone is freed with the last.
void assign_release(broker_t *broker, miner_t *miner);
// It is back: what it still has it keeps.
void assign_keep(broker_t *broker, miner_t *miner);
// Lanes whose REVOKE was not answered for long are taken as given back.
void assign_overdue(broker_t *broker);
// Moves lane to another miner that is well. False: there is none.
bool assign_elsewhere(broker_t *broker, lane_t *lane);
// Takes all lanes from miner, one by one as it gives them back: as steps of assign_rest.
void assign_evict(broker_t *broker, miner_t *miner);
// Gives miner one lane of another's to prove itself. False: there is none to give.
bool assign_prove(broker_t *broker, miner_t *miner);
// Frees lanes without sources.
void assign_sweep(broker_t *broker);

// -- control.c: rtm-ctl's commands -----------------------------------------------------------------------
void control_request(broker_t *broker, uint64_t peer, const wire_request_t *request);
// Goes on with what one step could not answer.
void control_tick(broker_t *broker);
void control_free(broker_t *broker);

// -- entering.c: sources of a template that was added or enabled ------------------------------------------

// They are scheduled from now on: some at once, the rest by entering_tick.
void entering_begin(broker_t *broker, listing_t *listing);
// No more of them are.
void entering_end(broker_t *broker, listing_t *listing);
void entering_tick(broker_t *broker);

// -- report.c: log lines -----------------------------------------------------------------------------------
void report_heartbeat(broker_t *broker);
void report_slot(const slot_account_t *account);

#endif
