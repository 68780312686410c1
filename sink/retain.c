// Retain: what is too old or too many is looked up without a lock into a temporary table, then removed piece
// by piece, each piece a transaction that keeps the writers out (see RETENTION_LOCK).
#include "sink/retain.h"

#include <endian.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "sink/pg.h"
#include "sink/store.h"

enum {
    LOOKED_UP = 10000, // rows at once
    PIECE = 500,       // of them removed at once
    PAUSE = 4,         // times what a piece took
    MAX_TURNS = 1000,  // look-ups of one template, or pieces of old keys, before the others get their turn
};
#define LOOKED_UP_TEXT "10000"

struct retain {
    pthread_t thread;
    pg_t *pg;
    int64_t every_ms;
    int stop_fd; // eventfd
};

// Of several sinks one works: the others find the second lock taken. Writers are never waited for long.
static const char session_sql[] =
    "SET synchronous_commit = off; SET statement_timeout = '60s'; SET lock_timeout = '2s';"
    "SET idle_in_transaction_session_timeout = '60s'; SET timezone = 'UTC'; SET jit = off;"
    "SET enable_hashjoin = off; SET enable_mergejoin = off;"
    "CREATE TEMPORARY TABLE rtm_old (n bigint, source_id bigint, key text COLLATE \"C\")";

static const char turn_sql[] = "SELECT pg_try_advisory_lock(8246731404)";

static const char templates_sql[] =
    "SELECT template_id, COALESCE((extract(epoch FROM keep_age) * 1000)::bigint, 0), COALESCE(keep_items, 0),"
    " name FROM templates WHERE keep_age IS NOT NULL OR keep_items IS NOT NULL ORDER BY template_id";

static const char old_sql[] =
    "INSERT INTO rtm_old SELECT row_number() OVER (), source_id, key FROM (SELECT source_id, key FROM items"
    " WHERE template_id = $1::bigint AND first_seen_at < now() - $2::bigint * interval '1 millisecond'"
    " ORDER BY first_seen_at LIMIT " LOOKED_UP_TEXT ") i";

static const char many_sql[] =
    "INSERT INTO rtm_old SELECT row_number() OVER (), source_id, key FROM (SELECT source_id, key FROM items"
    " WHERE template_id = $1::bigint ORDER BY first_seen_at DESC OFFSET $2::bigint LIMIT " LOOKED_UP_TEXT
    ") i";

static const char begin_sql[] = "BEGIN; SELECT pg_advisory_xact_lock(" RETENTION_LOCK ")";

static const char remove_sql[] =
    "WITH dead AS (DELETE FROM items i USING rtm_old o WHERE o.n > $1::bigint AND o.n <= $2::bigint"
    " AND i.source_id = o.source_id AND i.key = o.key RETURNING i.source_id, i.key),"
    " versions AS (DELETE FROM revisions r USING dead d WHERE r.source_id = d.source_id AND r.key = d.key),"
    " kept AS (INSERT INTO gone SELECT DISTINCT source_id, hashtextextended(key, 0), now() FROM dead"
    " ON CONFLICT (source_id, key_hash) DO UPDATE SET listed_at = EXCLUDED.listed_at)"
    " SELECT count(*) FROM dead";

static const char unlisted_sql[] =
    "WITH old AS (SELECT source_id, key_hash FROM gone WHERE listed_at < now() - interval '" RETAIN_UNLISTED
    "' ORDER BY listed_at LIMIT 500), dead AS (DELETE FROM gone g USING old o WHERE g.source_id = o.source_id"
    " AND g.key_hash = o.key_hash RETURNING 1) SELECT count(*) FROM dead";

// A gap that a poll tells again has that poll's age, and is let be.
static const char gaps_sql[] =
    "WITH old AS (SELECT source_id, poll FROM gaps WHERE poll < now() - interval '" RETAIN_GAPS
    "' ORDER BY poll LIMIT 500), dead AS (DELETE FROM gaps g USING old o WHERE g.source_id = o.source_id"
    " AND g.poll = o.poll RETURNING 1) SELECT count(*) FROM dead";

static const char marks_sql[] =
    "DELETE FROM marks WHERE NOT durable AND marked_at < now() - interval '30 days'";

// -- waiting --------------------------------------------------------------------------------------------

// False: the thread is to end.
static bool rest(const retain_t *r, int64_t ms)
{
    struct pollfd fd = {.fd = r->stop_fd, .events = POLLIN};
    return poll(&fd, 1, (int)(ms > 3600000 ? 3600000 : ms)) <= 0;
}

// -- statements -------------------------------------------------------------------------------------------

static int64_t cell(const PGresult *result, int row, int column)
{
    uint64_t v;
    memcpy(&v, PQgetvalue(result, row, column), 8);
    return (int64_t)be64toh(v);
}

static pg_status_t query(retain_t *r, const char *sql, int64_t a, int64_t b, PGresult **result)
{
    uint64_t first = htobe64((uint64_t)a), second = htobe64((uint64_t)b);
    const char *values[] = {(char *)&first, (char *)&second};
    return pg_query(r->pg, sql, strstr(sql, "$1") ? 2 : 0, values, (int[]){8, 8}, (int[]){1, 1}, result);
}

// One transaction under the lock; *count: what the statement counted.
static pg_status_t locked(retain_t *r, const char *sql, int64_t a, int64_t b, int64_t *count)
{
    PGresult *result = NULL;
    pg_status_t status = pg_run(r->pg, begin_sql);
    if (status == PG_OK) status = query(r, sql, a, b, &result);
    if (status == PG_OK) *count = cell(result, 0, 0);
    PQclear(result);
    return status == PG_OK ? pg_run(r->pg, "COMMIT") : status;
}

// Removes what is in rtm_old; *removed grows. False: no further work in this round.
static bool remove_found(retain_t *r, int64_t found, uint64_t *removed)
{
    for (int64_t at = 0; at < found; at += PIECE) {
        int64_t start = clock_mono_ms(), count = 0;
        if (locked(r, remove_sql, at, at + PIECE, &count) != PG_OK) return false;
        *removed += (uint64_t)count;
        if (!rest(r, PAUSE * (clock_mono_ms() - start))) return false;
    }
    return pg_run(r->pg, "TRUNCATE rtm_old") == PG_OK;
}

// Looks up by sql and removes, until there is no more.
static bool remove_all(retain_t *r, const char *sql, int64_t template_id, int64_t bound, uint64_t *removed)
{
    for (int turn = 0; turn < MAX_TURNS; turn++) {
        PGresult *result = NULL;
        if (query(r, sql, template_id, bound, &result) != PG_OK) return false;
        int64_t found = strtoll(PQcmdTuples(result), NULL, 10);
        PQclear(result);
        if (found == 0) return true;
        if (pg_run(r->pg, "ANALYZE rtm_old") != PG_OK || !remove_found(r, found, removed)) return false;
        if (found < LOOKED_UP) return true;
    }
    return true;
}

// -- a round ----------------------------------------------------------------------------------------------

static bool retain_template(retain_t *r, const PGresult *t, int row)
{
    uint64_t by_age = 0, by_count = 0;
    int64_t id = cell(t, row, 0), age = cell(t, row, 1), items = cell(t, row, 2);
    bool more = age == 0 || remove_all(r, old_sql, id, age, &by_age);
    if (more && items > 0) more = remove_all(r, many_sql, id, items, &by_count);
    if (by_age || by_count)
        log_info("retention", "template=%.*s by_age=%" PRIu64 " by_count=%" PRIu64, PQgetlength(t, row, 3),
                 PQgetvalue(t, row, 3), by_age, by_count);
    return more;
}

static bool retain_templates(retain_t *r)
{
    PGresult *templates = NULL;
    bool more = query(r, templates_sql, 0, 0, &templates) == PG_OK;
    for (int i = 0; more && i < PQntuples(templates); i++) more = retain_template(r, templates, i);
    PQclear(templates);
    return more;
}

// Runs a statement that removes a piece and counts it, until there is no more.
static bool forget(retain_t *r, const char *sql)
{
    int64_t count = 1;
    for (int turn = 0; count > 0 && turn < MAX_TURNS; turn++) {
        int64_t start = clock_mono_ms();
        if (locked(r, sql, 0, 0, &count) != PG_OK) return false;
        if (count && !rest(r, PAUSE * (clock_mono_ms() - start))) return false;
    }
    return true;
}

static bool is_my_turn(retain_t *r)
{
    PGresult *result = NULL;
    bool mine = query(r, turn_sql, 0, 0, &result) == PG_OK && *PQgetvalue(result, 0, 0);
    PQclear(result);
    return mine;
}

// What fails is left for the next round: the session ends, and with it all that it held.
static void work(retain_t *r)
{
    if (pg_open(r->pg)) return;
    pg_set_reason(r->pg, "");
    bool fine = pg_run(r->pg, session_sql) == PG_OK &&
                (!is_my_turn(r) || (retain_templates(r) && forget(r, unlisted_sql) && forget(r, gaps_sql) &&
                                    pg_run(r->pg, marks_sql) == PG_OK));
    if (!fine && *pg_reason(r->pg)) log_warn("retention", "reason=\"%s\"", pg_reason(r->pg));
    pg_close(r->pg);
}

static void *run(void *arg)
{
    retain_t *r = arg;
    while (rest(r, r->every_ms)) work(r);
    return NULL;
}

retain_t *retain_start(const char *conninfo, int64_t every_ms)
{
    retain_t *r = xcalloc(1, sizeof *r);
    r->every_ms = every_ms;
    r->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(r->stop_fd >= 0);
    r->pg = pg_new(conninfo, r->stop_fd, 0);
    pg_set_name(r->pg, "rtm-sink retention");
    CHECK(pthread_create(&r->thread, NULL, run, r) == 0);
    return r;
}

void retain_stop(retain_t **retain)
{
    retain_t *r = *retain;
    uint64_t one = 1;
    if (!r) return;
    CHECK(write(r->stop_fd, &one, sizeof one) == (ssize_t)sizeof one);
    pthread_join(r->thread, NULL);
    pg_destroy(&r->pg);
    close(r->stop_fd);
    free(r);
    *retain = NULL;
}
