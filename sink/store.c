// Store: keys by COPY, look (which of them are new, which need thought?), write, commit. The look leaves out
// rows that are known and tell nothing new, so a flood of duplicates costs one join and no write. New rows
// are copied straight into the table, which costs half of an upsert. Rows that are there already, and
// details, are staged and merged by one upsert, which judges again what the look has judged, because another
// sink may have come between. If it came between with a new row, the copy is refused and all is done again by
// upsert. A transaction goes through the rows once, in the order of their keys, so sinks never wait for each
// other in a circle: where some rows are new and others are there, the latter have a transaction of their
// own, with a look of its own.
#include "sink/store.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "sink/bulk.h"
#include "sink/copy.h"
#include "sink/definitions.h"
#include "sink/migrate.h"
#include "sink/stamp.h"
#include "sink/store_sql.h"

enum {
    RETRIES = 3, // of a group that met another sink's
    KEY_COLUMNS = 10,
    STAGE_COLUMNS = 23,
    ITEM_COLUMNS = 25,
};

// What is to be done with a row.
typedef enum {
    TODO_NONE,
    TODO_INSERT, // new: by COPY
    TODO_MERGE,  // there already, or perhaps
    TODO_DETAIL,
    N_TODO
} todo_t;

struct store {
    pg_t *pg;
    mark_t *mark;
    bool restored;          // the database came back behind the mark
    int64_t restored_since; // broker ms of the newest commit it still has, 0: unknown
    definitions_t definitions;
    bulk_t bulk;
    // of the rows under way
    uint8_t *todo; // todo_t of each
    size_t todo_cap;
    size_t n_todo[N_TODO];
    int64_t stamp; // broker time as a timestamp
    uint64_t tx;   // the transaction's id
    bool listed;   // some keys that retention removed are listed still
};

// -- cells ---------------------------------------------------------------------------------------------

static int64_t cell_i64(const PGresult *r, int row, int column)
{
    uint64_t v;
    memcpy(&v, PQgetvalue(r, row, column), 8);
    return (int64_t)be64toh(v);
}

static int64_t cell_time(const PGresult *r, int row, int column)
{
    if (PQgetisnull(r, row, column)) return TIME_NONE;
    return copy_ms(cell_i64(r, row, column));
}

// -- session --------------------------------------------------------------------------------------------

store_t *store_new(const char *conninfo, mark_t *mark, int stop_fd, int64_t stop_grace_ms)
{
    store_t *s = xcalloc(1, sizeof *s);
    s->pg = pg_new(conninfo, stop_fd, stop_grace_ms);
    s->mark = mark;
    bulk_init(&s->bulk);
    return s;
}

void store_destroy(store_t **store)
{
    if (!*store) return;
    pg_destroy(&(*store)->pg);
    definitions_forget(&(*store)->definitions);
    bulk_free(&(*store)->bulk);
    free((*store)->todo);
    free(*store);
    *store = NULL;
}

void store_on_idle(store_t *s, int fd, pg_idle_fn *work, void *context)
{
    pg_on_idle(s->pg, fd, work, context);
}

// A standby, or a server that was set to read-only, accepts sessions and then refuses every write.
static pg_status_t check_writable(store_t *s)
{
    PGresult *r = NULL;
    pg_status_t status =
        pg_query(s->pg, "SELECT current_setting('transaction_read_only') = 'on'", 0, NULL, NULL, NULL, &r);
    if (status == PG_OK && *PQgetvalue(r, 0, 0)) {
        pg_set_reason(s->pg, "the database is read-only");
        status = PG_FAILED;
    }
    PQclear(r);
    return status;
}

// Whether the database is behind what this sink has committed. It is from now on where it is: the next commit
// writes the next number.
static pg_status_t check_mark(store_t *s)
{
    PGresult *r = NULL;
    uint64_t sink = htobe64(s->mark->sink);
    const char *values[] = {(char *)&sink};
    pg_status_t status = pg_query(s->pg, mark_look_sql, 1, values, (int[]){8}, (int[]){1}, &r);
    if (status != PG_OK) return status;
    bool known = !PQgetisnull(r, 0, 0);
    uint64_t number = known ? (uint64_t)cell_i64(r, 0, 0) : 0;
    if (number < s->mark->number) {
        s->restored = true;
        s->restored_since = PQgetisnull(r, 0, 1) ? 0 : cell_i64(r, 0, 1);
        log_error(
            "database_restored",
            "mark=%" PRIu64 " found=%" PRIu64 " since_ms=%" PRId64
            " reason=\"the database was restored to an earlier state; rtm-ctl refetch has what is still "
            "listed mined again\"",
            s->mark->number, number, s->restored_since);
    } else {
        s->mark->number = number;
    }
    PQclear(r);
    return PG_OK;
}

bool store_was_restored(const store_t *s, int64_t *since)
{
    *since = s->restored_since;
    return s->restored;
}

pg_status_t store_open(store_t *s)
{
    static const char *const statements[][2] = {{"write", write_sql}, {"detail", detail_sql}};
    if (pg_open(s->pg)) return PG_FAILED;
    pg_status_t status = pg_run(s->pg, session_sql);
    if (status == PG_OK) status = check_writable(s);
    if (status == PG_OK) status = migrate(s->pg);
    if (status == PG_OK) status = stamp_items(s->pg);
    if (status == PG_OK) status = check_mark(s);
    if (status == PG_OK) status = pg_run(s->pg, keys_sql);
    if (status == PG_OK) status = pg_run(s->pg, stage_sql);
    if (status == PG_OK) status = definitions_prepare(&s->definitions, s->pg);
    for (size_t i = 0; status == PG_OK && i < sizeof statements / sizeof statements[0]; i++)
        status = pg_prepare(s->pg, statements[i][0], statements[i][1]);
    if (status == PG_OK) return PG_OK;
    pg_close(s->pg);
    return PG_FAILED;
}

void store_close(store_t *s)
{
    pg_close(s->pg);
}

void store_where(const store_t *s, char *out, size_t size)
{
    pg_where(s->pg, out, size);
}

const char *store_reason(const store_t *s)
{
    return pg_reason(s->pg);
}

pg_status_t store_definitions(store_t *s, const group_t *g, int64_t now)
{
    return definitions_commit(&s->definitions, &s->bulk, s->pg, g, now);
}

// -- rows -----------------------------------------------------------------------------------------------

static char *put_time(char *p, int64_t ms)
{
    return ms == TIME_NONE ? copy_null(p) : copy_time(p, ms);
}

static size_t texts_room(const row_t *row)
{
    size_t len = row->key_len;
    for (int i = 0; i < N_TEXTS; i++) len += row->len[i];
    return len;
}

static char *put_texts(char *p, const row_t *row)
{
    p = copy_text(p, row->key, row->key_len);
    for (int i = 0; i < TEXT_FIELDS; i++)
        p = row->text[i] ? copy_text(p, row->text[i], row->len[i]) : copy_null(p);
    return row->text[TEXT_FIELDS] ? copy_jsonb(p, row->text[TEXT_FIELDS], row->len[TEXT_FIELDS])
                                  : copy_jsonb(p, "{}", 2);
}

// As rtm_keys has its columns.
static char *put_key(char *p, const row_t *row, int32_t ord)
{
    p = copy_i16(copy_i32(copy_row(p, KEY_COLUMNS), ord), row->part);
    p = copy_bool(copy_bool(p, row->wants_detail), row->bump);
    p = copy_i64(copy_i64(p, (int64_t)row->source), (int64_t)row->item->content_hash);
    p = put_time(copy_time(copy_time(p, row->poll->due), row->first_seen), row->absent);
    return copy_text(p, row->key, row->key_len);
}

// As rtm_stage has its columns.
static char *put_staged(char *p, const row_t *row, int32_t ord)
{
    p = copy_i16(copy_i32(copy_row(p, STAGE_COLUMNS), ord), row->part);
    p = copy_i16(p, (int16_t)row->poll->cause);
    p = copy_bool(copy_bool(copy_bool(p, row->wants_detail), row->bump), row->backfill);
    p = copy_i64(copy_i64(p, (int64_t)row->source), (int64_t)row->template_id);
    p = copy_i64(p, (int64_t)row->item->content_hash);
    p = put_time(copy_time(p, row->poll->due), row->published);
    p = put_time(copy_time(p, row->first_seen), row->absent);
    return put_texts(copy_time(p, row_fetched(row)), row);
}

// As COLUMNS says.
static char *put_item(char *p, const row_t *row, int64_t stamp, uint64_t tx)
{
    p = copy_i64(copy_row(p, ITEM_COLUMNS), (int64_t)row->source);
    p = copy_time(copy_i64(p, (int64_t)row->template_id), row->poll->due);
    p = copy_i64(put_time(p, row->published), (int64_t)row->item->content_hash);
    p = put_time(copy_time(p, row->first_seen), row->absent);
    p = copy_i64(copy_i64(copy_time(p, row_fetched(row)), stamp), stamp);
    if (row->part == PART_WHOLE)
        p = copy_time(copy_i64(p, stamp), row->poll->due);
    else
        p = copy_null(copy_null(p));
    p = copy_i32(copy_i64(p, (int64_t)tx), 1);
    p = copy_bool(copy_i16(p, (int16_t)row->poll->cause), row->backfill);
    return put_texts(p, row);
}

static pg_status_t stage_keys(store_t *s, row_t **rows, size_t n)
{
    pg_status_t status = bulk_begin(&s->bulk, s->pg, keys_copy_sql);
    for (size_t i = 0; status == PG_OK && i < n; i++) {
        if (rows[i]->part == PART_DETAIL) continue;
        char *p = bulk_room(&s->bulk, 2 + KEY_COLUMNS * COPY_CELL_MAX + rows[i]->key_len, &status);
        if (p) bulk_wrote(&s->bulk, put_key(p, rows[i], (int32_t)i));
    }
    return status == PG_OK ? bulk_end(&s->bulk) : status;
}

static pg_status_t stage_merges(store_t *s, row_t **rows, size_t n)
{
    pg_status_t status = bulk_begin(&s->bulk, s->pg, stage_copy_sql);
    for (size_t i = 0; status == PG_OK && i < n; i++) {
        if (s->todo[i] == TODO_NONE || s->todo[i] == TODO_INSERT) continue;
        char *p = bulk_room(&s->bulk, 2 + STAGE_COLUMNS * (COPY_CELL_MAX + 1) + texts_room(rows[i]), &status);
        if (p) bulk_wrote(&s->bulk, put_staged(p, rows[i], (int32_t)i));
    }
    return status == PG_OK ? bulk_end(&s->bulk) : status;
}

static pg_status_t insert_rows(store_t *s, row_t **rows, size_t n)
{
    pg_status_t status = bulk_begin(&s->bulk, s->pg, insert_sql);
    for (size_t i = 0; status == PG_OK && i < n; i++) {
        if (s->todo[i] != TODO_INSERT) continue;
        char *p = bulk_room(&s->bulk, 2 + ITEM_COLUMNS * (COPY_CELL_MAX + 1) + texts_room(rows[i]), &status);
        if (p) bulk_wrote(&s->bulk, put_item(p, rows[i], s->stamp, s->tx));
    }
    return status == PG_OK ? bulk_end(&s->bulk) : status;
}

static size_t cell_ord(const PGresult *r, int row)
{
    uint32_t v;
    memcpy(&v, PQgetvalue(r, row, 0), 4);
    return be32toh(v);
}

static void plan(store_t *s, size_t i, todo_t todo)
{
    s->todo[i] = (uint8_t)todo;
    s->n_todo[todo]++;
}

// Judges what the look returned. careful: new rows are merged, too.
static void judge_rows(store_t *s, const PGresult *r, row_t **rows, size_t n, bool careful)
{
    for (int i = 0; i < PQntuples(r); i++) {
        size_t ord = cell_ord(r, i);
        CHECK(ord < n);
        bool there = !PQgetisnull(r, i, 1);
        stored_row_t stored;
        if (there)
            stored = (stored_row_t){.due = cell_time(r, i, 1),
                                    .first_seen = cell_time(r, i, 2),
                                    .absent = cell_time(r, i, 3),
                                    .content_hash = (uint64_t)cell_i64(r, i, 4),
                                    .fetched = cell_time(r, i, 7),
                                    .complete = *PQgetvalue(r, i, 5)};
        s->tx = (uint64_t)cell_i64(r, i, 6);
        if (!PQgetisnull(r, i, 8)) { // retention removed it: it stays known
            s->listed |= *PQgetvalue(r, i, 8);
            continue;
        }
        if (row_judge(rows[ord], there ? &stored : NULL))
            plan(s, ord, there || careful ? TODO_MERGE : TODO_INSERT);
    }
}

// Nothing is known of the rows yet, but that details are details.
static void start_plan(store_t *s, row_t **rows, size_t n, int64_t now)
{
    if (n > s->todo_cap) s->todo = xrealloc(s->todo, s->todo_cap = n);
    memset(s->n_todo, 0, sizeof s->n_todo);
    s->stamp = copy_timestamp(now);
    s->listed = false;
    for (size_t i = 0; i < n; i++) {
        rows[i]->verdict = VERDICT_known;
        plan(s, i, rows[i]->part == PART_DETAIL ? TODO_DETAIL : TODO_NONE);
    }
}

static pg_status_t look(store_t *s, row_t **rows, size_t n, bool careful)
{
    PGresult *r = NULL;
    pg_status_t status = pg_query(s->pg, look_sql, 0, NULL, NULL, NULL, &r);
    if (status == PG_OK) judge_rows(s, r, rows, n, careful);
    PQclear(r);
    return status;
}

static pg_status_t merge_staged(store_t *s, const char *statement)
{
    uint64_t stamp = htobe64((uint64_t)s->stamp);
    const char *values[] = {(const char *)&stamp};
    int lengths[] = {8}, formats[] = {1};
    return pg_execute(s->pg, statement, 1, values, lengths, formats, NULL);
}

// Says of which details the rows are not there, so that the miner sends all of it again.
static pg_status_t find_rowless(store_t *s, row_t **rows, size_t n)
{
    PGresult *r = NULL;
    pg_status_t status = pg_query(s->pg, rowless_sql, 0, NULL, NULL, NULL, &r);
    for (int i = 0; status == PG_OK && i < PQntuples(r); i++) {
        CHECK(cell_ord(r, i) < n);
        rows[cell_ord(r, i)]->verdict = VERDICT_lacks_detail;
    }
    PQclear(r);
    return status;
}

static pg_status_t merge_rows(store_t *s, row_t **rows, size_t n)
{
    pg_status_t status = stage_merges(s, rows, n);
    if (status == PG_OK && s->n_todo[TODO_MERGE]) status = merge_staged(s, "write");
    if (status == PG_OK && s->n_todo[TODO_DETAIL]) status = find_rowless(s, rows, n);
    if (status == PG_OK && s->n_todo[TODO_DETAIL]) status = merge_staged(s, "detail");
    return status;
}

// Commits, with the number of this commit.
static pg_status_t commit_mark(store_t *s, int64_t now)
{
    char sql[512];
    uint64_t number = s->mark->number + 1;
    snprintf(sql, sizeof sql,
             "INSERT INTO marks (sink, mark, marked_at, durable) VALUES (%" PRId64 ", %" PRIu64
             ", to_timestamp(%" PRId64
             " / 1000.0), %s) ON CONFLICT (sink) DO UPDATE SET mark = EXCLUDED.mark,"
             " marked_at = EXCLUDED.marked_at; NOTIFY rtm_items; COMMIT",
             (int64_t)s->mark->sink, number, now, s->mark->fd >= 0 ? "true" : "false");
    pg_status_t status = pg_run(s->pg, sql);
    if (status == PG_OK) mark_set(s->mark, number);
    return status;
}

// *left: where rows were inserted, those to be merged, which are still to be stored.
static pg_status_t try_rows(store_t *s, row_t **rows, size_t n, int64_t now, bool careful, size_t *left)
{
    start_plan(s, rows, n, now);
    pg_status_t status = stage_keys(s, rows, n);
    if (status == PG_OK) status = look(s, rows, n, careful);
    size_t inserts = s->n_todo[TODO_INSERT];
    size_t merges = s->n_todo[TODO_MERGE] + s->n_todo[TODO_DETAIL];
    *left = inserts ? merges : 0;
    if (status == PG_OK && inserts) status = insert_rows(s, rows, n);
    if (status == PG_OK && merges && !inserts) status = merge_rows(s, rows, n);
    if (status == PG_OK && s->listed) status = pg_run(s->pg, listed_sql);
    if (status == PG_OK) status = inserts + merges ? commit_mark(s, now) : pg_run(s->pg, "COMMIT");
    if (status == PG_OK) failpoint("sink_after_commit");
    return pg_roll_back(s->pg, status);
}

// Whether another sink came between: with a row that was new to us, or in the way of the locks that we took.
static bool came_between(const store_t *s)
{
    static const char unique_violation[] = "23505 ", deadlock[] = "40P01 ";
    const char *why = pg_reason(s->pg);
    return !strncmp(why, unique_violation, 6) || !strncmp(why, deadlock, 6);
}

// The rows of the last plan that are still to be merged, in their order; the caller frees the array.
static row_t **take_left(const store_t *s, row_t **rows, size_t n, size_t left)
{
    row_t **merges = xmalloc(left * sizeof *merges);
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        if (s->todo[i] == TODO_MERGE || s->todo[i] == TODO_DETAIL) merges[at++] = rows[i];
    CHECK(at == left);
    return merges;
}

pg_status_t store_rows(store_t *s, row_t **rows, size_t n, int64_t now)
{
    size_t left = 0;
    if (n == 0) return PG_OK;
    pg_status_t status = try_rows(s, rows, n, now, false, &left);
    for (int i = 0; i < RETRIES && status != PG_OK && came_between(s); i++) {
        if (status == PG_FAILED)
            status = pg_roll_back(s->pg, PG_REFUSED); // the deadlock took only the transaction
        if (status == PG_REFUSED) status = try_rows(s, rows, n, now, true, &left);
    }
    if (status != PG_OK || !left) return status;
    row_t **merges = take_left(s, rows, n, left);
    status = store_rows(s, merges, left, now);
    free(merges);
    return status;
}

pg_t *store_pg(store_t *s)
{
    return s->pg;
}
