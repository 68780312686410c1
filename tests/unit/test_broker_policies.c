// needs: broker proto common
// The broker: what becomes of failures, tasks, suspects, admission.
#include "tests/unit/broker_play.h"

// -- failures -------------------------------------------------------------------------------------------

static answer_t broken(const given_t *g)
{
    if (g->template == template_id("bad"))
        return (answer_t){.result = RESULT_failed, .error = ERR_parse, .took = 50};
    return fine(g);
}

static void a_source_that_keeps_failing_is_quarantined_and_comes_back(void **state)
{
    world_t *w = *state;
    answer = broken;
    add_apart(w, "bad", 1, ", \"every\": \"10s\"");
    add(w, "good", 3, ", \"every\": \"10s\"", false);
    play(w, 120000);
    size_t polls = count("bad", -1);
    assert_in_range(polls, 5, 20); // those of the slots given out already, no more
    assert_true(explains(w, "bad", "quarantine (parse)"));
    assert_int_equal(letters(w, "quarantine"), 1);
    size_t good = count("good", -1);
    play(w, 400000);
    assert_int_equal(count("bad", -1), polls);
    assert_true(count("good", -1) - good > 100);
    play(w, 300000); // ten slots after it began: a probe
    assert_int_equal(count("bad", CAUSE_probe), 1);
    play(w, 600000); // the next one comes later than that
    assert_int_equal(count("bad", CAUSE_probe), 1);
    answer = fine;
    play(w, 700000);
    assert_int_equal(count("bad", CAUSE_probe), 2);
    assert_true(count("bad", -1) > polls + 10);
    assert_int_equal(letters(w, "quarantine"), 0);
}

// Somebody asked for a poll, and it works again: there is nothing to probe any more.
static void what_works_again_is_not_probed(void **state)
{
    world_t *w = *state;
    answer = failing_a;
    a_fails = true;
    add(w, "a", 1, ", \"every\": \"10s\", \"max_consecutive_failures\": 2, \"retry\": {\"max_attempts\": 1}",
        false);
    play(w, 30000);
    assert_int_equal(letters(w, "quarantine"), 1);
    a_fails = false;
    wire_arg_t args[] = {{"name", "a"}};
    assert_int_equal(command(w, "trigger", args, 1)->code, 0);
    play(w, 5000);
    assert_int_equal(letters(w, "quarantine"), 0);
    play(w, 11 * SLOT);
    assert_int_equal(count("a", CAUSE_probe), 0);
}

static void enable_lets_out_of_quarantine(void **state)
{
    world_t *w = *state;
    answer = broken;
    add_apart(w, "bad", 1, ", \"every\": \"10s\", \"max_consecutive_failures\": 2");
    play(w, 100000);
    assert_true(explains(w, "bad", "quarantine"));
    answer = fine;
    wire_arg_t args[] = {{"name", "bad"}};
    yyjson_doc *doc = ask(w, "enable", args, 1);
    assert_string_equal(cell(yyjson_doc_get_root(doc), "action"), "released");
    yyjson_doc_free(doc);
    size_t before = count("bad", -1);
    play(w, 2000);
    assert_int_equal(count("bad", -1), before + 1);
    assert_true(explains(w, "bad", "nothing keeps it"));
}

static int failures_left;
static answer_t flaky(const given_t *g)
{
    if (g->template == template_id("flaky") && failures_left > 0) {
        failures_left -= g->at > 0;
        return (answer_t){.result = RESULT_failed, .error = ERR_timeout, .took = 0};
    }
    return fine(g);
}

static void a_poll_that_failed_is_tried_again_before_its_next_due(void **state)
{
    world_t *w = *state;
    answer = flaky;
    failures_left = 2;
    add(w, "flaky", 1, ", \"every\": \"10m\"", false);
    play(w, 10000);
    assert_int_equal(count("flaky", CAUSE_added), 1);
    assert_int_equal(count("flaky", CAUSE_retry), 2);
    assert_int_equal(broker_counts(w->broker).stored, 1);
}

// However much fails, retries are a small part of all polls.
static answer_t all_fail(const given_t *g)
{
    (void)g;
    return (answer_t){.result = RESULT_failed, .error = ERR_truncated, .took = 50};
}

static void an_outage_makes_no_storm_of_retries(void **state)
{
    world_t *w = *state;
    add(w, "many", 50, ", \"every\": \"20s\", \"max_consecutive_failures\": 0", false);
    play(w, 20000);
    answer = all_fail;
    size_t before = count("many", -1), retries = count("many", CAUSE_retry);
    play(w, 200000);
    size_t polls = count("many", -1) - before;
    assert_true(count("many", CAUSE_retry) - retries <= 20 + polls / 9);
}

// -- hosts and miners -----------------------------------------------------------------------------------

static answer_t host_down(const given_t *g)
{
    if (g->template == template_id("down"))
        return (answer_t){.result = RESULT_failed, .error = ERR_connect, .took = 50};
    return fine(g);
}

static void a_hosts_breaker_opens_after_a_second_opinion(void **state)
{
    world_t *w = *state;
    answer = host_down;
    add_apart(w, "down", 1, ", \"every\": \"5s\"");
    add(w, "up", 10, ", \"every\": \"5s\"", false);
    play(w, 180000);
    uint64_t first = 0;
    bool second = false;
    for (size_t i = 0; i < n_given; i++) {
        if (given[i].template != template_id("down") || given[i].answered <= 0) continue;
        if (!first) first = given[i].peer;
        second |= given[i].peer != first;
    }
    assert_true(second);
    assert_true(explains(w, "down", "is down (connect"));
    size_t before = count("down", -1);
    play(w, 300000);
    assert_in_range(count("down", -1) - before, 4, 7); // a probe a minute
    assert_int_equal(letters(w, "quarantine"), 0);     // the source is not to blame
    answer = fine;
    play(w, 180000);
    assert_true(count("down", -1) - before > 15);
}

static answer_t limited(const given_t *g)
{
    if (g->template == template_id("limited"))
        return (answer_t){.result = RESULT_failed,
                          .error = ERR_rate_limited,
                          .status = 429,
                          .retry_after_s = 300,
                          .took = 50};
    return fine(g);
}

static void retry_after_is_for_the_whole_host_and_survives(void **state)
{
    world_t *w = *state;
    answer = limited;
    add_apart(w, "limited", 1, ", \"every\": \"10s\"");
    play(w, 70000);
    size_t before = count("limited", -1);
    answer = fine;
    play(w, 200000);
    assert_true(count("limited", -1) - before <= 1);
    assert_true(explains(w, "limited", "asked to be left alone"));
    restart(w);
    assert_true(explains(w, "limited", "asked to be left alone (rate_limited)"));
    for (uint64_t p = 1; p < PEERS; p++) alive[p] = false;
    scanned = w->n_sent;
    n_given = 0;
    pass(w, LIVENESS + 100);
    revive(w);
    before = 0;
    play(w, 150000);
    assert_true(count("limited", -1) > before);
}

static answer_t sick_m1(const given_t *g)
{
    if (g->peer == 1) return (answer_t){.result = RESULT_failed, .error = ERR_dns, .took = 50};
    return fine(g);
}

static void a_sick_miner_is_relieved_and_comes_back(void **state)
{
    world_t *w = *state;
    add(w, "all", 60, ", \"every\": \"5s\"", false);
    play(w, 30000);
    answer = sick_m1;
    play(w, 60000);
    size_t at_1 = 0;
    for (size_t i = 0; i < n_given; i++)
        at_1 += given[i].peer == 1 && given[i].answered > w->now.mono - 30000;
    assert_true(at_1 < 30); // a probe now and then; its share would be 120
    answer = fine;
    play(w, 240000);
    size_t owned = 0;
    for (size_t i = 0; i < n_given; i++)
        owned += given[i].peer == 1 && given[i].answered > w->now.mono - 30000;
    assert_true(owned > 60);
}

// -- poison ---------------------------------------------------------------------------------------------

static answer_t poison(const given_t *g)
{
    if (g->template == template_id("poison")) return (answer_t){.dies = true};
    return fine(g);
}

static void poison_is_found_and_bystanders_are_not_blamed(void **state)
{
    world_t *w = *state;
    answer = poison;
    add(w, "good", 6, ", \"every\": \"2s\"", false);
    add_apart(w, "poison", 1, ", \"every\": \"10s\"");
    int deaths = 0;
    for (int i = 0; i < 600; i++) {
        play(w, 1000);
        for (uint64_t p = 1; p < PEERS; p++) deaths += !alive[p];
        if (i % 3 == 2) revive(w);
    }
    assert_true(explains(w, "poison", "quarantine (poison)"));
    wire_arg_t args[] = {{"action", "list"}};
    yyjson_doc *doc = ask(w, "dlq", args, 1);
    yyjson_val *row = yyjson_arr_get_first(yyjson_doc_get_root(doc));
    assert_non_null(strstr(cell(row, "detail"), "died of it: m"));
    assert_int_equal(letters(w, "quarantine"), 1);
    yyjson_doc_free(doc);
    size_t good = count("good", -1);
    play(w, 20000);
    assert_true(count("good", -1) - good > 50);
    assert_true(deaths < 30);
}

static answer_t slow(const given_t *g)
{
    answer_t a = fine(g);
    if (g->template == template_id("slow")) a.took = 5000;
    return a;
}

// Miners that die every few seconds whatever they poll: who is under way at each of their deaths is not
// blamed.
static void what_runs_on_miners_that_die_anyway_is_not_poison(void **state)
{
    world_t *w = *state;
    answer = slow;
    add_apart(w, "slow", 1, ", \"every\": \"10s\"");
    play(w, 60000);
    size_t done = count("slow", -1);
    assert_true(done > 4);
    for (int i = 0; i < 30; i++) {
        const char *owner = broker_owner(w->broker, given[0].source);
        if (owner) alive[owner[1] - '0'] = false;
        play(w, 1000);
        revive(w);
        play(w, 3000);
    }
    assert_int_equal(letters(w, "quarantine"), 0);
    play(w, 90000);
    assert_true(count("slow", -1) - done > 5);
    assert_false(explains(w, "slow", "died"));
}

static void fall_silent(world_t *w, uint64_t source)
{
    alive[broker_owner(w->broker, source)[1] - '0'] = false;
    play(w, LIVENESS + 2000);
}

// Its lease at the first miner that died is not over yet.
static void what_ran_elsewhere_is_not_blamed(void **state)
{
    world_t *w = *state;
    answer = slow;
    add_apart(w, "slow", 1, ", \"every\": \"10s\", \"max_concurrent\": 1");
    while (!n_given) play(w, STEP);
    play(w, 1000);
    for (int i = 0; i < 2; i++) fall_silent(w, given[0].source);
    assert_int_equal(n_given, 1);
    assert_true(explains(w, "slow", "a miner died while it was polled"));
}

static answer_t waits_for_the_sink(const given_t *g)
{
    answer_t a = fine(g);
    a.unstored = g->template == template_id("waits");
    return a;
}

static void what_waits_for_the_sink_is_not_blamed(void **state)
{
    world_t *w = *state;
    answer = waits_for_the_sink;
    add_apart(w, "waits", 1, ", \"every\": \"30s\"");
    play(w, 30000);
    assert_true(n_given > 0);
    for (int i = 0; i < 8; i++) {
        const char *owner = broker_owner(w->broker, given[0].source);
        assert_non_null(owner);
        alive[owner[1] - '0'] = false;
        play(w, LIVENESS + 1000);
        revive(w);
        play(w, 12000);
    }
    assert_int_equal(letters(w, "quarantine"), 0);
}

// -- tasks ----------------------------------------------------------------------------------------------

static int64_t trigger(world_t *w, const char *name, const char *key, const char *value)
{
    wire_arg_t args[] = {{"name", name}, {key, value}};
    yyjson_doc *doc = ask(w, "trigger", args, key ? 2 : 1);
    int64_t id = yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(doc), "task"));
    yyjson_doc_free(doc);
    return id;
}

static bool task_is(world_t *w, int64_t id, const char *state)
{
    yyjson_doc *doc = ask(w, "tasks", NULL, 0);
    yyjson_val *row;
    size_t i, n;
    bool is = false;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, row)
    {
        if (yyjson_get_sint(yyjson_obj_get(row, "task")) != id) continue;
        is = !strcmp(cell(row, "state"), state);
        if (!is) fprintf(stderr, "task %d is %s\n", (int)id, cell(row, "state"));
    }
    yyjson_doc_free(doc);
    return is;
}

static void a_task_polls_each_source_once(void **state)
{
    world_t *w = *state;
    add(w, "t", 5, ", \"mode\": \"triggered\"", false);
    play(w, 5000);
    assert_int_equal(count("t", -1), 0);
    int64_t now = trigger(w, "t", NULL, NULL), later = trigger(w, "t", "in_ms", "30000");
    play(w, 3000);
    assert_true(task_is(w, now, "done"));
    assert_true(task_is(w, later, "waiting"));
    assert_int_equal(count("t", CAUSE_triggered), 5);
    play(w, 30000);
    assert_true(task_is(w, later, "done"));
    assert_int_equal(count("t", CAUSE_triggered), 10);
}

static void a_task_that_fails_goes_to_the_dead_letters(void **state)
{
    world_t *w = *state;
    answer = all_fail;
    add(w, "t", 1, ", \"mode\": \"triggered\", \"retry\": {\"max_attempts\": 3}", false);
    int64_t id = trigger(w, "t", NULL, NULL);
    play(w, 20000);
    assert_true(task_is(w, id, "failed"));
    assert_int_equal(count("t", -1), 3);
    assert_int_equal(letters(w, "task"), 1);
    answer = fine;
    wire_arg_t args[] = {{"action", "retry"}, {"name", "t"}};
    yyjson_doc_free(ask(w, "dlq", args, 2));
    play(w, 5000);
    assert_int_equal(count("t", -1), 4);
    assert_int_equal(letters(w, "task"), 0);
}

// Retrying one letter of a source lets it out of quarantine, which takes the other one along.
static answer_t limited_for_a_while(const given_t *g)
{
    static int64_t until;
    if (g->cause != CAUSE_triggered && g->cause != CAUSE_retry) {
        until = g->due + 40000;
        return (answer_t){.result = RESULT_failed,
                          .error = ERR_rate_limited,
                          .status = 429,
                          .took = 50,
                          .retry_after_s = 40};
    }
    if (g->due < until) return (answer_t){.result = RESULT_skipped, .error = ERR_host_backoff, .took = 10};
    return fine(g);
}

// A task of a host that asked to be left alone waits, instead of being tried and skipped each second.
static void a_task_waits_for_the_end_of_a_back_off(void **state)
{
    world_t *w = *state;
    answer = limited_for_a_while;
    add_apart(w, "t", 1, ", \"every\": \"24h\"");
    play(w, 3000);
    int64_t id = trigger(w, "t", NULL, NULL);
    play(w, 30000);
    assert_true(count("t", CAUSE_triggered) <= 1);
    play(w, 30000);
    assert_true(task_is(w, id, "done"));
}

static void letters_of_one_source_are_retried_together(void **state)
{
    world_t *w = *state;
    answer = broken;
    add_apart(w, "bad", 1, ", \"every\": \"10s\", \"max_consecutive_failures\": 4");
    int64_t id = trigger(w, "bad", NULL, NULL);
    play(w, 5000);
    assert_true(task_is(w, id, "failed"));
    play(w, 120000);
    assert_int_equal(letters(w, "task"), 1);
    assert_int_equal(letters(w, "quarantine"), 1);
    answer = fine;
    wire_arg_t args[] = {{"action", "retry"}};
    yyjson_doc_free(ask(w, "dlq", args, 1));
    play(w, 5000);
    assert_int_equal(letters(w, "task") + letters(w, "quarantine"), 0);
    assert_true(explains(w, "bad", "nothing keeps it"));
}

// What goes to a host among others has the class that was asked for.
static void a_tasks_priority_reaches_the_miner(void **state)
{
    world_t *w = *state;
    add(w, "t", 1, ", \"every\": \"1h\", \"priority\": \"low\"", false);
    play(w, 5000);
    trigger(w, "t", "priority", "critical");
    play(w, 3000);
    assert_int_equal(given[n_given - 1].cause, CAUSE_triggered);
    assert_int_equal(given[n_given - 1].priority, PRIORITY_CRITICAL);
}

static answer_t slowly(const given_t *g)
{
    (void)g;
    return (answer_t){.result = RESULT_unchanged, .took = 3000};
}

// How long a source of a template that cannot keep up waits for its poll once it is asked for, ms.
static int64_t waited(world_t *w, const char *key, const char *value)
{
    const char *url = "http://busy20.example/busy";
    uint64_t source = source_id("busy", url);
    size_t mark = n_given;
    int64_t since = w->now.mono;
    trigger(w, url, key, value);
    for (int i = 0; i < 300; i++) {
        play(w, 1000);
        for (size_t k = mark; k < n_given; k++)
            if (given[k].source == source && given[k].answered > 0) return given[k].answered - since;
    }
    return INT64_MAX;
}

// Each waits for three slots if nobody asks for it.
static void who_is_asked_for_goes_before_others_of_its_template(void **state)
{
    world_t *w = *state;
    answer = slowly;
    add_apart(w, "busy", 60, ", \"max_concurrent\": 1, \"every\": \"60s\"");
    play(w, 5 * SLOT);
    assert_true(waited(w, "front", "1") < 10000);
    play(w, 20000);
    assert_true(waited(w, "priority", "critical") < 10000);
    play(w, 20000);
    assert_true(waited(w, "front", "0") < 200000); // in its turn
}

static void a_deadline_that_is_missed_is_recorded(void **state)
{
    world_t *w = *state;
    add(w, "t", 1, ", \"mode\": \"triggered\"", false);
    for (uint64_t p = 1; p < PEERS; p++) {
        wire_goodbye_t bye = {.done = true};
        say(w, p, WIRE_TYPE_GOODBYE, &bye);
        alive[p] = false;
    }
    wire_arg_t args[] = {{"name", "t"}, {"deadline_in_ms", "5000"}};
    yyjson_doc_free(ask(w, "trigger", args, 2));
    play(w, 10000);
    yyjson_doc *doc = ask(w, "tasks", NULL, 0);
    yyjson_val *row = yyjson_arr_get_first(yyjson_doc_get_root(doc));
    assert_true(yyjson_get_bool(yyjson_obj_get(row, "deadline_missed")));
    yyjson_doc_free(doc);
}

static void the_order_is_known_beforehand(void **state)
{
    world_t *w = *state;
    add(w, "a", 1, ", \"mode\": \"triggered\"", false);
    add(w, "b", 1, ", \"mode\": \"triggered\"", false);
    trigger(w, "a", "in_ms", "60000");
    wire_arg_t front[] = {{"name", "b"}, {"front", "1"}, {"in_ms", "60000"}};
    yyjson_doc_free(ask(w, "trigger", front, 3));
    yyjson_doc *doc = ask(w, "next", NULL, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_string_equal(cell(yyjson_arr_get(root, 0), "template"), "b");
    assert_string_equal(cell(yyjson_arr_get(root, 1), "template"), "a");
    yyjson_doc_free(doc);
}

static void tasks_and_quarantine_survive_a_restart(void **state)
{
    world_t *w = *state;
    answer = broken;
    add(w, "t", 1, ", \"mode\": \"triggered\"", false);
    add_apart(w, "bad", 1, ", \"every\": \"10s\"");
    play(w, 120000);
    int64_t id = trigger(w, "t", "in_ms", "60000");
    restart(w);
    assert_true(explains(w, "bad", "quarantine (parse)"));
    assert_int_equal(letters(w, "quarantine"), 1);
    for (uint64_t p = 1; p < PEERS; p++) alive[p] = false;
    scanned = w->n_sent;
    n_given = 0;
    pass(w, LIVENESS + 100);
    revive(w);
    size_t before = count("bad", -1);
    play(w, 80000);
    assert_int_equal(count("bad", -1), before);
    assert_true(task_is(w, id, "done"));
}

// -- admission ------------------------------------------------------------------------------------------

static void an_overloaded_miner_gets_high_work_only_and_low_is_not_forgotten(void **state)
{
    world_t *w = *state;
    add(w, "low", 1, ", \"every\": \"60s\", \"priority\": \"low\"", false);
    add(w, "high", 2, ", \"every\": \"60s\", \"priority\": \"high\"", false);
    play(w, 60000);
    size_t low = count("low", -1), high = count("high", -1);
    for (int i = 0; i < 20 * 60; i++) {
        wire_heartbeat_t h = {.state = MINER_overloaded};
        for (uint64_t p = 1; p < PEERS; p++) say(w, p, WIRE_TYPE_HEARTBEAT, &h);
        pass(w, 500);
        for (uint64_t p = 1; p < PEERS; p++) say(w, p, WIRE_TYPE_HEARTBEAT, &h);
        scan(w);
        for (size_t k = 0; k < n_given; k++)
            if (!given[k].answered && given[k].due <= w->now.wall) {
                answer_t a = fine(&given[k]);
                report(w, &given[k], &a);
            }
        pass(w, 500);
    }
    assert_true(count("high", -1) - high >= 38);
    assert_in_range(count("low", -1) - low, 1, 3); // once in ten slots
    broker_counts_t c = broker_counts(w->broker);
    assert_true(c.skipped >= 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_source_that_keeps_failing_is_quarantined_and_comes_back),
        PLAY(what_works_again_is_not_probed),
        PLAY(enable_lets_out_of_quarantine),
        PLAY(a_poll_that_failed_is_tried_again_before_its_next_due),
        PLAY(an_outage_makes_no_storm_of_retries),
        PLAY(a_hosts_breaker_opens_after_a_second_opinion),
        PLAY(retry_after_is_for_the_whole_host_and_survives),
        PLAY(a_sick_miner_is_relieved_and_comes_back),
        PLAY(poison_is_found_and_bystanders_are_not_blamed),
        PLAY(what_runs_on_miners_that_die_anyway_is_not_poison),
        PLAY(what_ran_elsewhere_is_not_blamed),
        PLAY(what_waits_for_the_sink_is_not_blamed),
        PLAY(a_task_polls_each_source_once),
        PLAY(a_task_that_fails_goes_to_the_dead_letters),
        PLAY(a_task_waits_for_the_end_of_a_back_off),
        PLAY(letters_of_one_source_are_retried_together),
        PLAY(a_tasks_priority_reaches_the_miner),
        PLAY(who_is_asked_for_goes_before_others_of_its_template),
        PLAY(a_deadline_that_is_missed_is_recorded),
        PLAY(the_order_is_known_beforehand),
        PLAY(tasks_and_quarantine_survive_a_restart),
        PLAY(an_overloaded_miner_gets_high_work_only_and_low_is_not_forgotten),
    };
    log_set_level(getenv("SHOW") ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
