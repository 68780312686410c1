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

// -- SQL ----------------------------------------------------------------------------------------------

// One connection does one kind of work, so its planner is told: look up keys in an index, always. And never
// keep a plan: one that was made while `items` was empty may look up whole sources instead of keys. (A
// statement without parameters, as the look is, would keep its plan whatever the mode, so it is not
// prepared.)
static const char session_sql[] =
    "SET synchronous_commit = on; SET statement_timeout = '30s'; SET lock_timeout = '15s';"
    "SET idle_in_transaction_session_timeout = '60s'; SET timezone = 'UTC'; SET jit = off;"
    "SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_custom_plan;"
    "SET temp_buffers = '32MB'; SET work_mem = '32MB'";

static const char keys_sql[] =
    "CREATE TEMPORARY TABLE rtm_keys (ord integer, part smallint, wants_detail boolean, bump boolean,"
    " source_id bigint, content_hash bigint, poll timestamptz, first_seen_at timestamptz,"
    " last_absent_at timestamptz, key text COLLATE \"C\") ON COMMIT DELETE ROWS";

// The lock keeps retention out between look and write: what it removes meanwhile would come back.
static const char keys_copy_sql[] = "BEGIN; SELECT pg_advisory_xact_lock_shared(" RETENTION_LOCK
                                    "); COPY rtm_keys FROM STDIN (FORMAT binary)";

static const char stage_sql[] =
    "CREATE TEMPORARY TABLE rtm_stage (ord integer, part smallint, cause smallint, wants_detail boolean,"
    " bump boolean, backfill boolean, source_id bigint, template_id bigint, content_hash bigint, poll "
    "timestamptz,"
    " published_at timestamptz, first_seen_at timestamptz, last_absent_at timestamptz, fetched_at "
    "timestamptz,"
    " key text COLLATE \"C\", url text, title text, author text, summary text, content text, image text,"
    " url_norm text, fields jsonb) ON COMMIT DELETE ROWS";

static const char stage_copy_sql[] = "COPY rtm_stage FROM STDIN (FORMAT binary)";

static const char look_sql[] =
    "SELECT s.ord, i.poll, i.first_seen_at, i.last_absent_at, i.content_hash, i.detail_at IS NOT NULL,"
    " pg_current_xact_id(), i.fetched_at,"
    " CASE WHEN i.key IS NULL THEN (SELECT g.listed_at < now() - interval '12 hours' FROM gone g"
    " WHERE g.source_id = s.source_id AND g.key_hash = hashtextextended(s.key, 0)) END"
    " FROM rtm_keys s LEFT JOIN items i ON i.source_id = s.source_id AND i.key = s.key"
    " WHERE (i.key IS NULL OR i.content_hash <> s.content_hash"
    " OR (i.detail_at IS NULL AND (s.wants_detail OR s.part = 3)) OR (s.bump AND s.poll > i.poll)"
    " OR s.first_seen_at < i.first_seen_at OR s.last_absent_at < i.last_absent_at"
    " OR (i.last_absent_at IS NULL AND s.last_absent_at IS NOT NULL AND s.poll < i.poll))";

#define COLUMNS                                                                                            \
    "(source_id, template_id, poll, published_at, content_hash, first_seen_at, last_absent_at, "           \
    "fetched_at, stored_at, updated_at, detail_at, detail_poll, tx, revision, cause, backfill, key, url, " \
    "title, author, summary, content, image, url_norm, fields)"

static const char insert_sql[] = "COPY items " COLUMNS " FROM STDIN (FORMAT binary)";

#define STAGED(detail_at, detail_poll)                                                                  \
    "s.source_id, s.template_id, s.poll, s.published_at, s.content_hash, s.first_seen_at, "             \
    "s.last_absent_at, s.fetched_at, $1::timestamptz, $1::timestamptz, " detail_at ", " detail_poll     \
    ", pg_current_xact_id(), 1, "                                                                       \
    "s.cause, s.backfill, s.key, s.url, s.title, s.author, s.summary, s.content, s.image, s.url_norm, " \
    "s.fields"

// A column of the merged row: the new version's value where `wins`, but a value that is absent never covers
// one that is there.
#define MERGED(wins, c)                                                                                      \
#c " = CASE WHEN " wins " THEN COALESCE(EXCLUDED." #c ", i." #c ") ELSE COALESCE(i." #c ", EXCLUDED." #c \
       ") END, "
// A date that was counted back keeps its words in `fields`, "3 hours ago". The first one is the best.
#define COUNTED_BACK "(EXCLUDED.fields ?| '{published,published_at,date}')"
#define MERGED_TEXTS(wins)                                   \
    MERGED(wins, url)                                        \
    MERGED(wins, title)                                      \
    MERGED(wins, author)                                     \
    MERGED(wins, summary)                                    \
    MERGED(wins, content)                                    \
    MERGED(wins, image)                                      \
    MERGED(wins, url_norm)                                   \
    MERGED("(" wins ") AND NOT " COUNTED_BACK, published_at) \
    "fields = CASE WHEN " wins " THEN i.fields || EXCLUDED.fields ELSE EXCLUDED.fields || i.fields END, "
// A column that follows one of the two versions.
#define FOLLOWS(wins, c) #c " = CASE WHEN " wins " THEN EXCLUDED." #c " ELSE i." #c " END, "

// Two miners may have polled one due, the second because the first was silent: the later fetch is newer.
#define CHANGED                                                                                    \
    "((EXCLUDED.poll, EXCLUDED.fetched_at) > (i.poll, i.fetched_at) AND EXCLUDED.content_hash <> " \
    "i.content_hash)"
#define COMPLETED "(EXCLUDED.detail_at IS NOT NULL AND i.detail_at IS NULL)"
#define FIRST     "LEAST(i.first_seen_at, EXCLUDED.first_seen_at)"
#define ABSENT    "LEAST(i.last_absent_at, EXCLUDED.last_absent_at)"

static const char write_sql[] = "INSERT INTO items AS i " COLUMNS " SELECT " STAGED(
    "CASE WHEN s.part = 3 THEN $1::timestamptz END",
    "CASE WHEN s.part = 3 THEN s.poll END") " FROM rtm_stage s WHERE s.part <> 1 ORDER BY s.ord"
                                            " ON CONFLICT (source_id, key) DO UPDATE SET " MERGED_TEXTS(
                                                CHANGED) FOLLOWS(CHANGED, content_hash)
                                                FOLLOWS(CHANGED, fetched_at) FOLLOWS(CHANGED " OR " COMPLETED,
                                                                                     updated_at)
                                                    FOLLOWS(CHANGED " OR " COMPLETED, tx) FOLLOWS(
                                                        "EXCLUDED.poll < i.poll",
                                                        backfill) "detail_at = CASE WHEN " CHANGED
                                                                  " THEN COALESCE(EXCLUDED.detail_at, "
                                                                  "i.detail_at)"
                                                                  " ELSE COALESCE(i.detail_at, "
                                                                  "EXCLUDED.detail_at) END,"
                                                                  " detail_poll = GREATEST(i.detail_poll, "
                                                                  "EXCLUDED.detail_poll),"
                                                                  " revision = i.revision + CASE "
                                                                  "WHEN " CHANGED
                                                                  " THEN 1 ELSE 0 END, poll = "
                                                                  "GREATEST(i.poll, EXCLUDED.poll),"
                                                                  " first_seen_at = " FIRST
                                                                  ", last_absent_at = CASE WHEN "
                                                                  "i.last_absent_at IS NULL AND "
                                                                  "EXCLUDED.poll >= i.poll"
                                                                  " THEN NULL WHEN " ABSENT " < " FIRST
                                                                  " THEN " ABSENT " END"
                                                                  " WHERE EXCLUDED.poll > i.poll OR " CHANGED
                                                                  " OR "
                                                                  "EXCLUDED.first_seen_at < i.first_seen_at"
                                                                  " OR EXCLUDED.last_absent_at < "
                                                                  "i.last_absent_at OR " COMPLETED
                                                                  " OR (i.last_absent_at IS NULL AND "
                                                                  "EXCLUDED.last_absent_at IS NOT NULL AND "
                                                                  "EXCLUDED.poll < i.poll)";

// Details of an older poll than the row's only fill what is empty. They make no row: one that is not there
// was lost, or waits in the spool, and a row of details alone would keep it out.
static const char detail_sql[] = "INSERT INTO items AS i " COLUMNS " SELECT " STAGED(
    "$1::timestamptz",
    "s.poll") " FROM rtm_stage s WHERE s.part = 1 AND EXISTS (SELECT FROM items e WHERE"
              " e.source_id = s.source_id AND e.key = s.key)"
              " ORDER BY s.ord ON CONFLICT (source_id, key) DO UPDATE SET " MERGED_TEXTS(
                  "EXCLUDED.poll >= i.poll") "detail_at = EXCLUDED.detail_at, detail_poll = "
                                             "EXCLUDED.detail_poll, updated_at = EXCLUDED.updated_at,"
                                             " tx = EXCLUDED.tx WHERE i.detail_poll IS NULL OR "
                                             "EXCLUDED.detail_poll > i.detail_poll";

static const char rowless_sql[] =
    "SELECT s.ord FROM rtm_stage s WHERE s.part = 1"
    " AND NOT EXISTS (SELECT FROM items i WHERE i.source_id = s.source_id AND i.key = s.key)"
    " AND NOT EXISTS (SELECT FROM gone g WHERE g.source_id = s.source_id"
    " AND g.key_hash = hashtextextended(s.key, 0))";

// Locked in the order of the key, as by every sink.
static const char listed_sql[] =
    "UPDATE gone g SET listed_at = now() FROM (SELECT l.source_id, l.key_hash FROM rtm_keys s JOIN gone l"
    " ON l.source_id = s.source_id AND l.key_hash = hashtextextended(s.key, 0)"
    " WHERE l.listed_at < now() - interval '12 hours' ORDER BY 1, 2 FOR UPDATE OF l) l"
    " WHERE g.source_id = l.source_id AND g.key_hash = l.key_hash";

// Its own row, else the newest of all says how old the database is.
static const char mark_look_sql[] = "SELECT m.mark, (extract(epoch FROM COALESCE(m.marked_at, (SELECT "
                                    "max(marked_at) FROM marks))) * 1000)::bigint"
                                    " FROM (SELECT 1) one LEFT JOIN marks m ON m.sink = $1::bigint";

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
