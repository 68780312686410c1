// Select: the dialect around CSS and XPath.
#include "miner/read/select.h"

#include <lexbor/dom/dom.h>
#include <lexbor/html/html.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "miner/read/css.h"
#include "miner/read/text.h"
#include "miner/read/xpath.h"
#include "proto/limits.h"

typedef lxb_dom_node_t node_t;
typedef enum { TAKE_BY_TYPE, TAKE_TEXT, TAKE_ATTRIBUTE, TAKE_CONTENT } take_t;

struct selector {
    css_t *css;     // NULL (and no XPath): the scope itself
    xpath_t *xpath; // or NULL
    take_t take;
    char *attribute; // in lower case
};

// -- compiling ------------------------------------------------------------------------------------

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(const char **s, size_t *len)
{
    while (*len && is_space((*s)[*len - 1])) --*len;
    while (*len && is_space(**s)) ++*s, --*len;
}

static bool ends_with(const char *s, size_t len, const char *tail)
{
    size_t n = strlen(tail);
    return len >= n && memcmp(s + len - n, tail, n) == 0;
}

// Where "::attr(" of a closing "::attr(name)" starts; len if there is none.
static size_t attribute_suffix(const char *s, size_t len)
{
    if (len == 0 || s[len - 1] != ')') return len;
    for (size_t i = len; i-- > 0;)
        if (len - i > 7 && memcmp(s + i, "::attr(", 7) == 0) return i;
    return len;
}

static int take_attribute(selector_t *sel, const char *name, size_t len)
{
    trim(&name, &len);
    if (len >= 2 && (*name == '"' || *name == '\'') && name[len - 1] == *name) name++, len -= 2;
    if (len == 0 || memchr(name, ')', len) || memchr(name, '"', len)) return -1;
    sel->attribute = xstrndup(name, len);
    for (char *c = sel->attribute; *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c |= 0x20;
    sel->take = TAKE_ATTRIBUTE;
    return 0;
}

// Cuts the `::...` off the end of text. -1: it names no attribute.
static int take_suffix(selector_t *sel, const char *text, size_t *len)
{
    if (ends_with(text, *len, "::text")) return sel->take = TAKE_TEXT, *len -= 6, 0;
    if (ends_with(text, *len, "::content")) return sel->take = TAKE_CONTENT, *len -= 9, 0;
    size_t at = attribute_suffix(text, *len);
    if (at == *len) return 0;
    int rc = take_attribute(sel, text + at + 7, *len - at - 8);
    *len = at;
    return rc;
}

// What is usual elsewhere.
static const char *advice(const char *text)
{
    if (*text == '/' || strncmp(text, "./", 2) == 0 || strncmp(text, "(/", 2) == 0)
        return " (XPath starts with `xpath:`)";
    if (*text == '$') return " (JSONPath is for kind `json`)";
    if (strstr(text, ":has-text(")) return " (text is looked for with `:contains()`)";
    if (strstr(text, "::attr") && !strstr(text, "::attr("))
        return " (an attribute is taken with `::attr(name)`)";
    if (strstr(text, "::text") || strstr(text, "::attr("))
        return " (`::text` and `::attr(name)` stand once, at the end; for alternatives use a list)";
    return strchr(text, '@') ? " (an attribute is taken with `::attr(name)` at the end)" : "";
}

static int fail(template_error_t *error, const char *path, const char *text, const char *why)
{
    return template_fail(error, path, "\"%.80s\": %s%s", text, why, advice(text));
}

static int compile_xpath(selector_t *sel, const char *text, size_t len, const char *path,
                         template_error_t *error)
{
    char why[160];
    sel->xpath = xpath_new(text, len, why, sizeof why);
    return sel->xpath ? 0 : template_fail(error, path, "\"xpath:%.80s\": %s", text, why);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// "#1a" is no id selector, as an identifier does not start like that; lexbor takes it for one.
static bool has_bad_id(const char *s, size_t len)
{
    char quote = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\\')
            i++;
        else if (quote)
            quote = s[i] == quote ? 0 : quote;
        else if (s[i] == '"' || s[i] == '\'')
            quote = s[i];
        else if (s[i] == '#' && i + 1 < len && is_digit(s[i + 1 + (s[i + 1] == '-' && i + 2 < len)]))
            return true;
    }
    return false;
}

static int compile(selector_t *sel, const char *text, const char *path, template_error_t *error)
{
    char why[160];
    const char *css = text;
    size_t len = strlen(text);
    trim(&css, &len);
    if (len >= 6 && memcmp(css, "xpath:", 6) == 0) return compile_xpath(sel, css + 6, len - 6, path, error);
    if (take_suffix(sel, css, &len) != 0)
        return fail(error, path, text, "::attr() needs an attribute's name");
    trim(&css, &len);
    if (len == 6 && memcmp(css, ":scope", 6) == 0) css += 6, len = 0; // the item, as no selector means
    trim(&css, &len);
    if (len == 0 && sel->take == TAKE_BY_TYPE && css == text)
        return fail(error, path, text, "the selector is empty");
    if (len == 0) return 0;
    if (has_bad_id(css, len))
        return fail(error, path, text,
                    "no valid CSS selector: an id that starts with a digit is written \\31 23");
    sel->css = css_new(css, len, why, sizeof why);
    return sel->css ? 0 : fail(error, path, text, why);
}

selector_t *selector_new(const char *text, const char *path, template_error_t *error)
{
    selector_t *sel = xcalloc(1, sizeof *sel);
    if (compile(sel, text, path, error) != 0) selector_destroy(&sel);
    return sel;
}

void selector_destroy(selector_t **selector)
{
    if (!*selector) return;
    css_destroy(&(*selector)->css);
    xpath_destroy(&(*selector)->xpath);
    free((*selector)->attribute);
    free(*selector);
    *selector = NULL;
}

bool selector_is_plain(const selector_t *sel)
{
    return sel->take == TAKE_BY_TYPE;
}

// -- using ----------------------------------------------------------------------------------------

read_status_t select_each(const selector_t *sel, node_t *scope, int64_t *steps, select_found_t found,
                          void *ctx)
{
    if (sel->xpath) return xpath_find(sel->xpath, scope, steps, found, ctx) == 0 ? READ_OK : READ_TOO_COMPLEX;
    if (sel->css) return css_find(sel->css, scope, steps, found, ctx) == 0 ? READ_OK : READ_TOO_COMPLEX;
    found(ctx, scope);
    return READ_OK;
}

bool select_is_leaf(const node_t *node)
{
    return node->type != LXB_DOM_NODE_TYPE_ELEMENT && node->type != LXB_DOM_NODE_TYPE_DOCUMENT;
}

static bool take_named(node_t *node, const char *name, raw_t *out)
{
    if (node->type != LXB_DOM_NODE_TYPE_ELEMENT) return false; // the document
    const lxb_dom_attr_t *a = lxb_dom_interface_element(node)->first_attr;
    for (size_t len = strlen(name), n; a; a = a->next) {
        const char *have = (const char *)lxb_dom_attr_qualified_name((lxb_dom_attr_t *)a, &n);
        if (n != len || memcmp(have, name, n) != 0) continue;
        *out = a->value && a->value->data ? (raw_t){(const char *)a->value->data, a->value->length}
                                          : (raw_t){"", 0};
        return true;
    }
    return false;
}

static read_status_t take_text(node_t *node, bool one_line, arena_t *arena, raw_t *out)
{
    const node_t *only = node->first_child;
    if (one_line && only && !only->next && only->type == LXB_DOM_NODE_TYPE_TEXT) {
        const lexbor_str_t *s = &((const lxb_dom_character_data_t *)only)->data;
        *out = (raw_t){(const char *)s->data, s->length};
        return READ_OK;
    }
    out->text = text_of_node(arena, node, one_line ? TEXT_LINE : TEXT_LINES, MAX_CONTENT);
    if (!out->text) return READ_TOO_BIG;
    out->len = strlen(out->text);
    return READ_OK;
}

static lxb_status_t append_markup(const lxb_char_t *data, size_t len, void *ctx)
{
    buf_t *out = ctx;
    size_t fits = text_cut((const char *)data, len, out->max - out->len);
    return buf_append(out, data, fits) == 0 && fits == len ? LXB_STATUS_OK : LXB_STATUS_STOP;
}

// The markup within node; what is longer than MAX_CONTENT is cut off.
static read_status_t take_markup(node_t *node, arena_t *arena, raw_t *out)
{
    buf_t buf;
    buf_init(&buf, MAX_CONTENT);
    lxb_html_serialize_deep_cb(node, append_markup, &buf);
    out->text = arena_strndup(arena, buf.data, buf.len);
    out->len = buf.len;
    buf_free(&buf);
    return out->text ? READ_OK : READ_TOO_BIG;
}

static read_status_t take_by_type(node_t *node, field_type_t type, bool one_line, arena_t *arena, raw_t *out)
{
    static const char *const links[] = {"href", "src", "content"};
    switch (type) {
    case TYPE_HTML: return take_markup(node, arena, out);
    case TYPE_URL:
        for (size_t i = 0; i < sizeof links / sizeof *links; i++)
            if (take_named(node, links[i], out)) return READ_OK;
        break;
    case TYPE_TIME:
        if (take_named(node, "datetime", out)) return READ_OK;
        break;
    default: break;
    }
    return take_text(node, one_line, arena, out);
}

// Text that XPath gave is no markup yet.
static read_status_t take_escaped(raw_t text, arena_t *arena, raw_t *out)
{
    buf_t buf;
    buf_init(&buf, MAX_CONTENT);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.text[i];
        int rc = c == '&'   ? buf_puts(&buf, "&amp;")
                 : c == '<' ? buf_puts(&buf, "&lt;")
                            : buf_append(&buf, &c, 1);
        if (rc != 0) break;
    }
    out->text = arena_strndup(arena, buf.len ? buf.data : "", buf.len);
    out->len = buf.len;
    buf_free(&buf);
    return out->text ? READ_OK : READ_TOO_BIG;
}

// A text or attribute, which only XPath finds.
static read_status_t take_leaf(const node_t *node, field_type_t type, arena_t *arena, raw_t *out)
{
    const lexbor_str_t *s = node->type == LXB_DOM_NODE_TYPE_ATTRIBUTE
                                ? ((const lxb_dom_attr_t *)node)->value
                                : &((const lxb_dom_character_data_t *)node)->data;
    raw_t raw = s && s->data ? (raw_t){(const char *)s->data, s->length} : (raw_t){"", 0};
    if (type == TYPE_HTML) return take_escaped(raw, arena, out);
    *out = raw;
    return READ_OK;
}

read_status_t select_take(const selector_t *sel, node_t *node, field_type_t type, bool one_line,
                          arena_t *arena, raw_t *out)
{
    *out = (raw_t){NULL, 0};
    if (select_is_leaf(node)) return take_leaf(node, type, arena, out);
    switch (sel->take) {
    case TAKE_BY_TYPE: return take_by_type(node, type, one_line, arena, out);
    case TAKE_TEXT: return take_text(node, one_line, arena, out);
    case TAKE_ATTRIBUTE: take_named(node, sel->attribute, out); return READ_OK;
    case TAKE_CONTENT:
        if (take_named(node, "content", out) && out->len) return READ_OK;
        return take_text(node, one_line, arena, out);
    }
    return READ_OK;
}
