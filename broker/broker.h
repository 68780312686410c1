// Broker: the state machine. Events come in by function calls with the time they happened, actions go out
// through broker_out_t. It touches no socket, clock, file or random source, so that unit tests and the
// simulator run the real thing in simulated time.
#ifndef RTM_BROKER_BROKER_H
#define RTM_BROKER_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/question.h"
#include "broker/slew.h"
#include "broker/store.h"
#include "proto/template.h"
#include "proto/wire.h"

typedef struct broker broker_t;

typedef struct {
    int64_t slot_ms;
    int64_t heartbeat_ms;
    int64_t liveness_ms;
    int64_t report_ms;       // between two heartbeat lines in the log
    uint64_t seed;           // of jitter; the edge gives a random one
    uint64_t max_concurrent; // polls at once in the cluster; 0: no limit
    // What is kept; 0: tasks that ended for 7 days, at most 1000; miners that are gone for 10 minutes; 10000
    // letters
    int64_t tasks_keep_ms, miners_keep_ms;
    size_t tasks_rows, letters_rows;
    int budget; // sources handled at most per tick; 0: as many as cost some milliseconds
    // Checks a template's selectors: 0, or -1 with *error set. NULL: not checked (the simulator).
    int (*check_selectors)(const template_t *template, template_error_t *error);
} broker_config_t;

// Where actions go. Messages and operations live only during the call.
typedef struct {
    void *context;
    // durable: not before all operations handed to store so far are durable.
    void (*send)(void *context, uint64_t peer, wire_type_t type, const void *message, bool durable);
    void (*store)(void *context, const store_op_t *op);
    // The reply to question's peer is the receiver's to make, of a file that has all operations handed to
    // store so far. NULL: such questions are refused.
    void (*ask)(void *context, const question_t *question);
} broker_out_t;

broker_t *broker_new(const broker_config_t *config, const broker_out_t *out);
void broker_destroy(broker_t **broker);

// -- start: what the store held, then broker_start ---------------------------------------------------
void broker_load_number(broker_t *broker, const char *name, int64_t value);
// A template that does not parse any more is kept out and logged.
void broker_load_template(broker_t *broker, const char *name, const char *json, int64_t version,
                          bool enabled);
void broker_load_source(broker_t *broker, const store_source_t *source);
void broker_load_gap(broker_t *broker, const gap_t *gap);
void broker_load_record(broker_t *broker, const char *kind, uint64_t id, const char *json);
void broker_start(broker_t *broker, instant_t now);

// -- events --------------------------------------------------------------------------------------------
// A decoded message of peer (never 0).
void broker_message(broker_t *broker, instant_t now, uint64_t peer, wire_type_t type, const void *message);
// A message to peer could not be delivered: its connection is gone or its queue is full.
void broker_unreachable(broker_t *broker, instant_t now, uint64_t peer);
// Time passed. To be called at broker_deadline at the latest; more often does no harm.
void broker_tick(broker_t *broker, instant_t now);
// Mono ms at which the next tick is wanted.
int64_t broker_deadline(const broker_t *broker);
// Orderly end: hands what a restart wants to know to the store.
void broker_stop(broker_t *broker, instant_t now);

// -- for tests and the simulator ------------------------------------------------------------------------
typedef struct {
    uint64_t slot, due, polled, stored, failed, skipped; // since start
    uint64_t recorded;                                   // dues whose history was handed to the store
    size_t miners, sources, templates, open;             // open: dues given out or waiting
    size_t tasks;                                        // that have not ended
    int64_t now;                                         // broker ms of the latest event
} broker_counts_t;
broker_counts_t broker_counts(const broker_t *broker);
// Checks the state's invariants: 0, or -1 and why not. Walks everything.
int broker_audit(const broker_t *broker, char *why, size_t size);
// Whether no miner has more than 1.2 times the mean load, as far as whole hosts can be dealt out so.
bool broker_balanced(const broker_t *broker);
// The name of the miner that owns source, or "".
const char *broker_owner(const broker_t *broker, uint64_t source);

#endif
