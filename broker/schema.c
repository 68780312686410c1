// Schema: see the header. An entry that has been released is never changed: a new one is appended.
#include "broker/schema.h"

#include <stdio.h>

#include "common/log.h"

// Entry i brings a file from version i to i + 1.
static const char *const migrations[] = {
    // 1
    "create table numbers(name text primary key, value integer not null) without rowid;"
    "create table templates(name text primary key, json text not null, version integer not null,"
    " enabled integer not null);"
    "create table sources(id integer primary key, template_id integer not null, url text not null,"
    " ordinal integer not null, generation integer not null, last_ok integer not null,"
    " body_hash integer not null, etag text not null, last_modified text not null, fetch_url text not null);"
    "create index sources_by_template on sources(template_id);"
    "create table skips(template text not null, reason text not null, from_ms integer not null,"
    " to_ms integer not null, count integer not null, unique(template, reason, to_ms));",
    // 2
    "alter table sources add column memory text not null default '';"
    "alter table sources add column continuity integer not null default 0;"
    "create table gaps(source integer not null, due integer not null, since integer not null,"
    " until integer not null, reason text not null, found integer not null, closed integer not null,"
    " unique(source, due));",
    // 3: history and errors, see archive.h
    "create table history(id integer primary key autoincrement, source integer not null, template text not"
    " null, first_ms integer not null, last_ms integer not null, count integer not null, started_ms integer,"
    " took_ms integer, miner text not null, result text not null, error text not null, status integer not"
    " null, items integer not null, fresh integer not null, cause text not null, attempt integer not null,"
    " detail text not null, key integer not null, fingerprint integer);"
    "create index history_by_source on history(source);"
    "create index history_by_template on history(template);"
    "create index history_by_error on history(fingerprint, source) where fingerprint is not null;"
    "create table errors(fingerprint integer primary key, template text not null, error text not null, status"
    " integer not null, pattern text not null, detail text not null, first_ms integer not null, last_ms"
    " integer not null, count integer not null, source integer not null);",
    // records.h
    "create table records(kind text not null, id integer not null, json text not null, primary key(kind, id))"
    " without rowid;",
    // which task a row of the history answers
    "alter table history add column task integer not null default 0;"
    "create index history_by_task on history(task) where task != 0;",
    // what a poll takes
    "alter table sources add column cost_ms integer not null default 0;",
};

int schema_latest(void)
{
    return (int)(sizeof migrations / sizeof migrations[0]);
}

static int version_of(sqlite3 *db, int *version)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "pragma user_version", -1, &st, NULL)) return -1;
    int rc = sqlite3_step(st);
    *version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : -1;
}

static int apply(sqlite3 *db, int version)
{
    char mark[64];
    snprintf(mark, sizeof mark, "pragma user_version = %d", version + 1);
    if (sqlite3_exec(db, "begin immediate", NULL, NULL, NULL)) return -1;
    if (!sqlite3_exec(db, migrations[version], NULL, NULL, NULL) &&
        !sqlite3_exec(db, mark, NULL, NULL, NULL) && !sqlite3_exec(db, "commit", NULL, NULL, NULL))
        return 0;
    return -1;
}

int schema_upgrade(sqlite3 *db, char *why, size_t size)
{
    int version = 0, latest = schema_latest();
    if (version_of(db, &version)) {
        snprintf(why, size, "%s", sqlite3_errmsg(db));
        return -1;
    }
    if (version > latest) {
        snprintf(why, size,
                 "it was written by a newer rtm-broker (schema version %d, this one knows up to %d)", version,
                 latest);
        return -1;
    }
    for (int from = version; from < latest; from++)
        if (apply(db, from)) {
            snprintf(why, size, "it cannot be brought to schema version %d: %s", from + 1,
                     sqlite3_errmsg(db));
            sqlite3_exec(db, "rollback", NULL, NULL, NULL);
            return -1;
        }
    if (version && version < latest) log_info("schema", "from=%d to=%d", version, latest);
    return 0;
}
