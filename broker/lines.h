// Lines: which of the parked jobs goes first when something ended. Each template has a line: who was put in
// front, then by age. Among templates the classes of their first jobs share the turns as in turns.h, but a
// turn is one that started; and what has waited for long goes ahead of all, every second time at most.
#ifndef RTM_BROKER_LINES_H
#define RTM_BROKER_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/jobs.h"

enum { LOOK_BEHIND = 256 }; // parked jobs that may look behind one that must wait on

typedef struct {
    heap_node_t place, age;
    listing_t *listing;
    const job_t *first; // known when it was put
    priority_t class;   // of that
} line_t;

typedef struct {
    heap_t classes[TURN_CLASSES], ages;
    line_t *all;
    shares_t shares;
    bool aged; // the last turn went by age
} lines_t;

struct broker;

// job, whose why says what stops it, waits in its template's line. first: it was the first and goes back
// there.
void lines_park(struct broker *broker, job_t *job, bool first);
void lines_unpark(struct broker *broker, job_t *job);
// Jobs whose deadlines near become urgent, and go ahead in their lines.
void lines_promote(struct broker *broker);

// The lines as they stand now, whose shares go on from the last time.
void lines_init(lines_t *lines, const struct broker *broker);
void lines_free(lines_t *lines);
// The line whose turn it is, or NULL; *aged: by age.
line_t *lines_next(const lines_t *lines, const struct broker *broker, bool *aged);
// line has had that turn, and first is its first job now; NULL: nobody is left.
void lines_turn(lines_t *lines, line_t *line, bool aged, const job_t *first);
// line can do nothing with a turn.
void lines_leave(lines_t *lines, line_t *line);
// The first most of the parked jobs, in the order in which they would start if each could; how many.
size_t lines_peek(const struct broker *broker, const job_t **out, size_t most);

#endif
