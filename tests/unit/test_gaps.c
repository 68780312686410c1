// needs: broker proto common
// Gaps: the ring that the broker keeps, and its rows in the store.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/gaps.h"
#include "broker/store.h"
#include "common/check.h"
#include "proto/wire.h"

static void the_newest_come_first_and_the_oldest_leave(void **state)
{
    (void)state;
    gaps_t gaps = {0};
    assert_null(gaps_at(&gaps, 0));
    for (int64_t i = 1; i <= GAPS_KEPT + 3; i++)
        gaps_put(&gaps, &(gap_t){.source = 7, .due = i, .since = 2 * i, .until = 2 * i + 1});
    assert_int_equal(gaps.n, GAPS_KEPT);
    assert_int_equal(gaps_at(&gaps, 0)->due, GAPS_KEPT + 3);
    assert_int_equal(gaps_at(&gaps, GAPS_KEPT - 1)->due, 4);
    assert_null(gaps_at(&gaps, GAPS_KEPT));
    gaps_free(&gaps);
}

static void an_outcome_told_twice_is_one_gap(void **state)
{
    (void)state;
    gaps_t gaps = {0};
    gaps_put(&gaps, &(gap_t){.source = 7, .due = 1});
    gaps_put(&gaps, &(gap_t){.source = 8, .due = 1});
    gaps_put(&gaps, &(gap_t){.source = 7, .due = 1, .closed = true});
    assert_int_equal(gaps.n, 2);
    assert_true(gaps_at(&gaps, 1)->closed);
    gaps_free(&gaps);
}

static void one_after_the_other_is_one_gap(void **state)
{
    (void)state;
    gaps_t gaps = {0};
    gaps_put(&gaps, &(gap_t){.source = 7, .due = 10, .since = 1, .until = 11, .found = 3});
    gaps_put(&gaps, &(gap_t){.source = 8, .due = 20, .since = 11, .until = 21});
    const gap_t *now =
        gaps_put(&gaps, &(gap_t){.source = 7, .due = 20, .since = 11, .until = 21, .found = 4});
    assert_int_equal(gaps.n, 2);
    assert_true(now->due == 10 && now->since == 1 && now->until == 21 && now->found == 7);
    gaps_put(&gaps,
             &(gap_t){.source = 7, .due = 30, .since = 21, .until = 31, .closed = true}); // another kind
    gaps_put(&gaps, &(gap_t){.source = 7, .due = 50, .since = 40, .until = 51});          // a break
    assert_int_equal(gaps.n, 4);
    gaps_free(&gaps);
}

static void take(void *context, const gap_t *gap)
{
    gaps_put(context, gap);
}

static void the_store_keeps_them(void **state)
{
    (void)state;
    char folder[] = "/tmp/rtm-gaps-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder));
    const char *error;
    store_t *s = store_open(folder, &error);
    assert_non_null(s);
    store_op_t op = {
        .kind = STORE_GAP,
        .gap = {.source = UINT64_MAX, .due = 5, .since = 1, .until = 6, .reason = GAP_page_limit}};
    store_submit(s, &op);
    op.gap.due = 9, op.gap.reason = GAP_paged_back, op.gap.found = 30, op.gap.closed = true;
    store_submit(s, &op);
    store_submit(s, &op);
    store_close(&s);
    gaps_t gaps = {0};
    s = store_open(folder, &error);
    assert_int_equal(store_load(s, &(store_reader_t){.context = &gaps, .gap = take}), 0);
    store_close(&s);
    assert_int_equal(gaps.n, 2);
    assert_int_equal(gaps_at(&gaps, 0)->found, 30);
    assert_int_equal(gaps_at(&gaps, 0)->reason, GAP_paged_back);
    assert_true(gaps_at(&gaps, 1)->source == UINT64_MAX && !gaps_at(&gaps, 1)->closed);
    assert_int_equal(gaps_at(&gaps, 1)->until, 6);
    gaps_free(&gaps);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_come_first_and_the_oldest_leave),
        TEST(an_outcome_told_twice_is_one_gap),
        TEST(one_after_the_other_is_one_gap),
        TEST(the_store_keeps_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
