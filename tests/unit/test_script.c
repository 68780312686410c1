// needs: miner/read proto common
// JSON within pages.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "miner/read/read.h"
#include "proto/limits.h"

static char seen[1000];

// "ok: title url; ..." of the items that members find in html, or "status: detail".
static const char *found(const char *members, const char *html)
{
    char json[2000];
    template_error_t error;
    arena_t *arena = arena_new(1 << 20), *results = arena_new(DOCUMENT_ARENA);
    snprintf(json, sizeof json, "{\"name\":\"x\",\"url\":\"https://a.example/p/\",%s}", members);
    template_t *t = template_parse(arena, json, strlen(json), &error);
    reader_t *reader = t ? reader_new(t, &error) : NULL;
    document_t document = {.bytes = html, .len = strlen(html), .url = "https://a.example/p/"};
    items_t out;
    if (!reader) {
        snprintf(seen, sizeof seen, "%s: %s", error.field, error.text);
    } else {
        read_status_t status = reader_items(reader, results, &document, &out);
        size_t at = (size_t)snprintf(seen, sizeof seen, "%s: %s", read_status_name(status),
                                     status == READ_OK ? "" : out.detail);
        for (size_t i = 0; status == READ_OK && i < out.n_items; i++)
            at += (size_t)snprintf(seen + at, sizeof seen - at, "%s%s %s", i ? "; " : "", out.items[i].title,
                                   out.items[i].url);
    }
    reader_destroy(&reader);
    arena_destroy(&arena);
    arena_destroy(&results);
    return seen;
}

#define FIELDS "\"items\":\"$.posts[*]\",\"fields\":{\"title\":\"$.t\",\"url\":\"$.u\"}"
#define POSTS  "{\"posts\":[{\"t\":\"A &amp; </b>\",\"u\":\"a\"},{\"t\":\"B\",\"u\":\"/b\"}]}"

static void scripts_and_attributes(void **state)
{
    (void)state;
    static const char both[] = "ok: A &amp; </b> https://a.example/p/a; B https://a.example/b";
    assert_string_equal(found("\"script\":\"#s\"," FIELDS, "<p>x<script id=s>" POSTS "</script>"), both);
    assert_string_equal(found("\"script\":\"xpath://script[@id='s']\"," FIELDS,
                              "<script id=r>[]</script><script id=s>\n" POSTS "\n</script>"),
                        both);
    assert_string_equal(
        found("\"script\":\"#s\"," FIELDS, "<script id=s>window.state = " POSTS ";\n</script>"), both);
    assert_string_equal(found("\"script\":\"#s::attr(data-x)\"," FIELDS,
                              "<i id=s data-x='{&quot;posts&quot;:[{&quot;t&quot;:&quot;A&quot;,"
                              "&quot;u&quot;:&quot;a&quot;}]}'>"),
                        "ok: A https://a.example/p/a");
}

static void the_first_with_items(void **state)
{
    (void)state;
    assert_string_equal(found("\"script\":\"script\"," FIELDS,
                              "<script>f(1)</script><script>{\"a\":1}</script><script>{\"posts\":[]}</script>"
                              "<script>{\"posts\":[{\"t\":\"A\",\"u\":\"a\"}]}</script>"
                              "<script>{\"posts\":[{\"t\":\"B\",\"u\":\"b\"}]}</script>"),
                        "ok: A https://a.example/p/a");
    assert_string_equal(found("\"script\":\"script\"," FIELDS, "<script>{\"posts\":[]}</script>"), "ok: ");
}

static void nothing_found(void **state)
{
    (void)state;
    static const struct {
        const char *script, *html, *seen;
    } cases[] = {
        {"#s", "<p>x", "rotted: `#s` matches nothing in 4 bytes of HTML"},
        {"#s", POSTS, "rotted: `#s` matches nothing"},
        {"#s", "{}", "not_this_kind: there is no markup"},
        {"#s", "", "empty_body: "},
        {"#s", "<script id=s></script>", "empty_body: "},
        {"#s", "<script id=s>f(</script>", "parse: "},
        {"#s", "<script id=s>{\"rows\":[1]}</script>",
         "rotted: `items` matched nothing; the root has rows[]"},
        {"script[", "", "script: \"script[\": no valid CSS"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char members[300];
        snprintf(members, sizeof members, "\"script\":\"%s\"," FIELDS, cases[i].script);
        const char *got = found(members, cases[i].html);
        if (strncmp(got, cases[i].seen, strlen(cases[i].seen)) != 0)
            fail_msg("%s in %s: %s", cases[i].script, cases[i].html, got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_and_attributes),
        cmocka_unit_test(the_first_with_items),
        cmocka_unit_test(nothing_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
