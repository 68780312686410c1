// needs: miner miner/read proto common
// Homes: sources are spread evenly, all miners agree, and only those of a sink that goes move.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "miner/homes.h"

enum { SOURCES = 9000 };

static uint64_t source(unsigned i)
{
    return i * UINT64_C(0x9E3779B97F4A7C15);
}

static homes_t three(void)
{
    homes_t h = {0};
    homes_add(&h, "tcp://a:1");
    homes_add(&h, "tcp://b:1");
    homes_add(&h, "tcp://c:1");
    return h;
}

static void sources_are_spread(void **state)
{
    (void)state;
    homes_t h = three();
    unsigned counts[3] = {0};
    for (unsigned i = 0; i < SOURCES; i++) counts[homes_of(&h, source(i))]++;
    for (int k = 0; k < 3; k++) assert_in_range(counts[k], SOURCES / 3 - 300, SOURCES / 3 + 300);
}

static void the_order_of_the_list_is_no_matter(void **state)
{
    (void)state;
    homes_t h = three(), other = {0};
    homes_add(&other, "tcp://c:1");
    homes_add(&other, "tcp://a:1");
    homes_add(&other, "tcp://b:1");
    const unsigned same[] = {2, 0, 1};
    for (unsigned i = 0; i < SOURCES; i++)
        assert_int_equal(homes_of(&h, source(i)), same[homes_of(&other, source(i))]);
}

static void only_those_of_the_sink_that_goes_move(void **state)
{
    (void)state;
    homes_t h = three(), less = three();
    homes_set(&less, 1, 0);
    unsigned moved[3] = {0};
    for (unsigned i = 0; i < SOURCES; i++) {
        unsigned before = homes_of(&h, source(i)), after = homes_of(&less, source(i));
        if (before != 1) assert_int_equal(after, before);
        if (before == 1) moved[after]++;
    }
    assert_int_equal(moved[1], 0);
    assert_true(moved[0] > SOURCES / 8 && moved[2] > SOURCES / 8);
    homes_set(&less, 1, 1);
    for (unsigned i = 0; i < SOURCES; i++)
        assert_int_equal(homes_of(&less, source(i)), homes_of(&h, source(i)));
}

static void when_none_is_there_all_count(void **state)
{
    (void)state;
    homes_t h = three(), none = three();
    for (unsigned k = 0; k < 3; k++) homes_set(&none, k, 0);
    for (unsigned i = 0; i < SOURCES; i++)
        assert_int_equal(homes_of(&none, source(i)), homes_of(&h, source(i)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_are_spread),
        cmocka_unit_test(the_order_of_the_list_is_no_matter),
        cmocka_unit_test(only_those_of_the_sink_that_goes_move),
        cmocka_unit_test(when_none_is_there_all_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
