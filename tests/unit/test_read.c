// needs: miner/read proto common
// Reading by kind, as the miner does: what kind auto makes of a document, watched pages, and the next page.
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

#define URL "https://a.example/list?page=1"

typedef struct {
    arena_t *template_arena, *arena;
    template_t *template;
    reader_t *reader;
    items_t items;
} fixture_t;

static void open_template(fixture_t *f, const char *json)
{
    template_error_t error;
    *f = (fixture_t){.template_arena = arena_new(1 << 20), .arena = arena_new(DOCUMENT_ARENA)};
    f->template = template_parse(f->template_arena, json, strlen(json), &error);
    if (!f->template) fail_msg("%s: %s: %s", json, error.field, error.text);
    f->reader = reader_new(f->template, &error);
    if (!f->reader) fail_msg("%s: %s: %s", json, error.field, error.text);
}

static void close_template(fixture_t *f)
{
    reader_destroy(&f->reader);
    arena_destroy(&f->arena);
    arena_destroy(&f->template_arena);
}

static read_status_t read_text(fixture_t *f, const char *text)
{
    document_t document = {.bytes = text, .len = strlen(text), .url = URL};
    arena_reset(f->arena);
    return reader_items(f->reader, f->arena, &document, &f->items);
}

static void refused(const char *json, const char *field, const char *words)
{
    template_error_t error;
    arena_t *arena = arena_new(1 << 20);
    template_t *t = template_parse(arena, json, strlen(json), &error);
    reader_t *reader = t ? reader_new(t, &error) : NULL;
    if (reader) fail_msg("%s was taken", json);
    if (strcmp(error.field, field) != 0 || !strstr(error.text, words))
        fail_msg("%s: %s: %s", json, error.field, error.text);
    arena_destroy(&arena);
}

static void auto_looks_at_the_document(void **state)
{
    (void)state;
    fixture_t f;
    open_template(&f, "{\"name\":\"a\",\"url\":\"" URL "\",\"kind\":\"auto\"}");
    assert_int_equal(
        read_text(&f, "<rss><channel><item><title>R</title><guid>1</guid></item></channel></rss>"), READ_OK);
    assert_string_equal(f.items.items[0].title, "R");
    assert_int_equal(
        read_text(&f, "{\"version\":\"https://jsonfeed.org/version/1\",\"items\":[{\"id\":\"j\"}]}"),
        READ_OK);
    assert_string_equal(f.items.items[0].key, "j");
    assert_int_equal(
        read_text(&f, "<?xml version='1.0'?><urlset><url><loc>https://a.example/s</loc></url></urlset>"),
        READ_OK);
    assert_string_equal(f.items.items[0].url, "https://a.example/s");
    assert_int_equal(
        read_text(&f, "<sitemapindex><sitemap><loc>https://a.example/s2</loc></sitemap></sitemapindex>"),
        READ_OK);
    assert_int_equal(f.items.n_items, 1);
    assert_int_equal(read_text(&f,
                               "<!doctype html><html><head><LINK rel=alternate type='application/rss+xml' "
                               "href='/feed?a=1&amp;b=2'></head></html>"),
                     READ_NOT_THIS_KIND);
    assert_string_equal(f.items.next_url, "https://a.example/feed?a=1&b=2");
    assert_non_null(strstr(f.items.detail, "https://a.example/feed?a=1&b=2"));
    assert_int_equal(read_text(&f, "<!doctype html><html><body>x"), READ_NOT_THIS_KIND);
    assert_null(f.items.next_url);
    assert_int_equal(read_text(&f, "\x1F"), READ_NOT_THIS_KIND);
    assert_int_equal(read_text(&f, ""), READ_EMPTY_BODY);
    close_template(&f);
}

static void a_feed_is_no_sitemap(void **state)
{
    (void)state;
    fixture_t f;
    open_template(&f, "{\"name\":\"a\",\"url\":\"" URL "\",\"kind\":\"feed\"}");
    assert_int_equal(read_text(&f, "<urlset><url><loc>https://a.example/s</loc></url></urlset>"),
                     READ_NOT_THIS_KIND);
    close_template(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_looks_at_the_document),
        cmocka_unit_test(a_feed_is_no_sitemap),
    };
    (void)refused;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
