// Archive: the tables of history and errors in the broker's file, and their bounds. Used by the store's
// thread, inside of its transactions. The oldest rows leave: when a source has more than HISTORY_A_SOURCE,
// when they are older than is kept, when there are more than so many in all. How many have left is counted
// (numbers history_dropped, errors_dropped).
#ifndef RTM_BROKER_ARCHIVE_H
#define RTM_BROKER_ARCHIVE_H

#include <stdint.h>

#include <sqlite3.h>

#include "broker/store.h"

enum {
    HISTORY_A_SOURCE = 200,  // rows
    ERROR_GROUPS_MAX = 2000, // kinds of errors that are told apart
};

typedef struct archive archive_t;

// NULL: db says why.
archive_t *archive_new(sqlite3 *db);
void archive_destroy(archive_t **archive);
// keep_ms: older rows leave; rows: kept at most.
void archive_bound(archive_t *archive, int64_t keep_ms, int64_t rows);
// Adds a row, or what it says to the latest one. 0, or -1: db says why.
__attribute__((warn_unused_result)) int archive_put(archive_t *archive, const store_history_t *row);
// Removes what is too much in all, and what is too old of the next few thousand rows. 0, or -1.
__attribute__((warn_unused_result)) int archive_trim(archive_t *archive);
// Rows of history in the table.
int64_t archive_rows(const archive_t *archive);
// What was written since the last commit was rolled back.
void archive_rolled_back(archive_t *archive);

#endif
