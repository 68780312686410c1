// Stamp: mends what readers go by after a database was loaded from a dump. Transaction ids start anew there,
// while its items keep those of the former server; none of them would be readable until the new ones have
// caught up.
#ifndef RTM_SINK_STAMP_H
#define RTM_SINK_STAMP_H

#include "sink/pg.h"

// Gives items whose transaction has not come yet the ids of new ones, some at a time, in the order they had.
// Looks into one index only if there are none.
pg_status_t stamp_items(pg_t *pg);

#endif
