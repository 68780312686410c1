// needs: broker proto common
// The broker's store: real files in a temporary folder.
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/backup.h"
#include "broker/lookup.h"
#include "broker/schema.h"
#include "broker/store.h"
#include "common/check.h"
#include "common/log.h"
#include "proto/template.h"

enum { PATH = 256 };

// -- a folder for each test ---------------------------------------------------------------------------

typedef struct {
    char folder[PATH];
    char file[PATH + 16];
} place_t;

static int make_place(void **state)
{
    place_t *p = xcalloc(1, sizeof *p);
    snprintf(p->folder, sizeof p->folder, "/tmp/rtm-store-XXXXXX");
    if (!mkdtemp(p->folder)) return -1;
    snprintf(p->file, sizeof p->file, "%s/broker.db", p->folder);
    *state = p;
    return 0;
}

static int clear_place(void **state)
{
    place_t *p = *state;
    char command[PATH + 16];
    snprintf(command, sizeof command, "rm -rf %s", p->folder);
    int rc = system(command);
    free(p);
    return rc;
}

static char *read_file(const char *path)
{
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    char *text = xcalloc(1, 1 << 20);
    assert_true(fread(text, 1, (1 << 20) - 1, in) > 0);
    fclose(in);
    return text;
}

static void execute(const place_t *p, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(p->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int64_t number(const place_t *p, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(p->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return value;
}

// -- what a store holds -------------------------------------------------------------------------------

typedef struct {
    int templates, enabled, sources;
    int64_t epoch, accounted;
    store_source_t source; // the one that has validators; its texts are gone
    char etag[32], fetch_url[64];
} found_t;

static void on_number(void *context, const char *name, int64_t value)
{
    found_t *f = context;
    if (!strcmp(name, "epoch")) f->epoch = value;
    if (!strcmp(name, "accounted")) f->accounted = value;
}

static void on_template(void *context, const char *name, const char *json, int64_t version, bool enabled)
{
    found_t *f = context;
    f->templates++;
    f->enabled += enabled;
    assert_non_null(strstr(json, name));
    assert_int_equal(version, 1);
}

static void on_source(void *context, const store_source_t *row)
{
    found_t *f = context;
    f->sources++;
    if (!row->etag[0]) return;
    f->source = *row;
    snprintf(f->etag, sizeof f->etag, "%s", row->etag);
    snprintf(f->fetch_url, sizeof f->fetch_url, "%s", row->fetch_url);
}

static found_t load(store_t *s)
{
    found_t f = {0};
    store_reader_t reader = {
        .context = &f, .number = on_number, .template = on_template, .source = on_source};
    assert_int_equal(store_load(s, &reader), 0);
    return f;
}

static store_t *open_store(const place_t *p)
{
    const char *error;
    store_t *s = store_open(p->folder, &error);
    if (!s) fail_msg("%s", error);
    return s;
}

// -- versions -----------------------------------------------------------------------------------------

static void a_new_file_is_of_the_latest_version(void **state)
{
    store_t *s = open_store(*state);
    store_close(&s);
    assert_int_equal(number(*state, "pragma user_version"), schema_latest());
}

static void a_file_of_version_1_is_brought_up_to_date(void **state)
{
    const place_t *p = *state;
    char *dump = read_file("tests/data/store/version-1.sql");
    execute(p, dump);
    free(dump);
    assert_int_equal(number(p, "pragma user_version"), 1);
    for (int run = 0; run < 2; run++) { // the second time there is nothing to do
        store_t *s = open_store(p);
        found_t f = load(s);
        store_close(&s);
        assert_int_equal(number(p, "pragma user_version"), schema_latest());
        assert_int_equal(f.templates, 2);
        assert_int_equal(f.enabled, 1);
        assert_int_equal(f.sources, 3);
        assert_int_equal(f.epoch, 2);
        assert_int_equal(f.accounted, 1795596872221);
        assert_int_equal(f.source.id, source_id("planet", "http://127.0.0.1:9/atom.xml"));
        assert_int_equal(f.source.template_id, template_id("planet"));
        assert_int_equal(f.source.generation, 3);
        assert_int_equal(f.source.last_ok, 1795000000000);
        assert_true(f.source.body_hash == (uint64_t)-42);
        assert_string_equal(f.etag, "\"abc\"");
        assert_string_equal(f.fetch_url, "http://127.0.0.1:9/feed");
        assert_int_equal(number(p, "select sum(count) from skips"), 6);
    }
}

// Files that later versions left, as they were made: each is opened, and holds what it held.
static void files_of_all_versions_are_brought_up_to_date(void **state)
{
    const place_t *p = *state;
    char path[64];
    int opened = 0;
    for (int version = 1; version <= schema_latest(); version++) {
        snprintf(path, sizeof path, "tests/data/store/version-%d.sql", version);
        if (access(path, R_OK)) continue; // nobody was given that one
        unlink(p->file);
        char *dump = read_file(path);
        execute(p, dump);
        free(dump);
        int64_t sources = number(p, "select count(*) from sources");
        store_t *s = open_store(p);
        found_t f = load(s);
        store_close(&s);
        assert_int_equal(f.sources, sources);
        assert_true(f.templates >= 1 && f.epoch == 2);
        assert_int_equal(f.source.id, source_id("planet", "http://127.0.0.1:9/atom.xml"));
        assert_int_equal(number(p, "pragma user_version"), schema_latest());
        assert_int_equal(
            number(p, "select count(*) from errors where count ="
                      " (select sum(h.count) from history h where h.fingerprint = errors.fingerprint)"),
            version < 5 ? 0 : 1);
        opened++;
    }
    assert_true(opened >= 2);
}

static void a_file_of_a_newer_version_is_refused_and_left_alone(void **state)
{
    const place_t *p = *state;
    store_t *s = open_store(p);
    store_close(&s);
    execute(p, "pragma user_version = 999");
    const char *error = "";
    assert_null(store_open(p->folder, &error));
    assert_non_null(strstr(error, "written by a newer rtm-broker (schema version 999, this one knows up to"));
    assert_int_equal(number(p, "pragma user_version"), 999);
}

static void a_migration_that_fails_changes_nothing(void **state)
{
    const place_t *p = *state;
    execute(p, "create table skips(x)"); // in the way of version 1
    const char *error = "";
    assert_null(store_open(p->folder, &error));
    assert_non_null(strstr(error, "cannot be brought to schema version 1"));
    assert_int_equal(number(p, "pragma user_version"), 0);
    assert_int_equal(number(p, "select count(*) from sqlite_master"), 1);
}

static void one_folder_serves_one_broker(void **state)
{
    const char *error = "";
    store_t *s = open_store(*state);
    assert_null(store_open(((const place_t *)*state)->folder, &error));
    assert_non_null(strstr(error, "another broker runs on this folder"));
    store_close(&s);
}

static void a_file_that_is_no_store_is_refused(void **state)
{
    const place_t *p = *state;
    const char *error = "";
    FILE *out = fopen(p->file, "we");
    assert_non_null(out);
    for (int i = 0; i < 1000; i++) fputs("not a database ", out);
    fclose(out);
    assert_null(store_open(p->folder, &error));
    assert_non_null(strstr(error, "not a database"));
}

static void submit_history(store_t *s, uint64_t source, int64_t at, uint64_t fingerprint)
{
    char detail[32];
    snprintf(detail, sizeof detail, "HTTP %d", 500 + (int)(fingerprint % 10));
    store_history_t h = {.source = source,
                         .template_name = "t",
                         .first = at,
                         .last = at,
                         .count = 1,
                         .miner = "m1",
                         .result = fingerprint ? "failed" : "changed",
                         .error = fingerprint ? "http_5xx" : "",
                         .cause = "scheduled",
                         .detail = detail,
                         .pattern = "HTTP #",
                         .fingerprint = fingerprint};
    store_op_t op = {.kind = STORE_HISTORY, .history = &h};
    store_submit(s, &op); // texts are copied
}

static uint64_t submit_number(store_t *s, const char *name, int64_t value)
{
    store_op_t op = {.kind = STORE_NUMBER, .name = name, .number = value};
    return store_submit(s, &op);
}

static void wait_durable(store_t *s, uint64_t ticket)
{
    for (int i = 0; i < 10000 && store_durable(s) < ticket; i++) usleep(1000);
    assert_true(store_durable(s) >= ticket);
}

// -- questions ----------------------------------------------------------------------------------------

static answer_t *wait_answer(lookup_t *l)
{
    answer_t *a = NULL;
    for (int i = 0; i < 10000 && !a; i++) {
        struct pollfd wait = {.fd = lookup_fd(l), .events = POLLIN};
        poll(&wait, 1, 10);
        lookup_clear(l);
        a = lookup_take(l);
    }
    assert_non_null(a);
    return a;
}

static void questions_are_answered_page_by_page_while_rows_come(void **state)
{
    const place_t *p = *state;
    const char *error;
    store_t *s = open_store(p);
    lookup_t *l = lookup_new(p->folder, &error);
    assert_non_null(l);
    for (int i = 0; i < 250; i++) submit_history(s, 7, 1000 + i, i % 5 ? 0 : 3);
    wait_durable(s, submit_number(s, "epoch", 2));
    size_t rows = 0;
    question_t q = {.kind = QUESTION_HISTORY, .peer = 5, .request = 9, .limit = 60};
    q.sources[q.n_sources++] = 7;
    do {
        for (int i = 0; i < 50; i++) submit_history(s, 8, 1000 + i, 0); // of another source
        assert_int_equal(lookup_ask(l, &q), 0);
        answer_t *a = wait_answer(l);
        assert_true(a->peer == 5 && a->request == 9 && a->code == 0);
        for (const char *at = a->json; (at = strstr(at, "\"0000000000000007\"")); at++) rows++;
        assert_null(strstr(a->json, "\"0000000000000008\""));
        q.after = strtoll(a->cursor, NULL, 10);
        answer_free(a);
    } while (q.after);
    assert_int_equal(rows, 200); // what a source keeps
    q = (question_t){.kind = QUESTION_ERRORS, .limit = 10};
    assert_int_equal(lookup_ask(l, &q), 0);
    answer_t *a = wait_answer(l);
    assert_non_null(strstr(a->json, "\"count\":50,\"sources\":1,"));
    answer_free(a);
    int asked = 0;
    for (int i = 0; i < 1000; i++) asked += lookup_ask(l, &q) == 0;
    assert_true(asked >= 64 && asked < 1000); // more are refused
    lookup_destroy(&l);                       // those that wait are dropped
    store_close(&s);
}

// -- history through the thread, and copies -----------------------------------------------------------

static void history_goes_through_the_thread_in_order(void **state)
{
    const place_t *p = *state;
    store_t *s = open_store(p);
    enum { ROWS = 50000 }; // more than one transaction
    for (int i = 0; i < ROWS; i++) submit_history(s, (uint64_t)i, i, i % 2 ? 1 + (uint64_t)(i % 3) : 0);
    store_close(&s);
    assert_int_equal(number(p, "select count(*) from history"), ROWS);
    assert_int_equal(number(p, "select count(*) from history where id != source + 1"), 0);
    assert_int_equal(number(p, "select sum(count) from errors"), ROWS / 2);
    assert_int_equal(number(p, "select count(*) from errors"), 3);
}

static void a_copy_taken_under_load_is_whole(void **state)
{
    const place_t *p = *state;
    char copy[PATH + 32], folder[PATH + 32], why[400];
    snprintf(copy, sizeof copy, "%s/copy.db", p->folder);
    snprintf(folder, sizeof folder, "%s/new", p->folder);
    store_t *s = open_store(p);
    submit_number(s, "epoch", 41);
    wait_durable(s, submit_number(s, "accounted", 1000));
    for (int i = 0; i < 30000; i++) submit_history(s, (uint64_t)i, i, 0);
    sqlite3 *db;
    int64_t bytes = 0;
    assert_int_equal(sqlite3_open_v2(p->file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (backup_write(db, copy, &bytes, why, sizeof why)) fail_msg("%s", why);
    assert_true(bytes > 0);
    assert_int_equal(backup_write(db, copy, &bytes, why, sizeof why), -1);
    assert_non_null(strstr(why, "is not overwritten"));
    snprintf(copy, sizeof copy, "%s/nowhere/copy.db", p->folder);
    assert_int_equal(backup_write(db, copy, &bytes, why, sizeof why), -1);
    sqlite3_close(db);
    store_close(&s);
    snprintf(copy, sizeof copy, "%s/copy.db", p->folder);
    if (backup_restore(copy, folder, why, sizeof why)) fail_msg("%s", why);
    place_t other;
    snprintf(other.folder, sizeof other.folder, "%.200s", folder);
    snprintf(other.file, sizeof other.file, "%s/broker.db", other.folder);
    s = open_store(&other);
    found_t f = load(s);
    store_close(&s);
    assert_true(f.epoch > 41 + 1000000 && (f.epoch & 1) == 1); // whoever went on meanwhile is outdone
    assert_int_equal(f.accounted, 1000);
    assert_int_equal(
        number(&other, "select count(*) from pragma_integrity_check where integrity_check = 'ok'"), 1);
    assert_int_equal(backup_restore(copy, folder, why, sizeof why), -1);
    assert_non_null(strstr(why, "exists already"));
}

static void what_is_no_copy_is_not_restored(void **state)
{
    const place_t *p = *state;
    char why[400], folder[PATH + 32];
    snprintf(folder, sizeof folder, "%s/new", p->folder);
    assert_int_equal(backup_restore("/nonexistent", folder, why, sizeof why), -1);
    assert_int_equal(backup_restore("tests/data/store/version-1.sql", folder, why, sizeof why), -1);
    assert_non_null(strstr(why, "no copy of a broker's state"));
    execute(p, "create table numbers(name, value); insert into numbers values('epoch', 2);"
               "pragma user_version = 999");
    assert_int_equal(backup_restore(p->file, folder, why, sizeof why), -1);
    assert_non_null(strstr(why, "of a newer rtm-broker"));
    snprintf(folder, sizeof folder, "%s/new/broker.db", p->folder);
    assert_int_equal(access(folder, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, clear_place)

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(a_new_file_is_of_the_latest_version),
        TEST(a_file_of_version_1_is_brought_up_to_date),
        TEST(files_of_all_versions_are_brought_up_to_date),
        TEST(a_file_of_a_newer_version_is_refused_and_left_alone),
        TEST(a_migration_that_fails_changes_nothing),
        TEST(one_folder_serves_one_broker),
        TEST(a_file_that_is_no_store_is_refused),
        TEST(questions_are_answered_page_by_page_while_rows_come),
        TEST(history_goes_through_the_thread_in_order),
        TEST(a_copy_taken_under_load_is_whole),
        TEST(what_is_no_copy_is_not_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
