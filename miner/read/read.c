// Read: hands a document to the reader of its kind and applies the template's filters to what comes back.
#include "miner/read/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/check.h"
#include "miner/read/charset.h"
#include "miner/read/date_relative.h"
#include "miner/read/details.h"
#include "miner/read/effort.h"
#include "miner/read/feed.h"
#include "miner/read/filter.h"
#include "miner/read/html.h"
#include "miner/read/identity.h"
#include "miner/read/json.h"
#include "miner/read/next.h"
#include "miner/read/script.h"
#include "miner/read/sitemap.h"
#include "miner/read/stream.h"
#include "miner/read/unpack.h"
#include "miner/read/xpath.h"

struct reader {
    const template_t *template;
    html_list_t *html;       // kind html
    json_reader_t *json;     // kind json
    script_t *script;        // or NULL: the document is JSON
    stream_reader_t *stream; // kind stream
    details_t *detail;       // or NULL: no details
    filters_t *filters, *detail_filters;
};

// -- compiling ------------------------------------------------------------------------------------

static int compile(reader_t *r, const template_t *t, template_error_t *error)
{
    switch (t->kind) {
    case KIND_HTML:
    case KIND_PAGE: r->html = html_list_new(t, error); break;
    case KIND_JSON: r->json = json_reader_new(t, error); break;
    case KIND_FEED:
    case KIND_AUTO:
    case KIND_SITEMAP: break;
    case KIND_STREAM: r->stream = stream_reader_new(t, error); break;
    }
    if (t->kind == KIND_STREAM && !r->stream) return -1;
    if (((t->kind == KIND_HTML || t->kind == KIND_PAGE) && !r->html) || (t->kind == KIND_JSON && !r->json))
        return -1;
    if (t->script && !(r->script = script_new(t, error))) return -1;
    if (t->follow && !(r->detail = details_new(t, error))) return -1;
    r->filters = filters_new(t, false, error);
    if (r->filters) r->detail_filters = filters_new(t, true, error);
    return r->detail_filters ? 0 : -1;
}

reader_t *reader_new(const template_t *t, template_error_t *error)
{
    reader_t *r = xcalloc(1, sizeof *r);
    xpath_setup();
    r->template = t;
    if (compile(r, t, error) != 0) reader_destroy(&r);
    return r;
}

void reader_destroy(reader_t **reader)
{
    reader_t *r = *reader;
    if (!r) return;
    html_list_destroy(&r->html);
    json_reader_destroy(&r->json);
    script_destroy(&r->script);
    stream_reader_destroy(&r->stream);
    details_destroy(&r->detail);
    filters_destroy(&r->filters);
    filters_destroy(&r->detail_filters);
    free(r);
    *reader = NULL;
}

// -- reading --------------------------------------------------------------------------------------

// Does name begin an element among the first bytes, with a prefix or without?
static bool begins_element(const char *s, size_t len, const char *name)
{
    const char *end = s + len;
    for (const char *at = s; (at = memmem(at, (size_t)(end - at), name, strlen(name))); at++)
        if (at > s && (at[-1] == '<' || at[-1] == ':')) return true;
    return false;
}

static bool looks_like_sitemap(const document_t *document)
{
    size_t head = document->len < 4096 ? document->len : 4096;
    return head && (begins_element(document->bytes, head, "urlset") ||
                    begins_element(document->bytes, head, "sitemapindex"));
}

// Feeds and sitemaps say of themselves what they are.
static read_status_t read_auto(const template_t *t, arena_t *arena, const document_t *document, items_t *out)
{
    if (t->kind == KIND_AUTO && looks_like_sitemap(document)) {
        read_status_t status = sitemap_items(t, arena, document, out);
        out->unordered = true;
        return status;
    }
    read_status_t status = feed_items(t, arena, document, out);
    if (status == READ_NOT_THIS_KIND && out->next_url)
        snprintf(out->detail, sizeof out->detail, "an HTML page; its feed is %.150s", out->next_url);
    return status;
}

// A text without markup becomes a page that shows it. false: it takes too much memory.
static bool show_text(arena_t *arena, document_t *document)
{
    const char *type = document->content_type, *text;
    bool plain = type && strncasecmp(type, "text/plain", strlen("text/plain")) == 0;
    size_t len, blank = 0;
    while (blank < document->len && memchr(" \t\r\n\f", document->bytes[blank], 5)) blank++;
    if (blank == document->len || (!plain && memchr(document->bytes, '<', document->len))) return true;
    if (charset_to_utf8(arena, document->bytes, document->len, type, CHARSET_HTML, &text, &len, NULL) != 0)
        return false;
    buf_t page;
    buf_init(&page, 6 * (size_t)MAX_DOCUMENT);
    int rc = buf_puts(&page, "<!doctype html><pre>");
    for (size_t i = 0, n; i < len && rc == 0; i += n + 1) {
        for (n = 0; i + n < len && text[i + n] != '&' && text[i + n] != '<';) n++;
        rc = buf_append(&page, text + i, n);
        if (rc == 0 && i + n < len) rc = buf_puts(&page, text[i + n] == '&' ? "&amp;" : "&lt;");
    }
    document->bytes = rc == 0 ? arena_strndup(arena, page.data, page.len) : NULL;
    document->len = page.len;
    document->content_type = "text/html; charset=utf-8";
    buf_free(&page);
    return document->bytes != NULL;
}

// The one item of a watched page: without what is watched there is none.
static read_status_t read_page(reader_t *r, arena_t *arena, const document_t *document, items_t *out)
{
    document_t shown = *document;
    if (!show_text(arena, &shown)) return READ_TOO_BIG;
    read_status_t status = html_items(r->html, arena, &shown, out);
    if (status != READ_OK) return status;
    item_t *item = out->items;
    if (out->n_items == 0 || !item->content) {
        snprintf(out->detail, sizeof out->detail, "what is watched is not in the page, or has no text");
        return READ_ROTTED;
    }
    identity_t identity;
    identity_init(&identity, arena, 1);
    item->url = document->url ? arena_strdup(arena, document->url) : NULL;
    int rc = identity_assign(&identity, item, item->url, NULL);
    identity_free(&identity);
    return rc == 0 && (item->url || !document->url) ? READ_OK : READ_TOO_BIG;
}

static read_status_t read_kind(reader_t *r, arena_t *arena, const document_t *document, items_t *out)
{
    switch (r->template->kind) {
    case KIND_HTML: return html_items(r->html, arena, document, out);
    case KIND_JSON:
        return r->script ? script_items(r->script, r->json, arena, document, out)
                         : json_items(r->json, arena, document, out);
    case KIND_SITEMAP: return sitemap_items(r->template, arena, document, out);
    case KIND_FEED:
    case KIND_AUTO: return read_auto(r->template, arena, document, out);
    case KIND_PAGE: return read_page(r, arena, document, out);
    case KIND_STREAM: return stream_items(r->stream, arena, document, out);
    }
    return READ_NOT_THIS_KIND;
}

// "3 hours ago", counted back from when the document was fetched. The words stay in `fields`.
static void date_items(const template_t *t, const document_t *document, item_t *items, size_t n)
{
    for (size_t i = 0; t->dates.relative && document->fetched && i < n; i++)
        if (items[i].undated)
            items[i].published_ms = date_relative(items[i].undated, &t->dates, document->fetched);
}

// Keeps the items that the template's filters want, in their order.
static read_status_t apply_filters(const filters_t *filters, items_t *out)
{
    size_t kept = 0;
    if (filters_want_all(filters)) return READ_OK;
    for (size_t i = 0; i < out->n_items; i++) {
        bool wanted = true;
        read_status_t status = filters_judge(filters, &out->items[i], &wanted);
        if (status != READ_OK) return status;
        if (wanted) out->items[kept++] = out->items[i];
    }
    out->n_items = kept;
    return READ_OK;
}

const char *reader_page_url(const reader_t *r, arena_t *arena, const char *url, uint32_t page, size_t offset)
{
    if (!r->template->next || r->template->next->n_selectors) return NULL;
    return next_by_number(r->template, urls_of_thread(), arena, url, r->template->first_page + page - 1,
                          offset);
}

static read_status_t read_list(reader_t *r, arena_t *arena, const document_t *document, items_t *out)
{
    document_t plain = *document;
    *out = (items_t){.items = NULL};
    read_status_t status = unpack(arena, &plain, out->detail);
    if (status == READ_OK) status = read_kind(r, arena, &plain, out);
    if (status != READ_OK) return status;
    const char *counted = reader_page_url(r, arena, document->url, 2, out->matched);
    if (counted) out->next_url = counted;
    date_items(r->template, document, out->items, out->n_items);
    return apply_filters(r->filters, out);
}

read_status_t reader_items(reader_t *r, arena_t *arena, const document_t *document, items_t *out)
{
    effort_begin();
    read_status_t status = read_list(r, arena, document, out);
    if (status == READ_TOO_COMPLEX && effort_over())
        snprintf(out->detail, sizeof out->detail, "it takes more than %d ms to read", READ_BUDGET_MS);
    effort_end();
    return status;
}

read_status_t reader_event(reader_t *r, arena_t *arena, const char *url, const event_t *event, items_t *out,
                           const char **position)
{
    CHECK(r->stream != NULL);
    effort_begin();
    read_status_t status = stream_event(r->stream, arena, url, event, out, position);
    if (status == READ_OK) status = apply_filters(r->filters, out);
    effort_end();
    return status;
}

static read_status_t read_detail(reader_t *r, arena_t *arena, const document_t *document, items_t *out,
                                 bool *drop)
{
    document_t plain = *document;
    read_status_t status = unpack(arena, &plain, out->detail);
    if (status != READ_OK) return status;
    status = details_read(r->detail, arena, &plain, out, drop);
    if (status != READ_OK || *drop) return status;
    date_items(r->template, document, out->items, 1);
    bool wanted = true;
    status = filters_judge(r->detail_filters, out->items, &wanted);
    *drop = !wanted;
    return status;
}

read_status_t reader_detail_page(reader_t *r, arena_t *arena, const document_t *document, items_t *out,
                                 bool *drop)
{
    CHECK(r->detail != NULL);
    *out = (items_t){.items = NULL};
    *drop = false;
    effort_begin();
    read_status_t status = read_detail(r, arena, document, out, drop);
    effort_end();
    return status;
}

read_status_t reader_detail(reader_t *r, arena_t *arena, const document_t *document, item_t *out, bool *drop)
{
    items_t page;
    read_status_t status = reader_detail_page(r, arena, document, &page, drop);
    *out = page.n_items ? *page.items : (item_t){.published_ms = TIME_NONE};
    return status;
}

const char *read_status_name(read_status_t status)
{
    static const char *const names[] = {
        [READ_OK] = "ok",        [READ_EMPTY_BODY] = "empty_body", [READ_NOT_THIS_KIND] = "not_this_kind",
        [READ_PARSE] = "parse",  [READ_TOO_BIG] = "too_big",       [READ_TOO_COMPLEX] = "too_complex",
        [READ_ROTTED] = "rotted"};
    return names[status];
}
