// needs: broker proto common
// What `rtm-ctl explain` says of a source in each state it may be in: a row of the table below each.
#include "tests/unit/broker_world.h"

#define ALONE \
    ", \"retry\": {\"max_attempts\": 1}, \"max_consecutive_failures\": 0" // no retries, no quarantine

static uint64_t source(const char *template)
{
    char url[60];
    snprintf(url, sizeof url, "http://h0.example/%s", template);
    return source_id(template, url);
}

static void put(world_t *w, const char *template, const char *more)
{
    wire_reply_t *r = add(w, template, 1, more, false);
    if (r->code) fail_msg("%s: %s", template, r->message);
    pass(w, 10);
}

// What came of the last due that any miner was given of template's source; peer says so.
static void end(world_t *w, uint64_t peer, const char *template, wire_outcome_t row)
{
    for (size_t i = 0; i < w->n_sent; i++) {
        const wire_assign_t *a = w->sent[i].message;
        for (size_t k = 0; w->sent[i].type == WIRE_TYPE_ASSIGN && k < a->dues.n; k++) {
            int64_t due = a->slot_start + a->dues.v[k].offset;
            if (a->dues.v[k].source == source(template) && due <= w->now.wall) row.due = due;
        }
    }
    row.seq = ++seqs[peer];
    row.source = source(template);
    wire_outcomes_t o = {.outcomes = {&row, 1}};
    say(w, peer, WIRE_TYPE_OUTCOMES, &o);
}

static void failure(world_t *w, uint64_t peer, const char *template, error_class_t error)
{
    end(w, peer, template, (wire_outcome_t){.kind = OUTCOME_BOTH, .result = RESULT_failed, .error = error});
}

static void tell(world_t *w, const char *name, const char *template)
{
    wire_arg_t args[] = {{"name", template}, {"in_ms", "3600000"}};
    assert_int_equal(command(w, name, args, 2)->code, 0);
}

static void beats(world_t *w, wire_miner_state_t state)
{
    wire_heartbeat_t h = {.state = state};
    say(w, 1, WIRE_TYPE_HEARTBEAT, &h);
}

// -- the states -------------------------------------------------------------------------------------------

static void idle(world_t *w)
{
    put(w, "a", "");
    end(w, 1, "a", (wire_outcome_t){.kind = OUTCOME_BOTH, .result = RESULT_unchanged});
}

static void running(world_t *w)
{
    put(w, "a", "");
}

static void being_stored(world_t *w)
{
    put(w, "a", "");
    end(w, 1, "a", (wire_outcome_t){.kind = OUTCOME_POLLED, .result = RESULT_changed});
}

static void quarantined(world_t *w)
{
    put(w, "a", ", \"retry\": {\"max_attempts\": 1}, \"max_consecutive_failures\": 1");
    failure(w, 1, "a", ERR_not_found);
}

static void gone(world_t *w)
{
    put(w, "a", "");
    failure(w, 1, "a", ERR_gone);
}

static void struck_once(world_t *w)
{
    put(w, "a", ", \"retry\": {\"max_attempts\": 1}");
    failure(w, 1, "a", ERR_not_found);
}

static void waiting_to_retry(world_t *w)
{
    put(w, "a", "");
    failure(w, 1, "a", ERR_empty_body);
}

static void failing(world_t *w)
{
    put(w, "a", ALONE);
    for (int i = 0; i < 2; i++) {
        failure(w, 1, "a", ERR_not_found);
        pass_beating(w, SLOT, 1, 0);
    }
}

static void backed_off(world_t *w)
{
    put(w, "a", "");
    wire_outcome_t row = {.kind = OUTCOME_BOTH, .result = RESULT_failed, .error = ERR_rate_limited};
    row.retry_after_s = 40;
    end(w, 1, "a", row);
}

static void down(world_t *w)
{
    put(w, "a", ALONE);
    for (int i = 0; i < 6; i++) {
        failure(w, 1, "a", ERR_connect);
        if (i < 5) pass_beating(w, SLOT, 1, 0);
    }
}

static void tried_elsewhere(world_t *w)
{
    put(w, "a", ALONE);
    join(w, 2, "m2");
    for (int i = 0; i < 3; i++) {
        failure(w, 1, "a", ERR_connect);
        if (i < 2) pass_beating(w, SLOT, 1, 2);
    }
}

static void outside_of_its_hours(world_t *w) // it is 22:13 UTC
{
    put(w, "a", ", \"windows\": [{\"from\": \"03:00\", \"to\": \"04:00\"}], \"timezone\": \"UTC\"");
}

static void waiting_for_another(world_t *w)
{
    put(w, "b", "");
    put(w, "a", ", \"depends_on\": \"b\"");
}

static void waiting_for_nobody(world_t *w)
{
    put(w, "a", ", \"depends_on\": \"b\"");
}

static void blocked(world_t *w)
{
    put(w, "b", "");
    put(w, "a", ", \"blocks\": \"b\"");
}

static void limited(world_t *w)
{
    put(w, "b", "");
    put(w, "a", "");
}

static void limited_by_a_stray(world_t *w)
{
    put(w, "a", ", \"max_concurrent\": 3");
    wire_arg_t name[] = {{"name", "a"}};
    command(w, "remove", name, 1);
    put(w, "a", ", \"max_concurrent\": 3");
}

static void overloaded(world_t *w)
{
    idle(w);
    beats(w, MINER_overloaded);
}

static void without_credit(world_t *w)
{
    idle(w);
    beats(w, MINER_sink_backpressure);
}

static void suspected(world_t *w)
{
    put(w, "a", "");
    join(w, 2, "m2");
    pass_beating(w, LIVENESS + BEAT, 2, 0);
}

static void blamed(world_t *w)
{
    suspected(w);
    join(w, 3, "m3");
    pass_beating(w, LIVENESS + BEAT, 3, 0);
}

static void drained(world_t *w)
{
    put(w, "a", "");
    uint64_t id = source("a");
    wire_goodbye_t bye = {.running = {&id, 1}, .reason = "SIGTERM"};
    say(w, 1, WIRE_TYPE_GOODBYE, &bye);
}

static void without_miners(world_t *w)
{
    wire_goodbye_t bye = {.done = true, .reason = "SIGTERM"};
    say(w, 1, WIRE_TYPE_GOODBYE, &bye);
    put(w, "a", "");
}

static void disabled(world_t *w)
{
    put(w, "a", "");
    tell(w, "disable", "a");
}

static void only_triggered(world_t *w)
{
    put(w, "a", ", \"mode\": \"triggered\"");
}

static void to_be_triggered(world_t *w)
{
    put(w, "a", ", \"mode\": \"triggered\"");
    tell(w, "trigger", "a");
}

static void in_a_task(world_t *w)
{
    idle(w);
    wire_arg_t args[] = {{"name", "a"}};
    command(w, "trigger", args, 1);
    pass(w, 10);
}

static void after_a_start(world_t *w)
{
    put(w, "a", "");
    restart(w);
}

static void waited_for(world_t *w)
{
    put(w, "a", ", \"priority\": \"low\"");
    put(w, "b", ", \"depends_on\": \"a\", \"priority\": \"high\"");
}

static void late(world_t *w)
{
    put(w, "a", ", \"deadline\": \"1s\"");
    pass_beating(w, 3000, 1, 0);
    end(w, 1, "a", (wire_outcome_t){.kind = OUTCOME_BOTH, .result = RESULT_unchanged});
}

// -- what is said of them ---------------------------------------------------------------------------------

typedef struct {
    void (*make)(world_t *w);
    const char *state, *says;
    int64_t next; // ms from now at least, 0: unknown, -1: any
    int limit;    // of the cluster
} row_t;

static const row_t rows[] = {
    {idle, "not running", "nothing keeps it; it is due in ", 1, 0},
    {running, "running", "it is due now and with its miner", -1, 0},
    {being_stored, "being stored", "it has been read, and what was found waits for the sink", -1, 0},
    {quarantined, "not running",
     "it is in quarantine (not_found), after failing 1 times in a row; it is probed in 10 min", 600000, 0},
    {gone, "not running", "it is in quarantine (gone) and is not tried again by itself; `rtm-ctl enable ", 0,
     0},
    {struck_once, "not running", "it failed 1 times in a row (not_found); at 5 it is put in quarantine", 1,
     0},
    {waiting_to_retry, "not running", "it failed (empty_body) and is tried again ", 1, 0},
    {failing, "running", "its priority is lower while it keeps failing (2 times in a row)", -1, 0},
    {backed_off, "not running",
     "its host h0.example asked to be left alone (rate_limited); it is polled again in 40 s", 40000, 0},
    {down, "not running",
     "its host h0.example is down (connect, seen by more than one miner where there are more); it is probed "
     "in ",
     1, 0},
    {tried_elsewhere, "running", "its host h0.example failed at one miner and is tried at another", -1, 0},
    {outside_of_its_hours, "not running", "its active hours begin in 4.8 h", 4 * 3600000, 0},
    {waiting_for_another, "not running", "it waits until all of 'b' has been stored", -1, 0},
    {waiting_for_nobody, "not running",
     "it waits until all of 'b' has been stored; there is no such template", -1, 0},
    {blocked, "not running", "it waits because 'b' is running, and the two keep each other out", -1, 0},
    {limited, "not running", "as many polls run as its limit allows (0 of the template, 1 in the cluster)",
     -1, 1},
    {limited_by_a_stray, "not running", "a poll from before it was removed is still running", -1, 0},
    {overloaded, "not running", "its miner m1 is overloaded and gets only high and critical work", 1, 0},
    {without_credit, "not running", "its miner m1 waits for the sink, which takes no more for now", 1, 0},
    {suspected, "running",
     "a miner died while it was polled, so it runs alone on its miner until it succeeds", -1, 0},
    {blamed, "not running",
     "1 miners died while it was their only suspect; at 3 it is put in quarantine; it is tried again on a miner"
     " that has been up for half a minute",
     -1, 0},
    {drained, "running", "m1, which had it before, is still polling it; the next miner takes over after that",
     -1, 0},
    {without_miners, "not running", "there is no live miner", -1, 0},
    {disabled, "not running", "its template is disabled; `rtm-ctl enable a`", 0, 0},
    {only_triggered, "not running", "it is polled only when it is triggered; `rtm-ctl trigger a`", 0, 0},
    {to_be_triggered, "not running", "task 1 polls it in 60 min", 3590000, 0},
    {in_a_task, "running", "task 1 has asked for a poll of it", -1, 0},
    {after_a_start, "not running", "the broker has just started and waits for miners to tell what they have",
     -1, 0},
    {waited_for, "running", "its priority is that of a template that waits for it", -1, 0},
    {late, "not running", "1 polls of its template were stored after their deadline", 1, 0},
};

static bool says(yyjson_val *why, const char *text)
{
    size_t i, n;
    yyjson_val *line;
    yyjson_arr_foreach(why, i, n, line) if (strstr(yyjson_get_str(line), text)) return true;
    return false;
}

static void check(const row_t *row, size_t number)
{
    cluster_limit = (uint64_t)row->limit;
    memset(seqs, 0, sizeof seqs);
    world_t *w = world_new();
    join(w, 1, "m1");
    row->make(w);
    wire_arg_t args[] = {{"source", "a"}};
    wire_reply_t *r = command(w, "explain", args, 1);
    if (r->code) fail_msg("row %zu: %s", number, r->message);
    yyjson_doc *doc = yyjson_read(r->json, strlen(r->json), 0);
    yyjson_val *o = yyjson_doc_get_root(doc);
    const char *state = yyjson_get_str(yyjson_obj_get(o, "state"));
    int64_t next = yyjson_get_sint(yyjson_obj_get(o, "next_ms"));
    if (!says(yyjson_obj_get(o, "why"), row->says) || strcmp(state, row->state) != 0 ||
        (row->next > 0 && next < w->now.wall + row->next) || (row->next == 0 && next))
        fail_msg("row %zu, now %lld: wanted \"%s\" (%s), but: %s", number, (long long)w->now.wall, row->says,
                 row->state, r->json);
    yyjson_doc_free(doc);
    world_destroy(w);
    cluster_limit = 0;
}

static void each_state_is_explained(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check(&rows[i], i);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_state_is_explained)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
