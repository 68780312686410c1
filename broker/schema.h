// Schema: the tables of the broker's file, and how a file of an older version is brought up to date. The
// version is SQLite's user_version; each version is one entry of a list, applied in a transaction of its own.
#ifndef RTM_BROKER_SCHEMA_H
#define RTM_BROKER_SCHEMA_H

#include <stddef.h>

#include <sqlite3.h>

// The version that this program writes.
int schema_latest(void);
// Applies what db lacks, in order. 0, or -1 with why: the file is of a newer version (and untouched), or an
// entry failed (those before it stand).
__attribute__((warn_unused_result)) int schema_upgrade(sqlite3 *db, char *why, size_t size);

#endif
