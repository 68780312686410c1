// needs: miner/read proto common
// JSON within pages.

#include "tests/unit/reading.h"

static char seen[1000];

// "ok: title url; ..." of the items that members find in html, or "status: detail".
static const char *found(const char *members, const char *html)
{
    reading_t r;
    if (!reading_begin(&r, members)) {
        snprintf(seen, sizeof seen, "%s: %s", r.error.field, r.error.text);
    } else {
        read_status_t status = reading_text(&r, html);
        size_t at = (size_t)snprintf(seen, sizeof seen, "%s: %s", read_status_name(status),
                                     status == READ_OK ? "" : r.items.detail);
        for (size_t i = 0; status == READ_OK && i < r.items.n_items; i++)
            at += (size_t)snprintf(seen + at, sizeof seen - at, "%s%s %s", i ? "; " : "",
                                   r.items.items[i].title, r.items.items[i].url);
    }
    reading_close(&r);
    return seen;
}

#define FIELDS "\"items\":\"$.posts[*]\",\"fields\":{\"title\":\"$.t\",\"url\":\"$.u\"}"
#define POSTS  "{\"posts\":[{\"t\":\"A &amp; </b>\",\"u\":\"a\"},{\"t\":\"B\",\"u\":\"/b\"}]}"

static void scripts_and_attributes(void **state)
{
    (void)state;
    static const char both[] = "ok: A &amp; </b> https://a.example/a; B https://a.example/b";
    assert_string_equal(found("\"script\":\"#s\"," FIELDS, "<p>x<script id=s>" POSTS "</script>"), both);
    assert_string_equal(found("\"script\":\"xpath://script[@id='s']\"," FIELDS,
                              "<script id=r>[]</script><script id=s>\n" POSTS "\n</script>"),
                        both);
    assert_string_equal(
        found("\"script\":\"#s\"," FIELDS, "<script id=s>window.state = " POSTS ";\n</script>"), both);
    assert_string_equal(found("\"script\":\"#s::attr(data-x)\"," FIELDS,
                              "<i id=s data-x='{&quot;posts&quot;:[{&quot;t&quot;:&quot;A&quot;,"
                              "&quot;u&quot;:&quot;a&quot;}]}'>"),
                        "ok: A https://a.example/a");
}

static void long_ones_and_escaped_ones(void **state)
{
    (void)state;
    static const char head[] = "<script id=s>{\"posts\":[{\"t\":\"A\",\"u\":\"a\"}],\"rest\":\"";
    char *page = calloc(1, 2000000);
    memset(page, 'x', 1900000);
    memcpy(page, head, sizeof head - 1);
    strcat(page, "\"}</script>");
    assert_string_equal(found("\"script\":\"#s\"," FIELDS, page), "ok: A https://a.example/a");
    free(page);
    assert_string_equal(
        found("\"script\":\"#s\"," FIELDS,
              "<div hidden id=s>{&quot;posts&quot;:[{\"t\":\"A &amp;amp; B\",\"u\":\"a\"}]}</div>"),
        "ok: A &amp; B https://a.example/a");
}

static void the_first_with_items(void **state)
{
    (void)state;
    assert_string_equal(found("\"script\":\"script\"," FIELDS,
                              "<script>f(1)</script><script>{\"a\":1}</script><script>{\"posts\":[]}</script>"
                              "<script>{\"posts\":[{\"t\":\"A\",\"u\":\"a\"}]}</script>"
                              "<script>{\"posts\":[{\"t\":\"B\",\"u\":\"b\"}]}</script>"),
                        "ok: A https://a.example/a");
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
        cmocka_unit_test(long_ones_and_escaped_ones),
        cmocka_unit_test(the_first_with_items),
        cmocka_unit_test(nothing_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
