// Pages: see pages.h. Writing is through `put`, which remembers a failure, so that it is looked at once, at
// the end.
#include "bench/site/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    buf_t *buf;
    bool failed;
    size_t *points; // room for WORLD_ROWS_MAX, of a list
    size_t n_points;
} out_t;

#define put(out, ...) ((out)->failed |= buf_printf((out)->buf, __VA_ARGS__) != 0)

// Room for the longest text of a post with every byte escaped.
typedef struct {
    char text[2600];
} esc_t;

static const char *markup(esc_t *esc, const char *s)
{
    size_t n = 0;
    for (; *s && n + 8 < sizeof esc->text; s++) {
        const char *as = *s == '&'   ? "&amp;"
                         : *s == '<' ? "&lt;"
                         : *s == '>' ? "&gt;"
                         : *s == '"' ? "&quot;"
                                     : NULL;
        if (as) {
            n += (size_t)sprintf(esc->text + n, "%s", as);
        } else {
            esc->text[n++] = *s;
        }
    }
    esc->text[n] = 0;
    return esc->text;
}

static const char *json(esc_t *esc, const char *s)
{
    size_t n = 0;
    for (; *s && n + 8 < sizeof esc->text; s++) {
        if ((unsigned char)*s < 0x20) {
            n += (size_t)sprintf(esc->text + n, "\\u%04x", *s);
            continue;
        }
        if (*s == '"' || *s == '\\') esc->text[n++] = '\\';
        esc->text[n++] = *s;
    }
    esc->text[n] = 0;
    return esc->text;
}

static struct tm broken_down(int64_t t_ms)
{
    time_t t = (time_t)(t_ms / 1000);
    struct tm tm;
    gmtime_r(&t, &tm);
    return tm;
}

static const char *iso8601(stamp_t *out, int64_t t_ms)
{
    struct tm tm = broken_down(t_ms);
    strftime(out->text, sizeof out->text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return out->text;
}

const char *page_date(stamp_t *out, int64_t t_ms)
{
    struct tm tm = broken_down(t_ms);
    strftime(out->text, sizeof out->text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return out->text;
}

static void put_points(out_t *out, const world_t *world, const world_item_t *item)
{
    out->points[out->n_points++] = out->buf->len;
    put(out, "%u", world_points(world, item->source, item->post, world_version(world, item->source)));
}

// -- HTML -----------------------------------------------------------------------------------------

static void html_head(out_t *out, uint32_t source)
{
    put(out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Source %u</title>"
        "<link rel=\"stylesheet\" href=\"/style.css\"><script>window.q=window.q||[];q.push(['<tr "
        "class=\"athing\">',"
        "%u])</script></head>\n<body><center><table id=\"frame\" border=\"0\" cellpadding=\"0\" "
        "cellspacing=\"0\" "
        "width=\"85%%\">\n<tr><td><nav><a href=\"/\">home</a> | <a href=\"newest\">new</a> | <a "
        "href=\"ask\">ask</a> | "
        "<a href=\"jobs\">jobs</a> | <a href=\"login?to=%%2Fs%%2F%u\">login</a></nav></td></tr>\n"
        "<tr class=\"ad\"><td><a class=\"sponsor\" href=\"/out?c=top\">Sponsored: hosting from 3 a "
        "month</a></td></tr>"
        "\n<tr id=\"big\"><td><table border=\"0\" cellpadding=\"0\" cellspacing=\"0\">\n",
        source, source, source);
}

static void html_row(out_t *out, const world_t *world, const world_item_t *item, unsigned rank)
{
    esc_t title, author;
    stamp_t when;
    const char *id = item->key;
    put(out,
        "<tr class=\"athing submission%s\" id=\"%s\"><td align=\"right\" valign=\"top\" class=\"title\"><span"
        " class=\"rank\">%u.</span></td><td valign=\"top\" class=\"votelinks\"><center><a id='up_%s'"
        " href='vote?id=%s&amp;"
        "how=up'><div class='votearrow' title='upvote'></div></a></center></td><td class=\"title\"><span"
        " class=\"titleline\"><a href=\"p/%u\">%s</a><span class=\"sitebit\"> (<a"
        " href=\"from?site=source%u\"><span class=\"sitestr\">source%u</span></a>)</span></span></td></tr>",
        item->pinned ? " pinned" : "", id, rank, id, id, item->post, markup(&title, item->title),
        item->source, item->source);
    put(out,
        "<tr><td colspan=\"2\"></td><td class=\"subtext\"><span class=\"subline\"><span class=\"score\" "
        "id=\"score_%s\">",
        id);
    put_points(out, world, item);
    put(out,
        " points</span> by <a href=\"user?id=%u\" class=\"byline\">%s</a> <span class=\"age\" title=\"%s\">"
        "<a href=\"item?id=%s\">on that day</a></span> <span id=\"unv_%s\"></span> | <a "
        "href=\"hide?id=%s\">hide</a> | "
        "<a href=\"item?id=%s\">%u&nbsp;comments</a></span></td></tr><tr class=\"spacer\" "
        "style=\"height:5px\"></tr>\n",
        item->post % 97, markup(&author, item->author), iso8601(&when, item->posted_ms), id, id, id, id,
        item->post % 200);
    if (rank % 10 == 5) {
        put(out,
            "<tr class=\"ad\"><td colspan=\"3\"><a class=\"sponsor\" "
            "href=\"/out?c=%u\">Advertisement</a></td></tr>\n",
            rank);
    }
}

static void html_foot(out_t *out, bool pad)
{
    put(out, "</table></td></tr>\n<tr><td><footer><span class=\"links\">");
    for (unsigned i = 0; pad && out->buf->len < PAGE_PADDED && !out->failed; i++) {
        put(out, "<a href=\"/topic/%u\">Topic %u of the day</a> | ", i, i);
    }
    put(out, "<a href=\"/legal\">Legal</a></span><form method=\"get\" action=\"/find\">Search: <input "
             "type=\"text\" "
             "name=\"q\"></form></footer></td></tr></table></center></body></html>\n");
}

// -- feeds and JSON -------------------------------------------------------------------------------

static void rss_head(out_t *out, const world_t *world, uint32_t source)
{
    char base[192];
    stamp_t when;
    world_base_url(world, world_host(world, source), base, sizeof base);
    put(out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\" "
        "xmlns:dc=\"http://purl.org/dc/elements/1.1/\" "
        "xmlns:slash=\"http://purl.org/rss/1.0/modules/slash/\">\n"
        "<channel><title>Source %u</title><link>%s/s/%u/</link><description>Simulated</description>"
        "<lastBuildDate>%s</lastBuildDate>\n",
        source, base, source, page_date(&when, world_changed(world, source)));
}

static void rss_row(out_t *out, const world_t *world, const world_item_t *item)
{
    esc_t title, author, body;
    stamp_t when;
    put(out,
        "<item><title>%s</title><link>%s</link><guid isPermaLink=\"false\">%s</guid><pubDate>%s</pubDate>"
        "<dc:creator>%s</dc:creator><description>%s</description><slash:comments>",
        markup(&title, item->title), item->url, item->key, page_date(&when, item->posted_ms),
        markup(&author, item->author), markup(&body, item->body));
    put_points(out, world, item);
    put(out, "</slash:comments></item>\n");
}

static void atom_head(out_t *out, const world_t *world, uint32_t source)
{
    char url[192];
    stamp_t when;
    world_source_url(world, source, url, sizeof url);
    put(out,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\" "
        "xmlns:thr=\"http://purl.org/syndication/thread/1.0\">\n<title>Source "
        "%u</title><id>urn:source:%u</id>"
        "<link rel=\"self\" href=\"%s\"/><updated>%s</updated>\n",
        source, source, url, iso8601(&when, world_changed(world, source)));
}

static void atom_row(out_t *out, const world_t *world, const world_item_t *item)
{
    esc_t title, author, body;
    stamp_t posted, changed;
    put(out,
        "<entry><id>%s</id><title>%s</title><link rel=\"alternate\" href=\"%s\"/><published>%s</published>"
        "<updated>%s</updated><author><name>%s</name></author><summary>%s</summary><thr:total>",
        item->key, markup(&title, item->title), item->url, iso8601(&posted, item->posted_ms),
        iso8601(&changed, item->changed_ms), markup(&author, item->author), markup(&body, item->body));
    put_points(out, world, item);
    put(out, "</thr:total></entry>\n");
}

static void json_row(out_t *out, const world_t *world, const world_item_t *item, unsigned rank)
{
    esc_t title, author, body;
    stamp_t when;
    put(out,
        "%s{\"id\":\"%s\",\"title\":\"%s\",\"url\":\"%s\",\"author\":\"%s\",\"published_at\":\"%s\","
        "\"description\":\"%s\",\"points\":",
        rank > 1 ? ",\n" : "", item->key, json(&title, item->title), item->url, json(&author, item->author),
        iso8601(&when, item->posted_ms), json(&body, item->body));
    put_points(out, world, item);
    put(out, "}");
}

// -- a list of any kind ---------------------------------------------------------------------------

static void list_head(out_t *out, const world_t *world, uint32_t source)
{
    switch (world_kind(world, source)) {
    case SITE_RSS: rss_head(out, world, source); break;
    case SITE_ATOM: atom_head(out, world, source); break;
    case SITE_JSON: put(out, "{\"items\":[\n"); break;
    default: html_head(out, source); break;
    }
}

static void list_row(out_t *out, const world_t *world, const world_item_t *item, unsigned rank)
{
    switch (world_kind(world, item->source)) {
    case SITE_RSS: rss_row(out, world, item); break;
    case SITE_ATOM: atom_row(out, world, item); break;
    case SITE_JSON: json_row(out, world, item, rank); break;
    default: html_row(out, world, item, rank); break;
    }
}

static void list_foot(out_t *out, const world_t *world, uint32_t source, bool pad)
{
    switch (world_kind(world, source)) {
    case SITE_RSS: put(out, "</channel></rss>\n"); break;
    case SITE_ATOM: put(out, "</feed>\n"); break;
    case SITE_JSON: put(out, "\n]}\n"); break;
    default: html_foot(out, pad); break;
    }
}

int page_list(page_t *page, const world_t *world, uint32_t source, bool pad)
{
    uint32_t rows[WORLD_ROWS_MAX];
    unsigned n = world_rows(world, source, rows);
    buf_t buf;
    buf_init(&buf, PAGE_MAX);
    size_t points[WORLD_ROWS_MAX];
    out_t out = {.buf = &buf, .points = points};
    list_head(&out, world, source);
    for (unsigned i = 0; i < n; i++) {
        world_item_t item;
        if (world_item(world, source, rows[i], &item) == 0) list_row(&out, world, &item, i + 1);
    }
    list_foot(&out, world, source, pad);
    *page = (page_t){.bytes = buf.data, .len = buf.len, .n_points = out.n_points};
    page->points = malloc(out.n_points * sizeof *page->points + 1);
    if (out.failed || !page->points) {
        page_free(page);
        return -1;
    }
    memcpy(page->points, out.points, out.n_points * sizeof *page->points);
    return 0;
}

void page_free(page_t *page)
{
    free(page->bytes);
    free(page->points);
    *page = (page_t){0};
}

void page_shuffle(const page_t *page, char *bytes, uint64_t salt)
{
    for (size_t i = 0; i < page->n_points; i++) {
        unsigned points = 1000 + (unsigned)(((salt + i + 1) * 0x9e3779b97f4a7c15ULL >> 40) % 9000);
        for (size_t at = page->points[i] + 4; at-- > page->points[i]; points /= 10)
            bytes[at] = (char)('0' + points % 10);
    }
}

// -- single posts ---------------------------------------------------------------------------------

int page_detail(buf_t *buf, const world_item_t *item)
{
    esc_t title, author, body;
    stamp_t when;
    out_t out = {.buf = buf};
    markup(&title, item->title);
    markup(&author, item->author);
    markup(&body, item->body);
    put(&out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>"
        "<meta name=\"author\" content=\"%s\"><meta property=\"og:title\" content=\"%s\">"
        "<meta property=\"og:description\" content=\"%s\"><meta property=\"og:image\" content=\"%s\">"
        "<meta property=\"og:url\" content=\"%s\"></head>\n",
        title.text, author.text, title.text, body.text, item->image, item->url);
    put(&out,
        "<body><nav><a href=\"/\">home</a> | <a href=\"../\">back</a></nav><article><h1>%s</h1>"
        "<p class=\"by\">by %s, %s</p><p>%s</p></article>"
        "<aside class=\"ad\"><a href=\"/out?c=side\">Advertisement</a></aside></body></html>\n",
        title.text, author.text, iso8601(&when, item->posted_ms), body.text);
    return out.failed ? -1 : 0;
}

int page_truth(buf_t *buf, const world_t *world, const world_item_t *item)
{
    esc_t title, author, body;
    char source_url[192];
    out_t out = {.buf = buf};
    world_source_url(world, item->source, source_url, sizeof source_url);
    put(&out,
        "{\"t_ms\":%lld,\"source\":%u,\"url\":\"%s\",\"kind\":\"%s\",\"key\":\"%s\",\"item_url\":\"%s\",",
        (long long)item->changed_ms, item->source, source_url,
        site_kind_name(world_kind(world, item->source)), item->key, item->url);
    put(&out,
        "\"title\":\"%s\",\"revision\":%u,\"event\":\"%s\",\"author\":\"%s\",\"body\":\"%s\",\"image\":\"%"
        "s\",",
        json(&title, item->title), item->revision, item->revision > 1 ? "update" : "post",
        json(&author, item->author), json(&body, item->body), item->image);
    put(&out, "\"posted_ms\":%lld,\"pinned\":%s,\"backlog\":%s}", (long long)item->posted_ms,
        item->pinned ? "true" : "false", item->backlog ? "true" : "false");
    return out.failed ? -1 : 0;
}

const char *page_type(site_kind_t kind)
{
    static const char *const types[SITE_KINDS] = {"text/html; charset=utf-8",
                                                  "application/rss+xml; charset=utf-8",
                                                  "application/atom+xml", "application/json"};
    return types[kind];
}
