// Store, its statements. `s` is a row that came in, `i` the row of `items` that it meets.
#ifndef RTM_SINK_STORE_SQL_H
#define RTM_SINK_STORE_SQL_H

#include "sink/store.h" // RETENTION_LOCK

// clang-format off

// One connection does one kind of work, so its planner is told: look up keys in an index, always. And never
// keep a plan: one that was made while `items` was empty may look up whole sources instead of keys. (A
// statement without parameters, as the look is, would keep its plan whatever the mode, so it is not
// prepared.)
static const char session_sql[] =
    "SET synchronous_commit = on; SET statement_timeout = '30s'; SET lock_timeout = '15s';"
    "SET idle_in_transaction_session_timeout = '60s'; SET timezone = 'UTC'; SET jit = off;"
    "SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_custom_plan;"
    "SET temp_buffers = '32MB'; SET work_mem = '32MB'";

// -- the look -------------------------------------------------------------------------------------------

static const char keys_sql[] =
    "CREATE TEMPORARY TABLE rtm_keys ("
    "ord integer, part smallint, wants_detail boolean, bump boolean, source_id bigint, content_hash bigint,"
    " poll timestamptz, first_seen_at timestamptz, last_absent_at timestamptz, key text COLLATE \"C\")"
    " ON COMMIT DELETE ROWS";

// The lock keeps retention out between look and write: what it removes meanwhile would come back.
static const char keys_copy_sql[] =
    "BEGIN; SELECT pg_advisory_xact_lock_shared(" RETENTION_LOCK ");"
    " COPY rtm_keys FROM STDIN (FORMAT binary)";

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

// -- new rows -------------------------------------------------------------------------------------------

#define COLUMNS \
    "(source_id, template_id, poll, published_at, content_hash, first_seen_at, last_absent_at, fetched_at," \
    " stored_at, updated_at, detail_at, detail_poll, tx, revision, cause, backfill, key, url, title, author," \
    " summary, content, image, url_norm, fields)"

static const char insert_sql[] = "COPY items " COLUMNS " FROM STDIN (FORMAT binary)";

// -- rows that are there --------------------------------------------------------------------------------

static const char stage_sql[] =
    "CREATE TEMPORARY TABLE rtm_stage ("
    "ord integer, part smallint, cause smallint, wants_detail boolean, bump boolean, backfill boolean,"
    " source_id bigint, template_id bigint, content_hash bigint, poll timestamptz, published_at timestamptz,"
    " first_seen_at timestamptz, last_absent_at timestamptz, fetched_at timestamptz, key text COLLATE \"C\","
    " url text, title text, author text, summary text, content text, image text, url_norm text, fields jsonb)"
    " ON COMMIT DELETE ROWS";

static const char stage_copy_sql[] = "COPY rtm_stage FROM STDIN (FORMAT binary)";

// COLUMNS of a row that was staged. $1: broker time.
#define STAGED(detail_at, detail_poll) \
    "s.source_id, s.template_id, s.poll, s.published_at, s.content_hash, s.first_seen_at, s.last_absent_at," \
    " s.fetched_at, $1::timestamptz, $1::timestamptz, " detail_at ", " detail_poll ", pg_current_xact_id(), 1," \
    " s.cause, s.backfill, s.key, s.url, s.title, s.author, s.summary, s.content, s.image, s.url_norm, s.fields"

// A column of the merged row: the new version's value where `wins`, but a value that is absent never covers
// one that is there.
#define MERGED(wins, c) \
    #c " = CASE WHEN " wins " THEN COALESCE(EXCLUDED." #c ", i." #c ")" \
    " ELSE COALESCE(i." #c ", EXCLUDED." #c ") END, "
// A date that was counted back keeps its words in `fields`, "3 hours ago". The first one is the best.
#define COUNTED_BACK "(EXCLUDED.fields ?| '{published,published_at,date}')"
#define MERGED_TEXTS(wins) \
    MERGED(wins, url) \
    MERGED(wins, title) \
    MERGED(wins, author) \
    MERGED(wins, summary) \
    MERGED(wins, content) \
    MERGED(wins, image) \
    MERGED(wins, url_norm) \
    MERGED("(" wins ") AND NOT " COUNTED_BACK, published_at) \
    "fields = CASE WHEN " wins " THEN i.fields || EXCLUDED.fields ELSE EXCLUDED.fields || i.fields END, "
// A column that follows one of the two versions.
#define FOLLOWS(wins, c) #c " = CASE WHEN " wins " THEN EXCLUDED." #c " ELSE i." #c " END, "

// Two miners may have polled one due, the second because the first was silent: the later fetch is newer.
#define CHANGED \
    "((EXCLUDED.poll, EXCLUDED.fetched_at) > (i.poll, i.fetched_at)" \
    " AND EXCLUDED.content_hash <> i.content_hash)"
#define COMPLETED "(EXCLUDED.detail_at IS NOT NULL AND i.detail_at IS NULL)"
#define FIRST     "LEAST(i.first_seen_at, EXCLUDED.first_seen_at)"
#define ABSENT    "LEAST(i.last_absent_at, EXCLUDED.last_absent_at)"

static const char write_sql[] =
    "INSERT INTO items AS i " COLUMNS
    " SELECT " STAGED("CASE WHEN s.part = 3 THEN $1::timestamptz END", "CASE WHEN s.part = 3 THEN s.poll END")
    " FROM rtm_stage s WHERE s.part <> 1 ORDER BY s.ord"
    " ON CONFLICT (source_id, key) DO UPDATE SET "
    MERGED_TEXTS(CHANGED)
    FOLLOWS(CHANGED, content_hash)
    FOLLOWS(CHANGED, fetched_at)
    FOLLOWS(CHANGED " OR " COMPLETED, updated_at)
    FOLLOWS(CHANGED " OR " COMPLETED, tx)
    FOLLOWS("EXCLUDED.poll < i.poll", backfill)
    "detail_at = CASE WHEN " CHANGED " THEN COALESCE(EXCLUDED.detail_at, i.detail_at)"
    " ELSE COALESCE(i.detail_at, EXCLUDED.detail_at) END,"
    " detail_poll = GREATEST(i.detail_poll, EXCLUDED.detail_poll),"
    " revision = i.revision + CASE WHEN " CHANGED " THEN 1 ELSE 0 END,"
    " poll = GREATEST(i.poll, EXCLUDED.poll),"
    " first_seen_at = " FIRST ","
    " last_absent_at = CASE WHEN i.last_absent_at IS NULL AND EXCLUDED.poll >= i.poll THEN NULL"
    " WHEN " ABSENT " < " FIRST " THEN " ABSENT " END"
    " WHERE EXCLUDED.poll > i.poll OR " CHANGED
    " OR EXCLUDED.first_seen_at < i.first_seen_at"
    " OR EXCLUDED.last_absent_at < i.last_absent_at OR " COMPLETED
    " OR (i.last_absent_at IS NULL AND EXCLUDED.last_absent_at IS NOT NULL AND EXCLUDED.poll < i.poll)";

// -- details of older polls -----------------------------------------------------------------------------

// They only fill what is empty, and make no row: one that is not there was lost, or waits in the spool, and a
// row of details alone would keep it out.
static const char detail_sql[] =
    "INSERT INTO items AS i " COLUMNS " SELECT " STAGED("$1::timestamptz", "s.poll")
    " FROM rtm_stage s WHERE s.part = 1"
    " AND EXISTS (SELECT FROM items e WHERE e.source_id = s.source_id AND e.key = s.key)"
    " ORDER BY s.ord ON CONFLICT (source_id, key) DO UPDATE SET "
    MERGED_TEXTS("EXCLUDED.poll >= i.poll")
    "detail_at = EXCLUDED.detail_at, detail_poll = EXCLUDED.detail_poll, updated_at = EXCLUDED.updated_at,"
    " tx = EXCLUDED.tx WHERE i.detail_poll IS NULL OR EXCLUDED.detail_poll > i.detail_poll";

static const char rowless_sql[] =
    "SELECT s.ord FROM rtm_stage s WHERE s.part = 1"
    " AND NOT EXISTS (SELECT FROM items i WHERE i.source_id = s.source_id AND i.key = s.key)"
    " AND NOT EXISTS (SELECT FROM gone g WHERE g.source_id = s.source_id"
    " AND g.key_hash = hashtextextended(s.key, 0))";

// -- what retention removed, and databases that came back to an earlier state ----------------------------

// Locked in the order of the key, as by every sink.
static const char listed_sql[] =
    "UPDATE gone g SET listed_at = now() FROM (SELECT l.source_id, l.key_hash FROM rtm_keys s JOIN gone l"
    " ON l.source_id = s.source_id AND l.key_hash = hashtextextended(s.key, 0)"
    " WHERE l.listed_at < now() - interval '12 hours' ORDER BY 1, 2 FOR UPDATE OF l) l"
    " WHERE g.source_id = l.source_id AND g.key_hash = l.key_hash";

// Its own row, else the newest of all says how old the database is.
static const char mark_look_sql[] =
    "SELECT m.mark,"
    " (extract(epoch FROM COALESCE(m.marked_at, (SELECT max(marked_at) FROM marks))) * 1000)::bigint"
    " FROM (SELECT 1) one LEFT JOIN marks m ON m.sink = $1::bigint";

// clang-format on

#endif
