// needs: broker proto common
// The broker's store: real files in a temporary folder.
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, clear_place)

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(a_new_file_is_of_the_latest_version),
        TEST(a_file_of_version_1_is_brought_up_to_date),
        TEST(a_file_of_a_newer_version_is_refused_and_left_alone),
        TEST(a_migration_that_fails_changes_nothing),
        TEST(one_folder_serves_one_broker),
        TEST(a_file_that_is_no_store_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
