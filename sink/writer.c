// Writer: group, commit, tell. A group that Postgres refuses is halved until the rows at fault stand alone;
// these go to `rejects`. A group whose commit is uncertain is simply sent again, because upserts are safe to
// repeat.
#include "sink/writer.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "sink/store.h"

enum { BACKOFF_MIN_MS = 250, BACKOFF_MAX_MS = 5000, MAX_REASON = 512 };

struct writer {
    pthread_t thread;
    queue_t *jobs, *done;
    int stop_fd; // eventfd, readable once the thread is to end
    store_t *store;
    moves_t moves;
    group_t *group; // being committed
    group_t *next;  // being filled meanwhile
    job_t *held;    // taken from the queue, did not fit into `next`
    bool up;        // connected
    bool said_down;
    int64_t backoff_ms;
    unsigned jitter; // state of rand_r
};

static bool stopping(const writer_t *w)
{
    struct pollfd fd = {.fd = w->stop_fd, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

// Broker time as the batch's miners saw it.
static int64_t broker_now(const group_t *g)
{
    return clock_wall_ms() + g->batches[g->n_batches - 1].job->broker_offset;
}

// -- connection ---------------------------------------------------------------------------------------

// Waits in full, or until the thread is to end.
static void pause_ms(const writer_t *w, int64_t ms)
{
    struct pollfd fd = {.fd = w->stop_fd, .events = POLLIN};
    poll(&fd, 1, (int)ms);
}

static void say_down(writer_t *w)
{
    if (!w->said_down) log_warn("postgres", "state=down reason=\"%s\"", store_reason(w->store));
    w->said_down = true;
}

static void say_up(writer_t *w)
{
    char where[256];
    store_where(w->store, where, sizeof where);
    log_info("postgres", "state=up %s", where);
    w->said_down = false;
}

static void back_off(writer_t *w)
{
    int64_t span = w->backoff_ms ? w->backoff_ms : BACKOFF_MIN_MS;
    w->backoff_ms = span * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : span * 2;
    pause_ms(w, span / 2 + rand_r(&w->jitter) % (span / 2 + 1));
}

// Closes a connection that did not serve.
static void drop_connection(writer_t *w)
{
    say_down(w);
    store_close(w->store);
    w->up = false;
}

// Tries until there is a connection. -1: the thread is to end.
static int ensure_up(writer_t *w)
{
    while (!w->up) {
        if (stopping(w)) return -1;
        w->up = store_open(w->store) == PG_OK;
        if (w->up) {
            say_up(w);
        } else {
            say_down(w);
            back_off(w);
        }
    }
    return 0;
}

// After a failure that is no refusal: connects again. -1: the thread is to end.
static int recover(writer_t *w)
{
    drop_connection(w);
    if (stopping(w)) return -1;
    back_off(w);
    return ensure_up(w);
}

// -- committing -----------------------------------------------------------------------------------------

// Repeats a definitions write until Postgres has taken or refused it. -1: the thread is to end.
static int commit_definitions(writer_t *w)
{
    for (;;) {
        pg_status_t status = store_definitions(w->store, w->group, broker_now(w->group));
        if (status == PG_REFUSED) log_error("definitions_refused", "reason=\"%s\"", store_reason(w->store));
        if (status != PG_FAILED) return 0;
        if (recover(w)) return -1;
    }
}

static int reject_row(writer_t *w, row_t *row, const char *reason)
{
    row->verdict = VERDICT_rejected;
    log_warn("rejected", "source=%016" PRIx64 " key=\"%.*s\" part=%d reason=\"%s\"", row->source,
             (int)row->key_len, row->key, row->part, reason);
    for (;;) {
        pg_status_t status = store_reject(w->store, row, reason, broker_now(w->group));
        if (status == PG_REFUSED)
            log_error("reject_refused", "source=%016" PRIx64 " reason=\"%s\"", row->source,
                      store_reason(w->store));
        if (status != PG_FAILED) return 0;
        if (recover(w)) return -1;
    }
}

// Commits rows, halving where Postgres refuses. -1: the thread is to end; what is committed stays so.
static int commit_rows(writer_t *w, row_t **rows, size_t n)
{
    pg_status_t status;
    while ((status = store_rows(w->store, rows, n, broker_now(w->group))) == PG_FAILED)
        if (recover(w)) return -1;
    if (status == PG_OK) return 0;
    if (n == 1) {
        char reason[MAX_REASON];
        snprintf(reason, sizeof reason, "%s", store_reason(w->store));
        return reject_row(w, rows[0], reason);
    }
    return commit_rows(w, rows, n / 2) || commit_rows(w, rows + n / 2, n - n / 2) ? -1 : 0;
}

static int commit_group(writer_t *w)
{
    group_seal(w->group);
    if (w->group->mended) log_warn("fields_dropped", "rows=%zu reason=\"no JSON object\"", w->group->mended);
    if (ensure_up(w) || commit_definitions(w) || commit_rows(w, w->group->staged, w->group->n_staged))
        return -1;
    w->backoff_ms = 0;
    return 0;
}

// -- groups ---------------------------------------------------------------------------------------------

static void tell(writer_t *w, const group_batch_t *b, int64_t commit_us)
{
    size_t n = b->batch->items.n;
    done_t *d = xmalloc(sizeof *d + n);
    *d = (done_t){
        .origin = b->job->origin, .seq = b->job->seq, .bytes = b->job->len, .commit_us = commit_us, .n = n};
    for (size_t i = 0; i < n; i++) d->verdicts[i] = b->rows[i].verdict;
    CHECK(queue_push(w->done, d) == 0); // its bound is above what can be under way
}

static job_t *next_job(writer_t *w)
{
    job_t *job = w->held ? w->held : queue_pop(w->jobs);
    w->held = NULL;
    return job;
}

// Adds one waiting batch to the next group. False: nothing waits, or the group is full.
static bool take_one(void *context)
{
    writer_t *w = context;
    job_t *job = w->next->n_rows < GROUP_ROWS ? next_job(w) : NULL;
    if (!job) {
        queue_clear(w->jobs); // then look again: one may just have come
        job = w->next->n_rows < GROUP_ROWS ? queue_pop(w->jobs) : NULL;
    }
    if (!job) return false;
    if (group_add(w->next, job, &w->moves) == 0) return true;
    CHECK(w->next->n_batches > 0);
    w->held = job;
    return false;
}

// Takes what waits, up to a group's bounds, as the group to commit. False: nothing waits.
static bool fill_group(writer_t *w)
{
    while (take_one(w)) {
    }
    if (w->next->n_batches == 0) return false;
    group_t *filled = w->next;
    w->next = w->group;
    w->group = filled;
    return true;
}

// Frees a group's jobs, which it only borrows, and empties it.
static void release(group_t *g)
{
    for (size_t i = 0; i < g->n_batches; i++) free((void *)(uintptr_t)g->batches[i].job);
    group_reset(g);
}

// Commits one group. -1: the thread is to end, the group is not (wholly) committed.
static int turn(writer_t *w)
{
    int64_t start = clock_mono_us();
    int status = commit_group(w);
    int64_t took = clock_mono_us() - start;
    for (size_t i = 0; status == 0 && i < w->group->n_batches; i++)
        tell(w, &w->group->batches[i], i == 0 ? took : 0);
    release(w->group);
    return status;
}

static void wait_for_work(const writer_t *w)
{
    struct pollfd fds[2] = {{.fd = queue_fd(w->jobs), .events = POLLIN},
                            {.fd = w->stop_fd, .events = POLLIN}};
    poll(fds, 2, -1);
}

static void *run(void *arg)
{
    writer_t *w = arg;
    int status = ensure_up(w);
    while (status == 0) {
        if (fill_group(w))
            status = turn(w);
        else if (stopping(w))
            break;
        else
            wait_for_work(w);
    }
    done_t *d = xcalloc(1, sizeof *d);
    d->exited = true;
    CHECK(queue_push(w->done, d) == 0);
    return NULL;
}

// -- life -----------------------------------------------------------------------------------------------

writer_t *writer_start(const char *conninfo, queue_t *jobs, queue_t *done)
{
    writer_t *w = xcalloc(1, sizeof *w);
    w->jobs = jobs;
    w->done = done;
    w->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(w->stop_fd >= 0);
    w->store = store_new(conninfo, w->stop_fd, WRITER_STOP_GRACE_MS);
    w->group = group_new();
    w->next = group_new();
    store_on_idle(w->store, queue_fd(jobs), take_one, w);
    w->jitter = (unsigned)(clock_mono_us() ^ getpid());
    moves_init(&w->moves);
    CHECK(pthread_create(&w->thread, NULL, run, w) == 0);
    return w;
}

void writer_stop(writer_t *w)
{
    uint64_t one = 1;
    CHECK(write(w->stop_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

void writer_destroy(writer_t **writer)
{
    if (!*writer) return;
    writer_t *w = *writer;
    pthread_join(w->thread, NULL);
    store_destroy(&w->store);
    release(w->next);
    group_destroy(&w->group);
    group_destroy(&w->next);
    moves_free(&w->moves);
    free(w->held);
    close(w->stop_fd);
    free(w);
    *writer = NULL;
}
