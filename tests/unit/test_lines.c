// needs: broker proto common
// Who of the polls that wait for a limit goes first: the cluster's, of one.
#include "tests/unit/broker_world.h"

enum { TOOK = 3000 };

// The template whose poll was started last, and whose due and source that was.
typedef struct {
    char name[16];
    uint64_t source;
    int64_t due;
} started_t;

static const char *const names[] = {"crowd", "late", "front"};

static started_t last_started(world_t *w)
{
    started_t s = {.name = ""};
    wire_assign_t *a;
    for (size_t i = 0; (a = heard(w, 0, 1, WIRE_TYPE_ASSIGN, i)); i++)
        for (size_t k = 0; k < a->dues.n; k++) {
            s.source = a->dues.v[k].source;
            s.due = a->slot_start + a->dues.v[k].offset;
        }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (s.source && defined(w, s.source)->template_id == template_id(names[i]))
            snprintf(s.name, sizeof s.name, "%s", names[i]);
    return s;
}

static void trigger(world_t *w, const char *name, const char *option, const char *value)
{
    wire_arg_t args[] = {{"name", name}, {option, value}};
    assert_int_equal(command(w, "trigger", args, 2)->code, 0);
    pass_beating(w, 10, 1, 0);
}

// What `rtm-ctl next` names first.
static void assert_next(world_t *w, const char *name)
{
    yyjson_doc *doc =
        yyjson_read(command(w, "next", NULL, 0)->json, strlen(command(w, "next", NULL, 0)->json), 0);
    yyjson_val *row = yyjson_arr_get_first(yyjson_doc_get_root(doc));
    assert_string_equal(yyjson_get_str(yyjson_obj_get(row, "template")), name);
    yyjson_doc_free(doc);
}

// The poll that runs ends after a while; which one starts then.
static started_t after_it(world_t *w)
{
    started_t s = last_started(w);
    pass_beating(w, TOOK, 1, 0);
    outcome(w, 1, s.source, s.due, OUTCOME_BOTH, RESULT_unchanged, NULL, 0);
    pass_beating(w, 10, 1, 0);
    return last_started(w);
}

static int begin(void **state)
{
    cluster_limit = 1;
    setup(state);
    world_t *w = *state;
    join(w, 1, "m1");
    const char *more = ", \"mode\": \"triggered\", \"timeout\": \"1s\"";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(add(w, names[i], i ? 1 : 6, more, false)->code, 0);
    trigger(w, "crowd", "priority", "normal");
    assert_string_equal(last_started(w).name, "crowd");
    return 0;
}

static int end(void **state)
{
    cluster_limit = 0;
    return teardown(state);
}

static void who_came_first_goes_first(void **state)
{
    world_t *w = *state;
    trigger(w, "late", "priority", "normal");
    for (int i = 0; i < 5; i++) {
        assert_next(w, "crowd");
        assert_string_equal(after_it(w).name, "crowd");
    }
    assert_next(w, "late");
    assert_string_equal(after_it(w).name, "late");
}

static void a_deadline_that_nears_goes_ahead(void **state)
{
    world_t *w = *state;
    trigger(w, "late", "deadline_in_ms",
            "10000"); // less twice a second: between the second and the third end
    for (int i = 0; i < 2; i++) assert_string_equal(after_it(w).name, "crowd");
    pass_beating(w, 2500, 1, 0);
    assert_next(w, "late");
    assert_string_equal(after_it(w).name, "late");
    assert_string_equal(after_it(w).name, "crowd");
}

static void what_is_put_in_front_goes_ahead(void **state)
{
    world_t *w = *state;
    trigger(w, "late", "back", "1");
    trigger(w, "front", "front", "1");
    assert_next(w, "front");
    assert_string_equal(after_it(w).name, "front");
    assert_string_equal(after_it(w).name, "crowd");
}

#define LINED(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        LINED(who_came_first_goes_first),
        LINED(a_deadline_that_nears_goes_ahead),
        LINED(what_is_put_in_front_goes_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
