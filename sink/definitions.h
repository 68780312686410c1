// Definitions: what batches say of the templates and sources that their polls are of, into the tables of
// these.
#ifndef RTM_SINK_DEFINITIONS_H
#define RTM_SINK_DEFINITIONS_H

#include "common/map.h"
#include "sink/bulk.h"
#include "sink/group.h"
#include "sink/pg.h"

// What this connection has written; zeroed at first.
typedef struct {
    map_t known; // id of a template or source -> hash of what the database has
} definitions_t;

// For a new connection.
pg_status_t definitions_prepare(definitions_t *definitions, pg_t *pg);
// The database may be another one: nothing is known to be in it. Frees what was remembered.
void definitions_forget(definitions_t *definitions);
// Commits what the group's batches name and the database does not know. now: broker ms.
pg_status_t definitions_commit(definitions_t *definitions, bulk_t *bulk, pg_t *pg, const group_t *group,
                               int64_t now);

#endif
