// needs: broker proto common
// Hosts that asked to be left alone, and who is told of them.
#include "broker/backoffs.h"
#include "tests/unit/broker_world.h"

static void those_that_end_first_are_forgotten(void **state)
{
    (void)state;
    backoffs_t b;
    size_t n;
    backoffs_init(&b);
    for (int i = 0; i < MAX_BACKOFFS + 10; i++) {
        char host[32];
        snprintf(host, sizeof host, "h%d.example", i);
        backoffs_note(&b, host, 1000 + i);
    }
    backoffs_note(&b, "h10.example", 500); // it is left alone for longer already
    wire_host_t *rows = backoffs_rows(&b, 0, &n);
    assert_int_equal(n, MAX_BACKOFFS);
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < n; i++)
        if (rows[i].backoff_ms < least) least = rows[i].backoff_ms;
    assert_int_equal(least, 1010);
    free(rows);
    free(backoffs_rows(&b, 1000 + MAX_BACKOFFS + 8, &n));
    assert_int_equal(n, 1);
    backoffs_free(&b);
}

// What peer was last told of host since mark, ms; -1: nothing.
static int64_t told(world_t *w, size_t mark, uint64_t peer, const char *host)
{
    int64_t ms = -1;
    wire_assign_t *a;
    for (size_t i = 0; (a = heard(w, mark, peer, WIRE_TYPE_ASSIGN, i)); i++)
        for (size_t k = 0; k < a->hosts.n; k++)
            if (!strcmp(a->hosts.v[k].host, host)) ms = a->hosts.v[k].backoff_ms;
    return ms;
}

// An answer to one of m1's lists, of host h0.example; a detail page of another host, of which there is no
// source.
static void strike(world_t *w)
{
    uint64_t source = source_id("news", "http://h0.example/news");
    wire_outcome_t row = {
        .seq = ++seqs[1], .kind = OUTCOME_BOTH, .source = source, .due = 1, .retry_after_s = 40};
    row.result = RESULT_failed, row.error = ERR_rate_limited, row.status = 429;
    wire_outcomes_t o = {.outcomes = {&row, 1}};
    say(w, 1, WIRE_TYPE_OUTCOMES, &o);
    wire_host_t host = {.host = "else.example:443", .backoff_ms = 30000};
    wire_backoff_t b = {.hosts = {&host, 1}};
    say(w, 1, WIRE_TYPE_BACKOFF, &b);
}

static void all_miners_are_told_and_those_that_join(void **state)
{
    world_t *w = *state;
    join(w, 1, "m1");
    add(w, "news", 1, "", false);
    join(w, 2, "m2");
    size_t mark = w->n_sent;
    strike(w);
    assert_int_equal(told(w, mark, 2, "h0.example"), 40000);
    assert_int_equal(told(w, mark, 2, "else.example:443"), 30000);
    assert_int_equal(told(w, mark, 1, "else.example:443"), -1); // it said so
    pass_beating(w, 10000, 1, 2);
    join(w, 3, "m3");
    assert_int_equal(told(w, mark, 3, "h0.example"), 30000);
    assert_int_equal(told(w, mark, 3, "else.example:443"), 20000);
    pass_beating(w, 25000, 1, 2);
    mark = w->n_sent;
    join(w, 4, "m4");
    assert_int_equal(told(w, mark, 4, "h0.example"), 5000);
    assert_int_equal(told(w, mark, 4, "else.example:443"), -1); // it is over
}

static void what_was_in_force_before_a_restart_still_is(void **state)
{
    world_t *w = *state;
    join(w, 1, "m1");
    add(w, "news", 1, "", false);
    strike(w);
    restart(w);
    join(w, 2, "m2");
    assert_int_equal(told(w, 0, 2, "h0.example"), 40000);
}

static void a_hostile_span_is_a_day(void **state)
{
    world_t *w = *state;
    join(w, 1, "m1");
    join(w, 2, "m2");
    add(w, "news", 1, "", false);
    wire_outcome_t row = {.seq = ++seqs[1], .kind = OUTCOME_BOTH, .due = 1, .retry_after_s = UINT64_MAX};
    row.source = source_id("news", "http://h0.example/news");
    row.result = RESULT_failed, row.error = ERR_rate_limited, row.status = 429;
    wire_outcomes_t o = {.outcomes = {&row, 1}};
    say(w, 1, WIRE_TYPE_OUTCOMES, &o);
    assert_int_equal(told(w, 0, 2, "h0.example"), 86400000);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_end_first_are_forgotten),
        TEST(all_miners_are_told_and_those_that_join),
        TEST(what_was_in_force_before_a_restart_still_is),
        TEST(a_hostile_span_is_a_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
