// Rejects: the table of items that Postgres refused, each with its reason and a BATCH that holds just this
// item.
#ifndef RTM_SINK_REJECTS_H
#define RTM_SINK_REJECTS_H

#include "sink/group.h"
#include "sink/pg.h"

// Keeps a row that Postgres refuses. now: broker ms.
pg_status_t rejects_keep(pg_t *pg, const row_t *row, const char *reason, int64_t now);

// One of the table's rows; all zero: before the first.
typedef struct {
    PGresult *row; // NULL: there is none (any more)
    int64_t source;
    int16_t part;
    const char *key, *batch;
    size_t batch_len;
} reject_t;

// Goes on to the next in the order of their keys.
pg_status_t rejects_next(pg_t *pg, reject_t *reject);
// Deletes it, unless a newer version of the item was refused meanwhile.
pg_status_t rejects_remove(pg_t *pg, const reject_t *reject);
void reject_free(reject_t *reject);

#endif
