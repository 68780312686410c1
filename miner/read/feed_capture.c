// Feed capture: how the text of an element is written, what stands inside it, and where it goes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"
#include "miner/read/base64.h"
#include "miner/read/charset.h"
#include "miner/read/feed_links.h"
#include "miner/read/feed_xml.h"
#include "miner/read/text.h"
#include "proto/limits.h"

// -- the start ------------------------------------------------------------------------------------

static text_type_t text_type(const attributes_t *a, bool atom)
{
    span_t type = attributes_get(a, "type"), mode = attributes_get(a, "mode");
    if (span_contains(type, "xhtml") || span_is(mode, "xml")) return TYPE_XHTML;
    if (span_contains(type, "html")) return TYPE_MARKUP;
    if (span_is(type, "text") || span_is(type, "text/plain"))
        return span_is(mode, "escaped") ? TYPE_MARKUP : TYPE_PLAIN;
    return atom ? TYPE_PLAIN : TYPE_OF_RSS;
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

void feed_capture_begin(feed_t *f, element_t e, const attributes_t *a, bool atom)
{
    f->capture_depth = f->depth;
    f->capture = e;
    f->markup = f->has_part = false;
    f->part[0] = '\0';
    f->type = text_type(a, atom);
    f->said_plain = f->type == TYPE_PLAIN && attributes_get(a, "type").len > 0;
    f->no_permalink = span_is(attributes_get(a, "isPermaLink"), "false");
    f->atom = atom;
    bool elsewhere = attributes_get(a, "src").len > 0, binary = is_binary(attributes_get(a, "type"));
    f->base64 = span_is(attributes_get(a, "mode"), "base64") || (binary && atom && !elsewhere);
    if (f->base64 && binary) f->type = TYPE_OF_RSS; // should it be text, it says of itself what it is
    f->no_text = elsewhere || binary;
    f->attributes = NULL;
    if (e.kind == EL_CONTENT && f->no_text) feed_set(f, SLOT_URL, URL_CONTENT, attributes_get(a, "src"));
    buf_reset(&f->text);
    if ((e.kind == EL_OTHER || (e.kind == EL_CONTENT && f->no_text)) && a->n > 0 && feed_put_attributes(f, a))
        f->attributes = arena_strndup(f->list.arena, f->list.json.data, f->list.json.len);
}

// -- what stands inside ---------------------------------------------------------------------------

void feed_capture_text(feed_t *f, const char *s, size_t len)
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
    feed_capture_text(f, copy, len);
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

static bool holds_markup(const feed_t *f)
{
    element_kind_t kind = f->capture.kind;
    return kind == EL_TITLE || kind == EL_SUMMARY || kind == EL_CONTENT ||
           (kind == EL_OTHER && f->type == TYPE_XHTML);
}

// Kinds whose inner elements are parts of the value.
static bool holds_parts(element_kind_t kind)
{
    return kind == EL_AUTHOR || kind == EL_CONTRIBUTOR || kind == EL_IMAGE || kind == EL_SOURCE ||
           kind == EL_IGNORE;
}

bool feed_capture_start(feed_t *f, const char *local, element_t e, const attributes_t *a)
{
    bool not_closed = f->capture.kind != EL_IGNORE && e.kind == EL_ITEM && f->item;
    if (holds_markup(f)) {
        put_tag(f, local, a);
    } else if (!not_closed && holds_parts(f->capture.kind)) {
        if (f->depth == f->capture_depth + 1) snprintf(f->part, sizeof f->part, "%s", local);
        buf_reset(&f->text);
    } else if (f->item) {
        f->capture_depth = 0; // what holds elements is no value itself; its elements are
        return false;
    }
    return true;
}

// Of several titles, authors and summaries one is taken; no other is kept under a column's name.
static void offer(feed_t *f, feed_slot_t slot, span_t text, bool markup)
{
    static const char *const columns[] = {"title", "author", "summary"};
    feed_name_t name = {f->prefix, f->local};
    for (size_t i = 0; i < 3 && !*f->prefix; i++)
        if (strcasecmp(f->local, columns[i]) == 0) name.local = NULL;
    feed_item_offer(&f->list, f->item, slot, f->capture.rank, name, text.s, text.len, markup);
}

static void take_author(feed_t *f, span_t text)
{
    if (f->item) {
        offer(f, SLOT_AUTHOR, text, true);
        return;
    }
    const char *name = text_clean(f->list.arena, text.s, text.len, TEXT_LINE, MAX_TITLE);
    if (!name || !*name) return;
    bool room = f->author && strlen(f->author) + strlen(name) + 2 <= MAX_TITLE && !strstr(f->author, name);
    if (room) name = arena_printf(f->list.arena, "%s, %s", f->author, name);
    if (name && (room || !f->author)) f->author = name;
}

// Of an Atom feed that an entry was taken over from, its title and the authors that the entry then inherits
// count.
static void end_in_source(feed_t *f, const char *local, span_t text)
{
    int depth = f->depth - f->capture_depth;
    if (depth == 1 && strcasecmp(local, "title") == 0)
        feed_item_text(&f->list, f->item, "source", text.s, text.len);
    if (depth == 2 && strcasecmp(f->part, "author") == 0 && strcasecmp(local, "name") == 0)
        (void)feed_item_set(&f->list, f->item, SLOT_AUTHOR, AUTHOR_OF_SOURCE, text.s, text.len, true);
}

void feed_capture_end_inside(feed_t *f, const char *local)
{
    span_t text = {f->text.data, f->text.len};
    if (holds_markup(f)) {
        put_end_tag(f, local);
        return;
    }
    if (f->capture.kind == EL_AUTHOR && strcasecmp(local, "name") == 0 && text.len) {
        take_author(f, text);
        f->has_part = true;
    } else if (f->capture.kind == EL_CONTRIBUTOR && strcasecmp(local, "name") == 0) {
        feed_item_text(&f->list, f->item, "contributor", text.s, text.len);
    } else if (f->capture.kind == EL_IMAGE && strcasecmp(local, "url") == 0) {
        feed_set(f, SLOT_IMAGE, f->capture.rank, text);
        f->has_part = true;
    } else if (f->capture.kind == EL_SOURCE) {
        end_in_source(f, local, text);
    } else if (f->capture.kind == EL_AUTHOR && strcasecmp(local, "email") == 0 && !f->has_part) {
        return; // kept: the author's end takes it where there is no name
    }
    if (holds_parts(f->capture.kind)) buf_reset(&f->text);
}

// -- the end --------------------------------------------------------------------------------------

// "Name <mail@example.com>", as in mails.
static span_t name_before_mail(span_t text, const char *open)
{
    const char *close = memchr(open, '>', text.len - (size_t)(open - text.s));
    if (!close || !memchr(open, '@', (size_t)(close - open))) return text;
    size_t len = (size_t)(open - text.s), skip = 0;
    while (skip < len && strchr(" \t\r\n\"", text.s[skip])) skip++;
    while (len > skip && strchr(" \t\r\n\"", text.s[len - 1])) len--;
    return len > skip ? (span_t){text.s + skip, len - skip} : (span_t){open + 1, (size_t)(close - open - 1)};
}

// RSS wants "mail@example.com (Name)".
static span_t person_name(span_t text)
{
    if (!text.len || !memchr(text.s, '@', text.len)) return text;
    const char *open = memchr(text.s, '<', text.len);
    if (open) return name_before_mail(text, open);
    open = memchr(text.s, '(', text.len);
    const char *close = open ? memrchr(open, ')', text.len - (size_t)(open - text.s)) : NULL;
    if (!close || close == open + 1) return text;
    bool named_before = memchr(open, '@', (size_t)(close - open)) != NULL;
    return named_before && open > text.s ? (span_t){text.s, (size_t)(open - text.s)}
                                         : (span_t){open + 1, (size_t)(close - open - 1)};
}

static void take_guid(feed_t *f, span_t text)
{
    feed_set(f, SLOT_GUID, f->capture.rank, text);
    while (text.len && strchr(" \t\r\n", *text.s)) text.s++, text.len--;
    if (!f->no_permalink && (span_begins(text, "http://") || span_begins(text, "https://")))
        feed_set(f, SLOT_URL, f->atom ? URL_ID : URL_GUID, text);
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

// What C1 controls in the text mean takes their places.
static void mean_c1(buf_t *text)
{
    size_t len = text->len;
    char *copy = xmalloc(len);
    const char *s = memcpy(copy, text->data, len), *c1;
    buf_reset(text);
    for (; (c1 = charset_find_c1(s, len)); len -= (size_t)(c1 + 2 - s), s = c1 + 2) {
        char meant[4];
        size_t n = charset_put_utf8(meant, charset_meant((unsigned char)c1[1]));
        if (buf_append(text, s, (size_t)(c1 - s)) || buf_append(text, meant, n)) break;
    }
    if (!c1) (void)!buf_append(text, s, len);
    free(copy);
}

// What was collected, out of base64 if that was said of it.
static span_t captured(feed_t *f)
{
    if (f->base64 && f->text.len) {
        f->text.len = base64_decode(f->text.data, f->text.len);
        if (charset_valid_prefix(f->text.data, f->text.len) < f->text.len) f->text.len = 0;
    }
    if (f->text.len && charset_find_c1(f->text.data, f->text.len)) mean_c1(&f->text);
    return (span_t){f->text.data, f->text.len};
}

// Some call a text application/octet-stream.
static bool is_text(span_t s)
{
    return s.len && !memchr(s.s, '\0', s.len);
}

// Where no type is given, tags in an Atom text mean that it was forgotten.
static span_t as_markup(feed_t *f, span_t text)
{
    if (f->said_plain && !f->markup) feed_escape_plain(&f->list, &text.s, &text.len);
    return text;
}

void feed_capture_end(feed_t *f)
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
    case EL_TITLE: offer(f, SLOT_TITLE, text, f->type != TYPE_PLAIN || f->markup); break;
    case EL_LINK: feed_set(f, SLOT_URL, URL_LINK, text); break;
    case EL_GUID: take_guid(f, text); break;
    case EL_SUMMARY: offer(f, SLOT_SUMMARY, as_markup(f, text), false); break;
    case EL_CONTENT:
        if (f->no_text && !(f->base64 && is_text(text)))
            take_other(f, (span_t){NULL, 0});
        else
            feed_set(f, SLOT_CONTENT, rank, as_markup(f, text));
        break;
    case EL_DATE: take_date(f, text); break;
    case EL_CATEGORY: feed_item_text(&f->list, f->item, "category", text.s, text.len); break;
    case EL_IMAGE:
        if (!f->has_part) feed_set(f, SLOT_IMAGE, rank, text);
        break;
    case EL_SOURCE: feed_item_text(&f->list, f->item, "source", text.s, text.len); break;
    case EL_CONTRIBUTOR:
        if (!f->part[0]) feed_item_text(&f->list, f->item, "contributor", text.s, text.len);
        break;
    case EL_IGNORE: break;
    default: take_other(f, text);
    }
}
