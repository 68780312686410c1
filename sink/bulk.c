#include "sink/bulk.h"

#include "sink/copy.h"

enum {
    CHUNK = 256 << 10, // bytes handed to libpq at once
    MAX_ROW = 8 << 20, // bytes of one encoded row, cleaned texts included
};

void bulk_init(bulk_t *b)
{
    *b = (bulk_t){0};
    buf_init(&b->out, CHUNK + MAX_ROW);
}

void bulk_free(bulk_t *b)
{
    buf_free(&b->out);
}

char *bulk_room(bulk_t *b, size_t len, pg_status_t *status)
{
    if (b->out.len >= CHUNK) {
        *status = pg_copy_put(b->pg, b->out.data, b->out.len);
        buf_reset(&b->out);
        if (*status != PG_OK) return NULL;
    }
    if (buf_reserve(&b->out, len)) {
        *status = PG_REFUSED; // one row beyond MAX_ROW, which limits.h makes impossible
        return NULL;
    }
    return b->out.data + b->out.len;
}

void bulk_wrote(bulk_t *b, const char *end)
{
    b->out.len = (size_t)(end - b->out.data);
}

pg_status_t bulk_begin(bulk_t *b, pg_t *pg, const char *sql)
{
    b->pg = pg;
    pg_status_t status = pg_copy_begin(pg, sql);
    buf_reset(&b->out);
    char *p = status == PG_OK ? bulk_room(b, COPY_HEADER, &status) : NULL;
    if (p) bulk_wrote(b, copy_header(p));
    return status;
}

pg_status_t bulk_end(bulk_t *b)
{
    pg_status_t status = PG_OK;
    char *p = bulk_room(b, COPY_TRAILER, &status);
    if (!p) return status;
    bulk_wrote(b, copy_trailer(p));
    status = pg_copy_put(b->pg, b->out.data, b->out.len);
    buf_reset(&b->out);
    return status == PG_OK ? pg_copy_end(b->pg) : status;
}
