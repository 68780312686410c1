// Store: what the writer does in Postgres: opens a session on the schema, writes rows of a group in one
// transaction, keeps what was refused. Each call is whole or nothing, and safe to repeat.
#ifndef RTM_SINK_STORE_H
#define RTM_SINK_STORE_H

#include "sink/group.h"
#include "sink/mark.h"
#include "sink/pg.h"

typedef struct store store_t;

// Writers hold it shared while they commit, retention alone while it removes: an advisory lock's number.
#define RETENTION_LOCK "8246731403"

// See pg_new. mark is borrowed.
store_t *store_new(const char *conninfo, mark_t *mark, int stop_fd, int64_t stop_grace_ms);
void store_destroy(store_t **store);
// See pg_on_idle.
void store_on_idle(store_t *store, int fd, pg_idle_fn *work, void *context);

// Connects, migrates, prepares. PG_OK or PG_FAILED: store_reason.
pg_status_t store_open(store_t *store);
void store_close(store_t *store);
// Whether the database came back in an earlier state since this process started; *since: broker ms of the
// newest commit it had then, 0: unknown.
bool store_was_restored(const store_t *store, int64_t *since);
void store_where(const store_t *store, char *out, size_t size);
const char *store_reason(const store_t *store);

// Makes known what templates and sources the group's batches name. now: broker ms, here and below.
pg_status_t store_definitions(store_t *store, const group_t *group, int64_t now);
// Commits rows[0 .. n) (a part of group->staged, in its order, not both details and others) and sets their
// verdicts.
pg_status_t store_rows(store_t *store, row_t **rows, size_t n, int64_t now);
// Its connection, for what needs no more.
pg_t *store_pg(store_t *store);

#endif
