// needs: miner/read proto common
// Kind stream: what templates may say, and items, keys and positions of events.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "miner/read/read.h"
#include "proto/limits.h"

static arena_t *arena, *templates;
static template_error_t error;
static reader_t *reader;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(DOCUMENT_ARENA);
    templates = arena_new(4 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reader_destroy(&reader);
    arena_destroy(&arena);
    arena_destroy(&templates);
    return 0;
}

static const template_t *parse(const char *members)
{
    const char *text = arena_printf(templates, "{\"name\":\"t\",\"url\":\"http://h.example/s\",%s}", members);
    error = (template_error_t){.field = ""};
    return template_parse(templates, text, strlen(text), &error);
}

static void use(const char *members)
{
    const template_t *t = parse(members);
    reader_destroy(&reader);
    reader = t ? reader_new(t, &error) : NULL;
    if (!reader) fail_msg("%s: %s", error.field, error.text);
}

static read_status_t event(const char *type, const char *id, const char *data, items_t *items,
                           const char **position)
{
    const event_t e = {.type = type, .id = id, .data = data, .len = data ? strlen(data) : 0};
    arena_reset(arena);
    return reader_event(reader, arena, "http://h.example/s", &e, items, position);
}

static void refused(const char *members, const char *field)
{
    assert_null(parse(members));
    assert_string_equal(error.field, field);
}

static void test_templates(void **state)
{
    (void)state;
    const template_t *t = parse("\"kind\":\"stream\",\"events\":\"message\",\"fields\":{\"title\":\"$.t\"}");
    assert_non_null(t);
    assert_int_equal(t->n_events, 1);
    assert_int_equal(t->timeout_ms, 60000);
    refused("\"kind\":\"stream\"", "fields");
    refused("\"kind\":\"json\",\"fields\":{\"t\":\"$.t\"},\"events\":[\"a\"]", "events");
    refused("\"kind\":\"json\",\"fields\":{\"t\":\"$.t\"},\"offset\":\"$.a\"", "offset");
    refused("\"kind\":\"stream\",\"fields\":{\"t\":\"$.t\"},\"resume\":\"http://h.example/s\"", "resume");
    refused("\"kind\":\"stream\",\"fields\":{\"t\":\"$.t\"},\"resume\":\"/s?{}\"", "resume");
    refused("\"kind\":\"stream\",\"fields\":{\"url\":\"$.t\"},\"detail\":{\"fields\":{\"content\":\"p\"}}",
            "detail");
    refused("\"kind\":\"stream\",\"fields\":{\"t\":\"$.t\"},\"pages\":3", "pages");
    t = parse("\"kind\":\"stream\",\"fields\":{\"t\":\"$.t\"},\"offset\":\"$.[\"");
    assert_non_null(t); // selectors are the reader's
    assert_null(reader_new(t, &error));
    assert_string_equal(error.field, "offset");
}

static void test_keys(void **state)
{
    (void)state;
    items_t items;
    const char *position;
    use("\"kind\":\"stream\",\"fields\":{\"title\":\"$.t\",\"url\":\"$.u\"}");
    assert_int_equal(event("message", "7", "{\"t\":\"a\",\"u\":\"/x\"}", &items, &position), READ_OK);
    assert_int_equal(items.n_items, 1);
    assert_string_equal(items.items[0].key, "7");
    assert_string_equal(items.items[0].url, "http://h.example/x");
    assert_string_equal(position, "7");
    assert_int_equal(event("message", "8", "[{\"t\":\"a\"},{\"t\":\"b\"}]", &items, &position), READ_OK);
    assert_int_equal(items.n_items, 2);
    assert_string_equal(items.items[1].key, "8|2");
    assert_int_equal(event("message", "", "{\"t\":\"a\",\"u\":\"/x\"}", &items, &position), READ_OK);
    assert_string_equal(items.items[0].key, "http://h.example/x");
    assert_null(position);
    use("\"kind\":\"stream\",\"key\":\"$.k\",\"fields\":{\"title\":\"$.t\"}");
    assert_int_equal(event("message", "7", "{\"t\":\"a\",\"k\":42}", &items, &position), READ_OK);
    assert_string_equal(items.items[0].key, "42");
}

static void test_what_is_passed_over(void **state)
{
    (void)state;
    items_t items;
    const char *position;
    use("\"kind\":\"stream\",\"events\":[\"a\"],\"items\":\"$.list[*]\",\"fields\":{\"title\":\"$.t\"},"
        "\"drop\":{\"title\":\"spam\"}");
    assert_int_equal(event("b", "1", "{\"list\":[{\"t\":\"x\"}]}", &items, &position), READ_OK);
    assert_int_equal(items.n_items, 0);
    assert_string_equal(position, "1"); // it was read all the same
    assert_int_equal(event("a", "2", "{\"other\":1}", &items, &position), READ_OK);
    assert_int_equal(items.n_items, 0);
    assert_int_equal(event("a", "3", NULL, &items, &position), READ_OK);
    assert_string_equal(position, "3");
    assert_int_equal(event("a", "4", "{\"list\":[{\"t\":\"spam\"},{\"t\":\"ham\"}]}", &items, &position),
                     READ_OK);
    assert_int_equal(items.n_items, 1);
    assert_string_equal(items.items[0].title, "ham");
    assert_int_equal(event("a", "5", "{\"list\":", &items, &position), READ_PARSE);
    assert_string_equal(position, "5");
    assert_int_equal(event("a", "6", "{\"list\":[{\"t\":\"x\"}]},\"rest\":1]", &items, &position), READ_OK);
    assert_int_equal(items.n_items, 1);
}

static void test_offsets(void **state)
{
    (void)state;
    items_t items;
    const char *position;
    use("\"kind\":\"stream\",\"offset\":\"$.at\",\"fields\":{\"title\":\"$.t\"}");
    assert_int_equal(event("", "", "{\"t\":\"a\",\"at\":18446744073709551616}", &items, &position), READ_OK);
    assert_string_equal(position, "18446744073709551616");
    assert_int_equal(event("message", "9", "{\"t\":\"a\",\"at\":\"x y\"}", &items, &position), READ_OK);
    assert_string_equal(position, "x y"); // and not the id
    assert_int_equal(event("", "", "{\"at\":\"1\\r\\nX: y\"}", &items, &position), READ_OK);
    assert_null(position);
    assert_int_equal(event("message", "9", "{\"t\":\"a\"}", &items, &position), READ_OK);
    assert_null(position);
}

static void test_saved(void **state)
{
    (void)state;
    items_t items;
    static const char sse[] = ": hello\n\ndata: {\"t\":\"a\"}\n\ndata: {no\n\nid: 5\ndata: {\"t\":\"b\"}";
    static const char lines[] = "{\"t\":\"a\"}\n\n{\"t\":\"b\"}";
    use("\"kind\":\"stream\",\"fields\":{\"title\":\"$.t\"}");
    const document_t documents[] = {
        {.bytes = sse, .len = sizeof sse - 1},
        {.bytes = lines, .len = sizeof lines - 1},
        {.bytes = lines, .len = sizeof lines - 1, .content_type = "application/jsonl"}};
    for (size_t i = 0; i < 3; i++) {
        arena_reset(arena);
        assert_int_equal(reader_items(reader, arena, &documents[i], &items), READ_OK);
        assert_int_equal(items.n_items, 2);
        assert_string_equal(items.items[1].title, "b");
        assert_int_equal(items.selector_matches[0], 2);
    }
    const document_t page = {.bytes = sse, .len = sizeof sse - 1, .content_type = "text/html"};
    assert_int_equal(reader_items(reader, arena, &page, &items), READ_NOT_THIS_KIND);
}

// What does not fit any more is no bad event.
static void test_saved_beyond_memory(void **state)
{
    (void)state;
    enum { EVENTS = 5000 };
    items_t items;
    arena_t *small = arena_new(256 << 10);
    char *lines = malloc(EVENTS * 100), *end = lines;
    for (int i = 0; i < EVENTS; i++)
        end += sprintf(end, "{\"t\":\"a title of some length, number %d\"}\n", i);
    use("\"kind\":\"stream\",\"fields\":{\"title\":\"$.t\"}");
    const document_t document = {.bytes = lines, .len = (size_t)(end - lines)};
    assert_int_equal(reader_items(reader, small, &document, &items), READ_TOO_BIG);
    assert_true(items.n_items > 100 && items.n_items < EVENTS);
    assert_non_null(strstr(items.detail, "too much memory"));
    arena_destroy(&small);
    free(lines);
}

static void test_saved_without_items(void **state)
{
    (void)state;
    items_t items;
    static const char lines[] = "{\"type\":\"post\",\"t\":\"a\"}\n{\"type\":\"ping\"}\n";
    const document_t document = {.bytes = lines, .len = sizeof lines - 1};
    use("\"kind\":\"stream\",\"items\":\"$[?@.type=='post']\",\"fields\":{\"title\":\"$.t\"}");
    assert_int_equal(reader_items(reader, arena, &document, &items), READ_ROTTED);
    assert_string_equal(items.detail, "`items` matched nothing; the root has type, t");
    use("\"kind\":\"stream\",\"fields\":{\"title\":\"$.t\",\"type\":\"$.type\"},\"keep\":{\"type\":\"^post$\"}");
    assert_int_equal(reader_items(reader, arena, &document, &items), READ_OK);
    assert_int_equal(items.n_items, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_what_is_passed_over),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_saved_beyond_memory),
        cmocka_unit_test(test_saved_without_items),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
