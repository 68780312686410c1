// Proofs: what polls say of continuity, into the columns of `sources` and the rows of `gaps`.
#ifndef RTM_SINK_PROOFS_H
#define RTM_SINK_PROOFS_H

#include "common/map.h"
#include "sink/group.h"
#include "sink/pg.h"

// What this connection has written; zeroed at first.
typedef struct {
    map_t known; // source -> continuity
} proofs_t;

// Another database may be there: nothing is known to be in it.
void proofs_forget(proofs_t *proofs);
// Commits what the group's polls prove and the database does not know. Its sources are defined. now: broker
// ms.
pg_status_t proofs_commit(proofs_t *proofs, pg_t *pg, const group_t *group, int64_t now);

#endif
