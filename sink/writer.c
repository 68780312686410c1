// Writer: group, commit, tell. A group that Postgres refuses is halved until the rows at fault stand alone;
// these go to `rejects`. A group whose commit is uncertain is simply sent again, because upserts are safe to
// repeat.
//
// Two groups take turns: while one is committed the next is filled. After each fresh group a piece of the
// spool is drained, so that fresh items never wait for old ones, and the spool empties nevertheless.
#include "sink/writer.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "sink/proofs.h"
#include "sink/rejects.h"
#include "sink/store.h"

enum {
    BACKOFF_MIN_MS = 250,
    BACKOFF_MAX_MS = 5000,
    TICK_MS = 200,
    SPOOL_RETRY_MS = 1000, // after the spool refused
    DRAIN_BYTES = 1 << 20, // of the spool, between two fresh groups
    MAX_REASON = 512,
};

struct writer {
    pthread_t thread;
    queue_t *jobs, *done;
    int stop_fd; // eventfd, readable once the thread is to end
    store_t *store;
    spool_t *spool; // or NULL
    moves_t moves;
    proofs_t proofs;
    group_t *group;      // being committed
    bool told;           // its batches need no answer (any more): they are in the spool
    int64_t group_since; // monotonic ms at which its first batch was taken
    group_t *next;       // being filled meanwhile
    int64_t next_since;
    job_t *held; // taken from the queue, did not fit into `next`
    bool up;     // connected
    bool said_down, said_spooling, said_full;
    bool doubtful; // since Postgres failed last, nothing was committed
    int64_t backoff_ms, spool_retry_at;
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

static bool spool_holds(const writer_t *w)
{
    return w->spool && !spool_is_empty(w->spool);
}

// -- groups ---------------------------------------------------------------------------------------------

static void post(writer_t *w, const done_t *done, size_t n, const row_t *rows)
{
    done_t *d = xmalloc(sizeof *d + n);
    *d = *done;
    d->spool_bytes = w->spool ? spool_bytes(w->spool) : 0;
    d->restored = store_was_restored(w->store, &d->restored_since);
    d->n = n;
    for (size_t i = 0; i < n; i++) d->verdicts[i] = rows[i].verdict;
    CHECK(queue_push(w->done, d) == 0); // its bound is above what can be under way
}

static void tell(writer_t *w, const group_batch_t *b, int64_t commit_us)
{
    done_t done = {.kind = DONE_BATCH,
                   .origin = b->job->origin,
                   .seq = b->job->seq,
                   .bytes = b->job->len,
                   .commit_us = commit_us};
    post(w, &done, b->batch->items.n, b->rows);
}

// Frees a group's jobs, which it only borrows, and empties it.
static void release(group_t *g)
{
    for (size_t i = 0; i < g->n_batches; i++) free((void *)(uintptr_t)g->batches[i].job);
    group_reset(g);
}

static job_t *next_job(writer_t *w)
{
    job_t *job = w->held ? w->held : queue_pop(w->jobs);
    w->held = NULL;
    return job;
}

// Adds one waiting batch to the next group. False: nothing waits, or the group is full.
static bool take_one(writer_t *w)
{
    job_t *job = w->next->n_rows < GROUP_ROWS ? next_job(w) : NULL;
    if (!job) {
        queue_clear(w->jobs); // then look again: one may just have come
        job = w->next->n_rows < GROUP_ROWS ? queue_pop(w->jobs) : NULL;
    }
    if (!job) return false;
    if (w->next->n_batches == 0) w->next_since = clock_mono_ms();
    if (group_add(w->next, job, &w->moves, spool_holds(w)) == 0) return true;
    CHECK(w->next->n_batches > 0);
    w->held = job;
    return false;
}

static void take_all(writer_t *w)
{
    while (take_one(w)) {
    }
}

// -- spooling -------------------------------------------------------------------------------------------

static void say_spool(writer_t *w, const char *why)
{
    if (why && !w->said_full)
        log_warn("spool", "state=stuck bytes=%" PRIu64 " reason=\"%s\"", spool_bytes(w->spool), why);
    if (!why && !w->said_spooling)
        log_warn("spool", "state=filling reason=\"Postgres is %s\"", w->up ? "slow" : "away");
    w->said_full = why != NULL;
    w->said_spooling |= !why;
}

// Writes a group's batches to the spool and answers them. -1: the spool takes nothing now.
static int spool_group(writer_t *w, group_t *g)
{
    const job_t *jobs[GROUP_BATCHES];
    const char *why;
    for (size_t i = 0; i < g->n_batches; i++) jobs[i] = g->batches[i].job;
    if (spool_append(w->spool, jobs, g->n_batches, &why)) {
        w->spool_retry_at = clock_mono_ms() + SPOOL_RETRY_MS;
        say_spool(w, why);
        return -1;
    }
    say_spool(w, NULL);
    failpoint("sink_after_spool");
    for (size_t i = 0; i < g->n_batches; i++) {
        group_guess_verdicts(&g->batches[i]);
        tell(w, &g->batches[i], 0);
    }
    return 0;
}

// Spools all that waits, oldest first, because a miner's batches must be answered in order.
static void spool_all(writer_t *w)
{
    if (w->group->n_batches && !w->told) {
        if (spool_group(w, w->group)) return;
        w->told = true;
    }
    for (take_all(w); w->next->n_batches; take_all(w)) {
        if (spool_group(w, w->next)) return;
        release(w->next);
    }
}

static void spool_if_late(writer_t *w)
{
    int64_t now = clock_mono_ms();
    bool untold = w->group->n_batches && !w->told;
    if (!w->spool || now < w->spool_retry_at || (!untold && !w->next->n_batches)) return;
    // once Postgres is known to be away, what comes goes to the spool at once
    int64_t since = untold ? w->group_since : w->next_since,
            patience = w->said_down && !untold ? 0 : SPOOL_AFTER_MS;
    if (now - since < patience) return;
    spool_all(w);
}

// What is done while Postgres is waited for.
static bool while_waiting(void *context)
{
    writer_t *w = context;
    if (take_one(w)) return true;
    spool_if_late(w);
    return false;
}

// -- connection -----------------------------------------------------------------------------------------

static void say_down(writer_t *w)
{
    if (w->said_down) return;
    log_warn("postgres", "state=down reason=\"%s\"", store_reason(w->store));
    post(w, &(done_t){.kind = DONE_STATE}, 0, NULL);
    w->said_down = true;
}

// A session that opens proves little after a failure that was not the connection's: then a commit must come
// first.
static void say_up(writer_t *w)
{
    char where[256];
    if (w->doubtful) return;
    store_where(w->store, where, sizeof where);
    log_info("postgres", "state=up %s", where);
    post(w, &(done_t){.kind = DONE_STATE, .postgres_up = true}, 0, NULL);
    w->said_down = false;
}

// Waits, or until the thread is to end.
static void pause_ms(writer_t *w, int64_t ms)
{
    for (int64_t now = clock_mono_ms(), end = now + ms; now < end && !stopping(w); now = clock_mono_ms()) {
        struct pollfd fds[2] = {{.fd = queue_fd(w->jobs), .events = POLLIN},
                                {.fd = w->stop_fd, .events = POLLIN}};
        poll(fds, 2, end - now < TICK_MS ? (int)(end - now) : TICK_MS);
        while (while_waiting(w)) {
        }
    }
}

static void back_off(writer_t *w)
{
    int64_t span = w->backoff_ms ? w->backoff_ms : BACKOFF_MIN_MS;
    w->backoff_ms = span * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : span * 2;
    pause_ms(w, span / 2 + rand_r(&w->jitter) % (span / 2 + 1));
}

static void connect_once(writer_t *w)
{
    w->up = store_open(w->store) == PG_OK;
    proofs_forget(&w->proofs);
    if (w->up) return say_up(w);
    w->doubtful = false; // the connection itself fails: one that opens will be good news
    say_down(w);
}

static void succeeded(writer_t *w)
{
    bool silent = w->doubtful && w->said_down;
    w->doubtful = false;
    w->backoff_ms = 0;
    if (silent) say_up(w);
}

// False: the connection failed.
static bool define(writer_t *w)
{
    pg_status_t status = store_definitions(w->store, w->group, broker_now(w->group));
    if (status == PG_REFUSED) log_error("definitions_refused", "reason=\"%s\"", store_reason(w->store));
    return status != PG_FAILED;
}

// After a failure that is no refusal: connects again, the first time at once, and defines again what the
// group names, which a server that crashed may have lost. -1: the group is in the spool by now, or the thread
// is to end.
static int recover(writer_t *w)
{
    say_down(w);
    store_close(w->store);
    w->up = false;
    if (w->doubtful) back_off(w);
    w->doubtful = true;
    while (!stopping(w) && !w->told) {
        connect_once(w);
        if (w->up && define(w)) return 0;
        store_close(w->store);
        w->up = false;
        back_off(w);
    }
    return -1;
}

// -- committing -----------------------------------------------------------------------------------------

// Repeats until Postgres has taken or refused what its polls prove. -1: given up, see recover.
static int commit_proofs(writer_t *w)
{
    for (;;) {
        pg_status_t status = proofs_commit(&w->proofs, store_pg(w->store), w->group, broker_now(w->group));
        if (status == PG_REFUSED) log_error("proofs_refused", "reason=\"%s\"", store_reason(w->store));
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
        pg_status_t status = rejects_keep(store_pg(w->store), row, reason, broker_now(w->group));
        if (status == PG_REFUSED)
            log_error("reject_refused", "source=%016" PRIx64 " reason=\"%s\"", row->source,
                      store_reason(w->store));
        if (status != PG_FAILED) return 0;
        if (recover(w)) return -1;
    }
}

// Commits rows, halving where Postgres refuses. -1: given up, see recover; what is committed stays so.
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
    group_t *g = w->group;
    size_t others = g->n_staged - g->n_details;
    if ((!define(w) && recover(w)) || commit_rows(w, g->staged, others) ||
        commit_rows(w, g->staged + others, g->n_details) || commit_proofs(w))
        return -1;
    succeeded(w);
    return 0;
}

// Commits what has come as one group, and answers it. False: nothing has come.
static bool commit_fresh(writer_t *w)
{
    take_all(w);
    if (w->next->n_batches == 0) return false;
    group_t *filled = w->next;
    w->next = w->group;
    w->group = filled;
    w->group_since = w->next_since;
    w->told = false;
    int64_t start = clock_mono_us();
    int status = commit_group(w);
    int64_t took = clock_mono_us() - start;
    for (size_t i = 0; status == 0 && !w->told && i < w->group->n_batches; i++)
        tell(w, &w->group->batches[i], i == 0 ? took : 0);
    if (status && !w->told && w->spool) spool_all(w); // the thread is to end
    release(w->group);
    return true;
}

// -- draining -------------------------------------------------------------------------------------------

static void read_spool(writer_t *w)
{
    for (job_t *job; w->group->bytes < DRAIN_BYTES && (job = spool_read(w->spool));) {
        if (group_add(w->group, job, &w->moves, true) == 0) continue;
        if (w->group->n_batches) {
            spool_unread(w->spool);
        } else { // an earlier version's spool, at worst
            log_error("spool", "reason=\"a batch cannot be decoded\" bytes=%zu", job->len);
            spool_keep(w->spool);
        }
        free(job);
        if (w->group->n_batches) return;
    }
}

// Commits a piece of the spool.
static void drain(writer_t *w)
{
    w->told = true;
    read_spool(w);
    if (w->group->n_batches == 0 || commit_group(w) == 0)
        spool_done(w->spool);
    else
        spool_rewind(w->spool);
    release(w->group);
    if (spool_holds(w) || !(w->said_spooling || w->said_full)) return;
    log_info("spool", "state=empty");
    post(w, &(done_t){.kind = DONE_STATE, .postgres_up = true}, 0, NULL);
    w->said_spooling = w->said_full = false;
}

// -- life -----------------------------------------------------------------------------------------------

// A connection that ends meanwhile is noticed, so that nobody is told that all is well.
static void wait_for_work(writer_t *w)
{
    struct pollfd fds[3] = {{.fd = queue_fd(w->jobs), .events = POLLIN},
                            {.fd = w->stop_fd, .events = POLLIN},
                            {.fd = pg_socket(store_pg(w->store)), .events = POLLIN}};
    if (poll(fds, 3, -1) <= 0 || !fds[2].revents || pg_stands(store_pg(w->store))) return;
    say_down(w);
    store_close(w->store);
    w->up = false;
}

static void connect_or_wait(writer_t *w)
{
    connect_once(w);
    if (!w->up) back_off(w);
}

static void *run(void *arg)
{
    writer_t *w = arg;
    if (spool_holds(w)) log_info("spool", "state=found bytes=%" PRIu64, spool_bytes(w->spool));
    w->said_spooling = spool_holds(w);
    for (bool stop = false; !stop;) {
        stop = stopping(w);
        if (!w->up) {
            if (!stop) connect_or_wait(w);
            continue;
        }
        if (commit_fresh(w)) stop = false;
        if (w->up && !stop && spool_holds(w))
            drain(w);
        else if (w->up && !stop && w->next->n_batches == 0)
            wait_for_work(w);
    }
    if (w->spool) spool_all(w);
    post(w, &(done_t){.kind = DONE_EXIT}, 0, NULL);
    return NULL;
}

writer_t *writer_start(const char *conninfo, mark_t *mark, queue_t *jobs, queue_t *done, spool_t *spool)
{
    writer_t *w = xcalloc(1, sizeof *w);
    w->jobs = jobs;
    w->done = done;
    w->spool = spool;
    w->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(w->stop_fd >= 0);
    w->store = store_new(conninfo, mark, w->stop_fd, WRITER_STOP_GRACE_MS);
    w->group = group_new();
    w->next = group_new();
    store_on_idle(w->store, queue_fd(jobs), while_waiting, w);
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
    proofs_forget(&w->proofs);
    free(w->held);
    close(w->stop_fd);
    free(w);
    *writer = NULL;
}
