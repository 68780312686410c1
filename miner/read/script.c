// Script: the texts are copied out of the page, and each is a JSON document of its own.
#include "miner/read/script.h"

#include <lexbor/dom/dom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/charset.h"
#include "miner/read/dom.h"
#include "miner/read/effort.h"
#include "miner/read/select.h"

enum {
    MAX_TEXTS = 64,       // of one page that are tried
    MAX_STEPS = 40000000, // as of an HTML list
};

struct script {
    const char *text;
    selector_t *selector;
};

typedef struct {
    const script_t *script;
    arena_t *arena;
    document_t texts[MAX_TEXTS];
    size_t n;
    read_status_t status;
} found_t;

script_t *script_new(const template_t *t, template_error_t *error)
{
    script_t *s = xcalloc(1, sizeof *s);
    s->text = t->script;
    s->selector = selector_new(t->script, "script", error);
    if (!s->selector) script_destroy(&s);
    return s;
}

void script_destroy(script_t **script)
{
    if (!*script) return;
    selector_destroy(&(*script)->selector);
    free(*script);
    *script = NULL;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// `window.state = {...};` holds what stands between.
static void cut(document_t *text)
{
    const char *s = text->bytes, *end = s + text->len;
    while (s < end && is_space(*s)) s++;
    if (s < end && *s != '{' && *s != '[') {
        const char *sign = memchr(s, '=', (size_t)(end - s));
        if (sign) s = sign + 1;
    }
    while (s < end && is_space(*s)) s++;
    while (end > s && (is_space(end[-1]) || end[-1] == ';')) end--;
    text->bytes = s;
    text->len = (size_t)(end - s);
}

// A <script> holds one text, which may be longer than any field.
static read_status_t take(const found_t *f, lxb_dom_node_t *node, raw_t *out)
{
    const lxb_dom_node_t *only = node->type == LXB_DOM_NODE_TYPE_ELEMENT ? node->first_child : NULL;
    if (!selector_is_plain(f->script->selector) || !only || only->next ||
        only->type != LXB_DOM_NODE_TYPE_TEXT)
        return select_take(f->script->selector, node, TYPE_HTML, false, f->arena, out);
    const lexbor_str_t *text = &((const lxb_dom_character_data_t *)only)->data;
    *out = (raw_t){(const char *)text->data, text->length};
    return READ_OK;
}

static bool collect(void *ctx, lxb_dom_node_t *node)
{
    found_t *f = ctx;
    raw_t raw;
    f->status = take(f, node, &raw);
    if (f->status != READ_OK || !raw.text) return f->status == READ_OK;
    const char *copy = arena_strndup(f->arena, raw.text, raw.len);
    if (!copy) return f->status = READ_TOO_BIG, false;
    f->texts[f->n].bytes = copy;
    f->texts[f->n].len = raw.len;
    cut(&f->texts[f->n]);
    return ++f->n < MAX_TEXTS;
}

static read_status_t find(found_t *f, const document_t *document, char detail[200])
{
    const char *html;
    size_t len;
    struct lxb_dom_node *root;
    dom_t *dom = dom_of_thread();
    int64_t steps = MAX_STEPS;
    if (document->len == 0) return READ_EMPTY_BODY;
    if (charset_to_utf8(f->arena, document->bytes, document->len, document->content_type, CHARSET_HTML, &html,
                        &len, NULL) != 0)
        return READ_TOO_BIG;
    if (!memchr(html, '<', len))
        return snprintf(detail, 200, "there is no markup in it, and so no `script`"), READ_NOT_THIS_KIND;
    read_status_t status = dom_parse(dom, html, len, &root, detail);
    if (status == READ_OK) status = select_each(f->script->selector, root, &steps, collect, f);
    dom_clean(dom);
    if (status == READ_TOO_COMPLEX) snprintf(detail, 200, "`script` takes too many steps on this page");
    if (status != READ_OK || f->status != READ_OK) return status != READ_OK ? status : f->status;
    if (f->n) return READ_OK;
    snprintf(detail, 200, "`%.100s` matches nothing in %zu bytes of HTML", f->script->text, len);
    return READ_ROTTED;
}

read_status_t script_items(const script_t *script, json_reader_t *json, arena_t *arena,
                           const document_t *document, items_t *out)
{
    found_t f = {.script = script, .arena = arena, .status = READ_OK};
    *out = (items_t){.items = NULL};
    read_status_t first = find(&f, document, out->detail);
    for (size_t i = 0; i < f.n && !effort_over(); i++) {
        items_t items;
        f.texts[i].url = document->url;
        read_status_t status = json_items(json, arena, &f.texts[i], &items);
        bool last = status == READ_TOO_COMPLEX || status == READ_TOO_BIG || items.matched;
        if (i == 0 || last) {
            *out = items;
            out->script = f.texts[i].bytes;
            out->script_len = f.texts[i].len;
            first = status;
        }
        if (last) break;
    }
    return first;
}
