// Feed: XML, event by event straight into items; the text of one element at a time is collected.
#include "miner/read/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"
#include "miner/read/base64.h"
#include "miner/read/charset.h"
#include "miner/read/feed_attributes.h"
#include "miner/read/feed_html.h"
#include "miner/read/feed_item.h"
#include "miner/read/feed_json.h"
#include "miner/read/feed_links.h"
#include "miner/read/feed_names.h"
#include "miner/read/text.h"
#include "miner/read/xml_repair.h"
#include "miner/read/xml_sax.h"
#include "proto/limits.h"

enum { NAME_CACHE = 64, URI_CACHE = 16, MAX_BASES = 16, NAME_MAX_LEN = 80 };

// Ranks of what may become an item's url.
enum {
    URL_LINK,
    URL_OTHER_TYPE,
    URL_GUID,
    URL_ABOUT,
    URL_CONTENT,
    URL_RELATED,
    URL_ENCLOSURE,
    URL_ID,
    URL_SELF
};
// Ranks of what may become its image; feed_names.c has those of plain elements.
enum { IMAGE_MEDIA, IMAGE_ENCLOSURE, IMAGE_THUMBNAIL };

enum { AUTHOR_OF_SOURCE = 10 }; // a rank behind those of feed_names.c

// How the text of an element is written.
typedef enum { TYPE_OF_RSS, TYPE_PLAIN, TYPE_MARKUP, TYPE_XHTML } text_type_t;

typedef struct {
    feed_list_t list;
    xml_sax_t *sax;
    const document_t *document;
    int depth; // of open elements
    bool is_feed;
    char root[NAME_MAX_LEN]; // name of the document's first element

    feed_item_t *item; // the innermost open one
    int item_depths[XML_MAX_DEPTH + 60];
    int n_open_items;

    // the element whose text is being collected
    int capture_depth; // 0: none
    element_t capture;
    const char *prefix, *local; // its name; both live as long as the parser
    buf_t text;
    bool markup;   // text is markup: elements inside are written out as tags
    bool has_part; // of an author or image: an inner element gave the value
    char part[16]; // the inner element's name
    text_type_t type;
    bool no_permalink, no_text, base64;
    const char *attributes; // JSON, or NULL

    struct {
        int depth;
        const char *outer; // base to go back to
    } bases[MAX_BASES];
    int n_bases;
    const char *base; // present one, or NULL

    const char *author; // of the whole feed (Atom)
    const char *next_url;

    struct {
        const xmlChar *uri; // interned
        const char *usual;
    } uris[URI_CACHE];
    struct {
        const xmlChar *local, *prefix, *uri; // interned by the parser: compared as pointers
        const char *usual;
        element_t element;
    } cache[NAME_CACHE];
} feed_t;

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

// The attributes as a JSON object in list.json; false where there are none.
static bool put_attributes(feed_t *f, const attributes_t *a)
{
    buf_reset(&f->list.json);
    return attributes_put_json(a, &f->list.json);
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

static bool set(feed_t *f, feed_slot_t slot, int rank, span_t text)
{
    return f->item && feed_item_set(&f->list, f->item, slot, rank, text.s, text.len, false);
}

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
    set(f, SLOT_GUID, 1, about);
    set(f, SLOT_URL, URL_ABOUT, about);
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
    if (span_begins(type, "image/")) set(f, SLOT_IMAGE, IMAGE_ENCLOSURE, url);
    set(f, SLOT_URL, URL_ENCLOSURE, url);
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
        set(f, SLOT_URL, html ? URL_LINK : URL_OTHER_TYPE, href);
        return;
    }
    if (span_is(rel, "enclosure")) {
        take_enclosure(f, href, type, attributes_get(a, "length"));
        return;
    }
    if (span_is(rel, "related") || span_is(rel, "via")) set(f, SLOT_URL, URL_RELATED, href);
    if (span_is(rel, "self")) set(f, SLOT_URL, URL_SELF, href);
    if (put_attributes(f, a)) feed_item_json(&f->list, f->item, "links");
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
        set(f, SLOT_IMAGE, IMAGE_THUMBNAIL, url);
    else if (image)
        set(f, SLOT_IMAGE, IMAGE_MEDIA, url);
    if (put_attributes(f, a))
        feed_item_json(&f->list, f->item, thumbnail ? "media:thumbnail" : "media:content");
}

// -- capture: the start of an element whose text counts -------------------------------------------

static text_type_t text_type(const attributes_t *a, bool atom)
{
    span_t type = attributes_get(a, "type"), mode = attributes_get(a, "mode");
    if (span_contains(type, "xhtml") || span_is(mode, "xml")) return TYPE_XHTML;
    if (span_contains(type, "html")) return TYPE_MARKUP;
    if (span_is(type, "text") || span_is(type, "text/plain"))
        return span_is(mode, "escaped") ? TYPE_MARKUP : TYPE_PLAIN;
    return atom ? TYPE_PLAIN : TYPE_OF_RSS;
}

static void set_name(feed_t *f, const char *usual, const char *local)
{
    f->prefix = usual;
    f->local = local;
}

// The name in `fields`.
static const char *full_name(const feed_t *f)
{
    const char *name = *f->prefix ? arena_printf(f->list.arena, "%s:%s", f->prefix, f->local) : NULL;
    return name ? name : f->local;
}

// A media type whose bytes are no text: Atom has them in base64 (RFC 4287, 4.1.3.3).
static bool is_binary(span_t type)
{
    if (!type.len || !memchr(type.s, '/', type.len)) return false;
    return !span_begins(type, "text/") && !span_begins(type, "message/") && !span_contains(type, "xml") &&
           !span_contains(type, "html");
}

static void begin_capture(feed_t *f, element_t e, const attributes_t *a, bool atom)
{
    f->capture_depth = f->depth;
    f->capture = e;
    f->markup = f->has_part = false;
    f->part[0] = '\0';
    f->type = text_type(a, atom);
    f->no_permalink = span_is(attributes_get(a, "isPermaLink"), "false") || atom;
    bool elsewhere = attributes_get(a, "src").len > 0, binary = is_binary(attributes_get(a, "type"));
    f->base64 = span_is(attributes_get(a, "mode"), "base64") || (binary && atom && !elsewhere);
    if (f->base64 && binary) f->type = TYPE_OF_RSS; // should it be text, it says of itself what it is
    f->no_text = elsewhere || binary;
    f->attributes = NULL;
    if (e.kind == EL_CONTENT && f->no_text) set(f, SLOT_URL, URL_CONTENT, attributes_get(a, "src"));
    buf_reset(&f->text);
    if ((e.kind == EL_OTHER || (e.kind == EL_CONTENT && f->no_text)) && a->n > 0 && put_attributes(f, a))
        f->attributes = arena_strndup(f->list.arena, f->list.json.data, f->list.json.len);
}

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
        if (value.len) return set(f, SLOT_IMAGE, e.rank, value), true;
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
            begin_capture(f, e, a, atom);
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
        if (!take_value_attribute(f, e, a)) begin_capture(f, e, a, atom);
        return;
    default: begin_capture(f, e, a, atom);
    }
}

static void start_outside(feed_t *f, element_t e, const attributes_t *a, bool atom)
{
    span_t href = attributes_get(a, "href");
    if (e.kind == EL_ROOT) f->is_feed = true;
    if (e.kind == EL_ITEM && f->is_feed) begin_item(f, a);
    if (e.kind == EL_LINK && href.s) take_link(f, a, href);
    if (e.kind == EL_AUTHOR && atom && f->is_feed) begin_capture(f, e, a, atom);
}

// -- capture: what stands inside ------------------------------------------------------------------

static void put_text(feed_t *f, const char *s, size_t len)
{
    int rc = 0;
    if (!f->markup) {
        (void)!buf_append(&f->text, s, len);
        return;
    }
    for (size_t i = 0, n; i < len && rc == 0; i += n) {
        n = 0;
        while (i + n < len && s[i + n] != '&' && s[i + n] != '<' && s[i + n] != '>') n++;
        rc = buf_append(&f->text, s + i, n);
        if (rc != 0 || i + n == len) continue;
        rc = buf_puts(&f->text, s[i + n] == '&' ? "&amp;" : s[i + n] == '<' ? "&lt;" : "&gt;");
        n++;
    }
}

// The text so far turns out to have elements behind it: it is escaped, to be markup with them.
static void become_markup(feed_t *f)
{
    if (f->markup) return;
    size_t len = f->text.len;
    char *copy = xmalloc(len + 1);
    if (len) memcpy(copy, f->text.data, len);
    buf_reset(&f->text);
    f->markup = true;
    put_text(f, copy, len);
    free(copy);
}

static bool is_void(const char *name)
{
    static const char *const names[] = {"br", "img", "hr", "input", "wbr", "embed", "source", "col", "area"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcasecmp(names[i], name) == 0) return true;
    }
    return false;
}

// The <div> around Atom's xhtml is not part of it.
static bool is_wrapper(const feed_t *f, const char *local)
{
    return f->type == TYPE_XHTML && f->depth == f->capture_depth + 1 && strcasecmp(local, "div") == 0;
}

// A link is resolved here, where the xml:base of its element holds.
static int put_value(feed_t *f, bool is_link, span_t value)
{
    const char *url = is_link ? feed_link_resolve(f->list.urls, f->list.arena, value.s, value.len) : NULL;
    const char *p = url ? url : value.s, *end = url ? url + strlen(url) : value.s + value.len;
    int rc = 0;
    for (; p < end && rc == 0; p++) {
        if (*p == '&' || *p == '"' || *p == '<')
            rc = buf_puts(&f->text, *p == '&' ? "&amp;" : *p == '"' ? "&quot;" : "&lt;");
        else
            rc = buf_append(&f->text, p, 1);
    }
    return rc;
}

static void put_tag(feed_t *f, const char *local, const attributes_t *a)
{
    become_markup(f);
    if (is_wrapper(f, local)) return;
    int rc = buf_printf(&f->text, "<%s", local);
    for (int i = 0; i < a->n && rc == 0; i++) {
        const xmlChar **at = a->list + 5 * i;
        const char *prefix = at[1] ? (const char *)at[1] : "", *name = (const char *)at[0];
        span_t value = {(const char *)at[3], (size_t)(at[4] - at[3])};
        rc = buf_printf(&f->text, " %s%s%s=\"", prefix, *prefix ? ":" : "", name);
        if (rc == 0) rc = put_value(f, !*prefix && feed_link_name(name, strlen(name)), value);
        if (rc == 0) rc = buf_append(&f->text, "\"", 1);
    }
    if (rc == 0) (void)!buf_append(&f->text, ">", 1);
}

static void put_end_tag(feed_t *f, const char *local)
{
    if (!is_wrapper(f, local) && !is_void(local)) (void)!buf_printf(&f->text, "</%s>", local);
}

static bool holds_markup(element_kind_t kind)
{
    return kind == EL_TITLE || kind == EL_SUMMARY || kind == EL_CONTENT;
}

// Kinds whose inner elements are parts of the value.
static bool holds_parts(element_kind_t kind)
{
    return kind == EL_AUTHOR || kind == EL_IMAGE || kind == EL_SOURCE || kind == EL_IGNORE;
}

static void start_inside(feed_t *f, const char *usual, const char *local, element_t e, const attributes_t *a,
                         bool atom)
{
    if (f->capture.kind != EL_IGNORE && e.kind == EL_ITEM && f->item && !holds_markup(f->capture.kind)) {
        f->capture_depth = 0; // an element that was not closed
        begin_item(f, a);
    } else if (holds_markup(f->capture.kind)) {
        put_tag(f, local, a);
    } else if (holds_parts(f->capture.kind)) {
        snprintf(f->part, sizeof f->part, "%s", local);
        buf_reset(&f->text);
    } else if (f->item) {
        // what holds elements is no value itself; its elements are
        f->capture_depth = 0;
        set_name(f, usual, local);
        start_in_item(f, e, a, atom);
    }
}

static void take_author(feed_t *f, span_t text)
{
    if (f->item) {
        (void)feed_item_set(&f->list, f->item, SLOT_AUTHOR, f->capture.rank, text.s, text.len, true);
        return;
    }
    const char *name = text_clean(f->list.arena, text.s, text.len, TEXT_LINE, MAX_TITLE);
    if (!f->author && name && *name) f->author = name;
}

// Of an Atom feed that an entry was taken over from, its title and the authors that the entry then inherits
// count.
static void end_in_source(feed_t *f, const char *local, span_t text)
{
    int depth = f->depth - f->capture_depth;
    if (depth == 1 && strcasecmp(local, "title") == 0)
        feed_item_text(&f->list, f->item, "source", text.s, text.len);
    if (depth == 2 && strcasecmp(local, "name") == 0)
        (void)feed_item_set(&f->list, f->item, SLOT_AUTHOR, AUTHOR_OF_SOURCE, text.s, text.len, true);
}

static void end_inside(feed_t *f, const char *local)
{
    span_t text = {f->text.data, f->text.len};
    if (holds_markup(f->capture.kind)) {
        put_end_tag(f, local);
        return;
    }
    if (f->capture.kind == EL_AUTHOR && strcasecmp(local, "name") == 0 && text.len) {
        take_author(f, text);
        f->has_part = true;
    } else if (f->capture.kind == EL_IMAGE && strcasecmp(local, "url") == 0) {
        set(f, SLOT_IMAGE, f->capture.rank, text);
        f->has_part = true;
    } else if (f->capture.kind == EL_SOURCE) {
        end_in_source(f, local, text);
    } else if (f->capture.kind == EL_AUTHOR && strcasecmp(local, "email") == 0 && !f->has_part) {
        return; // kept: the author's end takes it where there is no name
    }
    if (holds_parts(f->capture.kind)) buf_reset(&f->text);
}

// -- capture: the end -----------------------------------------------------------------------------

// RSS wants "mail@example.com (Name)".
static span_t person_name(span_t text)
{
    const char *open = text.len ? memchr(text.s, '(', text.len) : NULL;
    if (!open || !memchr(text.s, '@', text.len)) return text;
    const char *close = memchr(open, ')', text.len - (size_t)(open - text.s));
    if (!close || close == open + 1) return text;
    bool named_before = memchr(open, '@', (size_t)(close - open)) != NULL;
    return named_before && open > text.s ? (span_t){text.s, (size_t)(open - text.s)}
                                         : (span_t){open + 1, (size_t)(close - open - 1)};
}

static void take_guid(feed_t *f, span_t text)
{
    set(f, SLOT_GUID, f->capture.rank, text);
    while (text.len && strchr(" \t\r\n", *text.s)) text.s++, text.len--;
    if (span_begins(text, "http://") || span_begins(text, "https://"))
        set(f, SLOT_URL, f->no_permalink ? URL_ID : URL_GUID, text);
}

static void take_date(feed_t *f, span_t text)
{
    feed_item_date(&f->list, f->item, f->capture.rank, text.s, text.len);
    if (strcasecmp(f->local, "updated") == 0 || strcasecmp(f->local, "modified") == 0)
        feed_item_text(&f->list, f->item, "updated", text.s, text.len);
}

static void take_other(feed_t *f, span_t text)
{
    size_t i = 0;
    while (i < text.len && strchr(" \t\r\n", text.s[i])) i++;
    if (i < text.len) {
        feed_item_text(&f->list, f->item, full_name(f), text.s, text.len);
    } else if (f->attributes) {
        buf_reset(&f->list.json);
        if (buf_puts(&f->list.json, f->attributes) == 0) feed_item_json(&f->list, f->item, full_name(f));
    }
}

// What was collected, out of base64 if that was said of it.
static span_t captured(feed_t *f)
{
    if (f->base64 && f->text.len) {
        f->text.len = base64_decode(f->text.data, f->text.len);
        if (charset_valid_prefix(f->text.data, f->text.len) < f->text.len) f->text.len = 0;
    }
    return (span_t){f->text.data, f->text.len};
}

// Some call a text application/octet-stream.
static bool is_text(span_t s)
{
    return s.len && !memchr(s.s, '\0', s.len);
}

static void end_capture(feed_t *f)
{
    span_t text = captured(f);
    int rank = f->capture.rank;
    f->capture_depth = 0;
    if (f->capture.kind == EL_AUTHOR) {
        if (!f->has_part) take_author(f, person_name(text));
        return;
    }
    if (!f->item) return;
    switch (f->capture.kind) {
    case EL_TITLE:
        (void)feed_item_set(&f->list, f->item, SLOT_TITLE, rank, text.s, text.len,
                            f->type != TYPE_PLAIN || f->markup);
        break;
    case EL_LINK: set(f, SLOT_URL, URL_LINK, text); break;
    case EL_GUID: take_guid(f, text); break;
    case EL_SUMMARY: set(f, SLOT_SUMMARY, rank, text); break;
    case EL_CONTENT:
        if (f->no_text && !(f->base64 && is_text(text)))
            take_other(f, (span_t){NULL, 0});
        else
            set(f, SLOT_CONTENT, rank, text);
        break;
    case EL_DATE: take_date(f, text); break;
    case EL_CATEGORY: feed_item_text(&f->list, f->item, "category", text.s, text.len); break;
    case EL_IMAGE:
        if (!f->has_part) set(f, SLOT_IMAGE, rank, text);
        break;
    case EL_SOURCE: feed_item_text(&f->list, f->item, "source", text.s, text.len); break;
    case EL_IGNORE: break;
    default: take_other(f, text);
    }
}

// -- libxml2's callbacks --------------------------------------------------------------------------

static void on_start(void *ctx, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri, int n_ns,
                     const xmlChar **ns, int n_attributes, int n_defaulted, const xmlChar **list)
{
    (void)n_ns, (void)ns, (void)n_defaulted;
    feed_t *f = ctx;
    const attributes_t a = {list, n_attributes};
    const char *usual;
    element_t e = identify(f, local, prefix, uri, &usual);
    bool atom = *usual == '\0' && uri && strstr((const char *)uri, "tom");
    if (f->depth++ == 0 || strcmp(f->root, "repaired") == 0)
        snprintf(f->root, sizeof f->root, "%s", (const char *)local);
    if (n_attributes) enter_base(f, &a);
    if (f->capture_depth) {
        start_inside(f, usual, (const char *)local, e, &a, atom);
    } else if (f->item) {
        set_name(f, usual, (const char *)local);
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
        end_capture(f);
    else if (f->capture_depth)
        end_inside(f, (const char *)local);
    else if (f->item && f->item_depths[f->n_open_items - 1] == f->depth)
        end_item(f);
    leave_base(f);
    f->depth--;
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    feed_t *f = ctx;
    if (f->capture_depth) put_text(f, (const char *)text, (size_t)len);
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
        i->texts[SLOT_AUTHOR] = f->author;
        i->ranks[SLOT_AUTHOR] = RANK_INHERITED;
    }
}

static read_status_t read_xml(const template_t *template, arena_t *arena, const document_t *document,
                              const char *text, size_t len, items_t *out)
{
    feed_t *f = xcalloc(1, sizeof *f);
    feed_init(f, template, arena, document);
    read_status_t status = READ_TOO_BIG;
    xml_sax_t sax = {.start = on_start, .end = on_end, .text = on_text, .restart = on_restart, .ctx = f};
    f->sax = &sax;
    if (xml_sax_read(&sax, text, len) == 0) {
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

// -- the document ---------------------------------------------------------------------------------

// The first byte that says something is a JSON bracket.
static bool starts_as_json(const document_t *document)
{
    size_t i = 0;
    while (i < document->len && document->bytes[i] && strchr("\xEF\xBB\xBF \t\r\n", document->bytes[i])) i++;
    return i < document->len && (document->bytes[i] == '{' || document->bytes[i] == '[');
}

read_status_t feed_items(const template_t *template, arena_t *arena, const document_t *document, items_t *out)
{
    const char *text;
    size_t len;
    *out = (items_t){0};
    if (starts_as_json(document)) return feed_json_items(template, arena, document, out);
    if (charset_to_utf8(arena, document->bytes, document->len, document->content_type, CHARSET_XML, &text,
                        &len, NULL) != 0)
        return READ_TOO_BIG;
    while (len && (strchr(" \t\r\n", *text) || !*text)) text++, len--;
    while (len && !text[len - 1]) len--;
    if (len == 0) return READ_EMPTY_BODY;
    if (*text == '{' || *text == '[') return feed_json_items(template, arena, document, out);
    if (feed_is_html(text, len)) {
        snprintf(out->detail, sizeof out->detail, "an HTML page, no feed");
        out->next_url = feed_discover(arena, document, text, len);
        return READ_NOT_THIS_KIND;
    }
    if (!memchr(text, '<', len)) {
        snprintf(out->detail, sizeof out->detail, "neither XML nor JSON");
        return READ_NOT_THIS_KIND;
    }
    return read_xml(template, arena, document, text, len, out);
}
