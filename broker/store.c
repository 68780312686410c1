// Store: a SQLite file in WAL mode with synchronous=FULL, written by one thread in group commits. A failed
// commit is tried again with the same operations until it succeeds; meanwhile nothing that waits for it is
// answered.
#include "broker/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "broker/archive.h"
#include "broker/schema.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/template.h"
#include "proto/wire.h"

enum { RETRY_MS = 500, SKIP_RANGES_KEPT = 20000, TRANSACTION_OPS = 20000U, TRIM_MS = 1000 };

typedef struct node {
    struct node *next;
    store_op_t op; // its texts are the node's own
    store_history_t history;
} node_t;

typedef enum {
    PUT_TEMPLATE,
    GONE_TEMPLATE,
    GONE_SOURCES,
    PUT_SOURCE,
    GONE_SOURCE,
    PUT_NUMBER,
    PUT_RECORD,
    GONE_RECORD,
    PUT_GAP,
    TRIM_GAPS,
    PUT_SKIPS,
    TRIM_SKIPS,
    STATEMENTS
} statement_t;

static const char *const sql[STATEMENTS] = {
    [PUT_TEMPLATE] = "insert into templates(name, json, version, enabled) values(?1, ?2, ?3, ?4) "
                     "on conflict(name) do update set json = ?2, version = ?3, enabled = ?4",
    [GONE_TEMPLATE] = "delete from templates where name = ?1",
    [GONE_SOURCES] = "delete from sources where template_id = ?1",
    [PUT_SOURCE] =
        "insert into sources(id, template_id, url, ordinal, generation, last_ok, body_hash, etag, "
        "last_modified, fetch_url, memory, continuity, cost_ms) "
        "values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) on conflict(id) do update set "
        "ordinal = ?4, generation = ?5, last_ok = ?6, body_hash = ?7, etag = ?8, last_modified = "
        "?9, fetch_url = ?10, memory = ?11, continuity = ?12, cost_ms = ?13",
    [GONE_SOURCE] = "delete from sources where id = ?1",
    [PUT_NUMBER] =
        "insert into numbers(name, value) values(?1, ?2) on conflict(name) do update set value = ?2",
    [PUT_RECORD] =
        "insert into records(kind, id, json) values(?1, ?2, ?3) on conflict(kind, id) do update set "
        "json = ?3",
    [GONE_RECORD] = "delete from records where kind = ?1 and id = ?2",
    [PUT_GAP] = "insert into gaps(source, due, since, until, reason, found, closed) "
                "values(?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict(source, due) do update set "
                "since = ?3, until = ?4, reason = ?5, found = ?6, closed = ?7",
    [TRIM_GAPS] = "delete from gaps where rowid <= (select max(rowid) from gaps) - ?1",
    [PUT_SKIPS] = "insert into skips(template, reason, from_ms, to_ms, count) values(?1, ?2, ?3, ?4, ?5) "
                  "on conflict(template, reason, to_ms) do update set count = count + ?5",
    [TRIM_SKIPS] = "delete from skips where rowid <= (select max(rowid) from skips) - ?1",
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    archive_t *archive;
    int lock_fd;     // of the file that keeps others away
    int64_t trim_at; // mono ms
    int fd;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    node_t *first, **last;
    uint64_t submitted, taken, durable; // tickets
    bool stopping, failing;
    int64_t history_rows;
};

// -- opening ------------------------------------------------------------------------------------------

static int prepare(store_t *s)
{
    for (int i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL))
            return -1;
    s->archive = archive_new(s->db);
    return s->archive ? 0 : -1;
}

// One broker works on a folder. The file stays; the lock goes with the process.
static int lock_folder(store_t *s, const char *folder, char *problem, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/broker.lock", folder);
    s->lock_fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (s->lock_fd >= 0 && flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0) return 0;
    snprintf(problem, size, "%s", s->lock_fd >= 0 ? "another broker runs on this folder" : strerror(errno));
    return -1;
}

store_t *store_open(const char *folder, const char **error)
{
    static char why[600];
    char path[4096];
    store_t *s = xcalloc(1, sizeof *s);
    *error = why;
    s->last = &s->first;
    s->lock_fd = -1;
    s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(s->fd >= 0);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/broker.db", folder);
    char problem[200] = "";
    if (!lock_folder(s, folder, problem, sizeof problem) && !sqlite3_open(path, &s->db) &&
        !sqlite3_exec(s->db,
                      "pragma busy_timeout = 5000; pragma journal_mode = wal; pragma synchronous = full;"
                      "pragma cache_size = -16384",
                      NULL, NULL, NULL) &&
        !schema_upgrade(s->db, problem, sizeof problem) && !prepare(s))
        return s;
    snprintf(why, sizeof why, "cannot use %.300s: %.200s", path,
             problem[0] ? problem : sqlite3_errmsg(s->db));
    store_close(&s);
    return NULL;
}

// -- writing ------------------------------------------------------------------------------------------

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
    sqlite3_bind_text(st, i, text ? text : "", -1, SQLITE_STATIC);
}

static int run(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

static int put_source(sqlite3_stmt *st, const store_source_t *row)
{
    sqlite3_bind_int64(st, 1, (sqlite3_int64)row->id);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)row->template_id);
    bind_text(st, 3, row->url);
    sqlite3_bind_int64(st, 4, row->ordinal);
    sqlite3_bind_int64(st, 5, row->generation);
    sqlite3_bind_int64(st, 6, row->last_ok);
    sqlite3_bind_int64(st, 7, (sqlite3_int64)row->body_hash);
    bind_text(st, 8, row->etag);
    bind_text(st, 9, row->last_modified);
    bind_text(st, 10, row->fetch_url);
    bind_text(st, 11, row->memory);
    sqlite3_bind_int(st, 12, row->continuity);
    sqlite3_bind_int64(st, 13, row->cost_ms);
    return run(st);
}

static int put_template(sqlite3_stmt *st, const store_op_t *op)
{
    bind_text(st, 1, op->name);
    bind_text(st, 2, op->text);
    sqlite3_bind_int64(st, 3, op->number);
    sqlite3_bind_int(st, 4, op->flag);
    return run(st);
}

static int remove_template(store_t *s, const char *name)
{
    bind_text(s->statements[GONE_TEMPLATE], 1, name);
    sqlite3_bind_int64(s->statements[GONE_SOURCES], 1, (sqlite3_int64)template_id(name));
    return run(s->statements[GONE_TEMPLATE]) || run(s->statements[GONE_SOURCES]);
}

static int put_gap(store_t *s, const gap_t *gap)
{
    sqlite3_stmt *st = s->statements[PUT_GAP];
    sqlite3_bind_int64(st, 1, (sqlite3_int64)gap->source);
    sqlite3_bind_int64(st, 2, gap->due);
    sqlite3_bind_int64(st, 3, gap->since);
    sqlite3_bind_int64(st, 4, gap->until);
    bind_text(st, 5, wire_gap_reason_name(gap->reason));
    sqlite3_bind_int64(st, 6, (sqlite3_int64)gap->found);
    sqlite3_bind_int(st, 7, gap->closed);
    sqlite3_bind_int64(s->statements[TRIM_GAPS], 1, GAPS_KEPT);
    return run(st) || run(s->statements[TRIM_GAPS]);
}

static int put_skips(store_t *s, const store_op_t *op)
{
    sqlite3_stmt *st = s->statements[PUT_SKIPS];
    bind_text(st, 1, op->name);
    bind_text(st, 2, op->text);
    sqlite3_bind_int64(st, 3, op->from);
    sqlite3_bind_int64(st, 4, op->to);
    sqlite3_bind_int64(st, 5, op->number);
    sqlite3_bind_int64(s->statements[TRIM_SKIPS], 1, SKIP_RANGES_KEPT);
    return run(st) || run(s->statements[TRIM_SKIPS]);
}

static int apply(store_t *s, const store_op_t *op)
{
    sqlite3_stmt *st;
    switch (op->kind) {
    case STORE_TEMPLATE: return put_template(s->statements[PUT_TEMPLATE], op);
    case STORE_TEMPLATE_GONE: return remove_template(s, op->name);
    case STORE_SOURCE: return put_source(s->statements[PUT_SOURCE], &op->source);
    case STORE_SOURCE_GONE:
        st = s->statements[GONE_SOURCE];
        sqlite3_bind_int64(st, 1, (sqlite3_int64)op->source.id);
        return run(st);
    case STORE_NUMBER:
        st = s->statements[PUT_NUMBER];
        bind_text(st, 1, op->name);
        sqlite3_bind_int64(st, 2, op->number);
        return run(st);
    case STORE_RECORD:
    case STORE_RECORD_GONE:
        st = s->statements[op->kind == STORE_RECORD ? PUT_RECORD : GONE_RECORD];
        bind_text(st, 1, op->name);
        sqlite3_bind_int64(st, 2, op->number);
        if (op->kind == STORE_RECORD) bind_text(st, 3, op->text);
        return run(st);
    case STORE_GAP: return put_gap(s, &op->gap);
    case STORE_SKIPS: return put_skips(s, op);
    case STORE_HISTORY: return archive_put(s->archive, op->history);
    }
    return -1;
}

static int end_transaction(store_t *s, bool fine)
{
    if (fine && !sqlite3_exec(s->db, "commit", NULL, NULL, NULL)) return 0;
    sqlite3_exec(s->db, "rollback", NULL, NULL, NULL);
    archive_rolled_back(s->archive);
    return -1;
}

static int commit(store_t *s, const node_t *list)
{
    if (sqlite3_exec(s->db, "begin immediate", NULL, NULL, NULL)) return -1;
    bool fine = true;
    for (const node_t *n = list; n && fine; n = n->next) fine = apply(s, &n->op) == 0;
    return end_transaction(s, fine);
}

// What is too old or too much leaves now and then. It can wait: a failure shows at the next commit.
static void trim(store_t *s)
{
    int64_t now = clock_mono_ms();
    if (now < s->trim_at) return;
    s->trim_at = now + TRIM_MS;
    if (sqlite3_exec(s->db, "begin immediate", NULL, NULL, NULL)) return;
    if (end_transaction(s, archive_trim(s->archive) == 0))
        log_warn("store_trim", "error=\"%s\"", sqlite3_errmsg(s->db));
}

static void free_list(node_t *n)
{
    while (n) {
        node_t *next = n->next;
        free(n);
        n = next;
    }
}

// Waits for work; NULL: stopping and nothing left.
static node_t *take(store_t *s, uint64_t *upto)
{
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->stopping) pthread_cond_wait(&s->wake, &s->lock);
    node_t *list = s->first, *last = list;
    for (uint64_t n = list != NULL; last; last = last->next, n++) {
        if (last->next && n < TRANSACTION_OPS) continue;
        s->first = last->next;
        last->next = NULL;
        s->taken += n;
        break;
    }
    if (!s->first) s->last = &s->first;
    *upto = s->taken;
    pthread_mutex_unlock(&s->lock);
    return list;
}

static void set_failing(store_t *s, bool failing)
{
    pthread_mutex_lock(&s->lock);
    bool changed = s->failing != failing, stopping = s->stopping;
    s->failing = failing;
    pthread_mutex_unlock(&s->lock);
    if (changed && failing)
        log_error("store_failing", "error=\"%s\" stopping=%d", sqlite3_errmsg(s->db), stopping);
    if (changed && !failing) log_info("store_recovered", "%s", "");
}

static bool gives_up(store_t *s)
{
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

static void *write_loop(void *arg)
{
    store_t *s = arg;
    uint64_t upto;
    for (node_t *list; (list = take(s, &upto));) {
        bool done;
        while (!(done = commit(s, list) == 0) && !gives_up(s)) {
            set_failing(s, true);
            usleep(RETRY_MS * 1000);
        }
        free_list(list);
        if (!done) break;
        set_failing(s, false);
        pthread_mutex_lock(&s->lock);
        s->durable = upto;
        s->history_rows = archive_rows(s->archive);
        pthread_mutex_unlock(&s->lock);
        uint64_t one = 1;
        bool told = write(s->fd, &one, sizeof one) > 0; // else the counter is full: it is readable anyway
        (void)told;
        trim(s);
    }
    return NULL;
}

// -- submitting ---------------------------------------------------------------------------------------

static const char *put_text(char **at, const char *text)
{
    size_t size = strlen(text ? text : "") + 1;
    char *copy = memcpy(*at, text ? text : "", size);
    *at += size;
    return copy;
}

static size_t size_of(const char *text)
{
    return strlen(text ? text : "") + 1;
}

static node_t *copy_of_history(const store_op_t *op)
{
    const store_history_t *h = op->history;
    node_t *n = xmalloc(sizeof *n + size_of(h->template_name) + size_of(h->miner) + size_of(h->result) +
                        size_of(h->error) + size_of(h->cause) + size_of(h->detail) + size_of(h->pattern));
    char *at = (char *)(n + 1);
    n->next = NULL;
    n->op = (store_op_t){.kind = op->kind, .history = &n->history};
    n->history = *h;
    n->history.template_name = put_text(&at, h->template_name);
    n->history.miner = put_text(&at, h->miner);
    n->history.result = put_text(&at, h->result);
    n->history.error = put_text(&at, h->error);
    n->history.cause = put_text(&at, h->cause);
    n->history.detail = put_text(&at, h->detail);
    n->history.pattern = put_text(&at, h->pattern);
    return n;
}

static node_t *copy_of(const store_op_t *op)
{
    const store_source_t *src = &op->source;
    if (op->history) return copy_of_history(op);
    node_t *n =
        xmalloc(sizeof *n + size_of(op->name) + size_of(op->text) + size_of(src->url) + size_of(src->etag) +
                size_of(src->last_modified) + size_of(src->fetch_url) + size_of(src->memory));
    char *at = (char *)(n + 1);
    n->next = NULL;
    n->op = *op;
    n->op.name = put_text(&at, op->name);
    n->op.text = put_text(&at, op->text);
    n->op.source.url = put_text(&at, src->url);
    n->op.source.etag = put_text(&at, src->etag);
    n->op.source.last_modified = put_text(&at, src->last_modified);
    n->op.source.fetch_url = put_text(&at, src->fetch_url);
    n->op.source.memory = put_text(&at, src->memory);
    return n;
}

uint64_t store_submit(store_t *s, const store_op_t *op)
{
    node_t *n = copy_of(op);
    pthread_mutex_lock(&s->lock);
    if (!s->running) {
        s->running = true;
        CHECK(pthread_create(&s->thread, NULL, write_loop, s) == 0);
    }
    *s->last = n;
    s->last = &n->next;
    uint64_t ticket = ++s->submitted;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    return ticket;
}

uint64_t store_durable(store_t *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t durable = s->durable;
    pthread_mutex_unlock(&s->lock);
    return durable;
}

int64_t store_history_rows(store_t *s)
{
    pthread_mutex_lock(&s->lock);
    int64_t rows = s->history_rows;
    pthread_mutex_unlock(&s->lock);
    return rows;
}

bool store_failing(store_t *s)
{
    pthread_mutex_lock(&s->lock);
    bool failing = s->failing;
    pthread_mutex_unlock(&s->lock);
    return failing;
}

void store_bound_history(store_t *s, int64_t keep_ms, int64_t rows)
{
    archive_bound(s->archive, keep_ms, rows);
}

int store_fd(const store_t *s)
{
    return s->fd;
}

void store_clear(store_t *s)
{
    uint64_t n;
    while (read(s->fd, &n, sizeof n) > 0) {
    }
}

void store_close(store_t **store)
{
    store_t *s = *store;
    if (!s) return;
    if (s->running) {
        pthread_mutex_lock(&s->lock);
        s->stopping = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(s->statements[i]);
    archive_destroy(&s->archive);
    sqlite3_close(s->db);
    if (s->lock_fd >= 0) close(s->lock_fd);
    free_list(s->first);
    close(s->fd);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    free(s);
    *store = NULL;
}

// -- loading ------------------------------------------------------------------------------------------

static const char *text_at(sqlite3_stmt *st, int i)
{
    const unsigned char *t = sqlite3_column_text(st, i);
    return t ? (const char *)t : "";
}

static void read_number(const store_reader_t *r, sqlite3_stmt *st)
{
    if (r->number) r->number(r->context, text_at(st, 0), sqlite3_column_int64(st, 1));
}

static void read_template(const store_reader_t *r, sqlite3_stmt *st)
{
    if (r->template)
        r->template(r->context, text_at(st, 0), text_at(st, 1), sqlite3_column_int64(st, 2),
                    sqlite3_column_int(st, 3) != 0);
}

static void read_source(const store_reader_t *r, sqlite3_stmt *st)
{
    store_source_t row = {.id = (uint64_t)sqlite3_column_int64(st, 0),
                          .template_id = (uint64_t)sqlite3_column_int64(st, 1),
                          .url = text_at(st, 2),
                          .ordinal = (uint32_t)sqlite3_column_int64(st, 3),
                          .generation = (uint32_t)sqlite3_column_int64(st, 4),
                          .last_ok = sqlite3_column_int64(st, 5),
                          .body_hash = (uint64_t)sqlite3_column_int64(st, 6),
                          .etag = text_at(st, 7),
                          .last_modified = text_at(st, 8),
                          .fetch_url = text_at(st, 9),
                          .memory = text_at(st, 10),
                          .continuity = (uint8_t)sqlite3_column_int(st, 11),
                          .cost_ms = (uint32_t)sqlite3_column_int64(st, 12)};
    if (r->source) r->source(r->context, &row);
}

static void read_record(const store_reader_t *r, sqlite3_stmt *st)
{
    if (r->record)
        r->record(r->context, text_at(st, 0), (uint64_t)sqlite3_column_int64(st, 1), text_at(st, 2));
}

static uint64_t gap_reason_of(const char *name)
{
    for (uint64_t reason = 0; reason < GAP_COUNT; reason++)
        if (!strcmp(wire_gap_reason_name(reason), name)) return reason;
    return GAP_none;
}

static void read_gap(const store_reader_t *r, sqlite3_stmt *st)
{
    gap_t gap = {.source = (uint64_t)sqlite3_column_int64(st, 0),
                 .due = sqlite3_column_int64(st, 1),
                 .since = sqlite3_column_int64(st, 2),
                 .until = sqlite3_column_int64(st, 3),
                 .reason = gap_reason_of(text_at(st, 4)),
                 .found = (uint64_t)sqlite3_column_int64(st, 5),
                 .closed = sqlite3_column_int(st, 6)};
    if (r->gap) r->gap(r->context, &gap);
}

static int read_all(store_t *s, const store_reader_t *r, const char *query,
                    void (*row)(const store_reader_t *, sqlite3_stmt *))
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(s->db, query, -1, &st, NULL);
    while (!rc && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        row(r, st);
        rc = 0;
    }
    if (rc != SQLITE_DONE) log_error("store_unreadable", "error=\"%s\"", sqlite3_errmsg(s->db));
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

int store_load(store_t *s, const store_reader_t *r)
{
    return read_all(s, r, "select name, value from numbers", read_number) ||
                   read_all(s, r, "select name, json, version, enabled from templates order by name",
                            read_template) ||
                   read_all(s, r,
                            "select id, template_id, url, ordinal, generation, last_ok, body_hash, etag,"
                            " last_modified, fetch_url, memory, continuity, cost_ms from sources"
                            " order by template_id, ordinal",
                            read_source) ||
                   read_all(s, r, "select kind, id, json from records", read_record) ||
                   read_all(
                       s, r,
                       "select source, due, since, until, reason, found, closed from gaps order by rowid",
                       read_gap)
               ? -1
               : 0;
}
