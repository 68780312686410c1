#include "broker/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/schema.h"

enum { PATH_SIZE = 6000 };

#define EPOCHS_SKIPPED "2000000" // even: the lowest bit is the broker's own

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) return -1;
    int rc = fsync(fd);
    close(fd);
    return rc;
}

static int sync_folder_of(const char *path)
{
    char copy[PATH_SIZE];
    snprintf(copy, sizeof copy, "%s", path);
    return sync_path(dirname(copy), O_RDONLY | O_DIRECTORY);
}

static int vacuum_into(sqlite3 *db, const char *path, char *why, size_t size)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "vacuum into ?1", -1, &st, NULL)) return -1;
    sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    if (rc != SQLITE_DONE) snprintf(why, size, "%s: %.200s", path, sqlite3_errmsg(db));
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

// part: where the copy comes to be, and is gone from afterwards.
static int copy_to(sqlite3 *db, const char *part, const char *path, int64_t *bytes, char *why, size_t size)
{
    struct stat st;
    unlink(part); // of one that was interrupted
    if (vacuum_into(db, part, why, size)) return -1;
    // link does not overwrite, as rename does
    if (!sync_path(part, O_RDONLY) && !stat(part, &st) && !link(part, path) && !sync_folder_of(path)) {
        *bytes = st.st_size;
        return 0;
    }
    snprintf(why, size, "%s: %s", path, strerror(errno));
    return -1;
}

int backup_write(sqlite3 *db, const char *path, int64_t *bytes, char *why, size_t size)
{
    char part[PATH_SIZE];
    int n = snprintf(part, sizeof part, "%s.part", path);
    if (n >= (int)sizeof part) {
        snprintf(why, size, "the path is too long");
        return -1;
    }
    if (!access(path, F_OK)) {
        snprintf(why, size, "%s exists already, and is not overwritten", path);
        return -1;
    }
    int rc = copy_to(db, part, path, bytes, why, size);
    unlink(part);
    return rc;
}

// Whether db is a broker's file that this program can read.
static int check_copy(sqlite3 *db, const char *file, char *why, size_t size)
{
    sqlite3_stmt *st = NULL;
    int version = -1;
    if (!sqlite3_prepare_v2(db, "select user_version from pragma_user_version, numbers where name = 'epoch'",
                            -1, &st, NULL) &&
        sqlite3_step(st) == SQLITE_ROW)
        version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    if (version > 0 && version <= schema_latest()) return 0;
    if (version > 0)
        snprintf(why, size, "%s is of a newer rtm-broker (schema version %d, this one knows up to %d)", file,
                 version, schema_latest());
    else
        snprintf(why, size, "%s is no copy of a broker's state", file);
    return -1;
}

static int raise_epoch(const char *path)
{
    sqlite3 *db;
    int rc = sqlite3_open(path, &db);
    if (!rc)
        rc = sqlite3_exec(db, "update numbers set value = value + " EPOCHS_SKIPPED " where name = 'epoch'",
                          NULL, NULL, NULL);
    sqlite3_close(db);
    return rc ? -1 : 0;
}

int backup_restore(const char *file, const char *folder, char *why, size_t size)
{
    char path[PATH_SIZE], whole[PATH_SIZE];
    sqlite3 *db = NULL;
    int64_t bytes;
    int rc = -1;
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/broker.db", folder);
    snprintf(whole, sizeof whole, "%s/broker.db.restored", folder);
    unlink(whole);
    if (!access(path, F_OK))
        snprintf(why, size, "%s exists already; a copy is restored into a folder without one", path);
    else if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL))
        snprintf(why, size, "%s: %s", file, sqlite3_errmsg(db));
    else if (!check_copy(db, file, why, size) && !backup_write(db, whole, &bytes, why, size)) {
        rc = raise_epoch(whole) || sync_path(whole, O_RDONLY) || rename(whole, path) || sync_folder_of(path);
        if (rc) snprintf(why, size, "%s: %s", path, strerror(errno));
    }
    sqlite3_close(db);
    return rc ? -1 : 0;
}
