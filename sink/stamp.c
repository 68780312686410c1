// Stamp: until no item is left that is ahead.
#include "sink/stamp.h"

#include <endian.h>
#include <string.h>

#include "common/log.h"

// Each statement is a transaction with an id of its own, which is then no longer ahead.
static const char stamp_sql[] =
    "WITH ahead AS (SELECT source_id, key FROM items WHERE tx >= pg_snapshot_xmax(pg_current_snapshot())"
    " ORDER BY tx LIMIT 10000), done AS (UPDATE items i SET tx = pg_current_xact_id() FROM ahead a"
    " WHERE i.source_id = a.source_id AND i.key = a.key RETURNING 1) SELECT count(*) FROM done";

pg_status_t stamp_items(pg_t *pg)
{
    uint64_t total = 0, n = 1;
    pg_status_t status = PG_OK;
    while (status == PG_OK && n > 0) {
        PGresult *r = NULL;
        status = pg_query(pg, stamp_sql, 0, NULL, NULL, NULL, &r);
        if (status != PG_OK) break;
        memcpy(&n, PQgetvalue(r, 0, 0), 8);
        n = be64toh(n);
        total += n;
        PQclear(r);
    }
    if (total)
        log_warn("restamped", "items=%llu reason=\"the database was loaded from a dump\"",
                 (unsigned long long)total);
    return status;
}
