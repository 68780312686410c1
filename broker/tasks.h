// Tasks: polls that somebody asked for: of all sources of a template, or of one. A task waits for its time
// and its turn (turns.h), then each of its sources is polled once outside its schedule; it is done when each
// has been stored by a poll that was due after the task started, executed at least once whatever dies
// meanwhile. A source whose attempts are used up makes it fail, and a dead letter.
//
//   waiting ──its time, its turn──▶ running ──▶ done | failed          waiting, running ──▶ cancelled
#ifndef RTM_BROKER_TASKS_H
#define RTM_BROKER_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yyjson.h>

#include "broker/turns.h"
#include "common/map.h"
#include "proto/limits.h"
#include "proto/wire.h"

enum { MAX_TASKS = 200000, TASKS_KEPT = 1000 };
#define TASKS_KEEP_MS (7 * 86400000LL)

typedef enum { TASK_WAITING, TASK_RUNNING, TASK_DONE, TASK_FAILED, TASK_CANCELLED } task_state_t;

typedef struct task_leg {
    struct task *task;
    uint64_t source;
    struct task_leg *prev, *next; // of the same source, the latest first
    struct verdict *verdict;      // of the first of those that wait to be closed; NULL: it is open
    bool asked;                   // its poll was, once at least
} task_leg_t;

// What came of a poll, and the legs that it closes: some in each step, as they may be very many.
typedef struct verdict {
    struct verdict *next;
    task_leg_t *first;
    error_class_t error;
    char detail[];
} verdict_t;

typedef struct task {
    turn_t entry;            // first
    heap_node_t late;        // while it has one: its deadline
    uint64_t id, source;     // source 0: all of the template
    char name[MAX_NAME + 1]; // of the template
    priority_t priority;
    bool ahead, missed; // missed: its deadline
    task_state_t state;
    int64_t at, deadline;               // broker ms; deadline 0: none
    int64_t created, started, finished; // broker ms, 0: not yet
    task_leg_t *legs;
    uint32_t n_legs, n_open, n_failed;
    struct task *next; // among the finished, oldest first
} task_t;

typedef struct {
    turns_t queue;
    heap_t deadlines;
    map_t by_id, legs; // legs: source -> its first open leg
    task_t *finished_first, *finished_last;
    size_t n_finished;
    uint64_t next_id;
    verdict_t *verdicts, **verdicts_last; // oldest first
    int closable;                         // legs that may be closed before the next tick
    int64_t swept_at;
    size_t sweep_pos; // in legs, of the round that is under way; 0: none is
    uint64_t missed;  // deadlines, since start
} tasks_t;

struct broker;
struct source;

void tasks_init(tasks_t *tasks, int64_t patience_ms);
void tasks_free(tasks_t *tasks);
const char *task_state_name(task_state_t state);

// wanted: name, source, priority, ahead, at, deadline. NULL: there are too many.
task_t *task_add(struct broker *broker, const task_t *wanted);
void task_cancel(struct broker *broker, task_t *task);
void task_load(struct broker *broker, uint64_t id, yyjson_val *record);
void tasks_start(struct broker *broker); // after the last was loaded
// The task that a poll of source due then answers, 0: none. Of several the latest.
uint64_t tasks_of(const struct broker *broker, const struct source *source, int64_t due);
// The class of a poll of source, now: its own, or that of a task that it answers, if that is higher.
// *rises (may be NULL) becomes when the first of these tasks becomes urgent, unless it is earlier.
priority_t tasks_urgency(const struct broker *broker, const struct source *source, priority_t own,
                         int64_t *rises);
// What came of a due of source; retried: there will be another attempt.
void tasks_outcome(struct broker *broker, struct source *source, const wire_outcome_t *outcome, bool retried);
// Starts tasks whose turn it is. True: there is more to do at once.
bool tasks_tick(struct broker *broker);
int64_t tasks_next(const struct broker *broker); // broker ms; INT64_MAX: nothing to do

#endif
