// needs: broker proto common
// The broker: what is remembered of failures, and how often they are tried again: attempts, pauses,
// back-offs, probes, letters, deadlines.
#include "tests/unit/broker_play.h"

static answer_t fails(const given_t *g)
{
    (void)g;
    return (answer_t){.result = RESULT_failed, .error = ERR_truncated, .took = 50};
}

static answer_t breaks(const given_t *g)
{
    (void)g;
    return (answer_t){.result = RESULT_failed, .error = ERR_parse, .took = 50};
}

static int64_t ask_for(world_t *w, const char *name, const char *key, const char *value)
{
    wire_arg_t args[] = {{"name", name}, {key ? key : "name", key ? value : name}};
    yyjson_doc *doc = ask(w, "trigger", args, 2);
    int64_t id = yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(doc), "task"));
    yyjson_doc_free(doc);
    return id;
}

// Dues that were polled, each once though it may have been sent twice.
static size_t polls(void)
{
    size_t n = 0;
    for (size_t i = 0; i < n_given; i++) {
        bool again = given[i].answered <= 0;
        for (size_t k = 0; k < i; k++)
            again |= given[k].due == given[i].due && given[k].source == given[i].source;
        n += !again;
    }
    return n;
}

static void come_back(world_t *w)
{
    restart(w);
    memset(alive, 0, sizeof alive);
    revive(w);
    play(w, LIVENESS + 1000);
}

// The n-th of the dead letters, the newest first: its id, and its template.
static int64_t letter(world_t *w, size_t n, char *template)
{
    wire_arg_t args[] = {{"action", "list"}};
    yyjson_doc *doc = ask(w, "dlq", args, 1);
    yyjson_val *row = yyjson_arr_get(yyjson_doc_get_root(doc), n);
    int64_t id = yyjson_get_sint(yyjson_obj_get(row, "id"));
    if (template) snprintf(template, MAX_NAME, "%s", cell(row, "template"));
    yyjson_doc_free(doc);
    return id;
}

// -- other attempts ---------------------------------------------------------------------------------------

static void a_continuous_source_is_not_tried_for_ever(void **state)
{
    world_t *w = *state;
    answer = fails;
    add(w, "t", 1,
        ", \"mode\": \"continuous\", \"min_gap\": \"10m\", \"max_consecutive_failures\": 0, \"retry\": "
        "{\"max_attempts\": 3}",
        false);
    play(w, 60000);
    assert_int_equal(polls(), 3);
}

static int64_t second_at;

// Its host asks to be left alone, and then, of a detail page, for longer.
static answer_t asks_to_be_left_alone(const given_t *g)
{
    if (g->cause == CAUSE_retry) return fine(g);
    return (answer_t){.result = RESULT_failed, .error = ERR_rate_limited, .retry_after_s = 5, .took = 100};
}

static void another_attempt_waits_while_its_host_is_left_alone(void **state)
{
    world_t *w = *state;
    answer = asks_to_be_left_alone;
    add_apart(w, "t", 1, ", \"mode\": \"triggered\"");
    ask_for(w, "t", NULL, NULL);
    play(w, 2000);
    wire_host_t host = {"t0.example:80", 8000};
    wire_backoff_t longer = {.hosts = {&host, 1}};
    say(w, 1, WIRE_TYPE_BACKOFF, &longer);
    second_at = w->now.mono;
    play(w, 20000);
    assert_int_equal(count("t", CAUSE_retry), 1);
    assert_true(given[n_given - 1].at >= second_at + 8000);
}

// The first dues of a slot may fall into it, and the later ones not.
static answer_t for_seventy_seconds(const given_t *g)
{
    if (g->at > second_at && second_at) return fine(g);
    second_at = g->at;
    return (answer_t){.result = RESULT_failed, .error = ERR_rate_limited, .retry_after_s = 70, .took = 100};
}

static void a_back_off_ends_within_a_slot(void **state)
{
    world_t *w = *state;
    second_at = 0;
    answer = for_seventy_seconds;
    add(w, "t", 1, ", \"every\": \"10s\"", false);
    play(w, 3 * SLOT);
    size_t later = 0;
    for (size_t i = 0; i < n_given; i++) {
        int64_t after = given[i].due - (w->now.wall - w->now.mono + second_at);
        assert_true(given[i].at <= second_at || after >= 69000);
        later += given[i].answered > second_at + 70000;
    }
    assert_in_range(later, 8, 13);
}

// -- quarantine -------------------------------------------------------------------------------------------

static void a_continuous_source_is_probed_with_doubling_pauses(void **state)
{
    world_t *w = *state;
    answer = breaks;
    add(w, "t", 1, ", \"mode\": \"continuous\", \"min_gap\": \"2s\", \"max_consecutive_failures\": 2", false);
    play(w, 25 * SLOT);
    assert_int_equal(count("t", CAUSE_probe), 1);
    assert_int_equal(polls(), 3);
}

static void a_restart_does_not_hasten_probes(void **state)
{
    world_t *w = *state;
    answer = breaks;
    add_apart(w, "t", 2, ", \"max_concurrent\": 1, \"every\": \"20s\", \"max_consecutive_failures\": 2");
    play(w, SLOT);
    assert_int_equal(letters(w, "quarantine"), 2);
    size_t polls = count("t", -1);
    come_back(w);
    play(w, 3 * SLOT);
    assert_int_equal(count("t", -1), polls);
}

// -- letters ----------------------------------------------------------------------------------------------

static void letters_of_two_templates_are_two(void **state)
{
    world_t *w = *state;
    static const char *const names[] = {"a", "b"};
    for (int i = 0; i < 2; i++) {
        wire_arg_t off[] = {{"name", names[i]}};
        add(w, names[i], 1, ", \"mode\": \"triggered\"", false);
        ask_for(w, names[i], "in_ms", "2000");
        command(w, "disable", off, 1);
    }
    play(w, 5000);
    assert_int_equal(letters(w, "task"), 2);
}

static void letters_keep_their_order_and_their_names(void **state)
{
    world_t *w = *state;
    char name[MAX_NAME];
    answer = breaks;
    add_apart(w, "a", 1, ", \"mode\": \"triggered\", \"max_consecutive_failures\": 0");
    add_apart(w, "b", 1, ", \"mode\": \"triggered\", \"max_consecutive_failures\": 0");
    static const char *const order[] = {"a", "b", "a"};
    for (int i = 0; i < 3; i++) {
        ask_for(w, order[i], NULL, NULL);
        play(w, 3000);
    }
    come_back(w);
    letter(w, 0, name);
    assert_string_equal(name, "a"); // whose second failure is the newest
    char id[24];
    wire_arg_t args[] = {{"action", "drop"}, {"id", id}};
    int64_t newest = letter(w, 1, NULL);
    snprintf(id, sizeof id, "%lld", (long long)newest);
    yyjson_doc_free(ask(w, "dlq", args, 2));
    come_back(w);
    ask_for(w, "b", NULL, NULL);
    play(w, 3000);
    assert_true(letter(w, 0, NULL) > newest);
}

// -- deadlines ----------------------------------------------------------------------------------------------

// Records that say so of a task that has not ended.
static size_t noted(const world_t *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_ops; i++)
        n += w->ops[i].kind == STORE_RECORD && !strcmp(w->ops[i].name, "task") &&
             strstr(w->ops[i].text, "\"missed\":true") && strstr(w->ops[i].text, "\"finished\":0");
    return n;
}

static void a_missed_deadline_is_noted_once(void **state)
{
    world_t *w = *state;
    add(w, "t", 1, ", \"mode\": \"triggered\"", false);
    memset(alive, 0, sizeof alive);
    ask_for(w, "t", "deadline_in_ms", "5000");
    play(w, 10000);
    assert_int_equal(noted(w), 1);
    restart(w);
    play(w, 10000);
    assert_int_equal(noted(w), 1);
}

static void a_deadline_that_passes_while_the_broker_stalls_is_missed(void **state)
{
    world_t *w = *state;
    answer = fails; // never says so
    add(w, "t", 1, ", \"mode\": \"triggered\"", false);
    play(w, 2000);
    int64_t id = ask_for(w, "t", "deadline_in_ms", "5000");
    pass(w, 100);
    scan(w);
    w->now.mono += 8000;
    w->now.wall += 8000;
    answer_t a = {.result = RESULT_unchanged, .took = 8000};
    report(w, &given[n_given - 1], &a);
    yyjson_doc *doc = ask(w, "tasks", NULL, 0);
    yyjson_val *row = yyjson_arr_get_first(yyjson_doc_get_root(doc));
    assert_int_equal(yyjson_get_sint(yyjson_obj_get(row, "task")), id);
    assert_string_equal(cell(row, "state"), "done");
    assert_true(yyjson_get_bool(yyjson_obj_get(row, "deadline_missed")));
    yyjson_doc_free(doc);
}

// A task that left before a restart.
static void no_task_has_the_name_of_another(void **state)
{
    world_t *w = *state;
    add(w, "t", 1, ", \"mode\": \"triggered\"", false);
    int64_t id = ask_for(w, "t", NULL, NULL);
    play(w, 2000);
    w->now.wall += 8 * 86400000LL;
    for (int i = 0; i < 2; i++) come_back(w);
    yyjson_doc *doc = ask(w, "tasks", NULL, 0);
    assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(doc)), 0);
    yyjson_doc_free(doc);
    assert_int_equal(ask_for(w, "t", NULL, NULL), id + 1);
}

// -- replay -----------------------------------------------------------------------------------------------

static answer_t is_busy(const given_t *g)
{
    if (g->cause == CAUSE_replay && g->due == second_at)
        return (answer_t){.result = RESULT_skipped, .error = ERR_still_running};
    return fine(g);
}

static void a_replay_that_meets_a_poll_comes_after_it(void **state)
{
    world_t *w = *state;
    answer = is_busy;
    add(w, "t", 1, ", \"every\": \"1h\"", false);
    play(w, 5000);
    wire_arg_t args[] = {{"source", "http://h0.example/t"}};
    yyjson_doc *doc = ask(w, "replay", args, 1);
    second_at = yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(doc), "due_ms"));
    yyjson_doc_free(doc);
    play(w, 5000);
    assert_int_equal(count("t", CAUSE_replay), 2);
    assert_int_equal(broker_counts(w->broker).stored, 2);
}

static void a_continuous_source_that_waits_for_its_turn_is_read_anew(void **state)
{
    world_t *w = *state;
    add(w, "t", 1, ", \"mode\": \"continuous\", \"min_gap\": \"10m\", \"max_concurrent\": 1", false);
    play(w, 60000);
    wire_arg_t args[] = {{"source", "http://h0.example/t"}};
    yyjson_doc_free(ask(w, "replay", args, 1));
    play(w, 2000);
    assert_int_equal(count("t", CAUSE_replay), 1);
}

// A host's other source is told to leave it alone; the word of that does not reach the miner, which comes
// back with what it had.
static void what_was_taken_back_is_taken_back_again(void **state)
{
    world_t *w = *state;
    add(w, "t", 1, ", \"every\": \"10s\"", false);
    uint64_t source = source_id("t", "http://h0.example/t"), peer = 0;
    play(w, 12000);
    while (++peer < PEERS &&
           strcmp(broker_owner(w->broker, source), (char[]){'m', (char)('0' + peer), 0}) != 0) {
    }
    add(w, "u", 1, ", \"every\": \"1h\"", false);
    pass(w, 100);
    given_t asked = {.source = source_id("u", "http://h0.example/u"), .peer = peer, .due = w->now.wall};
    answer_t limited = {.result = RESULT_failed, .error = ERR_rate_limited, .retry_after_s = 5};
    size_t mark = w->n_sent;
    report(w, &asked, &limited);
    assert_non_null(heard(w, mark, peer, WIRE_TYPE_REVOKE, 0));
    mark = w->n_sent;
    char name[] = {'m', (char)('0' + peer), 0};
    wire_holding_t row = {.source = source,
                          .done = w->now.wall - 1000,
                          .held = w->now.wall + 9000,
                          .version = version(w, peer)};
    ready(w, PEERS, name, peer * 1000);
    inventory(w, PEERS, &row, 1);
    const wire_revoke_t *r = heard(w, mark, PEERS, WIRE_TYPE_REVOKE, 0);
    assert_non_null(r);
    assert_int_equal(r->sources.v[0], source);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        PLAY(a_continuous_source_is_not_tried_for_ever),
        PLAY(another_attempt_waits_while_its_host_is_left_alone),
        PLAY(a_back_off_ends_within_a_slot),
        PLAY(a_continuous_source_is_probed_with_doubling_pauses),
        PLAY(a_restart_does_not_hasten_probes),
        PLAY(letters_of_two_templates_are_two),
        PLAY(letters_keep_their_order_and_their_names),
        PLAY(a_missed_deadline_is_noted_once),
        PLAY(a_deadline_that_passes_while_the_broker_stalls_is_missed),
        PLAY(no_task_has_the_name_of_another),
        PLAY(a_replay_that_meets_a_poll_comes_after_it),
        PLAY(a_continuous_source_that_waits_for_its_turn_is_read_anew),
        PLAY(what_was_taken_back_is_taken_back_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
