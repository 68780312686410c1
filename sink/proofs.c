// Proofs: gathered into arrays, one statement a group, and none if all is known, as it is nearly always.
#include "sink/proofs.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/check.h"
#include "sink/copy.h"

enum {
    KNOWN_MAX = 200000,    // sources
    ARRAY_BYTES = 1 << 20, // of one column; what does not fit goes with a further statement
    ROWS_MAX = 10000,
};

// One column each: source, poll, continuity, since, reason, found, until.
enum { ID, POLL, CONTINUITY, SINCE, REASON, FOUND, UNTIL, COLUMNS };

// A gap that a later poll tells again (the first one's outcome was lost) stays one row, and so do gaps that
// follow each other without a break, as those of a list that cannot keep up. t: the one row that a gap goes
// on with. A poll that has told is not heard twice: its row may have gone on.
static const char proof_sql[] =
    "WITH v AS (SELECT id, to_timestamp(poll / 1000.0) AS poll, continuity,"
    " to_timestamp(since / 1000.0) AS since, reason, found, to_timestamp(until / 1000.0) AS until"
    " FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bigint[],"
    " $7::bigint[]) AS t(id, poll, continuity, since, reason, found, until)),"

    " told AS (UPDATE sources s SET continuity = n.continuity, continuity_poll = n.poll FROM"
    " (SELECT DISTINCT ON (id) id, poll, continuity FROM v WHERE continuity <> 'unknown'"
    " ORDER BY id, poll DESC) n"
    " WHERE s.source_id = n.id AND (s.continuity_poll IS NULL OR s.continuity_poll <= n.poll)),"

    " g AS (SELECT DISTINCT ON (id, since) *,"
    " CASE WHEN continuity = 'continuous' THEN $8::timestamptz END AS closed"
    " FROM v WHERE since IS NOT NULL AND NOT EXISTS"
    " (SELECT FROM gaps o WHERE o.source_id = v.id AND o.poll = v.poll) ORDER BY id, since, poll DESC),"

    " t AS (SELECT DISTINCT ON (g.id, g.since) g.id, g.since, o.poll AS at FROM g JOIN gaps o"
    " ON o.source_id = g.id AND (o.since = g.since OR (o.since < g.since AND o.until >= g.since"
    " AND (o.closed_at IS NULL) = (g.closed IS NULL))) ORDER BY g.id, g.since, o.since DESC, o.poll DESC),"

    " again AS (UPDATE gaps o SET poll = n.poll, until = n.until, reason = n.reason, closed_at = n.closed,"
    " found = CASE WHEN o.since = n.since THEN n.found ELSE o.found + n.found END"
    " FROM (SELECT DISTINCT ON (t.id, t.at) g.*, t.at FROM g JOIN t USING (id, since)"
    " ORDER BY t.id, t.at, g.poll DESC) n WHERE o.source_id = n.id AND o.poll = n.at AND o.poll < n.poll)"

    " INSERT INTO gaps (source_id, poll, since, until, reason, found, closed_at)"
    " SELECT id, poll, since, until, reason, found, closed FROM g WHERE NOT EXISTS"
    " (SELECT FROM t WHERE t.id = g.id AND t.since = g.since) ON CONFLICT DO NOTHING";

void proofs_forget(proofs_t *p)
{
    map_free(&p->known);
    map_init(&p->known);
}

static bool is_news(proofs_t *p, const wire_poll_t *poll)
{
    if (poll->gap_since) return true;
    if (!poll->continuity) return false;
    void *value = (void *)(uintptr_t)poll->continuity; // NOLINT(performance-no-int-to-ptr): a number
    return map_get(&p->known, poll->source) != value;
}

static void note(proofs_t *p, const wire_poll_t *poll)
{
    if (!poll->continuity) return;
    if (p->known.count >= KNOWN_MAX) proofs_forget(p);
    void *value = (void *)(uintptr_t)poll->continuity; // NOLINT(performance-no-int-to-ptr): a number
    map_put(&p->known, poll->source, value);
}

// Rows on their way, as the texts of arrays.
typedef struct {
    buf_t arrays[COLUMNS];
    size_t n;
} rows_t;

static void put(buf_t *array, size_t n, const char *text)
{
    CHECK(buf_printf(array, "%s%s", n ? "," : "{", text) == 0);
}

static void put_number(buf_t *array, size_t n, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    put(array, n, text);
}

static void add(rows_t *rows, const wire_poll_t *poll)
{
    int64_t found = poll->gap_found > INT32_MAX ? INT32_MAX : (int64_t)poll->gap_found;
    put_number(&rows->arrays[ID], rows->n, (int64_t)poll->source);
    put_number(&rows->arrays[POLL], rows->n, poll->due);
    put(&rows->arrays[CONTINUITY], rows->n, wire_continuity_name(poll->continuity));
    if (poll->gap_since)
        put_number(&rows->arrays[SINCE], rows->n, poll->gap_since);
    else
        put(&rows->arrays[SINCE], rows->n, "NULL");
    put(&rows->arrays[REASON], rows->n, wire_gap_reason_name(poll->gap_reason));
    put_number(&rows->arrays[FOUND], rows->n, found);
    put_number(&rows->arrays[UNTIL], rows->n, poll->started ? poll->started : poll->due);
    rows->n++;
}

static pg_status_t flush(rows_t *rows, pg_t *pg, int64_t now)
{
    uint64_t stamp = htobe64((uint64_t)copy_timestamp(now));
    const char *values[COLUMNS + 1];
    int lengths[COLUMNS + 1] = {0}, formats[COLUMNS + 1] = {0};
    if (rows->n == 0) return PG_OK;
    for (int i = 0; i < COLUMNS; i++) {
        CHECK(buf_puts(&rows->arrays[i], "}") == 0);
        values[i] = buf_cstr(&rows->arrays[i]);
    }
    values[COLUMNS] = (const char *)&stamp;
    lengths[COLUMNS] = 8;
    formats[COLUMNS] = 1;
    pg_status_t status = pg_query(pg, proof_sql, COLUMNS + 1, values, lengths, formats, NULL);
    for (int i = 0; i < COLUMNS; i++) buf_reset(&rows->arrays[i]);
    rows->n = 0;
    return status;
}

static pg_status_t commit_batch(proofs_t *p, rows_t *rows, pg_t *pg, const wire_batch_t *b, int64_t now)
{
    pg_status_t status = PG_OK;
    for (size_t i = 0; status == PG_OK && i < b->polls.n; i++) {
        if (!is_news(p, &b->polls.v[i])) continue;
        note(p, &b->polls.v[i]);
        add(rows, &b->polls.v[i]);
        if (rows->n == ROWS_MAX) status = flush(rows, pg, now);
    }
    return status;
}

pg_status_t proofs_commit(proofs_t *p, pg_t *pg, const group_t *g, int64_t now)
{
    rows_t rows = {.n = 0};
    pg_status_t status = PG_OK;
    for (int i = 0; i < COLUMNS; i++) buf_init(&rows.arrays[i], ARRAY_BYTES);
    for (size_t i = 0; status == PG_OK && i < g->n_batches; i++)
        status = commit_batch(p, &rows, pg, g->batches[i].batch, now);
    if (status == PG_OK) status = flush(&rows, pg, now);
    for (int i = 0; i < COLUMNS; i++) buf_free(&rows.arrays[i]);
    if (status != PG_OK) proofs_forget(p);
    return status;
}
