// needs: sink proto common
// Sessions: numbering of batches over reconnects, credit, what is forgotten and what not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sink/session.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

static sessions_t s;

static int setup(void **state)
{
    (void)state;
    sessions_init(&s, 8 * MIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sessions_free(&s);
    return 0;
}

static session_t *join(uint64_t route, const char *miner, uint64_t incarnation)
{
    session_t *o = sessions_hello(&s, route, miner, incarnation, 0);
    if (o) session_grant(&s, o);
    return o;
}

static void batches_come_in_order(void **state)
{
    (void)state;
    session_t *o = join(1, "m", 7);
    assert_int_equal(session_take(&s, o, 5, 10), TAKE_OK); // whatever comes first, as after a restart
    assert_int_equal(session_take(&s, o, 6, 10), TAKE_OK);
    assert_int_equal(session_take(&s, o, 8, 10), TAKE_GAP);
    assert_int_equal(session_take(&s, o, 6, 10), TAKE_WAITING);
    session_committed(&s, o, 5, 10);
    assert_int_equal(o->committed, 5);
    assert_int_equal(session_take(&s, o, 5, 10), TAKE_OK); // its ACK was lost: done again
    session_committed(&s, o, 6, 10);
    session_committed(&s, o, 5, 10);
    assert_int_equal(o->committed, 6);
    assert_int_equal(o->waiting, 0);
    assert_int_equal(s.waiting, 0);
}

static void a_batch_that_could_not_be_passed_on_may_come_again(void **state)
{
    (void)state;
    session_t *o = join(1, "m", 7);
    assert_int_equal(session_take(&s, o, 1, 10), TAKE_OK);
    assert_int_equal(session_take(&s, o, 2, 10), TAKE_OK);
    session_untake(&s, o, 2, 10);
    assert_int_equal(session_take(&s, o, 2, 10), TAKE_OK);
}

static void an_origin_outlives_its_connection(void **state)
{
    (void)state;
    session_t *o = join(1, "m", 7);
    uint64_t number = o->number;
    assert_int_equal(session_take(&s, o, 1, 10), TAKE_OK);
    sessions_leave(&s, o);
    assert_null(sessions_of_route(&s, 1));
    assert_ptr_equal(sessions_of_origin(&s, o->origin), o);
    assert_ptr_equal(join(2, "m", 7), o);
    assert_true(o->number > number);
    assert_int_equal(session_take(&s, o, 1, 10), TAKE_WAITING);
    assert_ptr_equal(join(3, "m", 7), o); // a second connection replaces the first
    assert_null(sessions_of_route(&s, 2));
    assert_int_equal(s.live, 1);
    session_t *next = join(3, "m", 8); // another run of the process over the same connection
    assert_ptr_not_equal(next, o);
    assert_int_equal(s.live, 1);
    assert_int_equal(session_take(&s, next, 1, 10), TAKE_OK);
}

static void credit_is_shared(void **state)
{
    (void)state;
    session_t *a = join(1, "a", 1), *b = join(2, "b", 1), *c = join(3, "c", 1);
    assert_int_equal(a->credit, 8 * MIB);
    assert_int_equal(b->credit, 4 * MIB);
    assert_int_equal(c->credit, 8 * MIB / 3);
    assert_int_equal(session_take(&s, c, 1, 4 * MIB), TAKE_OK); // a lone batch always fits
    assert_int_equal(session_take(&s, c, 2, 1), TAKE_NO_CREDIT);
    assert_int_equal(session_take(&s, a, 1, 7 * MIB), TAKE_OK);
    session_grant(&s, a); // less than before: what was granted may still be under way
    assert_int_equal(a->credit, 8 * MIB / 3);
    assert_int_equal(session_take(&s, a, 2, 1 * MIB), TAKE_OK);
    assert_int_equal(session_take(&s, a, 3, 1), TAKE_NO_CREDIT);
    session_committed(&s, a, 1, 7 * MIB);
    session_committed(&s, a, 2, 1 * MIB);
    session_grant(&s, a);
    assert_int_equal(session_take(&s, a, 3, 2 * MIB), TAKE_OK);
    assert_int_equal(session_take(&s, a, 4, 1 * MIB), TAKE_NO_CREDIT);
}

static void the_budget_bounds_the_sessions(void **state)
{
    (void)state;
    sessions_t few;
    sessions_init(&few, 3 * CREDIT_MIN);
    for (uint64_t i = 1; i <= 3; i++) assert_non_null(sessions_hello(&few, i, "m", i, 0));
    assert_null(sessions_hello(&few, 4, "m", 4, 0));
    sessions_leave(&few, sessions_of_route(&few, 2));
    session_t *o = sessions_hello(&few, 4, "m", 4, 0);
    assert_non_null(o);
    assert_int_equal(session_grant(&few, o), CREDIT_MIN);
    sessions_free(&few);
}

static void idle_origins_are_forgotten_at_the_bound(void **state)
{
    (void)state;
    session_t *busy = join(1, "busy", 1);
    assert_int_equal(session_take(&s, busy, 1, 10), TAKE_OK);
    sessions_leave(&s, busy);
    for (uint64_t i = 2; i <= MAX_ORIGINS + 10; i++) {
        session_t *o = sessions_hello(&s, i, "m", i, (int64_t)i);
        assert_non_null(o);
        sessions_leave(&s, o);
    }
    assert_int_equal(s.by_identity.count, MAX_ORIGINS);
    assert_ptr_equal(sessions_of_origin(&s, 1), busy);
    assert_null(sessions_of_origin(&s, 2));
}

static void broker_time_is_the_median(void **state)
{
    (void)state;
    static const int64_t offsets[] = {100, -5, 1000000};
    assert_int_equal(sessions_broker_offset(&s), 0);
    for (uint64_t i = 0; i < 3; i++) {
        session_t *o = join(i + 1, "m", i);
        o->has_offset = true;
        o->offset = offsets[i];
    }
    assert_int_equal(sessions_broker_offset(&s), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(batches_come_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_that_could_not_be_passed_on_may_come_again, setup, teardown),
        cmocka_unit_test_setup_teardown(an_origin_outlives_its_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(credit_is_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(the_budget_bounds_the_sessions, setup, teardown),
        cmocka_unit_test_setup_teardown(idle_origins_are_forgotten_at_the_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(broker_time_is_the_median, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
