// needs: miner miner/read proto common
// Overload: what the system's files say, and when that is too much.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "miner/overload.h"

static void files_are_read(void **state)
{
    (void)state;
    assert_true(
        overload_psi("some avg10=61.25 avg60=3.00 avg300=1.00 total=9\nfull avg10=0.00 avg60=0.00\n") ==
        61.25);
    assert_true(overload_psi("full avg10=1.00") < 0);
    assert_true(overload_psi("some avg10=x") < 0);
    assert_true(overload_psi("some avg10=1e9") < 0);
    assert_true(overload_psi("") < 0);
    assert_true(overload_meminfo("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\n") == 75);
    assert_true(overload_meminfo("MemTotal:  1000 kB\n") < 0);
    assert_true(overload_meminfo("MemTotal: 0 kB\nMemAvailable: 0 kB\n") < 0);
    assert_true(overload_meminfo("MemTotal: 10 kB\nMemAvailable: 11 kB\n") < 0);
    assert_true(overload_group("1000\n", "900\n", "anon 100\ninactive_file 500\nactive_file 9\n") == 40);
    assert_true(overload_group("1000\n", "900\n", "") == 90);
    assert_true(overload_group("1000\n", "90\n", "anon 1\ninactive_file 100\n") == 0); // read later
    assert_true(overload_group("max\n", "900\n", "") < 0);
    assert_true(overload_group("", "", "") < 0);
}

static void it_begins_at_once_and_ends_after_a_while(void **state)
{
    (void)state;
    overload_t o = {.limits = {.cpu = 60, .load = 200, .memory = 85, .slots = 95}};
    overload_reading_t calm = {.cpu = 60, .load = -1, .memory = 85, .slots = 95};
    overload_reading_t busy = {.cpu = 61, .load = -1, .memory = 10, .slots = 0};
    assert_false(overload_judge(&o, &calm, 0));
    assert_true(overload_judge(&o, &busy, 1000));
    assert_string_equal(o.why, "cpu");
    assert_true(overload_judge(&o, &calm, 1000 + OVERLOAD_CALM_MS - 1));
    assert_false(overload_judge(&o, &calm, 1000 + OVERLOAD_CALM_MS));
    overload_reading_t loaded = {.cpu = -1, .load = 2.1, .memory = -1, .slots = -1};
    assert_true(overload_judge(&o, &loaded, 20000));
    assert_string_equal(o.why, "load");
}

static void thresholds_can_be_switched_off(void **state)
{
    (void)state;
    overload_t o = {.limits = {.memory = 85}};
    overload_reading_t busy = {.cpu = 100, .load = 50, .memory = 84, .slots = 100};
    assert_false(overload_judge(&o, &busy, 0));
    busy.memory = 86;
    assert_true(overload_judge(&o, &busy, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(it_begins_at_once_and_ends_after_a_while),
        cmocka_unit_test(thresholds_can_be_switched_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
