// Migrate: an advisory lock lets one sink at a time look and apply. A schema that is up to date is only
// looked at, so the sink's role then needs no right to create anything.
#include "sink/migrate.h"

#include <endian.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/log.h"

enum { MAX_MIGRATION = 1 << 20 };

static const struct {
    int number;
    const char *name, *sql;
} migrations[] = {
#include "sink/migrations.inc"
};

enum { N_MIGRATIONS = sizeof migrations / sizeof migrations[0] };

#define LOCK   "SELECT pg_advisory_lock(8246731402)" // any number, but the same in every sink
#define UNLOCK "SELECT pg_advisory_unlock(8246731402)"

// The number of the newest migration in the database, 0 if there is none.
static pg_status_t newest(pg_t *pg, int *number)
{
    PGresult *r = NULL;
    *number = 0;
    pg_status_t status =
        pg_query(pg, "SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL", 0, NULL, NULL, NULL, &r);
    bool there = status == PG_OK && PQntuples(r) == 1;
    PQclear(r);
    if (!there) return status;
    status =
        pg_query(pg, "SELECT COALESCE(max(number), 0)::int4 FROM schema_migrations", 0, NULL, NULL, NULL, &r);
    if (status != PG_OK) return status;
    uint32_t n;
    memcpy(&n, PQgetvalue(r, 0, 0), 4);
    *number = (int)be32toh(n);
    PQclear(r);
    return PG_OK;
}

static pg_status_t apply(pg_t *pg, int i)
{
    buf_t sql;
    buf_init(&sql, MAX_MIGRATION);
    int built = buf_printf(
        &sql, "BEGIN;\n%s\nINSERT INTO schema_migrations (number, name) VALUES (%d, '%s');\nCOMMIT;",
        migrations[i].sql, migrations[i].number, migrations[i].name);
    CHECK(built == 0);
    pg_status_t status = pg_run(pg, buf_cstr(&sql));
    buf_free(&sql);
    if (status == PG_OK)
        log_info("migration", "number=%d name=%s", migrations[i].number, migrations[i].name);
    else
        log_error("migration_failed", "number=%d reason=\"%s\"", migrations[i].number, pg_reason(pg));
    return status;
}

static pg_status_t apply_missing(pg_t *pg)
{
    int have;
    pg_status_t status =
        pg_run(pg, "CREATE TABLE IF NOT EXISTS schema_migrations (number int PRIMARY KEY, name text "
                   "NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())");
    if (status == PG_OK) status = newest(pg, &have);
    for (int i = 0; status == PG_OK && i < N_MIGRATIONS; i++)
        if (migrations[i].number > have) status = apply(pg, i);
    return status;
}

pg_status_t migrate(pg_t *pg)
{
    int have, known = migrations[N_MIGRATIONS - 1].number;
    pg_status_t status = newest(pg, &have);
    if (status != PG_OK || have == known) return status;
    if (have > known) {
        log_error("schema_too_new", "database=%d program=%d", have, known);
        return PG_FAILED;
    }
    status = pg_run(pg, LOCK);
    if (status == PG_OK) status = apply_missing(pg);
    if (status == PG_OK) status = pg_run(pg, UNLOCK); // else the session ends, and the lock with it
    return status == PG_REFUSED ? PG_FAILED : status;
}
