// needs: miner miner/read proto common
// Outcomes and the dues of a source: numbers without gaps, chunks, acknowledgements; spans in order of time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "miner/message.h"
#include "miner/outcomes.h"
#include "miner/source.h"

static void add(outcomes_t *o, const char *etag)
{
    wire_outcome_t row = {.kind = OUTCOME_BOTH, .source = 1, .etag = etag, .detail = "HTTP 503"};
    outcomes_add(o, outcome_copy(&row));
}

static void test_numbers_and_acks(void **state)
{
    (void)state;
    outcomes_t o;
    wire_outcome_t rows[2000];
    outcomes_init(&o);
    assert_int_equal(outcomes_chunk(&o, 0, rows, 10), 0);
    for (int i = 0; i < 1000; i++) add(&o, NULL);
    assert_int_equal(outcomes_chunk(&o, 0, rows, 2000), 1000);
    assert_int_equal(rows[0].seq, 1);
    assert_int_equal(rows[999].seq, 1000);
    outcomes_acked(&o, 990);
    assert_int_equal(o.n, 10);
    assert_int_equal(outcomes_chunk(&o, 0, rows, 2000), 10);
    assert_int_equal(rows[0].seq, 991);
    assert_int_equal(outcomes_chunk(&o, 995, rows, 3), 3);
    assert_int_equal(rows[0].seq, 996);
    assert_int_equal(outcomes_chunk(&o, 1000, rows, 3), 0);
    outcomes_acked(&o, 5); // an old one
    assert_int_equal(o.n, 10);
    outcomes_acked(&o, UINT64_MAX); // more than there is
    assert_int_equal(o.n, 0);
    add(&o, "x");
    assert_int_equal(outcomes_chunk(&o, 0, rows, 3), 1);
    assert_int_equal(rows[0].seq, 1001);
    assert_string_equal(rows[0].etag, "x");
    assert_string_equal(rows[0].detail, "HTTP 503");
    outcomes_free(&o);
}

static void test_chunks_have_a_size(void **state)
{
    (void)state;
    outcomes_t o;
    wire_outcome_t *rows = calloc(2000, sizeof *rows);
    char etag[1001];
    memset(etag, 'e', 1000);
    etag[1000] = 0;
    outcomes_init(&o);
    for (int i = 0; i < 2000; i++) add(&o, etag);
    size_t n = outcomes_chunk(&o, 0, rows, 2000);
    assert_in_range(n, ASSIGN_CHUNK / 1300, ASSIGN_CHUNK / 1000);
    outcomes_free(&o);
    free(rows);
}

static source_t *source(void)
{
    source_t *s = source_new(1);
    source_define(s, NULL,
                  &(wire_source_t){.id = 1,
                                   .url = "http://a.example/",
                                   .fetch_url = "",
                                   .memory = "",
                                   .etag = "\"1\"",
                                   .last_modified = "",
                                   .body_hash = 5,
                                   .last_ok = 6,
                                   .generation = 1});
    return s;
}

static int give(source_t *s, int64_t offset, uint64_t step, uint64_t count)
{
    wire_due_t due = {.source = 1, .offset = offset, .step = step, .count = count, .cause = CAUSE_retry};
    return source_add_dues(s, &due, 1000000, 5000, 5000);
}

static void test_dues_in_order_of_time(void **state)
{
    (void)state;
    source_t *s = source();
    due_t due;
    assert_int_equal(source_next(s), INT64_MAX);
    assert_int_equal(give(s, 100, 1000, 3), 0); // 5100 6100 7100
    assert_int_equal(give(s, 5000, 0, 1), 0);   // 10000
    assert_int_equal(give(s, -50, 0, 1), 0);    // 4950, ahead of them
    assert_int_equal(give(s, 600, 1000, 2), 0); // 5600 6600, between
    assert_int_equal(give(s, 600, 1000, 0), 0); // none
    assert_int_equal(source_count(s), 7);
    assert_int_equal(s->held, 1005000);
    int64_t times[] = {4950, 5100, 5600, 6100, 6600, 7100, 10000};
    for (int i = 0; i < 7; i++) {
        assert_int_equal(source_next(s), times[i]);
        assert_false(source_take(s, times[i] - 1, &due));
        assert_true(source_take(s, times[i], &due));
        assert_int_equal(due.due - 1000000, due.at - 5000);
        assert_int_equal(due.cause, CAUSE_retry);
    }
    assert_false(source_take(s, INT64_MAX, &due));
    for (int i = 0; i < MAX_SPANS; i++) assert_int_equal(give(s, i, 0, 1), 0);
    assert_int_equal(give(s, 0, 0, 1), -1);
    source_drop_dues(s);
    assert_int_equal(source_count(s), 0);
    source_destroy(&s);
}

static void test_state_of_a_source(void **state)
{
    (void)state;
    source_t *s = source();
    assert_string_equal(source_fetch_url(s), "http://a.example/");
    wire_outcome_t to = {
        .etag = "", .last_modified = "then", .fetch_url = "http://b.example/", .body_hash = 9, .last_ok = 7};
    source_advance(s, &to);
    assert_null(s->etag);
    assert_string_equal(s->last_modified, "then");
    assert_string_equal(source_fetch_url(s), "http://b.example/");
    source_forget_redirect(s);
    assert_string_equal(source_fetch_url(s), "http://a.example/");
    assert_null(s->last_modified);
    uint64_t hash = 1;
    seen_add(&s->seen, &hash, 1, 1);
    wire_source_t row = {.id = 1,
                         .url = "http://a.example/",
                         .fetch_url = "",
                         .memory = "",
                         .etag = "\"2\"",
                         .last_modified = "",
                         .generation = 1};
    source_define(s, NULL, &row); // the same generation: what was seen stays
    assert_int_equal(s->seen.n, 1);
    assert_string_equal(s->etag, "\"2\"");
    row.generation = 2;
    source_define(s, NULL, &row);
    assert_int_equal(s->seen.n, 0);
    assert_null(s->etag);
    source_destroy(&s);
}

static void test_tries_are_bounded(void **state)
{
    (void)state;
    source_t *s = source();
    assert_int_equal(source_try(s, 7), 1);
    assert_int_equal(source_try(s, 7), 2);
    for (uint64_t i = 100; i < 100 + MAX_TRIES; i++) assert_int_equal(source_try(s, i), 1);
    assert_int_equal(s->n_tries, MAX_TRIES);
    assert_int_equal(source_try(s, 7), 1); // forgotten
    source_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_and_acks),      cmocka_unit_test(test_chunks_have_a_size),
        cmocka_unit_test(test_dues_in_order_of_time), cmocka_unit_test(test_state_of_a_source),
        cmocka_unit_test(test_tries_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
