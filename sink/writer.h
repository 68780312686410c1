// Writer: the one thread that writes to Postgres and to the spool. It takes what waits in its queue as one
// group, commits it, and tells the intake what came of each batch. What has waited too long, because Postgres
// is away or slow, goes to the spool and is told then; without a spool it waits. Nothing is told before it is
// durable.
#ifndef RTM_SINK_WRITER_H
#define RTM_SINK_WRITER_H

#include <stdint.h>

#include "common/queue.h"
#include "sink/mark.h"
#include "sink/spool.h"

enum {
    WRITER_MAX_JOBS = 1 << 16,
    WRITER_MAX_DONE = 5 << 14,    // told at once at most: all jobs, two groups, a turn's frames, states
    WRITER_STOP_GRACE_MS = 10000, // for committing what was taken when the process is to stop
    SPOOL_AFTER_MS = 1000,        // a batch that has waited so long goes to the spool
};

typedef struct writer writer_t;

// Starts the thread. jobs: of job_t *, to it; done: of done_t *, from it, must hold WRITER_MAX_DONE messages.
// mark, spool: the thread's from now on; spool may be NULL. All must outlive it.
writer_t *writer_start(const char *conninfo, mark_t *mark, queue_t *jobs, queue_t *done, spool_t *spool);
// Asks it to store what is in its queue if it can, and to end. Its last message is DONE_EXIT.
void writer_stop(writer_t *writer);
// Joins the thread after it has said so.
void writer_destroy(writer_t **writer);

#endif
