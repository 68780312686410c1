#include "broker/archive.h"

#include <stdlib.h>

#include "common/check.h"

enum {
    KNOWN_ROWS = 8,       // of a source, that an outcome is looked for in
    SWEEP_ROWS = 4000,    // looked at for their age at once
    EXCESS_MAX = 20000,   // rows above the bound that leave at once
    ERRORS_AT_ONCE = 100, // groups that leave together
    TURNS_MAX = 4,        // kinds of failures and skips that take turns
    KEEP_MS_DEFAULT = 7 * 24 * 3600 * 1000,
    ROWS_DEFAULT = 2000000,
};

typedef enum {
    PUT,
    KNOWN,
    LATEST,
    EXTEND,
    OVER_SOURCE,
    UPDATE_ERROR,
    COUNT_ERROR,
    PUT_ERROR,
    OLD_ERRORS,
    SWEEP_END,
    OLD_ROWS,
    EXCESS,
    DROPPED,
    STATEMENTS
} statement_t;

static const char *const sql[STATEMENTS] = {
    [PUT] =
        "insert into history(source, template, first_ms, last_ms, count, started_ms, took_ms, miner, result,"
        " error, status, items, fresh, cause, attempt, detail, key, fingerprint, task)"
        " values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
    [KNOWN] =
        "select 1 from (select last_ms, result from history where source = ?1 order by id desc limit ?4)"
        " where last_ms = ?2 and result = ?3",
    [LATEST] = "select id, key, fingerprint, result in ('failed', 'skipped') from history"
               " where source = ?1 order by id desc limit ?2",
    [EXTEND] = "update history set last_ms = max(last_ms, ?2), count = count + ?3, result = ?4 where id = ?1",
    [OVER_SOURCE] = "delete from history where source = ?1 and id <="
                    " (select id from history where source = ?1 order by id desc limit 1 offset ?2)",
    [UPDATE_ERROR] = "update errors set first_ms = min(first_ms, ?2), last_ms = max(last_ms, ?3),"
                     " count = count + ?4, source = ?5, detail = ?6 where fingerprint = ?1",
    [COUNT_ERROR] = "update errors set last_ms = max(last_ms, ?2), count = count + ?3 where fingerprint = ?1",
    [PUT_ERROR] = "insert into errors(fingerprint, first_ms, last_ms, count, source, detail, template, error,"
                  " status, pattern) values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [OLD_ERRORS] = "delete from errors where fingerprint in"
                   " (select fingerprint from errors order by last_ms limit ?1)",
    [SWEEP_END] = "select max(id), count(*) from (select id from history where id > ?1 order by id limit ?2)",
    [OLD_ROWS] = "delete from history where id > ?1 and id <= ?2 and last_ms < ?3",
    [EXCESS] = "delete from history where id in (select id from history order by id limit ?1)",
    [DROPPED] = "insert into numbers(name, value) values(?1, ?2)"
                " on conflict(name) do update set value = value + ?2",
};

struct archive {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    int64_t keep_ms, max_rows;
    int64_t rows, groups; // in the tables
    int64_t latest;       // broker ms: the newest due written, which tells what is old
    int64_t swept;        // id up to which this round has looked at ages
    bool counted;
};

// -- statements ---------------------------------------------------------------------------------------

static int run(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
    sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static int number_of(sqlite3 *db, const char *query, int64_t *value)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, query, -1, &st, NULL)) return -1;
    int rc = sqlite3_step(st);
    *value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : -1;
}

static int count_rows(archive_t *a)
{
    if (a->counted) return 0;
    if (number_of(a->db, "select count(*) from history", &a->rows) ||
        number_of(a->db, "select count(*) from errors", &a->groups) ||
        number_of(a->db, "select coalesce(max(last_ms), 0) from errors", &a->latest))
        return -1;
    a->counted = true;
    return 0;
}

archive_t *archive_new(sqlite3 *db)
{
    archive_t *a = xcalloc(1, sizeof *a);
    *a = (archive_t){.db = db, .keep_ms = KEEP_MS_DEFAULT, .max_rows = ROWS_DEFAULT};
    bool fine = count_rows(a) == 0;
    for (int i = 0; fine && i < STATEMENTS; i++)
        fine = !sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &a->statements[i], NULL);
    if (!fine) archive_destroy(&a);
    return a;
}

void archive_destroy(archive_t **archive)
{
    archive_t *a = *archive;
    if (!a) return;
    for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(a->statements[i]);
    free(a);
    *archive = NULL;
}

void archive_bound(archive_t *a, int64_t keep_ms, int64_t rows)
{
    a->keep_ms = keep_ms;
    a->max_rows = rows;
}

int64_t archive_rows(const archive_t *a)
{
    return a->rows;
}

void archive_rolled_back(archive_t *a)
{
    a->counted = false;
}

static int dropped(archive_t *a, const char *name, int64_t n)
{
    sqlite3_stmt *st = a->statements[DROPPED];
    if (!n) return 0;
    bind_text(st, 1, name);
    sqlite3_bind_int64(st, 2, n);
    return run(st);
}

// Runs a statement that deletes rows of the history.
static int drop_rows(archive_t *a, sqlite3_stmt *st)
{
    if (run(st)) return -1;
    int64_t n = sqlite3_changes(a->db);
    a->rows -= n;
    return dropped(a, "history_dropped", n);
}

// -- errors -------------------------------------------------------------------------------------------

static void bind_error(sqlite3_stmt *st, const store_history_t *r)
{
    sqlite3_bind_int64(st, 1, (sqlite3_int64)r->fingerprint);
    sqlite3_bind_int64(st, 2, r->first);
    sqlite3_bind_int64(st, 3, r->last);
    sqlite3_bind_int64(st, 4, (sqlite3_int64)r->count);
    sqlite3_bind_int64(st, 5, (sqlite3_int64)r->source);
    bind_text(st, 6, r->detail);
}

static int put_error(archive_t *a, const store_history_t *r)
{
    sqlite3_stmt *st = a->statements[UPDATE_ERROR];
    bind_error(st, r);
    if (run(st)) return -1;
    if (sqlite3_changes(a->db)) return 0;
    st = a->statements[PUT_ERROR];
    bind_error(st, r);
    bind_text(st, 7, r->template_name);
    bind_text(st, 8, r->error);
    sqlite3_bind_int64(st, 9, (sqlite3_int64)r->status);
    bind_text(st, 10, r->pattern);
    if (run(st)) return -1;
    if (++a->groups <= ERROR_GROUPS_MAX) return 0;
    sqlite3_bind_int64(a->statements[OLD_ERRORS], 1, ERRORS_AT_ONCE);
    if (run(a->statements[OLD_ERRORS])) return -1;
    a->groups -= sqlite3_changes(a->db);
    return dropped(a, "errors_dropped", ERRORS_AT_ONCE);
}

// -- rows ---------------------------------------------------------------------------------------------

static void bind_time(sqlite3_stmt *st, int i, int64_t ms)
{
    if (ms)
        sqlite3_bind_int64(st, i, ms);
    else
        sqlite3_bind_null(st, i);
}

static int insert(archive_t *a, const store_history_t *r)
{
    sqlite3_stmt *st = a->statements[PUT];
    sqlite3_bind_int64(st, 1, (sqlite3_int64)r->source);
    bind_text(st, 2, r->template_name);
    sqlite3_bind_int64(st, 3, r->first);
    sqlite3_bind_int64(st, 4, r->last);
    sqlite3_bind_int64(st, 5, (sqlite3_int64)r->count);
    bind_time(st, 6, r->started);
    sqlite3_bind_null(st, 7);
    if (r->started) sqlite3_bind_int64(st, 7, (sqlite3_int64)r->took_ms);
    bind_text(st, 8, r->miner);
    bind_text(st, 9, r->result);
    bind_text(st, 10, r->error);
    sqlite3_bind_int64(st, 11, (sqlite3_int64)r->status);
    sqlite3_bind_int64(st, 12, (sqlite3_int64)r->items);
    sqlite3_bind_int64(st, 13, (sqlite3_int64)r->fresh);
    bind_text(st, 14, r->cause);
    sqlite3_bind_int64(st, 15, (sqlite3_int64)r->attempt);
    bind_text(st, 16, r->detail);
    sqlite3_bind_int64(st, 17, r->key);
    bind_time(st, 18, (int64_t)r->fingerprint);
    sqlite3_bind_int64(st, 19, (sqlite3_int64)r->task);
    if (run(st)) return -1;
    a->rows++;
    st = a->statements[OVER_SOURCE];
    sqlite3_bind_int64(st, 1, (sqlite3_int64)r->source);
    sqlite3_bind_int64(st, 2, HISTORY_A_SOURCE);
    return drop_rows(a, st);
}

// The source's row that r goes on with: *id is 0 if there is none. Failures and skips that take turns, as
// they do while a host is probed, go on with their rows until something else happens.
static int find_row(archive_t *a, const store_history_t *r, int64_t *id, int64_t *fingerprint)
{
    sqlite3_stmt *st = a->statements[LATEST];
    *id = *fingerprint = 0;
    sqlite3_bind_int64(st, 1, (sqlite3_int64)r->source);
    sqlite3_bind_int64(st, 2, TURNS_MAX);
    for (bool over = false; !over && sqlite3_step(st) == SQLITE_ROW;) {
        bool same = (uint32_t)sqlite3_column_int64(st, 1) == r->key;
        over = same || !sqlite3_column_int(st, 3);
        if (!same) continue;
        *id = sqlite3_column_int64(st, 0);
        *fingerprint = sqlite3_column_int64(st, 2);
    }
    return sqlite3_reset(st) ? -1 : 0;
}

// Adds what has gathered to the row that it goes on with. 1: there is none.
static int extend(archive_t *a, const store_history_t *r)
{
    int64_t id, fingerprint;
    sqlite3_stmt *st;
    if (find_row(a, r, &id, &fingerprint)) return -1;
    if (!id) return 1;
    st = a->statements[EXTEND];
    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_int64(st, 2, r->last);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)r->count);
    bind_text(st, 4, r->result);
    if (run(st)) return -1;
    if (!fingerprint) return 0;
    st = a->statements[COUNT_ERROR];
    sqlite3_bind_int64(st, 1, fingerprint);
    sqlite3_bind_int64(st, 2, r->last);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)r->count);
    return run(st);
}

// A miner that did not hear that its outcome was committed reports it again to the broker's next process. 1:
// it is there.
static int is_known(archive_t *a, const store_history_t *r)
{
    sqlite3_stmt *st = a->statements[KNOWN];
    sqlite3_bind_int64(st, 1, (sqlite3_int64)r->source);
    sqlite3_bind_int64(st, 2, r->last);
    bind_text(st, 3, r->result);
    sqlite3_bind_int64(st, 4, KNOWN_ROWS);
    int known = sqlite3_step(st) == SQLITE_ROW;
    return sqlite3_reset(st) ? -1 : known;
}

int archive_put(archive_t *a, const store_history_t *r)
{
    if (count_rows(a)) return -1;
    int known = r->started ? is_known(a, r) : 0;
    if (known) return known < 0 ? -1 : 0;
    if (r->last > a->latest) a->latest = r->last;
    if (r->gathered) {
        int done = extend(a, r);
        if (done <= 0) return done;
    }
    if (insert(a, r)) return -1;
    return r->fingerprint ? put_error(a, r) : 0;
}

static int sweep(archive_t *a)
{
    sqlite3_stmt *st = a->statements[SWEEP_END];
    sqlite3_bind_int64(st, 1, a->swept);
    sqlite3_bind_int64(st, 2, SWEEP_ROWS);
    int rc = sqlite3_step(st);
    int64_t end = sqlite3_column_int64(st, 0), n = sqlite3_column_int64(st, 1);
    sqlite3_reset(st);
    if (rc != SQLITE_ROW) return -1;
    st = a->statements[OLD_ROWS];
    sqlite3_bind_int64(st, 1, a->swept);
    sqlite3_bind_int64(st, 2, end);
    sqlite3_bind_int64(st, 3, a->latest - a->keep_ms);
    a->swept = n < SWEEP_ROWS ? 0 : end; // the round is over, or goes on
    return drop_rows(a, st);
}

int archive_trim(archive_t *a)
{
    if (count_rows(a) || sweep(a)) return -1;
    if (a->rows <= a->max_rows) return 0;
    int64_t excess = a->rows - a->max_rows;
    sqlite3_bind_int64(a->statements[EXCESS], 1, excess < EXCESS_MAX ? excess : EXCESS_MAX);
    return drop_rows(a, a->statements[EXCESS]);
}
