// Rejects: see the header.
#include "sink/rejects.h"

#include <endian.h>
#include <string.h>

#include "common/buf.h"
#include "sink/copy.h"

static const char keep_sql[] =
    "INSERT INTO rejects (source_id, key, part, poll, reason, rejected_at, batch) VALUES"
    " ($1::bigint, $2, $3::smallint, $4::timestamptz, $5, $6::timestamptz, $7::bytea)"
    " ON CONFLICT (source_id, key, part) DO UPDATE SET poll = EXCLUDED.poll, reason = EXCLUDED.reason,"
    " rejected_at = EXCLUDED.rejected_at, batch = EXCLUDED.batch WHERE EXCLUDED.poll >= rejects.poll";

static const char next_sql[] = "SELECT source_id, part, key, poll, batch FROM rejects"
                               " WHERE $4::boolean OR (source_id, key, part) > ($1::bigint, $2, $3::smallint)"
                               " ORDER BY source_id, key, part LIMIT 1";

static const char remove_sql[] =
    "DELETE FROM rejects WHERE source_id = $1::bigint AND key = $2 AND part = $3::smallint"
    " AND poll = $4::timestamptz";

// A BATCH that holds only this row's item.
static int single_batch(buf_t *out, const row_t *row)
{
    const wire_sink_source_t *source = batch_source(row->batch, row->source);
    const wire_sink_template_t *template = batch_template(row->batch, row->template_id);
    wire_item_t item = *row->item;
    wire_poll_t poll = *row->poll;
    wire_sink_source_t one_source = *source;
    wire_sink_template_t one_template = *template;
    item.poll = 0;
    wire_batch_t one = {.seq = 1,
                        .templates = {&one_template, 1},
                        .sources = {&one_source, 1},
                        .polls = {&poll, 1},
                        .items = {&item, 1}};
    return wire_encode(out, WIRE_TYPE_BATCH, &one);
}

pg_status_t rejects_keep(pg_t *pg, const row_t *row, const char *reason, int64_t now)
{
    uint64_t source = htobe64(row->source), due = htobe64((uint64_t)copy_timestamp(row->poll->due)),
             stamp = htobe64((uint64_t)copy_timestamp(now));
    uint16_t part = htobe16(row->part);
    buf_t batch;
    buf_init(&batch, MAX_BATCH_MESSAGE);
    if (single_batch(&batch, row)) buf_reset(&batch);
    const char *values[] = {(char *)&source,
                            row->key,
                            (char *)&part,
                            (char *)&due,
                            reason,
                            (char *)&stamp,
                            batch.len ? batch.data : ""};
    int lengths[] = {8, (int)row->key_len, 2, 8, (int)strlen(reason), 8, (int)batch.len};
    int formats[] = {1, 1, 1, 1, 1, 1, 1};
    pg_status_t status = pg_query(pg, keep_sql, 7, values, lengths, formats, NULL);
    buf_free(&batch);
    return status;
}

// -- going through them -----------------------------------------------------------------------------------

enum { COLUMN_SOURCE, COLUMN_PART, COLUMN_KEY, COLUMN_POLL, COLUMN_BATCH };

static void read_row(reject_t *reject)
{
    uint64_t source;
    uint16_t part;
    memcpy(&source, PQgetvalue(reject->row, 0, COLUMN_SOURCE), sizeof source);
    memcpy(&part, PQgetvalue(reject->row, 0, COLUMN_PART), sizeof part);
    reject->source = (int64_t)be64toh(source);
    reject->part = (int16_t)be16toh(part);
    reject->key = PQgetvalue(reject->row, 0, COLUMN_KEY);
    reject->batch = PQgetvalue(reject->row, 0, COLUMN_BATCH);
    reject->batch_len = (size_t)PQgetlength(reject->row, 0, COLUMN_BATCH);
}

// Runs sql with the place of reject and one value more.
static pg_status_t at_place(pg_t *pg, const char *sql, const reject_t *reject, const char *last, int last_len,
                            PGresult **result)
{
    uint64_t source = htobe64((uint64_t)reject->source);
    uint16_t part = htobe16((uint16_t)reject->part);
    const char *values[] = {(char *)&source, reject->key ? reject->key : "", (char *)&part, last};
    int lengths[] = {8, reject->key ? PQgetlength(reject->row, 0, COLUMN_KEY) : 0, 2, last_len};
    return pg_query(pg, sql, 4, values, lengths, (int[]){1, 1, 1, 1}, result);
}

pg_status_t rejects_next(pg_t *pg, reject_t *reject)
{
    PGresult *row = NULL;
    char first = !reject->row;
    pg_status_t status = at_place(pg, next_sql, reject, &first, 1, &row);
    if (status != PG_OK) return status;
    reject_free(reject);
    if (PQntuples(row) == 0) {
        PQclear(row);
        return PG_OK;
    }
    reject->row = row;
    read_row(reject);
    return PG_OK;
}

pg_status_t rejects_remove(pg_t *pg, const reject_t *reject)
{
    return at_place(pg, remove_sql, reject, PQgetvalue(reject->row, 0, COLUMN_POLL), 8, NULL);
}

void reject_free(reject_t *reject)
{
    PQclear(reject->row);
    *reject = (reject_t){0};
}
