// needs: broker proto common
// The broker: what is too long, too much, or makes no sense.
#include "broker/state.h"
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
        for (int t = 0; t < 60000; t += BEAT) {
            pass(w, BEAT);
            beat(w, death);
        }
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

// -- tables ---------------------------------------------------------------------------------------------

// The URL of so many bytes (at most 2100) of template's source number i.
static const char *url_of(const char *template, int i, size_t bytes)
{
    static char url[2200];
    int n = snprintf(url, sizeof url, "http://h.example/%s/%d/", template, i);
    for (; (size_t)n < bytes; n++) url[n] = 'x';
    url[n] = 0;
    return url;
}

// A template with n sources.
static void add_long(world_t *w, const char *name, int n, size_t bytes)
{
    buf_t json;
    buf_init(&json, MAX_TEMPLATE);
    assert_int_equal(buf_printf(&json, "{\"name\": \"%s\", \"kind\": \"feed\", \"urls\": [", name), 0);
    for (int i = 0; i < n; i++)
        assert_int_equal(buf_printf(&json, "%s\"%s\"", i ? "," : "", url_of(name, i, bytes)), 0);
    assert_int_equal(buf_puts(&json, "]}"), 0);
    wire_arg_t args[] = {{"template", buf_cstr(&json)}};
    request(w, "add", args, 1);
    buf_free(&json);
}

// Rows of a table, page by page.
static size_t table(world_t *w, const char *name, const wire_arg_t *arg)
{
    char cursor[MAX_CURSOR + 1] = "";
    size_t rows = 0;
    for (int pages = 0; pages < 20; pages++) {
        wire_arg_t args[] = {{"cursor", cursor}, *arg};
        const wire_reply_t *r = command(w, name, args, 2);
        if (r->code) fail_msg("%s: %s", name, r->message);
        yyjson_doc *doc = yyjson_read(r->json, strlen(r->json), 0);
        rows += yyjson_arr_size(yyjson_doc_get_root(doc));
        yyjson_doc_free(doc);
        snprintf(cursor, sizeof cursor, "%s", r->cursor);
        if (!*cursor) return rows;
    }
    fail_msg("%s does not end", name);
    return 0;
}

static void the_pages_of_a_long_name_end(void **state)
{
    world_t *w = *state;
    char name[MAX_NAME + 1];
    memset(name, 'n', MAX_NAME);
    name[MAX_NAME] = 0;
    add_long(w, name, 1500, 200);
    add_long(w, "z", 1, 200);
    assert_int_equal(table(w, "sources", &(wire_arg_t){"name", ""}), 1501);
    assert_int_equal(table(w, "sources", &(wire_arg_t){"name", name}), 1500);
}

// What does not fit into one message comes in several.
static void long_urls_make_pages_shorter(void **state)
{
    world_t *w = *state;
    add_long(w, "a", 400, 2000);
    add_long(w, "b", 400, 2000);
    const wire_reply_t *r = command(w, "sources", NULL, 0);
    yyjson_doc *doc = yyjson_read(r->json, strlen(r->json), 0);
    assert_true(*r->cursor && yyjson_arr_size(yyjson_doc_get_root(doc)) < 400);
    yyjson_doc_free(doc);
    assert_int_equal(table(w, "sources", &(wire_arg_t){"name", ""}), 800);
    for (int i = 0; i < 800; i++) {
        wire_arg_t args[] = {{"name", url_of(i < 400 ? "a" : "b", i % 400, 2000)}, {"in_ms", "1000000"}};
        request(w, "trigger", args, 2);
    }
    assert_int_equal(table(w, "tasks", &(wire_arg_t){"name", ""}), 800);
    assert_int_equal(table(w, "tasks", &(wire_arg_t){"name", "b"}), 400);
    wire_arg_t limit[] = {{"limit", "1000"}};
    r = command(w, "next", limit, 1);
    assert_int_equal(r->code, 0);
    assert_string_equal(r->message, "no more rows fit into one answer");
}

// A template of very many sources is scheduled in several steps, and whatever happens meanwhile, all of it
// is.
static void very_many_sources_are_scheduled_in_steps(void **state)
{
    enum { N = 6000 };
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add_long(w, "big", N, 40);
    broker_tick(w->broker, w->now);
    size_t first = broker_counts(w->broker).due;
    assert_true(first > 0);
    add(w, "other", 1, ", \"blocks\": \"big\"", false); // its polls take turns from now on
    wire_arg_t name[] = {{"name", "other"}};
    assert_int_equal(command(w, "remove", name, 1)->code, 0);
    pass(w, 10);
    size_t all = broker_counts(w->broker).open;
    assert_true(all > first && all >= 2 * N); // each is polled at once, and then by its schedule
    name[0].value = "big";
    assert_int_equal(command(w, "disable", name, 1)->code, 0);
    assert_int_equal(broker_counts(w->broker).open, 0);
    assert_int_equal(command(w, "enable", name, 1)->code, 0);
    assert_int_equal(command(w, "disable", name, 1)->code, 0); // before all are in
    pass(w, 10);
    assert_int_equal(broker_counts(w->broker).open, 0);
}

static size_t owned(const world_t *w, const char *miner)
{
    size_t pos = 0, n = 0;
    for (const source_t *s; (s = map_next(&w->broker->catalog.sources, &pos));)
        n += !strcmp(broker_owner(w->broker, s->id), miner);
    return n;
}

// The work of a miner with very many hosts moves in several steps, and whatever happens meanwhile, all of it
// does.
static void very_many_hosts_move_in_steps(void **state)
{
    enum { N = 9000 };
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "t", N, "", false);
    add(w, "u", 1, "", false);
    pass(w, 100);
    assert_int_equal(owned(w, "m1"), N + 1);
    join(w, 2, "m2"); // loads are levelled
    size_t first = 0;
    for (const wire_revoke_t *r; (r = heard(w, 0, 1, WIRE_TYPE_REVOKE, first));) first++;
    assert_int_equal(first, 1);
    assert_true(((wire_revoke_t *)heard(w, 0, 1, WIRE_TYPE_REVOKE, 0))->sources.n < N / 3);
    assert_true(broker_deadline(w->broker) <= w->now.mono);
    pass(w, 10);
    size_t revoked = 0;
    wire_revoke_t *r;
    for (size_t i = 0; (r = heard(w, 0, 1, WIRE_TYPE_REVOKE, i)); i++) revoked += r->sources.n;
    assert_in_range(revoked, N * 4 / 10, N * 6 / 10);
    ready(w, 3, "m1", 7); // it has begun anew
    assert_int_equal(owned(w, ""), N + 1);
    inventory(w, 3, NULL, 0);
    wire_arg_t name[] = {{"name", "u"}};
    assert_int_equal(command(w, "remove", name, 1)->code, 0);
    pass(w, 10);
    assert_int_equal(owned(w, ""), 0);
    assert_in_range(owned(w, "m1"), N * 4 / 10, N * 6 / 10);
    wire_goodbye_t bye = {.reason = "test"};
    say(w, 3, WIRE_TYPE_GOODBYE, &bye);
    ready(w, 3, "m1", 7); // it stays
    inventory(w, 3, NULL, 0);
    pass(w, 10);
    assert_int_equal(owned(w, ""), 0);
    say(w, 3, WIRE_TYPE_GOODBYE, &bye);
    bye.done = true;
    say(w, 3, WIRE_TYPE_GOODBYE, &bye);
    pass(w, 10);
    assert_int_equal(owned(w, "m2"), N);
}

// A broker that ends before all their rows are in its file has them all again, at the times that they had.
static void very_many_sources_survive_a_restart(void **state)
{
    enum { N = 6000 };
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    add_long(w, "big", N, 40);
    broker_tick(w->broker, w->now);
    uint32_t ordinals[N];
    size_t pos = 0, rows = 0;
    const listing_t *l = map_next(&w->broker->catalog.listings, &pos);
    for (int i = 0; i < N; i++) ordinals[i] = l->sources[i]->ordinal;
    for (size_t i = 0; i < w->n_ops; i++) rows += w->ops[i].kind == STORE_SOURCE;
    assert_true(rows > 0 && rows < N);
    restart(w);
    for (size_t i = rows = 0; i < w->n_ops; i++) rows += w->ops[i].kind == STORE_SOURCE;
    assert_int_equal(rows, N);
    pos = 0;
    l = map_next(&w->broker->catalog.listings, &pos);
    for (int i = 0; i < N; i++) assert_int_equal(l->sources[i]->ordinal, ordinals[i]);
    pass(w, LIVENESS + 100);
    assert_true(broker_counts(w->broker).open >= N);
}

// Very many sources are looked at in several steps, between which miners are answered.
static void what_is_next_among_many_takes_several_steps(void **state)
{
    world_t *w = *state;
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        add_long(w, name, 8000, 40);
    }
    wire_arg_t limit[] = {{"limit", "5"}};
    size_t mark = w->n_sent;
    request(w, "next", limit, 1);
    request(w, "next", limit, 1);
    assert_null(heard(w, mark, 999, WIRE_TYPE_REPLY, 0));
    wire_arg_t gone[] = {{"name", "t1"}};
    request(w, "remove", gone, 1); // meanwhile
    pass(w, 100);
    for (size_t i = 1; i < 3; i++) { // after that of remove
        const wire_reply_t *r = heard(w, mark, 999, WIRE_TYPE_REPLY, i);
        assert_non_null(r);
        assert_int_equal(r->code, 0);
        yyjson_doc *doc = yyjson_read(r->json, strlen(r->json), 0);
        size_t rows = yyjson_arr_size(yyjson_doc_get_root(doc));
        assert_int_equal(rows, 5);
        int64_t before = 0;
        for (size_t k = 0; k < rows; k++) {
            yyjson_val *row = yyjson_arr_get(yyjson_doc_get_root(doc), k);
            int64_t at = yyjson_get_sint(yyjson_obj_get(row, "at_ms"));
            assert_true(at >= before);
            before = at;
        }
        assert_true(before < w->now.wall + 1000); // of 16,000 within a minute
        yyjson_doc_free(doc);
    }
}

// The last letter of a page leaves before the next one is asked for: it begins where that one was.
static void letters_that_leave_meanwhile_end_no_table(void **state)
{
    world_t *w = *state;
    for (uint64_t i = 1; i <= 1500; i++) letter_put(w->broker, LETTER_TASK, "t", i, ERR_parse, "");
    const wire_reply_t *r = command(w, "dlq", NULL, 0);
    yyjson_doc *doc = yyjson_read(r->json, strlen(r->json), 0);
    size_t rows = yyjson_arr_size(yyjson_doc_get_root(doc));
    yyjson_val *last = yyjson_obj_get(yyjson_arr_get_last(yyjson_doc_get_root(doc)), "id");
    char cursor[MAX_CURSOR + 1];
    snprintf(cursor, sizeof cursor, "%s", r->cursor);
    assert_true(*cursor && rows < 1500);
    letter_remove(w->broker, letter_find(&w->broker->letters, yyjson_get_uint(last)));
    yyjson_doc_free(doc);
    wire_arg_t args[] = {{"cursor", cursor}};
    r = command(w, "dlq", args, 1);
    doc = yyjson_read(r->json, strlen(r->json), 0);
    assert_int_equal(rows + yyjson_arr_size(yyjson_doc_get_root(doc)), 1500);
    yyjson_doc_free(doc);
}

// -- what miners say --------------------------------------------------------------------------------------

static void say_outcome(world_t *w, uint64_t peer, wire_outcome_t row)
{
    row.seq = ++seqs[peer];
    row.last_modified = row.fetch_url = row.memory = "";
    if (!row.etag) row.etag = "";
    if (!row.detail) row.detail = "";
    wire_outcomes_t o = {.outcomes = {&row, 1}};
    say(w, peer, WIRE_TYPE_OUTCOMES, &o);
}

// The due that peer was given last.
static int64_t latest_due(world_t *w, uint64_t peer)
{
    int64_t due = 0;
    wire_assign_t *a;
    for (size_t i = 0; (a = heard(w, 0, peer, WIRE_TYPE_ASSIGN, i)); i++)
        for (size_t k = 0; k < a->dues.n; k++) due = a->slot_start + a->dues.v[k].offset;
    return due;
}

// Very many tasks that wait for one poll are done in several steps; one that is cancelled meanwhile stays so.
static void very_many_tasks_end_in_steps(void **state)
{
    enum { N = 9000 };
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "t", 1, ", \"mode\": \"triggered\"", false);
    wire_arg_t name[] = {{"name", "t"}};
    for (int i = 0; i < N; i++) {
        request(w, "trigger", name, 1);
        if (i % 1000 == 0 || i == N - 1) broker_tick(w->broker, w->now); // all start at one time
    }
    pass(w, 100);
    int64_t due = latest_due(w, 1);
    assert_int_equal(broker_counts(w->broker).tasks, N);
    request(w, "trigger", name, 1); // it is not answered by that poll
    pass(w, 100);
    outcome(w, 1, source_id("t", "http://h0.example/t"), due, OUTCOME_BOTH, RESULT_unchanged, "\"1\"",
            w->now.wall);
    size_t left = broker_counts(w->broker).tasks;
    assert_true(left > 1 && left < N);
    const task_t *last;
    size_t pos = 0;
    do {
        last = map_next(&w->broker->tasks.by_id, &pos);
        assert_non_null(last);
    } while (last->state != TASK_RUNNING || last->started > due);
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)last->id);
    wire_arg_t id[] = {{"id", number}};
    assert_int_equal(command(w, "cancel", id, 1)->code, 0);
    assert_int_equal(broker_counts(w->broker).tasks, left - 1);
    assert_true(broker_deadline(w->broker) <= w->now.mono);
    pass(w, 100);
    assert_int_equal(broker_counts(w->broker).tasks, 1);
}

// A number that makes no sense is taken for the nearest one that does: what comes after it counts.
static void numbers_without_sense_do_no_harm(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "t", 1, ", \"every\": \"10s\"", false);
    uint64_t source = source_id("t", "http://h0.example/t"), version = defined(w, source)->generation;
    wire_outcome_t bad = {.kind = 77,
                          .source = source,
                          .due = latest_due(w, 1),
                          .result = UINT64_MAX,
                          .error = 5000,
                          .items = UINT64_MAX,
                          .took_ms = UINT64_MAX,
                          .retry_after_s = UINT64_MAX,
                          .status = UINT64_MAX,
                          .gap_since = INT64_MIN,
                          .gap_reason = 99,
                          .continuity = 99,
                          .started = INT64_MIN,
                          .has_state = true,
                          .etag = "hostile",
                          .last_ok = INT64_MAX,
                          .generation = version};
    say_outcome(w, 1, bad);
    bad.due = INT64_MIN;
    say_outcome(w, 1, bad);
    bad.due = INT64_MAX;
    say_outcome(w, 1, bad);
    pass_beating(w, SLOT, 1, 0);
    outcome(w, 1, source, latest_due(w, 1), OUTCOME_BOTH, RESULT_changed, "\"good\"", w->now.wall);
    const store_op_t *last = NULL;
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->ops[i].kind == STORE_SOURCE) last = &w->ops[i];
    assert_non_null(last);
    assert_string_equal(last->source.etag, "\"good\"");
    assert_true(last->source.last_ok <= w->now.wall);
    wire_holding_t rows[] = {{source, INT64_MIN, INT64_MIN, true, version},
                             {source, INT64_MAX, INT64_MAX, false, version},
                             {source, INT64_MIN, INT64_MAX, true, 0}};
    for (size_t i = 0; i < 3; i++) {
        ready(w, 1, "m1", 1000);
        inventory(w, 1, &rows[i], 1);
        pass_beating(w, SLOT, 1, 0);
    }
}

// The largest answer to a REVOKE that fits takes no longer than its size.
static void a_large_answer_is_taken_in_time(void **state)
{
    enum { N = 50000 };
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "t", 1, ", \"every\": \"10s\"", false);
    uint64_t *sources = xcalloc(N, sizeof *sources), *running = xcalloc(N, sizeof *running);
    for (uint64_t i = 0; i < N; i++) {
        sources[i] = source_id("t", "http://h0.example/t");
        running[i] = i + 1;
    }
    wire_revoked_t r = {.sources = {sources, N}, .running = {running, N}, .number = 1};
    double before = cpu_ms();
    broker_message(w->broker, w->now, 1, WIRE_TYPE_REVOKED, &r);
    double took = cpu_ms() - before; // 3 ms; it was 1 s
    if (took > 300) fail_msg("it took %.0f ms", took);
    free(sources);
    free(running);
}

// A miner tells others of hosts to be left alone, a few at once, but not that they may be asked again.
static void back_offs_are_few_and_are_not_lifted(void **state)
{
    enum { N = 20000 };
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    join(w, 2, "m2");
    static wire_host_t rows[N];
    for (size_t i = 0; i < N; i++) rows[i] = (wire_host_t){"h.example", (int64_t)i - 5};
    size_t mark = w->n_sent;
    wire_backoff_t m = {.hosts = {rows, N}};
    say(w, 1, WIRE_TYPE_BACKOFF, &m);
    const wire_assign_t *told = heard(w, mark, 2, WIRE_TYPE_ASSIGN, 0);
    assert_non_null(told);
    assert_int_equal(told->hosts.n, 256);
    for (size_t i = 0; i < told->hosts.n; i++) assert_true(told->hosts.v[i].backoff_ms > 0);
    m.hosts.n = 3;
    mark = w->n_sent;
    say(w, 1, WIRE_TYPE_BACKOFF, &m);
    assert_null(heard(w, mark, 2, WIRE_TYPE_ASSIGN, 0));
}

static void times_beyond_all_time_are_refused(void **state)
{
    static const char *const names[] = {"at_ms", "in_ms", "deadline_ms", "deadline_in_ms"};
    static const char *const bad[] = {"9223372036854775807", "-9223372036854775808", "1e3", "-1",
                                      "999999999999999"};
    world_t *w = *state;
    add(w, "t", 1, "", false);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
            wire_arg_t args[] = {{"name", "t"}, {names[i], bad[k]}};
            const wire_reply_t *r = command(w, "trigger", args, 2);
            assert_int_equal(r->code, 400);
            assert_string_equal(r->field, names[i]);
        }
    wire_arg_t args[] = {{"name", "t"}, {"in_ms", "86400000000"}};
    assert_int_equal(command(w, "trigger", args, 2)->code, 0);
}

// What was just added is polled at once, even if another template makes its polls take turns meanwhile.
static void a_first_poll_survives_another_template(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    add(w, "a", 1, ", \"every\": \"24h\"", false); // there is no miner yet
    add(w, "b", 1, ", \"every\": \"24h\", \"blocks\": \"a\"", false);
    join(w, 1, "m1");
    pass_beating(w, 2000, 1, 0);
    assert_non_null(defined(w, source_id("a", "http://h0.example/a")));
}

// -- what a restart keeps ---------------------------------------------------------------------------------

// A miner that fell silent may run polls under leases until the longest one is over. After that nobody waits
// for it, nor does a broker that starts later.
static void a_silent_miner_is_not_waited_for_for_ever(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    join(w, 2, "m2");
    add(w, "t", 1, ", \"every\": \"10s\", \"max_concurrent\": 1", false);
    pass_beating(w, 10 * SLOT, 2, 0);
    size_t known = 0;
    for (size_t i = 0; i < w->n_ops; i++) {
        const store_op_t *o = &w->ops[i];
        if (o->kind == STORE_RECORD && !strcmp(o->name, "lessee")) known++;
        if (o->kind == STORE_RECORD_GONE && !strcmp(o->name, "lessee")) known--;
    }
    assert_int_equal(known, 1);
}

// What was stored before the broker was killed counts for those that depend on it.
static void dependents_go_on_after_a_restart(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "a", 1, ", \"every\": \"6h\"", false);
    add(w, "b", 1, ", \"every\": \"10s\", \"depends_on\": \"a\"", false);
    uint64_t a = source_id("a", "http://h0.example/a");
    outcome(w, 1, a, latest_due(w, 1), OUTCOME_BOTH, RESULT_changed, "\"1\"", w->now.wall);
    pass_beating(w, 2 * SLOT, 1, 0);
    w->now.mono += 1000, w->now.wall += 1000;
    outcome(w, 1, a, 1, OUTCOME_BOTH, RESULT_not_modified, "\"1\"", w->now.wall); // later, of a trigger
    size_t mark = w->n_sent;
    restart(w);
    ready(w, 1, "m1", 77);
    inventory(w, 1, NULL, 0);
    pass_beating(w, 2 * SLOT, 1, 0);
    uint64_t b = source_id("b", "http://h0.example/b");
    size_t polls = 0;
    wire_assign_t *assign;
    for (size_t i = 0; (assign = heard(w, mark, 1, WIRE_TYPE_ASSIGN, i)); i++)
        for (size_t k = 0; k < assign->dues.n; k++) polls += assign->dues.v[k].source == b;
    assert_true(polls > 0);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(a_miners_name_is_a_line_of_text),
        TEST(a_long_name_is_cut_between_characters),
        TEST(thousands_of_templates_are_added_in_time),
        TEST(the_pages_of_a_long_name_end),
        TEST(long_urls_make_pages_shorter),
        TEST(very_many_sources_are_scheduled_in_steps),
        TEST(very_many_hosts_move_in_steps),
        TEST(very_many_sources_survive_a_restart),
        TEST(very_many_tasks_end_in_steps),
        TEST(what_is_next_among_many_takes_several_steps),
        TEST(letters_that_leave_meanwhile_end_no_table),
        TEST(numbers_without_sense_do_no_harm),
        TEST(a_large_answer_is_taken_in_time),
        TEST(times_beyond_all_time_are_refused),
        TEST(back_offs_are_few_and_are_not_lifted),
        TEST(a_first_poll_survives_another_template),
        TEST(a_silent_miner_is_not_waited_for_for_ever),
        TEST(dependents_go_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
