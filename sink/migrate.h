// Migrate: brings the database's schema to what this program was built with. The SQL files of sink/migrations
// are embedded; each is applied once, in order, in its own transaction. Any number of sinks may start at
// once.
#ifndef RTM_SINK_MIGRATE_H
#define RTM_SINK_MIGRATE_H

#include "sink/pg.h"

// PG_OK: the schema is the one this program knows. Else pg_reason, or the log if the schema is a newer one.
pg_status_t migrate(pg_t *pg);

#endif
