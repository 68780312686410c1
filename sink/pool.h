// Pool: a few threads, each with a connection for reading, that run queries for the api's one HTTP thread.
// What waits for them is bounded.
#ifndef RTM_SINK_POOL_H
#define RTM_SINK_POOL_H

#include "sink/pg.h"

typedef struct pool pool_t;

// One job, run by a thread of the pool. pg: an open connection. If that fails (PG_FAILED) it is called again:
// with a new connection, or at last with NULL and why: Postgres is away, or the pool stops.
typedef pg_status_t pool_fn(void *context, pg_t *pg, const char *why);

// stop_fd: readable once all is to end.
pool_t *pool_start(const char *conninfo, int stop_fd);
// -1: too much waits already; the job is not taken.
__attribute__((warn_unused_result)) int pool_submit(pool_t *pool, pool_fn *fn, void *context);
// Ends the threads; jobs that wait are run without a connection. Nothing more is taken then.
void pool_stop(pool_t *pool);
void pool_destroy(pool_t **pool);

#endif
