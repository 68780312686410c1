// needs: broker proto common
// History without a broker: which errors are the same one, what the file keeps, which dead miners are
// remembered.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/archive.h"
#include "broker/departed.h"
#include "broker/fingerprint.h"
#include "broker/schema.h"

// -- fingerprints -------------------------------------------------------------------------------------

static void what_differs_each_time_is_folded(void **state)
{
    (void)state;
    static const struct {
        const char *detail, *pattern;
    } rows[] = {
        {"", ""},
        {"HTTP 503", "HTTP #"},
        {"Failed to connect to 10.1.2.33 port 443 after 21 ms",
         "Failed to connect to #.#.#.# port # after # ms"},
        {"Could not resolve host: news.example.org", "Could not resolve host: HOST"},
        {"`tr.athing` matches nothing in 4711 bytes of HTML",
         "`tr.athing` matches nothing in # bytes of HTML"},
        {"an HTML page; its feed is https://a.example/x?y=1", "an HTML page; its feed is URL"},
        {"request 0badc0de-1234-5678 of deadbeef99 failed", "request # of # failed"},
        {"no such facade", "no such facade"},
        {"h1 and h2", "h# and h#"},
    };
    char out[PATTERN_SIZE];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(fingerprint_pattern(out, rows[i].detail, "news.example.org"), rows[i].pattern);
    char longest[4 * MAX_DETAIL];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_true(strlen(fingerprint_pattern(out, longest, NULL)) < PATTERN_SIZE);
}

static void fingerprints_tell_kinds_apart(void **state)
{
    (void)state;
    uint64_t print = fingerprint_of("t", "http_5xx", 503, "HTTP #");
    assert_true(print && print == fingerprint_of("t", "http_5xx", 503, "HTTP #"));
    assert_true(print != fingerprint_of("u", "http_5xx", 503, "HTTP #"));
    assert_true(print != fingerprint_of("t", "http_4xx", 503, "HTTP #"));
    assert_true(print != fingerprint_of("t", "http_5xx", 502, "HTTP #"));
    assert_true(print != fingerprint_of("t", "http_5xx", 503, "HTTP"));
}

// -- the archive --------------------------------------------------------------------------------------

typedef struct {
    sqlite3 *db;
    archive_t *archive;
} file_t;

static int open_file(void **state)
{
    static file_t f;
    char why[200];
    if (sqlite3_open(":memory:", &f.db) || schema_upgrade(f.db, why, sizeof why)) return -1;
    f.archive = archive_new(f.db);
    *state = &f;
    return f.archive ? 0 : -1;
}

static int close_file(void **state)
{
    file_t *f = *state;
    archive_destroy(&f->archive);
    return sqlite3_close(f->db);
}

static int64_t number(const file_t *f, const char *sql)
{
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(f->db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return value;
}

static store_history_t row(uint64_t source, int64_t at, uint32_t key, uint64_t count)
{
    return (store_history_t){.source = source,
                             .template_name = "t",
                             .first = at,
                             .last = at + (int64_t)count - 1,
                             .count = count,
                             .miner = "",
                             .result = key ? "unchanged" : "changed",
                             .error = "",
                             .cause = "",
                             .detail = "",
                             .pattern = "",
                             .key = key,
                             .gathered = key != 0};
}

static void put(file_t *f, store_history_t r)
{
    assert_int_equal(archive_put(f->archive, &r), 0);
}

static store_history_t failure(uint64_t source, int64_t at, uint64_t fingerprint)
{
    store_history_t r = row(source, at, 7, 1);
    r.result = "failed";
    r.error = "http_5xx";
    r.detail = r.pattern = "HTTP 503";
    r.fingerprint = fingerprint;
    r.gathered = false;
    return r;
}

static void what_gathers_goes_on_with_the_row_before(void **state)
{
    file_t *f = *state;
    put(f, row(1, 1000, 1, 10));
    put(f, row(2, 1000, 1, 1));
    put(f, row(1, 2000, 1, 5)); // of source 1, still quiet
    assert_int_equal(number(f, "select count(*) from history"), 2);
    assert_int_equal(number(f, "select count from history where source = 1"), 15);
    assert_int_equal(number(f, "select first_ms from history where source = 1"), 1000);
    assert_int_equal(number(f, "select last_ms from history where source = 1"), 2004);
    put(f, row(1, 3000, 0, 1));
    put(f, row(1, 4000, 1, 2)); // a change is in between
    assert_int_equal(number(f, "select count(*) from history where source = 1"), 3);
    assert_int_equal(number(f, "select sum(count) from history"), 19);
}

static void a_source_keeps_so_many_rows(void **state)
{
    file_t *f = *state;
    for (int i = 0; i < HISTORY_A_SOURCE + 30; i++) put(f, row(1, i, 0, 1));
    put(f, row(2, 1, 0, 1));
    assert_int_equal(number(f, "select count(*) from history where source = 1"), HISTORY_A_SOURCE);
    assert_int_equal(number(f, "select min(first_ms) from history where source = 1"), 30);
    assert_int_equal(number(f, "select value from numbers where name = 'history_dropped'"), 30);
}

static void old_rows_leave_and_so_does_what_is_too_much(void **state)
{
    file_t *f = *state;
    archive_bound(f->archive, 100000, 5000);
    for (uint64_t i = 0; i < 6000; i++) put(f, row(i, i < 500 ? 1000 : 200000, 0, 1));
    for (int i = 0; i < 4; i++) assert_int_equal(archive_trim(f->archive), 0);
    assert_int_equal(number(f, "select count(*) from history"), 5000);
    assert_int_equal(number(f, "select count(*) from history where last_ms < 100000"), 0);
    assert_int_equal(number(f, "select max(source) from history"), 5999);
    assert_int_equal(number(f, "select value from numbers where name = 'history_dropped'"), 1000);
}

static void old_rows_leave_while_others_come(void **state)
{
    file_t *f = *state;
    archive_bound(f->archive, 3000, 5000);
    for (int i = 0; i < 20; i++) {
        put(f, row((uint64_t)i, i * 1000, 0, 1));
        assert_int_equal(archive_trim(f->archive), 0);
    }
    assert_int_equal(number(f, "select min(last_ms) from history"), 16000);
}

static void an_outcome_that_comes_again_counts_once(void **state)
{
    file_t *f = *state;
    store_history_t changed = row(1, 1000, 0, 1), failed = failure(1, 2000, 11), later = failure(1, 3000, 11);
    changed.started = 1001;
    failed.started = 2001;
    later.started = 3001;
    later.gathered = failed.gathered = true;
    put(f, changed);
    put(f, failed);
    put(f, changed);
    put(f, failed);
    put(f, later);
    put(f, later);
    assert_int_equal(number(f, "select count(*) from history"), 2);
    assert_int_equal(number(f, "select sum(count) from history"), 3);
    changed.source = 2;
    put(f, changed);
    assert_int_equal(number(f, "select count(*) from history"), 3);
}

static void errors_are_grouped_and_counted(void **state)
{
    file_t *f = *state;
    put(f, failure(1, 1000, 11));
    put(f, failure(2, 2000, 11));
    put(f, failure(3, 500, 12));
    store_history_t more = row(1, 3000, 7, 20); // of the kind of source 1's latest row
    more.result = "failed";
    put(f, more);
    assert_int_equal(number(f, "select count(*) from errors"), 2);
    assert_int_equal(number(f, "select count from errors where fingerprint = 11"), 22);
    assert_int_equal(number(f, "select first_ms from errors where fingerprint = 11"), 1000);
    assert_int_equal(number(f, "select last_ms from errors where fingerprint = 11"), 3019);
    assert_int_equal(number(f, "select count(*) from history"), 3);
    assert_int_equal(number(f, "select sum(count) from history"), number(f, "select sum(count) from errors"));
}

static void what_takes_turns_goes_on_with_its_rows(void **state)
{
    file_t *f = *state;
    for (int i = 0; i < 20; i++) { // a probe fails, then the host is left alone
        store_history_t r = failure(1, 1000 + 20 * i, 11), skip = row(1, 1010 + 20 * i, 99, 1);
        r.gathered = true;
        skip.result = "skipped";
        put(f, r);
        put(f, skip);
    }
    assert_int_equal(number(f, "select count(*) from history"), 2);
    assert_int_equal(number(f, "select min(count) from history"), 20);
    assert_int_equal(number(f, "select count from errors"), 20);
    put(f, row(1, 2000, 1, 3)); // it is well again
    store_history_t again = failure(1, 3000, 11);
    again.gathered = true;
    put(f, again);
    assert_int_equal(number(f, "select count(*) from history"), 4);
}

static void the_oldest_groups_leave(void **state)
{
    file_t *f = *state;
    for (uint64_t i = 1; i <= ERROR_GROUPS_MAX + 300; i++) put(f, failure(i, (int64_t)i, i));
    int64_t n = number(f, "select count(*) from errors");
    assert_true(n <= ERROR_GROUPS_MAX && n > ERROR_GROUPS_MAX - 150);
    assert_int_equal(number(f, "select max(fingerprint) from errors"), ERROR_GROUPS_MAX + 300);
    assert_int_equal(number(f, "select value from numbers where name = 'errors_dropped'"),
                     ERROR_GROUPS_MAX + 300 - n);
}

static void a_rollback_does_not_lose_count(void **state)
{
    file_t *f = *state;
    archive_bound(f->archive, 100000, 1000);
    assert_int_equal(sqlite3_exec(f->db, "begin", NULL, NULL, NULL), SQLITE_OK);
    for (uint64_t i = 0; i < 1500; i++) put(f, row(i, 5, 0, 1));
    assert_int_equal(sqlite3_exec(f->db, "rollback", NULL, NULL, NULL), SQLITE_OK);
    archive_rolled_back(f->archive);
    for (uint64_t i = 0; i < 900; i++) put(f, row(i, 5, 0, 1));
    assert_int_equal(archive_trim(f->archive), 0);
    assert_int_equal(number(f, "select count(*) from history"), 900);
}

// -- the departed -------------------------------------------------------------------------------------

static gone_t gone(const char *name, int64_t at)
{
    gone_t g = {.reason = "silent", .left_at = at};
    snprintf(g.name, sizeof g.name, "%s", name);
    return g;
}

static void the_departed_are_remembered_for_a_while(void **state)
{
    (void)state;
    departed_t d = {0};
    assert_null(departed_at(&d, 0));
    departed_forget(&d, "a");
    gone_t a = gone("a", 1000), b = gone("b", 2000), again = gone("a", 3000);
    departed_add(&d, &a);
    departed_add(&d, &b);
    departed_add(&d, &again); // one row for a name
    assert_string_equal(departed_at(&d, 0)->name, "a");
    assert_string_equal(departed_at(&d, 1)->name, "b");
    assert_null(departed_at(&d, 2));
    departed_trim(&d, 2000);
    assert_string_equal(departed_at(&d, 0)->name, "a");
    assert_null(departed_at(&d, 1));
    departed_forget(&d, "a");
    assert_null(departed_at(&d, 0));
    departed_free(&d);
}

static void the_departed_are_bounded(void **state)
{
    (void)state;
    departed_t d = {0};
    char name[16];
    for (int i = 0; i < DEPARTED_MAX + 50; i++) {
        snprintf(name, sizeof name, "m%d", i);
        gone_t g = gone(name, i);
        departed_add(&d, &g);
    }
    assert_string_equal(departed_at(&d, DEPARTED_MAX - 1)->name, "m50");
    assert_null(departed_at(&d, DEPARTED_MAX));
    departed_forget(&d, "m500"); // from the middle of a ring that has gone round
    assert_string_equal(departed_at(&d, DEPARTED_MAX - 2)->name, "m50");
    assert_string_equal(departed_at(&d, 0)->name, name);
    for (size_t i = 0; departed_at(&d, i); i++) assert_string_not_equal(departed_at(&d, i)->name, "m500");
    departed_free(&d);
}

#define WITH_FILE(name) cmocka_unit_test_setup_teardown(name, open_file, close_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_differs_each_time_is_folded),
        cmocka_unit_test(fingerprints_tell_kinds_apart),
        WITH_FILE(what_gathers_goes_on_with_the_row_before),
        WITH_FILE(a_source_keeps_so_many_rows),
        WITH_FILE(old_rows_leave_and_so_does_what_is_too_much),
        WITH_FILE(old_rows_leave_while_others_come),
        WITH_FILE(an_outcome_that_comes_again_counts_once),
        WITH_FILE(errors_are_grouped_and_counted),
        WITH_FILE(what_takes_turns_goes_on_with_its_rows),
        WITH_FILE(the_oldest_groups_leave),
        WITH_FILE(a_rollback_does_not_lose_count),
        cmocka_unit_test(the_departed_are_remembered_for_a_while),
        cmocka_unit_test(the_departed_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
