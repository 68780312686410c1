// World: one seeded run of the real broker among modelled miners, hosts, links and a store, in simulated
// time.
#ifndef RTM_TESTS_SIM_WORLD_H
#define RTM_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/broker.h"
#include "common/arena.h"
#include "common/buf.h"
#include "common/map.h"
#include "tests/sim/schedule.h"

typedef struct yyjson_doc yyjson_doc;

enum {
    MAX_MINERS = 8,
    MAX_TEMPLATES = 5,
    MAX_SOURCES = 120,
    MAX_HOSTS = 8,
    MAX_DUES = 256, // that a miner holds of one source
    MAX_UNACKED = 4096,
    HEARD_FAILURES = 8,
    SIM_PLANNED = 200,
    LIVENESS_MS = 4000,
    BEAT_MS = 1000,
    GRACE_MS = LIVENESS_MS + 2000, // in which a broker that starts does nothing
    MINERS_KEEP_MS = 60000,        // they are shown for so long once they are gone
    CTL_PEER = 1,                  // rtm-ctl
    SIM_EVERY_STEPS = 30,          // periods: seconds from 2 s on
};

// -- faults -------------------------------------------------------------------------------------------
// clang-format off
#define SIM_FAULTS(X) \
    X(disconnect) X(delay) X(kill_miner) X(freeze_miner) X(drain_miner) \
    X(add_miner) X(sick_miner) X(overload) X(kill_broker) X(stall_broker) \
    X(clock_jump) X(slow_disk) X(failing_host) X(slow_host) X(sink_away) \
    X(change_template) X(replay) X(trigger) X(broken_page) X(limited_host) X(deal)
// clang-format on
#define SIM_FAULT_ENUM(name) FAULT_##name,
typedef enum { SIM_FAULTS(SIM_FAULT_ENUM) FAULT_COUNT } fault_t;

// -- what is modelled ---------------------------------------------------------------------------------

typedef struct {     // a poll that failed, as the broker heard of it
    int64_t at, due; // broker ms
    uint64_t error;
    int64_t retry_after_ms;
    uint64_t peer; // who said so
} failure_t;

// See heard.h. Times in broker ms.
typedef struct {
    failure_t failures[HEARD_FAILURES]; // since a success, the last few
    int failed;                         // how many there were
    int attempts;                       // after the first poll
    bool sure;                          // that these are all
    int64_t attempt_due, asked_due;     // asked: the latest that was no due of the schedule
    uint64_t listed;                    // run of the broker that was told who has it
    int strikes;                        // failures of its own in a row
    int probes;                         // that failed in a row
    int64_t probe_due, probe_failed_at;
    size_t after;        // operations that the latest failure's record is among
    int64_t settled_due; // the latest that is no skip
} heard_t;

typedef struct {   // a host that asked to be left alone
    int64_t until; // broker ms
    int64_t over;  // the same in our time, as a broker's that starts may go back
    size_t after;  // operations that its record is among
} limit_t;

typedef struct { // a page somewhere on the web
    uint64_t id;
    int template, host;
    char url[64];
    uint64_t version;        // of its content
    uint64_t stored_version; // the newest that is safe in the sink
    int polls;               // in the calm at the end
    int64_t polled_at;       // its last poll there
    int64_t polled_due;      // and the due of that, broker ms
    int64_t stored_due;      // latest due that was a success
    int64_t broken_until;    // it cannot be read
    bool troubled;           // it failed: it may be in quarantine
    int64_t gap;             // under pressure: the longest between two polls
    int64_t done_due;        // latest due that a miner listed as settled
    int64_t failed_due;      // latest due of a poll that failed
    int sent_to;             // number of the miner that was last given a due of it, plus 1
    int deaths;              // of miners that had it, or that may have seemed to die
    int settled_deaths;      // of these, miners that had been up for a while
    bool letter_dropped;     // by a user: it may be in quarantine without one
    heard_t heard;
} page_t;

typedef struct { // a source as a miner holds it
    page_t *page;
    uint64_t id, version, generation, template;
    int64_t done, held;
    struct {
        int64_t due, at; // its name in broker time, and when that is by the miner's own clock
        int64_t until;   // broker ms of its lease's end, 0: none
        uint64_t priority, cause;
    } dues[MAX_DUES];
    int n_dues;
    bool running, revoked; // revoked while it ran: forgotten afterwards
    bool asks;             // its poll has no document yet, see host.h
    int64_t running_due;
    uint64_t running_cause;
    int64_t lease_at; // when the running poll is given up, by the miner's clock; 0: it has no lease
    uint64_t running_generation;
    uint64_t read_version;  // what the running poll found
    uint64_t known_version; // validators
    int64_t started, last_ok;
    uint64_t run; // number of the run, so that a late event can tell
} holding_t;

typedef struct {
    bool alive, welcomed, draining;
    int index;
    uint64_t incarnation, peer, epoch;
    char name[16];
    int64_t born;
    int64_t heard;  // when it last heard the broker
    int64_t offset; // what it reckons broker time to be, less its own clock
    int64_t frozen_until, sick_until, overloaded_until;
    map_t holdings;  // by source id
    map_t templates; // id -> version
    wire_outcome_t unacked[MAX_UNACKED];
    char etags[MAX_UNACKED][24];
    int n_unacked;
    uint64_t seq, acked, polls;
    uint64_t left_run; // of the broker, which it told that it drains
} sim_miner_t;

typedef enum {
    TASK_SEEN_WAITING,
    TASK_SEEN_RUNNING,
    TASK_SEEN_DONE,
    TASK_SEEN_FAILED,
    TASK_SEEN_CANCELLED
} task_seen_t;

typedef struct {                // a task as users know it, see user_tasks.h. Times in broker ms
    uint64_t id, seen;          // seen: the look that it was last seen at
    int template, page;         // page -1: all of the template
    int64_t at, deadline, legs; // deadline 0: none; legs: sources, once it has started
    int64_t born;               // our time when it was first heard of
    int state, priority;        // as last seen
    int ended;                  // task_seen_t, 0: not yet, as last seen
    int64_t ended_at;
    int ended_told; // and as the user was told, so that it stays so
    int64_t ended_told_at;
    int64_t seen_at; // ours
    bool acknowledged, ranked, missed, ended_seen, unmatched, matched, cancelled, ahead,
        given; // given: so it is known whether ahead
} sim_task_t;

typedef struct { // what the broker's store would hold
    store_op_t op;
    int64_t durable_at;
} sim_op_t;

typedef struct event event_t;

typedef struct {
    int depends_on, blocks; // templates, -1: none
    int max_concurrent;     // 0: any
    int priority;           // priority_t
    int max_attempts, initial_ms, max_ms, coefficient;
    uint64_t final_errors; // bits 1 << error_class_t: no other attempt after these
    int max_failures;      // in a row, then quarantine
    int64_t deadline_ms;   // 0: none
    bool skips;            // what was missed while down, instead of catching up
} policy_t;

typedef struct {
    uint64_t seed, random;
    int64_t now;        // simulated ms (monotonic of everyone)
    int64_t wall_error; // of the broker's wall clock
    int64_t slot_ms;
    int budget; // of the broker's ticks
    event_t **queue;
    size_t n_events, cap_events;
    uint64_t order; // ties are broken by it
    arena_t *arena; // of operations and texts that live as long as the world
    arena_t *scratch;

    broker_t *broker;          // NULL: down
    uint64_t broker_runs;      // how often one was started
    int64_t broker_away_until; // stalled
    sim_op_t *ops;
    size_t n_ops, cap_ops;
    uint64_t recorded;      // dues in the history's rows, of this run of the broker
    struct rows *rows;      // those rows as its file has them, see rows.h; NULL: nobody looks
    struct held_send *held; // messages waiting for the store, oldest first
    struct held_send **held_last;

    sim_miner_t miners[MAX_MINERS];
    int n_miners;
    uint64_t next_peer, next_incarnation;
    page_t pages[MAX_SOURCES];
    int n_pages;
    int n_templates, template_sources[MAX_TEMPLATES];
    int64_t every[MAX_TEMPLATES];
    when_t when[MAX_TEMPLATES];
    int64_t base;       // of the wall clock
    int64_t settled_at; // broker ms
    int crowded;        // polls at once in the cluster, fewer than are wanted; 0: any
    bool pressed;       // under pressure, see pressure.h
    policy_t policies[MAX_TEMPLATES];
    int64_t changed_at[MAX_TEMPLATES];   // added, replaced, disabled, removed
    int64_t changed_due[MAX_TEMPLATES];  // the same in broker ms
    bool off[MAX_TEMPLATES];             // disabled or removed, as far as anybody knows
    int poison, poisoned;                // the page that kills miners, -1: none; how many it killed
    int lost;                            // the page that can never be read, -1: none
    int64_t broker_offset;               // what the broker calls now, less our time, as it last said
    uint64_t heard_polls, heard_retries; // of this run of the broker
    map_t heard;                         // incarnation -> the last outcome that this run has heard
    bool turned_away;                    // the message at hand is of no session
    limit_t limits[MAX_HOSTS];
    int host_limit;                    // polls at once of a host, 0: any
    int64_t host_moved_at[MAX_HOSTS];  // broker ms when a miner was last told to give it back
    int64_t host_failed_at[MAX_HOSTS]; // broker ms when it heard so last
    int64_t broker_started, ticked_at; // our time
    int64_t grace_end;                 // the same: it has had so much time since it started
    int64_t broker_began;              // what it called now when it started
    // -- what users know
    bool curious;       // they look and act
    yyjson_doc *answer; // to the command at hand
    uint64_t refused;   // its code
    char cursor[128];
    map_t tasks, missed;         // id -> sim_task_t; whose missed deadlines were noted
    map_t letters, letters_gone; // id -> what is known of it; those that users did away with
    size_t letters_kept, tasks_kept;
    int64_t acted_due[MAX_TEMPLATES]; // broker ms when users last dealt with its letters
    uint64_t looks;
    uint64_t planned[SIM_PLANNED]; // tasks in the order in which they are to start
    size_t n_planned, starts;
    int64_t planned_at;                 // ours
    uint64_t planned_run, named, ticks; // named: the source whose poll is to start next
    int spread[3]; // other attempts, those in the first quarter of their pauses, and in the last
    bool removed[MAX_TEMPLATES]; // in the calm: nobody may poll it
    map_t stored;                // page and generation -> newest version that is safe in the sink, plus 1
    int n_hosts;
    int64_t host_fails_until[MAX_HOSTS], host_slow_until[MAX_HOSTS], host_limits_until[MAX_HOSTS];
    int64_t sink_away_until;
    int64_t extra_delay_until, slow_disk_until;
    map_t link_last[2]; // per direction: peer -> when its last message arrives
    bool calm;          // no more faults
    bool settled;       // and all is normal again: polls are counted and watched
    bool quiet;         // pages change no more
    uint64_t struck[FAULT_COUNT];
    bool acted;    // the broker sent or stored something at this event
    uint64_t hash; // of the trace
    bool trace;
    char failure[300]; // empty: none so far
} world_t;

// Runs one seed. 0, or -1 with world->failure set. The caller frees with world_free.
int world_run(world_t *world, uint64_t seed, int slots, bool trace);
void world_free(world_t *world);
const char *fault_name(fault_t fault);

// -- shared by the files of the simulator
// ---------------------------------------------------------------------
typedef enum {
    EV_TO_BROKER, // bytes from peer
    EV_TO_MINER,  // bytes to peer
    EV_BROKER_TICK,
    EV_STORE, // something became durable
    EV_MINER_BEAT,
    EV_POLL_DUE,    // miner, source
    EV_POLL_READ,   // the document is here
    EV_POLL_STORED, // the sink has acknowledged
    EV_LEASE,       // the poll's lease is over
    EV_DRAINED,
    EV_BROKER_UP,
    EV_FAULT,
    EV_PAGE, // a page changes
    EV_LOOK, // users look what has become of their tasks
} event_type_t;

struct event {
    int64_t at;
    uint64_t order;
    event_type_t type;
    int miner;
    uint64_t peer, incarnation, source, run;
    int64_t due;
    size_t len;
    char bytes[];
};

uint64_t sim_random(world_t *world, uint64_t below);
event_t *sim_schedule(world_t *world, int64_t delay, event_type_t type, const void *bytes, size_t len);
// Puts a message on peer's link, EV_TO_BROKER or EV_TO_MINER; it arrives in order, unless the link breaks.
event_t *sim_transmit(world_t *world, event_type_t direction, uint64_t peer, const void *bytes, size_t len);
void sim_fail(world_t *world, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Prints a message that arrives, if the run is traced.
void sim_trace(const world_t *world, const char *from, const char *to, wire_type_t type, const void *message);
// Lets the world go on until then; false: it failed.
bool sim_run_until(world_t *world, int64_t end);
page_t *sim_page(world_t *world, uint64_t source);
int64_t sim_broker_time(const world_t *world);

void miner_start(world_t *world, sim_miner_t *miner);
void miner_free(sim_miner_t *miner);
// It dies, or seems to: what it had may be blamed.
void miner_lost(world_t *world, const sim_miner_t *miner);
void miner_dial(world_t *world, sim_miner_t *miner);
void miner_drain(world_t *world, sim_miner_t *miner);
// Handles any of the miner's events.
void miner_event(world_t *world, sim_miner_t *miner, const event_t *event);

#endif
