// Backup: a copy of the broker's file taken while the broker runs, and a broker's folder made from one.
#ifndef RTM_BROKER_BACKUP_H
#define RTM_BROKER_BACKUP_H

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

// Writes what db's connection sees now to path, which must not exist; it appears there whole and durable, or
// not at all. *bytes: its size. 0, or -1 with why.
__attribute__((warn_unused_result)) int backup_write(sqlite3 *db, const char *path, int64_t *bytes, char *why,
                                                     size_t size);
// Makes folder's broker.db, which must not exist, out of a copy. Its epoch is higher than any that a broker
// which went on after the copy was taken can have given itself, so that miners which saw that one obey. 0, or
// -1.
__attribute__((warn_unused_result)) int backup_restore(const char *file, const char *folder, char *why,
                                                       size_t size);

#endif
