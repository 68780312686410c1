// needs: broker proto common
// The broker: what may run beside what: limits, templates that keep each other out, dependencies.
#include "tests/unit/broker_play.h"

// -- limits ---------------------------------------------------------------------------------------------

static void no_more_run_at_once_than_may(void **state)
{
    world_t *w = *state;
    watched = "few";
    add(w, "few", 12, ", \"every\": \"10s\", \"max_concurrent\": 3", false);
    play(w, 60000);
    assert_int_equal(most_running, 3);
    assert_true(count("few", -1) > 60);
}

// A miner comes back with a due that an earlier broker gave it under a lease, and has not begun with it. Its
// host is another miner's by now.
static void what_may_begin_counts(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    size_t mark = w->n_sent;
    add(w, "few", 2, ", \"every\": \"10s\", \"max_concurrent\": 1", false);
    pass(w, 500);
    assert_int_equal(count_dues(w, mark, 1), 1);
    const wire_assign_t *a = heard(w, mark, 1, WIRE_TYPE_ASSIGN, 0);
    wire_holding_t row = {.source = a->dues.v[0].source, .held = w->now.wall, .version = version(w, 1)};
    restart(w);
    join(w, 2, "m2");
    pass_beating(w, LIVENESS + 1000, 2, 0);
    mark = w->n_sent;
    ready(w, 1, "m1", 1000);
    inventory(w, 1, &row, 1);
    pass_beating(w, 1000, 1, 2);
    assert_int_equal(count_dues(w, mark, 2), 0);
    const wire_revoke_t *r = heard(w, mark, 1, WIRE_TYPE_REVOKE, 0);
    wire_revoked_t back = {.sources = r->sources, .number = r->number};
    say(w, 1, WIRE_TYPE_REVOKED, &back);
    pass_beating(w, 1000, 1, 2);
    assert_int_equal(count_dues(w, mark, 1) + count_dues(w, mark, 2), 1);
}

static answer_t slow_a(const given_t *g)
{
    return (answer_t){.result = RESULT_unchanged, .took = g->template == template_id("a") ? 2000 : 300};
}

static void what_blocks_each_other_never_runs_together(void **state)
{
    world_t *w = *state;
    answer = slow_a;
    add(w, "a", 3, ", \"every\": \"5s\"", false);
    play(w, 3000); // a runs freely, until b comes
    add(w, "b", 2, ", \"every\": \"5s\", \"blocks\": \"a\"", false);
    size_t a = count("a", -1), b = count("b", -1);
    for (int i = 0; i < 600; i++) {
        int of_a = 0, of_b = 0;
        play(w, STEP);
        for (size_t k = 0; k < n_given; k++) {
            if (given[k].answered || given[k].due > w->now.wall || !given[k].until) continue;
            of_a += given[k].template == template_id("a");
            of_b += given[k].template == template_id("b");
        }
        assert_false(of_a && of_b);
    }
    assert_true(count("a", -1) - a >= 15); // and none starves
    assert_true(count("b", -1) - b >= 8);
}

static bool a_is_deadly;
static answer_t deadly_a(const given_t *g)
{
    if (g->template != template_id("a")) return fine(g);
    return (answer_t){.result = RESULT_unchanged, .took = 8000, .dies = a_is_deadly};
}

// Its run began when nothing was kept out by it.
static void what_runs_alone_keeps_others_out_too(void **state)
{
    world_t *w = *state;
    answer = deadly_a;
    go_on = a_is_deadly = true;
    add(w, "a", 1, ", \"every\": \"60s\"", false);
    play(w, 4000);
    a_is_deadly = false;
    revive(w); // it is suspect, and runs under a lease
    while (!given[n_given - 1].until) play(w, STEP);
    play(w, 2000);
    add(w, "b", 3, ", \"every\": \"60s\", \"blocks\": \"a\"", false);
    play(w, 3000);
    assert_int_equal(count("b", -1), 0);
    play(w, 10000);
    assert_int_equal(count("b", -1), 3);
}

// A miner, and a template that is polled every 5 s; its source.
static uint64_t begin_with_a(world_t *w)
{
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "a", 1, ", \"every\": \"5s\"", false);
    return source_id("a", "http://h0.example/a");
}

// A poll of a runs when b comes; what is heard of the poll before it changes nothing.
static void a_late_outcome_is_not_the_end_of_what_runs(void **state)
{
    world_t *w = *state;
    uint64_t source = begin_with_a(w);
    int64_t first = w->now.wall;
    for (int i = 0; i < 12; i++) pass(w, 1000), beat(w, 1);
    size_t mark = w->n_sent;
    add(w, "b", 1, ", \"every\": \"60s\", \"blocks\": \"a\"", false);
    wire_revoke_t *r = heard(w, mark, 1, WIRE_TYPE_REVOKE, 0);
    assert_non_null(r);
    outcome(w, 1, source, first, OUTCOME_BOTH, RESULT_unchanged, NULL, 0);
    pass(w, 500);
    assert_int_equal(count_dues(w, mark, 1), 0);
    wire_revoked_t back = {.sources = r->sources, .number = r->number};
    back.running.v = &source, back.running.n = 1;
    say(w, 1, WIRE_TYPE_REVOKED, &back);
    pass(w, 500);
    assert_int_equal(count_dues(w, mark, 1), 0);
    outcome(w, 1, source, first + 1, OUTCOME_BOTH, RESULT_unchanged, NULL, 0); // of whatever due
    pass(w, 500);
    assert_true(count_dues(w, mark, 1) > 0);
}

// A poll of a runs when b comes; what answers a REVOKE from before it began changes nothing.
static void a_late_answer_is_not_the_end_of_what_runs(void **state)
{
    world_t *w = *state;
    begin_with_a(w);
    pass_beating(w, 2000, 1, 1);
    size_t mark = w->n_sent;
    add(w, "a", 1, ", \"every\": \"6s\"", true);
    const wire_revoke_t *first = heard(w, mark, 1, WIRE_TYPE_REVOKE, 0);
    assert_non_null(first);
    pass_beating(w, 12000, 1, 1);
    mark = w->n_sent;
    add(w, "b", 1, ", \"every\": \"60s\", \"blocks\": \"a\"", false);
    const wire_revoke_t *second = heard(w, mark, 1, WIRE_TYPE_REVOKE, 0);
    assert_non_null(second);
    wire_revoked_t back = {.sources = first->sources, .number = first->number};
    say(w, 1, WIRE_TYPE_REVOKED, &back);
    pass_beating(w, 1000, 1, 1);
    assert_int_equal(count_dues(w, mark, 1), 0);
    back.number = second->number;
    say(w, 1, WIRE_TYPE_REVOKED, &back);
    pass_beating(w, 1000, 1, 1);
    assert_true(count_dues(w, mark, 1) > 0);
}

// A poll of a goes on at the miner that had it before when b comes.
static void what_runs_elsewhere_keeps_others_out_too(void **state)
{
    world_t *w = *state;
    uint64_t source = begin_with_a(w);
    int64_t first = w->now.wall;
    pass_beating(w, 6000, 1, 1);
    join(w, 2, "m2");
    wire_goodbye_t bye = {.reason = "drain"};
    bye.running.v = &source, bye.running.n = 1;
    say(w, 1, WIRE_TYPE_GOODBYE, &bye);
    pass_beating(w, 1000, 1, 2);
    assert_string_equal(broker_owner(w->broker, source), "m2");
    size_t mark = w->n_sent;
    add(w, "b", 1, ", \"every\": \"60s\", \"blocks\": \"a\"", false);
    pass_beating(w, 3000, 1, 2);
    assert_int_equal(count_dues(w, mark, 1) + count_dues(w, mark, 2), 0);
    outcome(w, 1, source, first + 1, OUTCOME_BOTH, RESULT_unchanged, NULL, 0);
    pass_beating(w, 1000, 1, 2);
    assert_true(count_dues(w, mark, 2) > 0);
}

// The broker dies before it is written down that b is gone: to the next one a waits for its turns again.
static void what_was_handed_out_ahead_is_taken_back(void **state)
{
    world_t *w = *state;
    uint64_t source = begin_with_a(w);
    add(w, "b", 1, ", \"every\": \"60s\", \"blocks\": \"a\"", false);
    size_t durable = w->n_ops, mark = w->n_sent;
    wire_arg_t args[] = {{"name", "b"}};
    command(w, "remove", args, 1);
    pass(w, 500);
    assert_true(count_dues(w, mark, 1) > 1);
    w->n_ops = durable;
    restart(w);
    mark = w->n_sent;
    wire_holding_t row = {
        .source = source, .done = w->now.wall - 1000, .held = w->now.wall + 9000, .version = version(w, 1)};
    ready(w, 1, "m1", 1000);
    inventory(w, 1, &row, 1);
    assert_non_null(heard(w, mark, 1, WIRE_TYPE_REVOKE, 0));
}

static void a_dependency_comes_first(void **state)
{
    world_t *w = *state;
    answer = failing_a;
    add(w, "a", 2, ", \"every\": \"10s\", \"max_consecutive_failures\": 0", false);
    add(w, "b", 1, ", \"every\": \"10s\", \"depends_on\": \"a\", \"priority\": \"high\"", false);
    play(w, 60000);
    assert_in_range(count("b", -1), 4, 8);
    for (size_t i = 0; i < n_given; i++) { // a waits with b's priority
        if (given[i].template == template_id("a") && given[i].at > LIVENESS + 12000)
            assert_int_equal(given[i].priority, PRIORITY_HIGH);
    }
    a_fails = true;
    play(w, 20000);
    size_t before = count("b", -1);
    play(w, 60000);
    assert_int_equal(count("b", -1), before); // none
    assert_true(explains(w, "b", "until all of 'a' has been stored"));
    a_fails = false;
    play(w, 30000);
    assert_true(count("b", -1) > before);
}

static answer_t quick(const given_t *g)
{
    (void)g;
    return (answer_t){.result = RESULT_unchanged, .took = 100};
}

// How many polls the source of the template that had the fewest had since it was given mark.
static size_t fewest(const char *template, int n, size_t mark)
{
    size_t least = SIZE_MAX;
    for (int i = 0; i < n; i++) {
        char url[80];
        size_t polls = 0;
        snprintf(url, sizeof url, "http://h%d.example/%s", i, template);
        uint64_t id = source_id(template, url);
        for (size_t k = mark; k < n_given; k++) polls += given[k].source == id && given[k].answered > 0;
        if (polls < least) least = polls;
    }
    return least;
}

static void who_waited_for_a_dependency_is_not_overtaken_for_ever(void **state)
{
    world_t *w = *state;
    answer = failing_a;
    add(w, "a", 1, ", \"every\": \"7s\", \"max_consecutive_failures\": 0", false);
    add(w, "b", 20, ", \"every\": \"3s\", \"max_concurrent\": 1, \"deadline\": \"6s\", \"depends_on\": \"a\"",
        false);
    wire_arg_t front[] = {{"name", "http://h7.example/b"}, {"front", "1"}};
    a_fails = true;
    play(w, 10000);
    assert_int_equal(command(w, "trigger", front, 2)->code, 0);
    play(w, 10000);
    a_fails = false;
    play(w, 60000);
    assert_true(fewest("b", 20, 0) >= 4); // of seven or so
}

// Who was the first when it had to wait for its dependency is not overtaken by those whose deadlines near.
static void who_was_first_is_not_overtaken_for_ever(void **state)
{
    world_t *w = *state;
    answer = slow_a;
    add(w, "a", 3, ", \"every\": \"5s\"", false);
    add(w, "b", 20, ", \"every\": \"3s\", \"max_concurrent\": 1, \"deadline\": \"6s\", \"depends_on\": \"a\"",
        false);
    play(w, 60000);
    size_t mark = n_given;
    play(w, 180000);
    assert_true(fewest("b", 20, mark) >= 18); // of 27 or so
}

// However many they are whose deadlines have passed.
static void of_very_many_nobody_is_overtaken_for_ever(void **state)
{
    world_t *w = *state;
    answer = quick;
    add(w, "b", 600, ", \"every\": \"60s\", \"max_concurrent\": 1, \"deadline\": \"6s\"", false);
    play(w, 180000);
    assert_true(fewest("b", 600, 0) >= 1);
}

static void a_circle_is_refused_and_named(void **state)
{
    world_t *w = *state;
    add(w, "a", 1, ", \"depends_on\": \"b\"", false); // which is not there yet
    add(w, "b", 1, ", \"depends_on\": \"c\"", false);
    wire_reply_t *r = add(w, "c", 1, ", \"depends_on\": \"a\"", false);
    assert_int_equal(r->code, 400);
    assert_string_equal(r->field, "depends_on");
    assert_non_null(strstr(r->message, "c -> a -> b -> c"));
    assert_int_equal(add(w, "c", 1, "", false)->code, 0);
}

static wire_reply_t *add_stream(world_t *w, const char *name, const char *more)
{
    char json[300];
    snprintf(json, sizeof json,
             "{\"name\": \"%s\", \"kind\": \"stream\", \"url\": \"http://s.example/%s\","
             " \"fields\": {\"title\": \"$.t\"}%s}",
             name, name, more);
    wire_arg_t args[] = {{"template", json}};
    return command(w, "add", args, 1);
}

static void a_stream_keeps_nobody_out(void **state)
{
    static const char *const polls_only[] = {"max_concurrent", "blocks", "depends_on"};
    static const char *const values[] = {"1", "\"a\"", "\"a\""};
    world_t *w = *state;
    for (int i = 0; i < 3; i++) {
        char more[60];
        snprintf(more, sizeof more, ", \"%s\": %s", polls_only[i], values[i]);
        wire_reply_t *r = add_stream(w, "s", more);
        assert_int_equal(r->code, 400);
        assert_string_equal(r->field, polls_only[i]);
    }
    assert_int_equal(add_stream(w, "s", "")->code, 0);
    wire_reply_t *r = add(w, "a", 1, ", \"blocks\": \"s\"", false);
    assert_int_equal(r->code, 400);
    assert_non_null(strstr(r->message, "'a' and 's'"));
    assert_int_equal(add(w, "b", 1, ", \"blocks\": \"t\"", false)->code, 0); // not there yet
    r = add_stream(w, "t", "");
    assert_int_equal(r->code, 400);
    assert_string_equal(r->field, "blocks");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(no_more_run_at_once_than_may),
        cmocka_unit_test_setup_teardown(what_may_begin_counts, setup, teardown),
        PLAY(what_blocks_each_other_never_runs_together),
        PLAY(what_runs_alone_keeps_others_out_too),
        cmocka_unit_test_setup_teardown(a_late_outcome_is_not_the_end_of_what_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_answer_is_not_the_end_of_what_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(what_runs_elsewhere_keeps_others_out_too, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_handed_out_ahead_is_taken_back, setup, teardown),
        PLAY(a_dependency_comes_first),
        PLAY(who_waited_for_a_dependency_is_not_overtaken_for_ever),
        PLAY(who_was_first_is_not_overtaken_for_ever),
        PLAY(of_very_many_nobody_is_overtaken_for_ever),
        PLAY(a_circle_is_refused_and_named),
        PLAY(a_stream_keeps_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
