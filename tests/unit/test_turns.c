// needs: broker miner/read proto common
// Turns: shares, ageing, deadlines, order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/turns.h"

enum { PATIENCE = 10000, MANY = 4096 };

static turns_t q;
static turn_t e[MANY];

static int setup(void **state)
{
    (void)state;
    turns_init(&q, PATIENCE);
    for (int i = 0; i < MANY; i++) e[i] = (turn_t){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    turns_free(&q);
    return 0;
}

static void put(int i, priority_t priority, int64_t ready_at)
{
    turns_put(&q, &e[i], priority, ready_at, INT64_MAX, false);
}

static int pop(int64_t now)
{
    turn_t *x = turns_pop(&q, now);
    return x ? (int)(x - e) : -1;
}

static void nothing_before_its_time(void **state)
{
    (void)state;
    assert_int_equal(pop(0), -1);
    assert_true(turns_next(&q) == INT64_MAX);
    put(0, PRIORITY_NORMAL, 100);
    assert_true(turns_next(&q) == 100);
    assert_int_equal(pop(99), -1);
    assert_int_equal(pop(100), 0);
    assert_int_equal(q.count, 0);
    assert_int_equal(pop(1000), -1);
}

static void a_class_keeps_the_order_of_arrival_and_a_front(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) put(i, PRIORITY_NORMAL, 0);
    turns_put(&q, &e[4], PRIORITY_NORMAL, 0, INT64_MAX, true);
    turns_put(&q, &e[5], PRIORITY_NORMAL, 0, INT64_MAX, true);
    turns_remove(&q, &e[1]);
    static const int order[] = {5, 4, 0, 2, 3};
    turn_t *seen[8];
    assert_int_equal(turns_peek(&q, 0, seen, 8), 5);
    turns_pop(&q, 0);
    turns_put(&q, &e[5], PRIORITY_NORMAL, 0, INT64_MAX, true);
    assert_int_equal(turns_peek(&q, 0, seen, 8), 5);
    for (int i = 0; i < 5; i++) assert_int_equal(pop(0), order[i]);
    assert_int_equal(q.count, 0);
}

// What is seen is what comes, of however many.
static void the_next_ones_are_seen_beforehand(void **state)
{
    (void)state;
    turn_t *seen[100];
    uint64_t random = 7;
    for (int i = 0; i < MANY; i++) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        put(i, (priority_t)(random >> 60 & 3), (int64_t)(random >> 33 & 1023)); // four at each time
    }
    assert_int_equal(turns_peek(&q, 0, seen, 100), 100);
    for (int i = 1; i < 100; i++) {
        assert_true(seen[i - 1]->ready_at <= seen[i]->ready_at);
        if (seen[i - 1]->ready_at == seen[i]->ready_at) assert_true(turns_before(seen[i - 1], seen[i]));
    }
    int earlier = 0;
    for (int k = 0; k < MANY; k++) earlier += e[k].ready_at < seen[99]->ready_at;
    assert_in_range(earlier, 80, 99);
    assert_int_equal(pop(2000) >= 0, 1); // now all are ready: by shares
    for (int round = 0; round < 40; round++) {
        assert_int_equal(turns_peek(&q, 2000, seen, 100), 100);
        for (int i = 0; i < 100; i++) assert_ptr_equal(turns_pop(&q, 2000), seen[i]);
    }
}

// What is peeked at is what comes, whether it is old, not looked at yet, or about to move up.
static void what_is_next_is_known(void **state)
{
    (void)state;
    enum { ALL = 24, NOW = 1000000 };
    turn_t *seen[ALL];
    for (int i = 0; i < ALL; i++)
        turns_put(&q, &e[i], (priority_t)(i % 3), i % 5 ? NOW - i : NOW - 500000 - i * 7 % 11,
                  i % 7 ? INT64_MAX : NOW - 1, i % 4 == 0);
    for (int left = ALL; left > 0; left--) {
        assert_int_equal(turns_peek(&q, NOW, seen, ALL), left);
        assert_int_equal(pop(NOW), (int)(seen[0] - e));
        if (left < 3) continue;
        turn_t *after = seen[1];
        assert_int_equal(turns_peek(&q, NOW, seen, 1), 1);
        assert_ptr_equal(seen[0], after);
    }
}

// However much critical work there is, low work gets its part.
static void classes_share_the_turns(void **state)
{
    (void)state;
    int turns[TURN_CLASSES] = {0};
    for (int i = 0; i < MANY; i++) put(i, (priority_t)(i % TURN_CLASSES), 0);
    for (int i = 0; i < 1500; i++) turns[pop(0) % TURN_CLASSES]++;
    assert_in_range(turns[PRIORITY_LOW], 99, 101);
    assert_in_range(turns[PRIORITY_NORMAL], 199, 201);
    assert_in_range(turns[PRIORITY_HIGH], 399, 401);
    assert_in_range(turns[PRIORITY_CRITICAL], 799, 801);
}

// A class that had nothing to do saves up no turns.
static void no_claim_from_idleness(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) put(i, PRIORITY_CRITICAL, 0);
    for (int i = 0; i < 500; i++) pop(0);
    for (int i = 1000; i < 1100; i++) put(i, PRIORITY_LOW, 0);
    int low = 0;
    for (int i = 0; i < 45; i++) low += pop(0) >= 1000;
    assert_in_range(low, 3, 6);
}

static void who_has_waited_long_goes_first(void **state)
{
    (void)state;
    put(0, PRIORITY_LOW, 0);
    for (int i = 1; i < 100; i++) put(i, PRIORITY_CRITICAL, PATIENCE - 1);
    assert_int_equal(pop(PATIENCE), 0);
    // but age alone takes no more than every second turn
    put(200, PRIORITY_CRITICAL, 3 * PATIENCE);
    for (int i = 300; i < 400; i++) put(i, PRIORITY_LOW, PATIENCE);
    int critical = 0;
    for (int i = 0; i < 20; i++) {
        int got = pop(3 * PATIENCE);
        critical += got < 300;
    }
    assert_in_range(critical, 8, 20);
}

static void deadlines_promote(void **state)
{
    (void)state;
    turns_put(&q, &e[0], PRIORITY_LOW, 0, 500, false);
    for (int i = 1; i < 64; i++) put(i, PRIORITY_NORMAL, 0);
    assert_int_equal(pop(0), 1); // both classes start level: the higher goes first
    while (e[0].priority == PRIORITY_LOW && turns_has(&e[0]) && q.count > 40) pop(499);
    turns_put(&q, &e[0], PRIORITY_LOW, 0, 500, false);
    int turns = 0;
    while (pop(500) != 0) turns++;
    assert_true(turns <= 3);
    assert_int_equal(e[0].priority, PRIORITY_HIGH);
}

static void what_is_returned_keeps_its_place(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) put(i, PRIORITY_NORMAL, 0);
    assert_int_equal(pop(0), 0);
    turns_return(&q, &e[0], 50);
    assert_int_equal(pop(10), 1);
    assert_int_equal(pop(50), 0);
    assert_int_equal(pop(50), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_before_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_ones_are_seen_beforehand, setup, teardown),
        cmocka_unit_test_setup_teardown(a_class_keeps_the_order_of_arrival_and_a_front, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_next_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(classes_share_the_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(no_claim_from_idleness, setup, teardown),
        cmocka_unit_test_setup_teardown(who_has_waited_long_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(deadlines_promote, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_returned_keeps_its_place, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
