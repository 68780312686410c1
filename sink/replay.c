// Replay: each reject holds a BATCH with just its item, which goes the way of all batches.
#include "sink/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "sink/rejects.h"
#include "sink/store.h"

enum { EXIT_LEFT = 1, EXIT_POSTGRES = 3 };

typedef struct {
    store_t *store;
    group_t *group;
    moves_t moves;
    size_t taken, left;
} replay_t;

static job_t *make_job(const void *frame, size_t len)
{
    job_t *job = xmalloc(sizeof *job + len);
    *job = (job_t){.seq = 1, .len = len};
    memcpy(job->frame, frame, len);
    return job;
}

// Late because it was refused, not because of its poll.
static void set_cause(const group_t *g)
{
    for (size_t i = 0; i < g->n_batches; i++)
        for (size_t k = 0; k < g->batches[i].batch->polls.n; k++)
            if (g->batches[i].batch->polls.v[k].cause == CAUSE_SPOOLED)
                g->batches[i].batch->polls.v[k].cause = CAUSE_REPLAYED;
}

static void say_left(const reject_t *reject, const char *reason)
{
    printf("source=%016" PRIx64 " key=\"%s\" part=%d refused: %s\n", (uint64_t)reject->source, reject->key,
           reject->part, reason);
}

// Template and source stand already, and perhaps newer: only the row is stored. PG_REFUSED: it stays, with
// store_reason.
static pg_status_t store_one(replay_t *r, int64_t now)
{
    group_seal(r->group);
    set_cause(r->group);
    return store_rows(r->store, r->group->staged, r->group->n_staged, now);
}

static pg_status_t replay_one(replay_t *r, const reject_t *reject)
{
    int64_t now = clock_wall_ms();
    job_t *job = make_job(reject->batch, reject->batch_len);
    pg_status_t status = PG_REFUSED;
    char reason[512] = "its batch cannot be read";
    if (group_add(r->group, job, &r->moves, true) == 0) {
        status = store_one(r, now);
        if (status == PG_REFUSED) {
            snprintf(reason, sizeof reason, "%s", store_reason(r->store));
            if (r->group->n_staged == 1 &&
                rejects_keep(store_pg(r->store), r->group->staged[0], reason, now) == PG_FAILED)
                status = PG_FAILED;
        }
    }
    if (status == PG_OK) status = rejects_remove(store_pg(r->store), reject);
    group_reset(r->group);
    free(job);
    r->taken += status == PG_OK;
    r->left += status == PG_REFUSED;
    if (status == PG_REFUSED) say_left(reject, reason);
    return status;
}

static int replay_all(replay_t *r)
{
    reject_t reject = {0};
    pg_status_t status;
    while ((status = rejects_next(store_pg(r->store), &reject)) == PG_OK && reject.row) {
        status = replay_one(r, &reject);
        if (status == PG_FAILED) break;
    }
    reject_free(&reject);
    if (status == PG_FAILED) fprintf(stderr, "rtm-sink: %s\n", store_reason(r->store));
    printf("replayed=%zu left=%zu\n", r->taken, r->left);
    return status == PG_FAILED ? EXIT_POSTGRES : r->left ? EXIT_LEFT : 0;
}

int replay_rejects(const char *conninfo)
{
    mark_t mark;
    mark_open(&mark, NULL);
    replay_t r = {.store = store_new(conninfo, &mark, -1, 0), .group = group_new()};
    moves_init(&r.moves);
    int code = EXIT_POSTGRES;
    if (store_open(r.store) == PG_OK)
        code = replay_all(&r);
    else
        fprintf(stderr, "rtm-sink: %s\n", store_reason(r.store));
    moves_free(&r.moves);
    group_destroy(&r.group);
    store_destroy(&r.store);
    mark_close(&mark);
    return code;
}
