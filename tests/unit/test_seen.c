// needs: miner miner/read proto common
// Seen: membership, order of leaving, and exactness of memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "miner/seen.h"

static bool has(const seen_t *s, uint64_t hash)
{
    uint32_t hint = 0;
    return seen_has(s, hash, &hint);
}

static void test_empty(void **state)
{
    (void)state;
    seen_t s = {0};
    uint32_t hint = 17; // of a document before the set was emptied
    assert_false(seen_has(&s, 1, &hint));
    seen_add(&s, NULL, 0, 0);
    assert_int_equal(s.n, 0);
    seen_free(&s);
}

static void test_hash_is_of_key_and_content(void **state)
{
    (void)state;
    assert_int_equal(seen_hash("a", 1), seen_hash("a", 1));
    assert_int_not_equal(seen_hash("a", 1), seen_hash("a", 2));
    assert_int_not_equal(seen_hash("a", 1), seen_hash("b", 1));
}

static void test_hint_follows_any_order(void **state)
{
    (void)state;
    seen_t s = {0};
    uint64_t hashes[] = {10, 20, 30, 40};
    seen_add(&s, hashes, 4, 4);
    uint32_t hint = 0;
    uint64_t asked[] = {40, 30, 20, 10, 10, 40, 20, 30};
    for (int i = 0; i < 8; i++) assert_true(seen_has(&s, asked[i], &hint));
    assert_false(seen_has(&s, 50, &hint));
    assert_true(seen_has(&s, 30, &hint));
    seen_free(&s);
}

static void test_oldest_leave(void **state)
{
    (void)state;
    seen_t s = {0};
    for (uint64_t i = 1; i <= SEEN_MAX + 5; i++) seen_add(&s, &i, 1, 30);
    assert_int_equal(s.n, SEEN_MAX);
    assert_false(has(&s, 5));
    assert_true(has(&s, 6));
    assert_true(has(&s, SEEN_MAX + 5));
    seen_free(&s);
}

static void test_long_documents_are_kept_whole(void **state)
{
    (void)state;
    enum { LISTED = 2000 };
    seen_t s = {0};
    uint64_t hashes[LISTED + 10];
    for (uint64_t i = 0; i < LISTED + 10; i++) hashes[i] = i + 1;
    seen_add(&s, hashes, LISTED, LISTED);
    assert_int_equal(s.n, LISTED);
    seen_add(&s, hashes + LISTED, 1, LISTED);
    assert_int_equal(s.n, LISTED);
    assert_false(has(&s, 1));
    seen_add(&s, hashes, LISTED + 10, 10); // more at once than may stay: the newest do
    assert_int_equal(s.n, SEEN_MAX);
    assert_true(has(&s, LISTED + 10));
    assert_false(has(&s, LISTED + 10 - SEEN_MAX));
    seen_free(&s);
}

static void test_the_latest_content_of_a_key_counts(void **state)
{
    (void)state;
    seen_t s = {0};
    uint32_t hint = 0;
    uint64_t one = seen_hash("a", 1), two = seen_hash("a", 2), other = seen_hash("b", 1);
    uint64_t first[] = {one, other};
    seen_add(&s, first, 2, 2);
    seen_add(&s, &two, 1, 2);
    assert_false(seen_has(&s, one, &hint));
    assert_true(seen_has(&s, two, &hint) && seen_has(&s, other, &hint));
    assert_int_equal(s.n, 2);
    seen_add(&s, &one, 1, 2);
    assert_true(seen_has(&s, one, &hint));
    assert_false(seen_has(&s, two, &hint));
    assert_true(seen_otherwise(&s, two));
    assert_false(seen_otherwise(&s, seen_hash("c", 1)));
    seen_forget(&s, &two, 1);
    assert_false(seen_has(&s, one, &hint) || seen_otherwise(&s, two));
    assert_true(seen_has(&s, other, &hint));
    seen_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_hash_is_of_key_and_content),
        cmocka_unit_test(test_hint_follows_any_order),
        cmocka_unit_test(test_oldest_leave),
        cmocka_unit_test(test_the_latest_content_of_a_key_counts),
        cmocka_unit_test(test_long_documents_are_kept_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
