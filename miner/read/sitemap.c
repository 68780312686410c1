// Sitemap: <url> and <sitemap> elements of XML, or one URL a line.
#include "miner/read/sitemap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"
#include "miner/read/charset.h"
#include "miner/read/feed_item.h"
#include "miner/read/feed_names.h"
#include "miner/read/text.h"
#include "miner/read/xml_sax.h"
#include "proto/limits.h"

enum { NAME_MAX_LEN = 80, URI_CACHE = 8 };

typedef struct {
    feed_list_t list;
    xml_sax_t *sax;
    const document_t *document;
    int depth, item_depth;
    bool is_sitemap, is_index;
    char root[NAME_MAX_LEN];
    feed_item_t *item;       // or NULL: outside
    char name[NAME_MAX_LEN]; // of the open element, with its usual prefix
    buf_t text;
    struct {
        const xmlChar *uri; // interned by the parser: compared as pointers
        const char *usual;
    } uris[URI_CACHE];
} sitemap_t;

static void sitemap_init(sitemap_t *s, const template_t *template, arena_t *arena, const document_t *document)
{
    *s = (sitemap_t){.sax = s->sax, .document = document};
    feed_list_init(&s->list, template, arena, document->url);
    buf_init(&s->text, MAX_FIELDS_JSON);
}

static void sitemap_free(sitemap_t *s)
{
    feed_list_free(&s->list);
    buf_free(&s->text);
}

static bool is(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

// feed_prefix, once per namespace of a document.
static const char *usual_prefix(sitemap_t *s, const xmlChar *uri)
{
    size_t i = 0;
    while (i < URI_CACHE - 1 && s->uris[i].uri && s->uris[i].uri != uri) i++;
    if (s->uris[i].uri != uri) {
        s->uris[i].uri = uri;
        s->uris[i].usual = feed_prefix((const char *)uri);
    }
    return s->uris[i].usual;
}

static void start_item(sitemap_t *s, bool index)
{
    s->is_sitemap = true;
    s->item = feed_item_new(&s->list);
    if (!s->item) {
        xml_sax_stop(s->sax);
        return;
    }
    s->item_depth = s->depth;
    if (index && buf_puts(&s->list.json, "true") == 0) feed_item_json(&s->list, s->item, "sitemap");
}

static void set_name(sitemap_t *s, const char *usual, const char *local)
{
    size_t before = strlen(usual), len = strlen(local);
    s->name[0] = '\0'; // no element of a sitemap has a longer name
    if (before + len + 2 > sizeof s->name) return;
    char *at = stpcpy(s->name, usual);
    if (before) *at++ = ':';
    memcpy(at, local, len + 1);
}

static void on_start(void *ctx, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri, int n_ns,
                     const xmlChar **ns, int n_attributes, int n_defaulted, const xmlChar **list)
{
    (void)n_ns, (void)ns, (void)n_attributes, (void)n_defaulted, (void)list;
    sitemap_t *s = ctx;
    if (xml_sax_over(s->sax)) return;
    const char *usual = uri ? usual_prefix(s, uri) : NULL;
    if (!usual) usual = prefix ? (const char *)prefix : "";
    set_name(s, usual, (const char *)local);
    buf_reset(&s->text);
    if (s->depth++ == 0 || is(s->root, "repaired"))
        snprintf(s->root, sizeof s->root, "%s", (const char *)local);
    s->is_index = s->is_index || is(s->name, "sitemapindex");
    s->is_sitemap = s->is_sitemap || s->is_index || is(s->name, "urlset");
    if (!s->item && s->is_sitemap && (is(s->name, "url") || is(s->name, "sitemap")))
        start_item(s, is(s->name, "sitemap"));
}

static bool has_text(const buf_t *text)
{
    for (size_t i = 0; i < text->len; i++) {
        if (!strchr(" \t\r\n", text->data[i])) return true;
    }
    return false;
}

static void take_element(sitemap_t *s)
{
    const char *text = s->text.data;
    size_t len = s->text.len;
    feed_item_t *item = s->item;
    if (is(s->name, "loc")) {
        feed_item_set(&s->list, item, SLOT_URL, 0, text, len, false);
    } else if (is(s->name, "lastmod")) {
        feed_item_date(&s->list, item, 1, text, len);
        feed_item_text(&s->list, item, "lastmod", text, len);
    } else if (is(s->name, "news:publication_date") || is(s->name, "video:publication_date")) {
        feed_item_date(&s->list, item, 0, text, len);
    } else if (is(s->name, "news:title")) {
        feed_item_set(&s->list, item, SLOT_TITLE, 0, text, len, true);
    } else if (is(s->name, "video:title") || is(s->name, "image:title")) {
        feed_item_set(&s->list, item, SLOT_TITLE, 1, text, len, true);
    } else if (is(s->name, "image:loc")) {
        feed_item_offer(&s->list, item, SLOT_IMAGE, 0, (feed_name_t){"image", "loc"}, text, len, false);
    } else if (is(s->name, "video:thumbnail_loc")) {
        feed_item_set(&s->list, item, SLOT_IMAGE, 1, text, len, false);
    } else if (*s->name) {
        feed_item_text(&s->list, item, s->name, text, len);
    }
}

static void on_end(void *ctx, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri)
{
    (void)local, (void)prefix, (void)uri;
    sitemap_t *s = ctx;
    if (s->item && s->depth == s->item_depth) {
        s->item->done = s->item->texts[SLOT_URL] != NULL; // an entry without loc is none
        s->item = NULL;
    } else if (s->item && has_text(&s->text)) {
        take_element(s);
    }
    buf_reset(&s->text);
    s->depth--;
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    sitemap_t *s = ctx;
    if (!xml_sax_over(s->sax) && s->item) (void)!buf_append(&s->text, text, (size_t)len);
}

static void on_restart(void *ctx)
{
    sitemap_t *s = ctx;
    const template_t *template = s->list.template;
    arena_t *arena = s->list.arena;
    sitemap_free(s);
    sitemap_init(s, template, arena, s->document);
}

static read_status_t read_xml(sitemap_t *s, const char *text, size_t len, items_t *out)
{
    xml_sax_t sax = {.start = on_start, .end = on_end, .text = on_text, .restart = on_restart, .ctx = s};
    s->sax = &sax; // cppcheck-suppress autoVariables
    read_status_t status = xml_sax_read(&sax, text, len);
    s->sax = NULL;
    if (status != READ_OK) return status;
    if (s->is_sitemap) return feed_list_finish(&s->list, out);
    snprintf(out->detail, sizeof out->detail, "no sitemap: its first element is <%.*s>",
             (int)text_cut(s->root, strlen(s->root), 60), s->root);
    return READ_NOT_THIS_KIND;
}

// A list of absolute URLs, one a line.
static read_status_t read_lines(sitemap_t *s, const char *text, size_t len, items_t *out)
{
    const char *end = text + len;
    for (const char *line = text; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((stop ? stop : end) - line);
        while (n && strchr(" \t\r", *line) && *line) line++, n--;
        if (n > 7 && strncasecmp(line, "http", 4) == 0) {
            feed_item_t *item = feed_item_new(&s->list);
            if (!item) break;
            feed_item_set(&s->list, item, SLOT_URL, 0, line, n, false);
            item->done = true;
        }
        line += n + 1;
    }
    read_status_t status = feed_list_finish(&s->list, out);
    if (status != READ_OK || out->n_items) return status;
    snprintf(out->detail, sizeof out->detail, "neither XML nor a list of URLs");
    return READ_NOT_THIS_KIND;
}

read_status_t sitemap_items(const template_t *template, arena_t *arena, const document_t *document,
                            items_t *out)
{
    const char *text;
    size_t len;
    *out = (items_t){0};
    if (charset_to_utf8(arena, document->bytes, document->len, document->content_type, CHARSET_XML, &text,
                        &len, NULL) != 0)
        return READ_TOO_BIG;
    while (len && (!*text || strchr(" \t\r\n", *text))) text++, len--;
    while (len && !text[len - 1]) len--;
    if (len == 0) return READ_EMPTY_BODY;
    sitemap_t *s = xcalloc(1, sizeof *s);
    sitemap_init(s, template, arena, document);
    read_status_t status =
        memchr(text, '<', len) ? read_xml(s, text, len, out) : read_lines(s, text, len, out);
    sitemap_free(s);
    free(s);
    return status;
}
