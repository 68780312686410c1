// CSS language: the nearest attribute upwards counts, then what the page says of itself.
#include "miner/read/css_language.h"

#include <lexbor/dom/dom.h>
#include <lexbor/html/html.h>
#include <string.h>
#include <strings.h>

typedef struct {
    const char *s; // NULL: there is none
    size_t len;
} span_t;

static span_t attribute(const lxb_dom_node_t *n, const char *name)
{
    lxb_dom_attr_t *a =
        lxb_dom_element_attr_by_name(lxb_dom_interface_element(n), (const lxb_char_t *)name, strlen(name));
    size_t len = 0;
    const char *value = a ? (const char *)lxb_dom_attr_value(a, &len) : NULL;
    return (span_t){a && !value ? "" : value, len};
}

// *root becomes the last one asked where there is none.
static span_t inherited(const lxb_dom_node_t *n, const char *name, const lxb_dom_node_t **root,
                        int64_t *steps)
{
    span_t value = {NULL, 0};
    for (; n && n->type == LXB_DOM_NODE_TYPE_ELEMENT && !value.s && *steps > 0; n = n->parent, --*steps) {
        value = attribute(n, name);
        *root = n;
    }
    return value;
}

// What <meta http-equiv=content-language> says of the page, where it names one language.
static span_t page_language(const lxb_dom_node_t *root, int64_t *steps)
{
    const lxb_dom_node_t *n = root ? root->first_child : NULL;
    while (n && n->local_name != LXB_TAG_HEAD) n = n->next;
    for (n = n ? n->first_child : NULL; n && *steps > 0; n = n->next, --*steps) {
        span_t pragma = n->local_name == LXB_TAG_META ? attribute(n, "http-equiv") : (span_t){NULL, 0};
        if (pragma.len != 16 || strncasecmp(pragma.s, "content-language", 16) != 0) continue;
        span_t content = attribute(n, "content");
        while (content.len && strchr(" \t\r\n\f", *content.s)) content.s++, content.len--;
        for (size_t i = 0; i < content.len; i++) {
            if (content.s[i] == ',') return (span_t){"", 0};
            if (strchr(" \t\r\n\f", content.s[i])) content.len = i;
        }
        return content;
    }
    return (span_t){NULL, 0};
}

// Cuts the part before the next separator off rest.
static span_t next_part(span_t *rest, char separator)
{
    const char *end = rest->len ? memchr(rest->s, separator, rest->len) : NULL;
    span_t part = {rest->s, end ? (size_t)(end - rest->s) : rest->len};
    rest->s = end ? end + 1 : NULL;
    rest->len -= end ? part.len + 1 : part.len;
    return part;
}

static bool same(span_t a, span_t b)
{
    return a.len == b.len && strncasecmp(a.s, b.s, a.len) == 0;
}

static bool is_star(span_t s)
{
    return s.len == 1 && *s.s == '*';
}

// RFC 4647, 3.3.2: parts of the language may be passed over, but for the first one and single letters.
static bool in_range(span_t language, span_t range)
{
    if (language.len == 0 || range.len == 0) return language.len == range.len;
    span_t wanted = next_part(&range, '-'), part = next_part(&language, '-');
    if (!is_star(wanted) && !same(wanted, part)) return false;
    while (range.s) {
        wanted = next_part(&range, '-');
        if (is_star(wanted)) continue;
        do {
            if (!language.s) return false;
            part = next_part(&language, '-');
            if (part.len == 1 && !same(wanted, part)) return false;
        } while (!same(wanted, part));
    }
    return true;
}

bool css_language_is(const lxb_dom_node_t *element, const char *ranges, size_t len, int64_t *steps)
{
    const lxb_dom_node_t *root = NULL;
    span_t language = inherited(element, "lang", &root, steps), rest = {ranges, len};
    if (!language.s) language = page_language(root, steps);
    if (!language.s) language = (span_t){"", 0};
    *steps -= (int64_t)(len / 16 + language.len / 16);
    while (rest.s)
        if (in_range(language, next_part(&rest, ','))) return true;
    return false;
}
