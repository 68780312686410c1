// Feed XML: event by event straight into items.
#include "miner/read/feed_xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"
#include "miner/read/text.h"
#include "proto/limits.h"

// -- names ----------------------------------------------------------------------------------------

// feed_prefix, once per namespace of a document.
static const char *usual_prefix(feed_t *f, const xmlChar *uri)
{
    size_t i = 0;
    while (i < URI_CACHE - 1 && f->uris[i].uri && f->uris[i].uri != uri) i++;
    if (f->uris[i].uri != uri) {
        f->uris[i].uri = uri;
        f->uris[i].usual = feed_prefix((const char *)uri);
    }
    return f->uris[i].usual;
}

static element_t identify(feed_t *f, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri,
                          const char **usual)
{
    uintptr_t mix = (uintptr_t)local ^ ((uintptr_t)prefix >> 3) ^ ((uintptr_t)uri << 1);
    size_t i = (mix ^ mix >> 9) / 8 % NAME_CACHE;
    if (f->cache[i].local != local || f->cache[i].prefix != prefix || f->cache[i].uri != uri) {
        const char *known = uri ? usual_prefix(f, uri) : NULL;
        f->cache[i].local = local;
        f->cache[i].prefix = prefix;
        f->cache[i].uri = uri;
        f->cache[i].usual = known ? known : prefix ? (const char *)prefix : "";
        f->cache[i].element = feed_element(f->cache[i].usual, (const char *)local);
    }
    *usual = f->cache[i].usual;
    return f->cache[i].element;
}

// -- xml:base -------------------------------------------------------------------------------------

static void enter_base(feed_t *f, const attributes_t *a)
{
    for (int i = 0; i < a->n; i++) {
        const xmlChar **at = a->list + 5 * i;
        if (!at[1] || strcmp((const char *)at[0], "base") != 0 || strcmp((const char *)at[1], "xml") != 0)
            continue;
        const char *base =
            urls_resolve(f->list.urls, f->list.arena, (const char *)at[3], (size_t)(at[4] - at[3]));
        if (!base || f->n_bases == MAX_BASES) return;
        f->bases[f->n_bases].depth = f->depth;
        f->bases[f->n_bases++].outer = f->base;
        f->base = base;
        (void)urls_set_base(f->list.urls, base, strlen(base));
    }
}

static void leave_base(feed_t *f)
{
    if (f->n_bases == 0 || f->bases[f->n_bases - 1].depth != f->depth) return;
    f->base = f->bases[--f->n_bases].outer;
    (void)urls_set_base(f->list.urls, f->base, f->base ? strlen(f->base) : 0);
}

// -- items ----------------------------------------------------------------------------------------

static void begin_item(feed_t *f, const attributes_t *a)
{
    feed_item_t *item = feed_item_new(&f->list);
    if (!item) {
        xml_sax_stop(f->sax);
        return;
    }
    item->outer = f->item;
    f->item = item;
    f->item_depths[f->n_open_items++] = f->depth;
    span_t about = attributes_get(a, "about");
    feed_set(f, SLOT_GUID, 1, about);
    feed_set(f, SLOT_URL, URL_ABOUT, about);
}

static void end_item(feed_t *f)
{
    f->item->done = true;
    f->item = f->item->outer;
    f->n_open_items--;
}

// -- elements that speak through their attributes -------------------------------------------------

static void take_enclosure(feed_t *f, span_t url, span_t type, span_t length)
{
    if (span_begins(type, "image/")) feed_set(f, SLOT_IMAGE, IMAGE_ENCLOSURE, url);
    feed_set(f, SLOT_URL, URL_ENCLOSURE, url);
    buf_t *out = &f->list.json;
    buf_reset(out);
    span_put_json(out, "url", url);
    span_put_json(out, "type", type);
    span_put_json(out, "length", length);
    if (out->len && buf_append(out, "}", 1) == 0) feed_item_json(&f->list, f->item, "enclosure");
}

static void take_item_link(feed_t *f, const attributes_t *a, span_t href, span_t rel, span_t type)
{
    if (!rel.len || span_is(rel, "alternate")) {
        bool html = !type.len || span_contains(type, "html");
        feed_set(f, SLOT_URL, html ? URL_LINK : URL_OTHER_TYPE, href);
        return;
    }
    if (span_is(rel, "enclosure")) {
        take_enclosure(f, href, type, attributes_get(a, "length"));
        return;
    }
    if (span_is(rel, "related") || span_is(rel, "via")) feed_set(f, SLOT_URL, URL_RELATED, href);
    if (span_is(rel, "self")) feed_set(f, SLOT_URL, URL_SELF, href);
    if (feed_put_attributes(f, a)) feed_item_json(&f->list, f->item, "links");
}

static void take_link(feed_t *f, const attributes_t *a, span_t href)
{
    static const char iana[] = "http://www.iana.org/assignments/relation/";
    span_t rel = attributes_get(a, "rel"), type = attributes_get(a, "type");
    if (span_begins(rel, iana)) rel = (span_t){rel.s + sizeof iana - 1, rel.len - (sizeof iana - 1)};
    if (f->item)
        take_item_link(f, a, href, rel, type);
    else if (span_is(rel, "next"))
        f->next_url = urls_resolve(f->list.urls, f->list.arena, href.s, href.len);
}

static bool is_image_name(span_t url)
{
    static const char *const ends[] = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i]);
        if (url.len > n && strncasecmp(url.s + url.len - n, ends[i], n) == 0) return true;
    }
    return false;
}

static void take_media(feed_t *f, const attributes_t *a, bool thumbnail)
{
    span_t url = attributes_get(a, "url"), type = attributes_get(a, "type"),
           medium = attributes_get(a, "medium");
    bool image = span_is(medium, "image") || span_begins(type, "image/") ||
                 (!type.len && !medium.len && is_image_name(url));
    if (thumbnail)
        feed_set(f, SLOT_IMAGE, IMAGE_THUMBNAIL, url);
    else if (image)
        feed_set(f, SLOT_IMAGE, IMAGE_MEDIA, url);
    if (feed_put_attributes(f, a))
        feed_item_json(&f->list, f->item, thumbnail ? "media:thumbnail" : "media:content");
}

// -- elements -------------------------------------------------------------------------------------

// An image or category may have its value in an attribute.
static bool take_value_attribute(feed_t *f, element_t e, const attributes_t *a)
{
    static const char *const names[] = {"href", "url", "resource"};
    if (e.kind == EL_CATEGORY) {
        span_t term = attributes_get(a, "term");
        if (!term.len) term = attributes_get(a, "label");
        if (term.len) feed_item_text(&f->list, f->item, "category", term.s, term.len);
        return term.len > 0;
    }
    for (size_t i = 0; i < 3; i++) {
        span_t value = attributes_get(a, names[i]);
        if (value.len) return feed_set(f, SLOT_IMAGE, e.rank, value), true;
    }
    return false;
}

static void start_in_item(feed_t *f, element_t e, const attributes_t *a, bool atom)
{
    span_t href = attributes_get(a, "href");
    if (!href.s && e.kind == EL_LINK) href = attributes_get(a, "resource");
    switch (e.kind) {
    case EL_ITEM: begin_item(f, a); return;
    case EL_ROOT:
    case EL_GROUP: return;
    case EL_LINK:
        if (href.s)
            take_link(f, a, href);
        else
            feed_capture_begin(f, e, a, atom);
        return;
    case EL_ENCLOSURE: {
        span_t url = attributes_get(a, "url");
        take_enclosure(f, url.s ? url : attributes_get(a, "resource"), attributes_get(a, "type"),
                       attributes_get(a, "length"));
        return;
    }
    case EL_MEDIA_CONTENT: take_media(f, a, false); return;
    case EL_THUMBNAIL: take_media(f, a, true); return;
    case EL_CATEGORY:
    case EL_IMAGE:
        if (!take_value_attribute(f, e, a)) feed_capture_begin(f, e, a, atom);
        return;
    default: feed_capture_begin(f, e, a, atom);
    }
}

static void start_outside(feed_t *f, element_t e, const attributes_t *a, bool atom)
{
    span_t href = attributes_get(a, "href");
    if (e.kind == EL_ROOT) f->is_feed = true;
    if (e.kind == EL_ITEM && f->is_feed) begin_item(f, a);
    if (e.kind == EL_LINK && href.s) take_link(f, a, href);
    if (e.kind == EL_AUTHOR && atom && f->is_feed) feed_capture_begin(f, e, a, atom);
}

// -- libxml2's callbacks --------------------------------------------------------------------------

static void on_start(void *ctx, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri, int n_ns,
                     const xmlChar **ns, int n_attributes, int n_defaulted, const xmlChar **list)
{
    (void)n_ns, (void)ns, (void)n_defaulted;
    feed_t *f = ctx;
    const attributes_t a = {list, n_attributes};
    const char *usual;
    if (xml_sax_over(f->sax)) return;
    element_t e = identify(f, local, prefix, uri, &usual);
    bool atom = *usual == '\0' && uri && strstr((const char *)uri, "tom");
    if (f->depth++ == 0 || strcmp(f->root, "repaired") == 0) {
        snprintf(f->root, sizeof f->root, "%s", (const char *)local);
        f->is_feed = atom && e.kind == EL_ITEM; // an entry may be a document of its own (RFC 4287, 2)
    }
    if (n_attributes) enter_base(f, &a);
    if (f->capture_depth && feed_capture_start(f, (const char *)local, e, &a)) return;
    if (f->item) {
        f->prefix = usual;
        f->local = (const char *)local;
        start_in_item(f, e, &a, atom);
    } else {
        start_outside(f, e, &a, atom);
    }
}

static void on_end(void *ctx, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri)
{
    (void)prefix, (void)uri;
    feed_t *f = ctx;
    if (f->capture_depth == f->depth)
        feed_capture_end(f);
    else if (f->capture_depth)
        feed_capture_end_inside(f, (const char *)local);
    else if (f->item && f->item_depths[f->n_open_items - 1] == f->depth)
        end_item(f);
    leave_base(f);
    f->depth--;
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    feed_t *f = ctx;
    if (!xml_sax_over(f->sax) && f->capture_depth) feed_capture_text(f, (const char *)text, (size_t)len);
}

// -- reading --------------------------------------------------------------------------------------

static void feed_init(feed_t *f, const template_t *template, arena_t *arena, const document_t *document)
{
    xml_sax_t *sax = f->sax;
    memset(f, 0, sizeof *f);
    f->sax = sax;
    feed_list_init(&f->list, template, arena, document->url);
    f->document = document;
    f->base = document->url;
    buf_init(&f->text, MAX_DOCUMENT);
}

static void feed_free(feed_t *f)
{
    feed_list_free(&f->list);
    buf_free(&f->text);
}

static void on_restart(void *ctx)
{
    feed_t *f = ctx;
    const document_t *document = f->document;
    const template_t *template = f->list.template;
    arena_t *arena = f->list.arena;
    feed_free(f);
    feed_init(f, template, arena, document);
}

static void inherit_author(feed_t *f)
{
    for (feed_item_t *i = f->list.first; f->author && i; i = i->next) {
        if (i->texts[SLOT_AUTHOR]) continue;
        feed_item_take(i, SLOT_AUTHOR, f->author, strlen(f->author));
        i->ranks[SLOT_AUTHOR] = RANK_INHERITED;
    }
}

read_status_t feed_xml_items(const template_t *template, arena_t *arena, const document_t *document,
                             const char *text, size_t len, items_t *out)
{
    feed_t *f = xcalloc(1, sizeof *f);
    feed_init(f, template, arena, document);
    xml_sax_t sax = {.start = on_start, .end = on_end, .text = on_text, .restart = on_restart, .ctx = f};
    f->sax = &sax;
    read_status_t status = xml_sax_read(&sax, text, len);
    if (status == READ_OK) {
        inherit_author(f);
        status = f->is_feed ? feed_list_finish(&f->list, out) : READ_NOT_THIS_KIND;
        out->next_url = f->next_url;
    }
    if (status == READ_NOT_THIS_KIND)
        snprintf(out->detail, sizeof out->detail, "no feed: its first element is <%.*s>",
                 (int)text_cut(f->root, strlen(f->root), 60), f->root);
    feed_free(f);
    free(f);
    return status;
}
