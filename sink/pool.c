// Pool: a ring of jobs, a mutex and a condition.
#include "sink/pool.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/nice.h"
#include "sink/page.h"

enum {
    WORKERS = 2,
    MAX_JOBS = 256,
    RECONNECT_MS = 1000, // after a connect that failed, jobs fail at once for so long
};

typedef struct {
    pool_fn *fn;
    void *context;
} pool_job_t;

struct pool {
    const char *conninfo;
    int stop_fd;
    pthread_t threads[WORKERS];
    pthread_mutex_t lock; // guards what follows
    pthread_cond_t more;
    pool_job_t jobs[MAX_JOBS];
    size_t first, n;
    bool stopping;
};

typedef struct {
    pg_t *pg;
    bool open;
    int64_t retry_at; // monotonic ms
} connection_t;

static bool take(pool_t *pool, pool_job_t *job, bool *stopping)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->n == 0 && !pool->stopping) pthread_cond_wait(&pool->more, &pool->lock);
    bool any = pool->n > 0;
    if (any) {
        *job = pool->jobs[pool->first];
        pool->first = (pool->first + 1) % MAX_JOBS;
        pool->n--;
    }
    *stopping = pool->stopping;
    pthread_mutex_unlock(&pool->lock);
    return any;
}

static bool connect_once(connection_t *c)
{
    if (c->open) return true;
    if (clock_mono_ms() < c->retry_at) return false;
    c->open = page_open(c->pg) == PG_OK;
    if (!c->open) c->retry_at = clock_mono_ms() + RECONNECT_MS;
    return c->open;
}

static void run_job(connection_t *c, const pool_job_t *job)
{
    bool had = c->open;
    for (int i = 0; i < 2; i++) {
        if (!connect_once(c)) break;
        if (job->fn(job->context, c->pg, NULL) != PG_FAILED) return;
        pg_close(c->pg);
        c->open = false;
        if (!had) break;
        had = false;
    }
    job->fn(job->context, NULL, pg_reason(c->pg));
}

static void *run(void *arg)
{
    pool_t *pool = arg;
    connection_t c = {.pg = pg_new(pool->conninfo, pool->stop_fd, 0)};
    pool_job_t job;
    bool stopping;
    nice_thread();
    while (take(pool, &job, &stopping)) {
        if (stopping)
            job.fn(job.context, NULL, "the sink stops");
        else
            run_job(&c, &job);
    }
    pg_destroy(&c.pg);
    return NULL;
}

pool_t *pool_start(const char *conninfo, int stop_fd)
{
    pool_t *pool = xcalloc(1, sizeof *pool);
    pool->conninfo = conninfo;
    pool->stop_fd = stop_fd;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->more, NULL);
    for (int i = 0; i < WORKERS; i++) CHECK(pthread_create(&pool->threads[i], NULL, run, pool) == 0);
    return pool;
}

int pool_submit(pool_t *pool, pool_fn *fn, void *context)
{
    pthread_mutex_lock(&pool->lock);
    bool room = pool->n < MAX_JOBS && !pool->stopping;
    if (room) {
        pool->jobs[(pool->first + pool->n++) % MAX_JOBS] = (pool_job_t){fn, context};
        pthread_cond_signal(&pool->more);
    }
    pthread_mutex_unlock(&pool->lock);
    return room ? 0 : -1;
}

void pool_stop(pool_t *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < WORKERS; i++) pthread_join(pool->threads[i], NULL);
}

void pool_destroy(pool_t **pool)
{
    if (!*pool) return;
    pthread_mutex_destroy(&(*pool)->lock);
    pthread_cond_destroy(&(*pool)->more);
    free(*pool);
    *pool = NULL;
}
