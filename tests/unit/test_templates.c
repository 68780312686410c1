// needs: miner/read proto common
// The templates that come along, each on a small document built like the real one (tests/data/templates/).
#include <glob.h>
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

#define PUBLISHED 1784885400000 // 2026-07-24T09:30:00Z

// What the first item must be; NULL: not looked at.
typedef struct {
    const char *name, *document;
    size_t n;
    const char *key, *title, *url, *author, *content, *image, *fields, *next;
    bool undated;
} example_t;

static const example_t examples[] = {
    {.name = "hacker-news",
     .document = "hacker-news.html",
     .n = 2,
     .key = "90000001",
     .title = "Why waffles & queues are alike",
     .url = "https://waffles.example/why?a=1&b=2",
     .fields = "{\"points\":128}",
     .undated = true},
    {.name = "hacker-news-rss",
     .document = "hacker-news-rss.xml",
     .n = 1,
     .key = "https://waffles.example/why",
     .title = "Why waffles & queues are alike"},
    {.name = "hacker-news-api",
     .document = "hacker-news-api.json",
     .n = 2,
     .key = "90000001",
     .url = "https://waffles.example/why",
     .author = "ann",
     .fields = "{\"points\":128,\"comments\":37}"},
    {.name = "hacker-news-firebase",
     .document = "hacker-news-firebase.json",
     .n = 3,
     .key = "90000002",
     .url = "https://news.ycombinator.com/item?id=90000002",
     .fields = "{\"id\":90000002,\"item\":\"https://hacker-news.firebaseio.com/v0/item/90000002.json\"}",
     .undated = true},
    {.name = "lobsters-rss",
     .document = "lobsters-rss.xml",
     .n = 1,
     .key = "https://lobste.rs/s/abc123",
     .title = "A tiny scheduler",
     .url = "https://sched.example/tiny"},
    {.name = "lobsters-newest",
     .document = "lobsters-newest.json",
     .n = 2,
     .key = "abc123",
     .title = "A tiny scheduler",
     .url = "https://sched.example/tiny",
     .author = "ann",
     .fields = "{\"score\":7,\"comments\":2,\"discussion\":\"https://lobste.rs/s/abc123/"
               "a_tiny_scheduler\",\"tags\":[\"c\",\"distributed\"]}"},
    {.name = "discourse-meta",
     .document = "discourse-meta.json",
     .n = 1,
     .key = "400001",
     .title = "Upgrading without tears",
     .url = "https://meta.discourse.org/t/upgrading-without-tears/400001",
     .image = "https://cdn.example/a.png",
     .fields = "{\"id\":400001,\"slug\":\"upgrading-without-tears\",\"tags\":[\"upgrade\"],\"replies\":2,"
               "\"views\":120}"},
    {.name = "mastodon-tag",
     .document = "mastodon-tag.json",
     .n = 1,
     .key = "https://social.example/users/ann/statuses/116000000000000001",
     .url = "https://social.example/@ann/116000000000000001",
     .author = "ann@social.example",
     .content = "<p>My new <a href=\"https://social.example/tags/linux\">#linux</a> box</p>",
     .image = "https://files.example/s/8.jpg",
     .fields = "{\"tags\":[\"linux\"],\"language\":\"en\"}"},
    {.name = "github-releases",
     .document = "github-releases.html",
     .n = 2,
     .key = "https://github.com/curl/curl/releases/tag/tool-8_9_0",
     .title = "8.9.0",
     .content = "<p>Waits <em>less</em>.</p>"},
    {.name = "nasa-news",
     .document = "nasa-news.xml",
     .n = 1,
     .key = "https://www.nasa.gov/?post_type=press-release&p=900001",
     .title = "A Small Probe Looks Up",
     .url = "https://www.nasa.gov/news-release/a-small-probe-looks-up/",
     .author = "Ann Writer"},
    {.name = "phpbb-board",
     .document = "phpbb-board.html",
     .n = 2,
     .key = "300001",
     .title = "Which power supply?",
     .url = "https://forums.raspberrypi.com/viewtopic.php?t=300001",
     .author = "ann",
     .fields = "{\"id\":\"300001\",\"replies\":3,\"views\":42,\"last_post\":\"2026-07-24T10:00:00Z\"}",
     .next = "https://forums.raspberrypi.com/viewforum.php?f=63&start=25"},
    {.name = "telegram-channel",
     .document = "telegram-channel.html",
     .n = 2,
     .key = "telegram/900",
     .url = "https://t.me/telegram/900",
     .author = "Example Channel",
     .content = "Version <b>12</b> is out.<br>Enjoy.",
     .image = "https://cdn.example/file/900.jpg",
     .fields = "{\"views\":1200000}",
     .next = "https://t.me/s/telegram?before=900"},
    {.name = "ap-news",
     .document = "ap-news.html",
     .n = 2,
     .key = "https://apnews.com/article/bridge-opens-000001",
     .title = "A bridge opens, to light applause",
     .undated = true},
    {.name = "guardian-news-sitemap",
     .document = "guardian-news-sitemap.xml",
     .n = 1,
     .url = "https://www.theguardian.com/world/2026/jul/24/bridge-opens",
     .title = "A bridge opens",
     .image = "https://i.example/bridge.jpg"},
    {.name = "kernel-release",
     .document = "kernel-release.html",
     .n = 1,
     .key = "https://www.kernel.org/",
     .title = "The Linux Kernel Archives",
     .content = "7.9.1",
     .fields = "{\"download\":\"https://cdn.kernel.org/pub/linux/kernel/v7.x/linux-7.9.1.tar.xz\"}",
     .undated = true},
    {.name = "wikimedia-recentchange",
     .document = "wikimedia-recentchange.sse",
     .n = 2,
     .key = "7d1a4be1-58f2-4ad0-8f5c-21c9c6ae9001",
     .title = "Water wheel",
     .url = "https://en.wikipedia.org/w/index.php?diff=1300000002&oldid=1300000001&rcid=1780000001",
     .author = "Ann Writer",
     .fields = "{\"wiki\":\"enwiki\",\"type\":\"edit\",\"namespace\":0,\"bot\":false,"
               "\"domain\":\"en.wikipedia.org\"}"},
};
enum { N_EXAMPLES = sizeof examples / sizeof *examples };

// What the detail pages must give.
static const example_t details[] = {
    {.name = "hacker-news",
     .document = "hacker-news.detail.html",
     .content = "Both are served in order.",
     .image = "https://news.ycombinator.com/img/waffle.jpg",
     .undated = true},
    {.name = "hacker-news-firebase",
     .document = "hacker-news-firebase.detail.json",
     .title = "Why waffles & queues are alike",
     .url = "https://waffles.example/why?a=1&b=2",
     .author = "ann",
     .fields = "{\"points\":128,\"comments\":37,\"type\":\"story\"}"},
    {.name = "nasa-news",
     .document = "nasa-news.detail.html",
     .content = "A probe saw stars.",
     .image = "https://www.nasa.gov/wp-content/probe.jpg",
     .undated = true},
    {.name = "ap-news",
     .document = "ap-news.detail.html",
     .content = "The river did not mind.",
     .image = "https://dims.example/bridge.jpg",
     .author = "Ann Writer, Bob Editor"},
};

typedef struct {
    arena_t *arena, *results;
    template_t *template;
    reader_t *reader;
    char *text;
    size_t len;
} fixture_t;

static char *slurp(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("no %s; run from the root of the project", path);
    char *bytes = calloc(1, 1 << 20);
    *len = fread(bytes, 1, (1 << 20) - 1, file);
    fclose(file);
    return bytes;
}

static void begin(fixture_t *f, const example_t *e)
{
    char path[200];
    template_error_t error;
    *f = (fixture_t){.arena = arena_new(1 << 20), .results = arena_new(DOCUMENT_ARENA)};
    snprintf(path, sizeof path, "templates/%s.json", e->name);
    char *json = slurp(path, &f->len);
    f->template = template_parse(f->arena, json, f->len, &error);
    if (!f->template) fail_msg("%s: %s: %s", path, error.field, error.text);
    assert_string_equal(f->template->name, e->name);
    f->reader = reader_new(f->template, &error);
    if (!f->reader) fail_msg("%s: %s: %s", path, error.field, error.text);
    free(json);
    snprintf(path, sizeof path, "tests/data/templates/%s", e->document);
    f->text = slurp(path, &f->len);
}

static void end(fixture_t *f)
{
    reader_destroy(&f->reader);
    arena_destroy(&f->arena);
    arena_destroy(&f->results);
    free(f->text);
}

static void same(const example_t *e, const char *what, const char *want, const char *have)
{
    if (want && (!have || strcmp(want, have) != 0))
        fail_msg("%s: %s is %s, not %s", e->name, what, have ? have : "missing", want);
}

static void compare(const example_t *e, const item_t *item)
{
    same(e, "key", e->key, item->key);
    same(e, "title", e->title, item->title);
    same(e, "url", e->url, item->url);
    same(e, "author", e->author, item->author);
    same(e, "image", e->image, item->image);
    same(e, "fields", e->fields, item->fields);
    if (e->undated != (item->published_ms == TIME_NONE) || (!e->undated && item->published_ms != PUBLISHED))
        fail_msg("%s: published is %lld", e->name, (long long)item->published_ms);
}

static void each_reads_its_document(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_EXAMPLES; i++) {
        const example_t *e = &examples[i];
        fixture_t f;
        items_t items;
        begin(&f, e);
        document_t document = {.bytes = f.text, .len = f.len, .url = f.template->urls[0]};
        read_status_t status = reader_items(f.reader, f.results, &document, &items);
        if (status != READ_OK) fail_msg("%s: %s: %s", e->name, read_status_name(status), items.detail);
        if (items.n_items != e->n) fail_msg("%s: %zu items, not %zu", e->name, items.n_items, e->n);
        compare(e, &items.items[0]);
        same(e, "content", e->content, items.items[0].content);
        same(e, "next", e->next, items.next_url);
        end(&f);
    }
}

static void each_reads_its_detail_page(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof details / sizeof *details; i++) {
        const example_t *e = &details[i];
        fixture_t f;
        item_t item;
        bool drop;
        begin(&f, e);
        document_t document = {.bytes = f.text, .len = f.len, .url = f.template->urls[0]};
        assert_int_equal(reader_detail(f.reader, f.results, &document, &item, &drop), READ_OK);
        assert_false(drop);
        compare(e, &item);
        same(e, "summary", e->content, item.summary);
        end(&f);
    }
}

static void every_template_is_tested(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("templates/*.json", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 12);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char path[200];
        size_t k = 0;
        for (; k < N_EXAMPLES; k++) {
            snprintf(path, sizeof path, "templates/%s.json", examples[k].name);
            if (strcmp(path, found.gl_pathv[i]) == 0) break;
        }
        if (k == N_EXAMPLES) fail_msg("%s has no document in tests/data/templates", found.gl_pathv[i]);
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reads_its_document),
        cmocka_unit_test(each_reads_its_detail_page),
        cmocka_unit_test(every_template_is_tested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
