// Feed HTML: what it is a look at the bytes tells; its links are those of the tree, as comments and scripts
// may hold others.
#include "miner/read/feed_html.h"

#include <lexbor/dom/dom.h>
#include <lexbor/html/html.h>
#include <string.h>
#include <strings.h>

#include "miner/read/dom.h"
#include "miner/read/url.h"
#include "proto/limits.h"

static bool has(const char *text, size_t len, const char *word)
{
    return memmem(text, len, word, strlen(word)) != NULL;
}

bool feed_is_html(const char *text, size_t len)
{
    size_t head = len < 2048 ? len : 2048;
    static const char *const marks[] = {"<!doctype html", "<html", "<head", "<body"};
    bool html = false;
    for (size_t i = 0; i + 14 < head && !html; i++) {
        for (size_t k = 0; text[i] == '<' && k < 4; k++)
            html = html || strncasecmp(text + i, marks[k], strlen(marks[k])) == 0;
    }
    return html && !has(text, len, "<feed") && !has(text, len, "<rss") && !has(text, len, "<rdf:RDF");
}

// -- discovery ------------------------------------------------------------------------------------

typedef struct {
    const char *s; // NULL: there is none
    size_t len;
} span_t;

static span_t attribute(lxb_dom_node_t *n, const char *name)
{
    lxb_dom_attr_t *a =
        lxb_dom_element_attr_by_name(lxb_dom_interface_element(n), (const lxb_char_t *)name, strlen(name));
    size_t len = 0;
    const char *value = a ? (const char *)lxb_dom_attr_value(a, &len) : NULL;
    return (span_t){a && !value ? "" : value, len};
}

static bool has_word(span_t list, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0, start = 0; list.s && i <= list.len; i++) {
        if (i < list.len && !strchr(" \t\r\n\f", list.s[i])) continue;
        if (i - start == n && strncasecmp(list.s + start, word, n) == 0) return true;
        start = i + 1;
    }
    return false;
}

// A media type, whatever its parameters are.
static bool is_type(span_t type, const char *name)
{
    size_t n = strlen(name), start = 0;
    while (start < type.len && strchr(" \t\r\n\f", type.s[start])) start++;
    if (type.len - start < n || strncasecmp(type.s + start, name, n) != 0) return false;
    return start + n == type.len || strchr("; \t\r\n\f", type.s[start + n]);
}

typedef enum { NO_FEED, MAYBE_FEED, FEED } sure_t;

static sure_t is_feed_link(lxb_dom_node_t *n)
{
    static const char *const types[] = {"application/rss+xml", "application/atom+xml",
                                        "application/x.atom+xml", "application/rdf+xml",
                                        "application/feed+json"};
    span_t rel = attribute(n, "rel"), type = attribute(n, "type");
    if (has_word(rel, "stylesheet")) return NO_FEED;
    if (has_word(rel, "feed")) return FEED;
    if (!has_word(rel, "alternate") || !type.s) return NO_FEED;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (is_type(type, types[i])) return FEED;
    span_t href = attribute(n, "href");
    // JSON Feed 1.0 has no type of its own; WordPress names the page's own data by the same one
    bool json = is_type(type, "application/json") && href.s && !has(href.s, href.len, "wp-json");
    return json || is_type(type, "text/xml") || is_type(type, "application/xml") ? MAYBE_FEED : NO_FEED;
}

// "feed://host/" and "feed:https://host/" are what some name a feed by.
static const char *resolve(urls_t *urls, arena_t *arena, span_t href)
{
    if (href.len > 5 && strncasecmp(href.s, "feed:", 5) == 0) {
        bool whole = href.len > 9 && strncasecmp(href.s + 5, "http", 4) == 0;
        const char *url =
            arena_printf(arena, "%s%.*s", whole ? "" : "http:", (int)(href.len - 5), href.s + 5);
        return url ? urls_resolve(urls, arena, url, strlen(url)) : NULL;
    }
    return href.s ? urls_resolve(urls, arena, href.s, href.len) : NULL;
}

static const char *find_feed(urls_t *urls, arena_t *arena, lxb_dom_node_t *root)
{
    const char *second = NULL;
    for (lxb_dom_node_t *n = root; n; n = dom_next(n)) {
        sure_t sure = n->local_name == LXB_TAG_LINK ? is_feed_link(n) : NO_FEED;
        const char *url = sure == FEED || (sure == MAYBE_FEED && !second)
                              ? resolve(urls, arena, attribute(n, "href"))
                              : NULL;
        if (url && sure == FEED) return url;
        if (url) second = url;
    }
    return second;
}

const char *feed_discover(arena_t *arena, const document_t *document, const char *text, size_t len)
{
    char detail[200];
    lxb_dom_node_t *root;
    urls_t *urls = urls_of_thread();
    dom_t *dom = dom_of_thread();
    if (dom_parse(dom, text, len, &root, detail) != READ_OK) return NULL;
    dom_set_base(dom, urls, document->url);
    const char *found = find_feed(urls, arena, root);
    dom_clean(dom);
    return found;
}
