// needs: miner/read proto common
// JSONPath against the tables of tests/data/json/jsonpath.json: queries with what they select (null:
// invalid), and texts that are no query. Then its bounds, and errors with their place.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "miner/read/jsonpath.h"
#include "miner/read/jsonpath_names.h"
#include "tests/unit/sanitized.h"

static yyjson_doc *tables;

static int load(void **state)
{
    (void)state;
    tables = yyjson_read_file("tests/data/json/jsonpath.json", YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    return tables ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    yyjson_doc_free(tables);
    return 0;
}

static bool same(yyjson_val *a, yyjson_val *b)
{
    char *ta = yyjson_val_write(a, 0, NULL), *tb = yyjson_val_write(b, 0, NULL);
    bool equal = ta && tb && strcmp(ta, tb) == 0;
    free(ta);
    free(tb);
    return equal;
}

// The names that the path starts with, then its rest, lead to the same.
static void check_names(jsonpath_t *path, yyjson_val *document, const nodelist_t *expected)
{
    static nodelist_t nodes;
    int64_t work = JSONPATH_MAX_WORK;
    size_t taken;
    jsonpath_names_t *names = jsonpath_names_new();
    int i = jsonpath_names_add(names, path, &taken);
    yyjson_val *const *found = jsonpath_names_find(names, document, &work), *v = found ? found[i] : NULL;
    assert_non_null(found);
    nodes.n = 0;
    if (v) assert_int_equal(jsonpath_select_from(path, taken, document, v, &work, &nodes), JSONPATH_OK);
    assert_int_equal(nodes.n, expected->n);
    if (v && jsonpath_has_length(path, taken)) assert_ptr_equal(v, nodes.nodes[0]);
    if (nodes.n) assert_memory_equal(nodes.nodes, expected->nodes, nodes.n * sizeof(yyjson_val *));
    jsonpath_names_destroy(&names);
    nodelist_free(&nodes);
}

static void check_case(yyjson_val *document, yyjson_val *selector, yyjson_val *expected)
{
    static nodelist_t nodes;
    int64_t work = JSONPATH_MAX_WORK;
    jsonpath_error_t error;
    const char *text = yyjson_get_str(selector);
    jsonpath_t *path = jsonpath_new(text, yyjson_get_len(selector), &error);
    if (yyjson_is_null(expected)) {
        if (path) fail_msg("%s: is no query, but was taken", text);
        return;
    }
    if (!path) fail_msg("%s: refused at %zu: %s", text, error.offset, error.text);
    assert_int_equal(jsonpath_select(path, document, &work, &nodes), JSONPATH_OK);
    size_t i, n;
    yyjson_val *want;
    if (nodes.n != yyjson_arr_size(expected)) fail_msg("%s: %zu nodes", text, nodes.n);
    yyjson_arr_foreach(expected, i, n, want)
    {
        if (!same(nodes.nodes[i], want)) fail_msg("%s: node %zu differs", text, i);
    }
    check_names(path, document, &nodes);
    jsonpath_destroy(&path);
    assert_null(path);
    nodelist_free(&nodes);
}

// Many paths at once, on one document.
static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value; // NULL: nothing
        size_t names;             // of the path
    } cases[] = {{"$.a", "1", 1},
                 {"$.b.c.d", "4", 3},
                 {"$.b.c", "{\"d\":4}", 2},
                 {"$['a']", "1", 1},
                 {"$.b.x", NULL, 2},
                 {"$.a.x", NULL, 2},
                 {"$.l[0]", "[7,8]", 1},
                 {"$.b['c','d']", NULL, 1},
                 {"$..a", NULL, 0},
                 {"$['']", "\"empty\"", 1},
                 {"$", NULL, 0},
                 {"$['x\\u0000y']", "5", 1}};
    static const char json[] = "{\"a\":1,\"b\":{\"c\":{\"d\":4},\"c\":9},\"a\":2,\"l\":[7,8],\"\":\"empty\","
                               "\"x\\u0000y\":5,\"x\":6}";
    enum { N = sizeof cases / sizeof *cases };
    jsonpath_t *paths[N];
    jsonpath_error_t error;
    jsonpath_names_t *names = jsonpath_names_new();
    yyjson_doc *doc = yyjson_read(json, strlen(json), YYJSON_READ_NUMBER_AS_RAW);
    int places[N];
    yyjson_val *const *found = NULL;
    int64_t work = 1000, too_little = 1;
    for (size_t i = 0; i < N; i++) {
        size_t taken;
        assert_non_null(paths[i] = jsonpath_new(cases[i].path, strlen(cases[i].path), &error));
        places[i] = jsonpath_names_add(names, paths[i], &taken);
        assert_int_equal(taken, cases[i].names);
    }
    assert_int_equal(places[0], places[3]);
    assert_null(jsonpath_names_find(names, yyjson_doc_get_root(doc), &too_little));
    for (int round = 0; round < 2; round++) {
        assert_non_null(found = jsonpath_names_find(names, yyjson_doc_get_root(doc), &work));
        for (size_t i = 0; i < N; i++) {
            yyjson_val *v = found[places[i]];
            char *text = yyjson_val_write(v, 0, NULL);
            if (!cases[i].names) assert_ptr_equal(v, yyjson_doc_get_root(doc));
            if (cases[i].value) assert_string_equal(text, cases[i].value);
            free(text);
        }
    }
    assert_null(found[places[4]]);
    assert_null(found[places[5]]);
    assert_non_null(found = jsonpath_names_find(names, NULL, &work));
    assert_null(found[places[0]]);
    jsonpath_names_destroy(&names);
    assert_null(names);
    for (size_t i = 0; i < N; i++) jsonpath_destroy(&paths[i]);
    yyjson_doc_free(doc);
}

static void test_selects(void **state)
{
    (void)state;
    size_t i, j, n, m;
    yyjson_val *group, *one;
    yyjson_arr_foreach(yyjson_doc_get_root(tables), i, n, group)
    {
        yyjson_arr_foreach(yyjson_obj_get(group, "cases"), j, m, one)
            check_case(yyjson_obj_get(group, "document"), yyjson_arr_get(one, 0), yyjson_arr_get(one, 1));
    }
}

static void test_refuses(void **state)
{
    (void)state;
    size_t i, j, n, m;
    yyjson_val *group, *text;
    jsonpath_error_t error;
    yyjson_arr_foreach(yyjson_doc_get_root(tables), i, n, group)
    {
        yyjson_arr_foreach(yyjson_obj_get(group, "invalid"), j, m, text)
        {
            if (jsonpath_new(yyjson_get_str(text), yyjson_get_len(text), &error))
                fail_msg("%s: is no query, but was taken", yyjson_get_str(text));
            assert_true(error.offset <= yyjson_get_len(text));
            assert_string_not_equal(error.text, "");
        }
    }
}

static void test_refuses_bad_utf8(void **state)
{
    (void)state;
    static const char *const texts[] = {"$.\xff", "$['\xc3']", "$['\xed\xa0\x80']", "$['\xc0\x80']"};
    jsonpath_error_t error;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_null(jsonpath_new(texts[i], strlen(texts[i]), &error));
}

static void test_errors_say_where(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        size_t offset;
        const char *text;
    } cases[] = {
        {"a", 0, "$"},
        {"$.a[01]", 4, "leading zero"},
        {"$.a[?@.b == ]", 12, "expected"},
        {"$[?foo(@)]", 3, "no such function"},
        {"$[?count(1) > 2]", 9, "takes a query"},
        {"$[?@.* == 2]", 3, "compared"},
        {"$[?length(@.a)]", 3, "value"},
        {"$['a", 4, "not closed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        jsonpath_error_t error;
        assert_null(jsonpath_new(cases[i].query, strlen(cases[i].query), &error));
        if (error.offset != cases[i].offset || !strstr(error.text, cases[i].text))
            fail_msg("%s: at %zu: %s", cases[i].query, error.offset, error.text);
    }
}

// -- bounds ---------------------------------------------------------------------------------------

static jsonpath_status_t run(const char *query, const char *json, size_t len, size_t *n)
{
    jsonpath_error_t error;
    nodelist_t nodes = {0};
    int64_t work = JSONPATH_MAX_WORK;
    jsonpath_t *path = jsonpath_new(query, strlen(query), &error);
    assert_non_null(path);
    yyjson_doc *doc = yyjson_read(json, len, 0);
    assert_non_null(doc);
    jsonpath_status_t status = jsonpath_select(path, yyjson_doc_get_root(doc), &work, &nodes);
    *n = nodes.n;
    nodelist_free(&nodes);
    yyjson_doc_free(doc);
    jsonpath_destroy(&path);
    return status;
}

static char *repeat(const char *head, const char *unit, size_t times, const char *tail)
{
    char *text = malloc(strlen(head) + strlen(unit) * times + strlen(tail) + 1);
    char *p = stpcpy(text, head);
    for (size_t i = 0; i < times; i++) p = stpcpy(p, unit);
    strcpy(p, tail);
    return text;
}

static void test_work_is_bounded(void **state)
{
    (void)state;
    char *flat = repeat("[0", ",0", 20000, "]"), *deep = repeat("", "[", 10000, "");
    char *nested = repeat(deep, "]", 10000, "");
    char *letters = repeat("[\"", "a", 5000, "!\"]");
    char *many = repeat("$", "[*,*]", 30, "");
    const struct {
        const char *query, *json;
    } cases[] = {
        {"$[?count($[?count($[*]) > 1]) > 1]", flat},
        {"$..[*]", nested},
        {"$[?search(@, '(a*)*b')]", letters},
        {"$[?match(@, '(a|aa)+')]", letters},
        {"$[*,*,*,*,*,*,*,*,*,*]", flat},
        {many, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n;
        int64_t before = clock_thread_cpu_us();
        assert_int_equal(run(cases[i].query, cases[i].json, strlen(cases[i].json), &n), JSONPATH_TOO_COMPLEX);
        assert_int_equal(n, 0);
        if (clock_thread_cpu_us() - before > SLOWER * 1000000)
            fail_msg("%.40s: took too long", cases[i].query);
    }
    free(flat), free(deep), free(nested), free(letters), free(many);
}

static void test_big_but_fine(void **state)
{
    (void)state;
    char *flat = repeat("[0", ",{\"a\":\"text\"}", 50000, "]");
    size_t n;
    assert_int_equal(run("$[?match(@.a, 't.*t')]", flat, strlen(flat), &n), JSONPATH_OK);
    assert_int_equal(n, 50000);
    assert_int_equal(run("$..a", flat, strlen(flat), &n), JSONPATH_OK);
    assert_int_equal(n, 50000);
    free(flat);
}

static void test_deep_queries_are_refused(void **state)
{
    (void)state;
    jsonpath_error_t error;
    char *parens = repeat("$[?", "(", 200, "@"), *filters = repeat("$", "[?@", 300, "");
    char *calls = repeat("$[?", "length(", 200, "@"), *longer = repeat("$", ".a", 2000, "");
    const char *queries[] = {parens, filters, calls, longer};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        assert_null(jsonpath_new(queries[i], strlen(queries[i]), &error));
    free(parens), free(filters), free(calls), free(longer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selects),          cmocka_unit_test(test_names),
        cmocka_unit_test(test_refuses),          cmocka_unit_test(test_refuses_bad_utf8),
        cmocka_unit_test(test_errors_say_where), cmocka_unit_test(test_work_is_bounded),
        cmocka_unit_test(test_big_but_fine),     cmocka_unit_test(test_deep_queries_are_refused),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
