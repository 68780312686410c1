// needs: broker proto common
// The broker: what is too long, too much, or makes no sense.
#include "tests/unit/broker_world.h"

#include <time.h>

// -- names ----------------------------------------------------------------------------------------------

static void a_miners_name_is_a_line_of_text(void **state)
{
    static const char *const bad[] = {"\xff\xfe", "a\nb", "", "caf\xe9"};
    world_t *w = *state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t mark = w->n_sent;
        ready(w, 1, bad[i], 1);
        wire_error_t *e = heard(w, mark, 1, WIRE_TYPE_ERROR, 0);
        assert_non_null(e);
        assert_int_equal(e->code, 400);
    }
    assert_int_equal(broker_counts(w->broker).miners, 0);
}

// Of a miner that died, poison keeps the first bytes of its name: whole characters.
static void a_long_name_is_cut_between_characters(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    add(w, "poison", 1, ", \"every\": \"10s\"", false);
    for (uint64_t death = 1; death <= 5; death++) {
        ready(w, death, "mineurs-a-Saint-Germain-des-Pr\xc3\xa9s-\xc3\xa9\xc3\xa9", death);
        inventory(w, death, NULL, 0);
        pass(w, LIVENESS + 20000); // it says nothing any more
    }
    wire_arg_t args[] = {{"action", "list"}};
    const wire_reply_t *r = command(w, "dlq", args, 1);
    assert_int_equal(r->code, 0);
    assert_non_null(strstr(r->json, "mineurs-a-Saint-Germain-des-Pr"));
}

// -- time -----------------------------------------------------------------------------------------------

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void request(world_t *w, const char *name, wire_arg_t *args, size_t n)
{
    wire_request_t r = {.id = 7, .command = name};
    r.args.v = args, r.args.n = n;
    broker_message(w->broker, w->now, 999, WIRE_TYPE_REQUEST, &r); // without an audit
}

// What a template costs does not grow with how many there are: that would be hours for an import.
static void thousands_of_templates_are_added_in_time(void **state)
{
    world_t *w = *state;
    double before = cpu_ms();
    for (int i = 0; i < 3000; i++) {
        char json[200];
        snprintf(json, sizeof json,
                 "{\"name\": \"t%d\", \"kind\": \"feed\", \"urls\": [\"http://h%d.example/\"]}", i, i);
        wire_arg_t args[] = {{"template", json}};
        request(w, "add", args, 1);
    }
    assert_int_equal(broker_counts(w->broker).templates, 3000);
    double took = cpu_ms() - before; // 0.4 s; it was 80 s
    if (took > 5000) fail_msg("3000 templates took %.0f ms", took);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_miners_name_is_a_line_of_text, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_name_is_cut_between_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(thousands_of_templates_are_added_in_time, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
