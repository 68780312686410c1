// Writer: the one thread that writes to Postgres. It takes what waits in its queue as one group, commits it,
// and tells the intake what came of each batch. While Postgres is away it keeps the group and tries again;
// nothing is told before it is committed.
#ifndef RTM_SINK_WRITER_H
#define RTM_SINK_WRITER_H

#include <stdint.h>

#include "common/queue.h"

enum {
    WRITER_MAX_JOBS = 1 << 16,
    WRITER_STOP_GRACE_MS = 10000, // for committing what was taken when the process is to stop
};

typedef struct writer writer_t;

// Starts the thread. jobs: of job_t *, to it; done: of done_t *, from it, must hold WRITER_MAX_JOBS +
// GROUP_BATCHES messages. Both queues must outlive it.
writer_t *writer_start(const char *conninfo, queue_t *jobs, queue_t *done);
// Asks it to commit what is in its queue if Postgres is there, and to end. Its last message says `exited`.
void writer_stop(writer_t *writer);
// Joins the thread after it has said so.
void writer_destroy(writer_t **writer);

#endif
