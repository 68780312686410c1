// Bulk: rows on their way to Postgres by COPY, gathered into chunks. Cells are written as copy.h has them.
#ifndef RTM_SINK_BULK_H
#define RTM_SINK_BULK_H

#include "common/buf.h"
#include "sink/pg.h"

typedef struct {
    pg_t *pg;  // borrowed, of the COPY under way
    buf_t out; // what was not sent yet
} bulk_t;

void bulk_init(bulk_t *bulk);
void bulk_free(bulk_t *bulk);
// Begins a COPY by sql, which may hold statements before it. Then for each row bulk_room, its cells,
// bulk_wrote; at last bulk_end.
pg_status_t bulk_begin(bulk_t *bulk, pg_t *pg, const char *sql);
// Room for len more bytes, after sending what is there if that is enough for a chunk. NULL: *status says why.
char *bulk_room(bulk_t *bulk, size_t len, pg_status_t *status);
// end: the place behind the last cell that was written into the room.
void bulk_wrote(bulk_t *bulk, const char *end);
pg_status_t bulk_end(bulk_t *bulk);

#endif
