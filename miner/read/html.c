// HTML: decode, parse, find the items, and put each field's first value into the item.
#include "miner/read/html.h"

#include <lexbor/html/html.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/dom.h"
#include "miner/read/effort.h"
#include "miner/read/item.h"
#include "miner/read/next.h"
#include "miner/read/select.h"
#include "miner/read/text.h"
#include "proto/limits.h"

typedef lxb_dom_node_t node_t;

enum {
    MAX_STEPS = 40000000, // tests of a node by a selector, for a whole document; about 0.3 s
};

// A field's compiled selectors.
typedef struct {
    const field_t *field;
    selector_t **selectors;
    size_t first_count; // index of the first selector's place in items_t.selector_matches
} reading_t;

typedef struct {
    reading_t *readings;
    size_t n;
    item_writer_t *writer;
} fieldset_t;

struct html_list {
    const template_t *template;
    selector_t **items;
    fieldset_t fields;
    reading_t *key;    // or NULL
    reading_t *next;   // the same, with its rule
    next_t *next_rule; // ...
    size_t n_counts;
};

struct html_detail {
    const template_t *template;
    fieldset_t fields;
    size_t n_counts;
    selector_t **filters; // of the page filters
};

// -- compiling ------------------------------------------------------------------------------------

static void free_selectors(selector_t **selectors, size_t n)
{
    for (size_t i = 0; selectors && i < n; i++) selector_destroy(&selectors[i]);
    free(selectors);
}

// NULL: *error is filled.
static selector_t **compile_selectors(const char *const *texts, size_t n, const char *path,
                                      template_error_t *error)
{
    selector_t **out = xcalloc(n ? n : 1, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        char where[MAX_NAME + 60];
        if (n > 1)
            snprintf(where, sizeof where, "%s[%zu]", path, i);
        else
            snprintf(where, sizeof where, "%s", path);
        out[i] = selector_new(texts[i], where, error);
        if (out[i]) continue;
        free_selectors(out, n);
        return NULL;
    }
    return out;
}

static int compile_reading(reading_t *r, const field_t *field, const char *path, size_t *counts,
                           template_error_t *error)
{
    r->field = field;
    r->first_count = *counts;
    *counts += field->n_selectors;
    r->selectors = compile_selectors(field->selectors, field->n_selectors, path, error);
    return r->selectors ? 0 : -1;
}

static int compile_fields(fieldset_t *set, const template_t *t, bool detail, size_t *counts,
                          template_error_t *error)
{
    const field_t *fields = detail ? t->detail_fields : t->fields;
    size_t n = detail ? t->n_detail_fields : t->n_fields;
    set->readings = xcalloc(n ? n : 1, sizeof *set->readings);
    for (int rc = 0; set->n < n; set->n++) {
        char path[MAX_NAME + 40];
        snprintf(path, sizeof path, "%sfields.%s", detail ? "detail." : "", fields[set->n].name);
        rc = compile_reading(&set->readings[set->n], &fields[set->n], path, counts, error);
        if (rc != 0) return -1;
    }
    set->writer = item_writer_new(t, detail, error);
    return set->writer ? 0 : -1;
}

static void free_fields(fieldset_t *set)
{
    for (size_t i = 0; i < set->n; i++)
        free_selectors(set->readings[i].selectors, set->readings[i].field->n_selectors);
    free(set->readings);
    item_writer_destroy(&set->writer);
}

static int compile_list(html_list_t *l, const template_t *t, template_error_t *error)
{
    l->items = compile_selectors(t->items, t->n_items, "items", error);
    if (!l->items) return -1;
    l->n_counts = t->n_items;
    for (size_t i = 0; i < t->n_items; i++)
        if (!selector_is_plain(l->items[i]))
            return template_fail(
                error, "items", "\"%.80s\" must select an element; leave `::...` to the fields", t->items[i]);
    if (compile_fields(&l->fields, t, false, &l->n_counts, error) != 0) return -1;
    if (t->key) l->key = xcalloc(1, sizeof *l->key);
    if (t->key && compile_reading(l->key, t->key, "key", &l->n_counts, error) != 0) return -1;
    if (!t->next || t->next->n_selectors == 0) return 0; // none, or pages are counted
    l->next = xcalloc(1, sizeof *l->next);
    if (compile_reading(l->next, t->next, "next", &l->n_counts, error) != 0) return -1;
    l->next_rule = next_new(t, error);
    return l->next_rule ? 0 : -1;
}

html_list_t *html_list_new(const template_t *t, template_error_t *error)
{
    html_list_t *l = xcalloc(1, sizeof *l);
    l->template = t;
    if (compile_list(l, t, error) != 0) html_list_destroy(&l);
    return l;
}

void html_list_destroy(html_list_t **list)
{
    html_list_t *l = *list;
    if (!l) return;
    free_selectors(l->items, l->template->n_items);
    free_fields(&l->fields);
    if (l->key) free_selectors(l->key->selectors, l->key->field->n_selectors);
    free(l->key);
    if (l->next) free_selectors(l->next->selectors, l->next->field->n_selectors);
    free(l->next);
    next_destroy(&l->next_rule);
    free(l);
    *list = NULL;
}

static int compile_filters(html_detail_t *d, const template_t *t, template_error_t *error)
{
    d->filters = xcalloc(t->n_page_filters ? t->n_page_filters : 1, sizeof *d->filters);
    for (size_t i = 0; i < t->n_page_filters; i++) {
        char path[60];
        snprintf(path, sizeof path, "pageFilters[%zu].path", i);
        d->filters[i] = selector_new(t->page_filters[i].selector, path, error);
        if (!d->filters[i]) return -1;
    }
    return 0;
}

html_detail_t *html_detail_new(const template_t *t, template_error_t *error)
{
    html_detail_t *d = xcalloc(1, sizeof *d);
    d->template = t;
    if (compile_filters(d, t, error) != 0 || compile_fields(&d->fields, t, true, &d->n_counts, error) != 0)
        html_detail_destroy(&d);
    return d;
}

void html_detail_destroy(html_detail_t **detail)
{
    html_detail_t *d = *detail;
    if (!d) return;
    free_selectors(d->filters, d->template->n_page_filters);
    free_fields(&d->fields);
    free(d);
    *detail = NULL;
}

// -- one page -------------------------------------------------------------------------------------

typedef struct {
    dom_t *dom;   // the thread's
    urls_t *urls; // the thread's
    arena_t *arena;
    node_t *root;
    size_t len; // of the page as UTF-8
    int64_t steps;
} page_t;

static bool is_blank(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n\f", s[i]) || !s[i]) return false;
    return true;
}

static read_status_t open_page(page_t *page, const document_t *document, char detail[200])
{
    if (is_blank(document->bytes, document->len))
        return snprintf(detail, 200, "the body is empty"), READ_EMPTY_BODY;
    read_status_t status = dom_read(page->dom, page->arena, document, &page->root, &page->len, detail);
    if (status != READ_OK) return status;
    page->steps = MAX_STEPS;
    dom_set_base(page->dom, page->urls, document->url);
    return READ_OK;
}

// One field of one item in the making.
typedef struct {
    page_t *page;
    item_writer_t *writer;
    const reading_t *reading;
    const selector_t *selector;
    int index;
    bool one_line;
    read_status_t status;
} taking_t;

static bool take_match(void *ctx, node_t *node)
{
    taking_t *t = ctx;
    const field_t *field = t->reading->field;
    raw_t raw;
    t->status = select_take(t->selector, node, field->type, t->one_line, t->page->arena, &raw);
    if (t->status == READ_OK && raw.text) t->status = item_put(t->writer, t->index, raw.text, raw.len);
    if (t->status == READ_OK && effort_over())
        t->status = READ_TOO_COMPLEX; // its text may be the whole page's
    if (t->status != READ_OK) return false;
    return field->all || field->type == TYPE_LIST || !item_has(t->writer, t->index);
}

// Tries a field's selectors until one gives a value; its count grows, as does that of one that gives a date
// to be counted back.
static read_status_t read_field(page_t *page, item_writer_t *writer, const reading_t *r, int index,
                                node_t *scope, size_t *counts)
{
    taking_t t = {.page = page, .writer = writer, .reading = r, .index = index, .status = READ_OK};
    t.one_line = item_is_one_line(writer, index);
    bool words = false;
    for (size_t i = 0; i < r->field->n_selectors; i++) {
        t.selector = r->selectors[i];
        read_status_t status = select_each(t.selector, scope, &page->steps, take_match, &t);
        if (t.status != READ_OK) return t.status;
        if (status != READ_OK) return status;
        bool has = item_has(writer, index);
        bool back = !has && !words && item_counts_back(writer, index);
        words = words || back;
        counts[r->first_count + i] += has || back;
        if (has) return READ_OK;
    }
    return READ_OK;
}

static read_status_t read_fields(page_t *page, fieldset_t *set, node_t *scope, size_t *counts)
{
    item_begin(set->writer);
    for (size_t i = 0; i < set->n; i++) {
        read_status_t status = read_field(page, set->writer, &set->readings[i], (int)i, scope, counts);
        if (status != READ_OK) return status;
    }
    return READ_OK;
}

static void explain(read_status_t status, char detail[200])
{
    if (*detail) return;
    if (status == READ_TOO_COMPLEX)
        snprintf(detail, 200, "a selector or pattern takes too many steps on this page");
    if (status == READ_TOO_BIG) snprintf(detail, 200, "the items take too much memory");
}

// -- lists ----------------------------------------------------------------------------------------

typedef struct {
    node_t **nodes;
    size_t n, cap;
} found_t;

static bool collect(void *ctx, node_t *node)
{
    found_t *f = ctx;
    if (select_is_leaf(node)) return true;
    if (f->n == MAX_ITEMS + 1) return false;
    if (f->n == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 64;
        f->nodes = xrealloc(f->nodes, f->cap * sizeof *f->nodes);
    }
    f->nodes[f->n++] = node;
    return true;
}

static read_status_t find_items(html_list_t *l, page_t *page, found_t *found, items_t *out)
{
    for (size_t i = 0; found->n == 0 && i < l->template->n_items; i++) {
        read_status_t status = select_each(l->items[i], page->root, &page->steps, collect, found);
        if (status != READ_OK) return status;
        out->selector_matches[i] = found->n;
    }
    if (found->n > MAX_ITEMS)
        return snprintf(out->detail, 200, "more than %d items", MAX_ITEMS), READ_TOO_BIG;
    if (found->n) return READ_OK;
    snprintf(out->detail, 200, "`%.100s` matches nothing in %zu bytes of HTML", l->template->items[0],
             page->len);
    return READ_ROTTED;
}

static read_status_t read_item(html_list_t *l, page_t *page, node_t *node, items_t *out)
{
    bool keep;
    item_writer_t *writer = l->fields.writer;
    read_status_t status = read_fields(page, &l->fields, node, out->selector_matches);
    if (status == READ_OK && l->key)
        status = read_field(page, writer, l->key, ITEM_KEY, node, out->selector_matches);
    if (status == READ_OK) status = item_end(writer, &out->items[out->n_items], &keep);
    if (status == READ_OK) out->n_items += keep;
    return status;
}

static read_status_t read_items(html_list_t *l, page_t *page, items_t *out)
{
    found_t found = {.nodes = NULL};
    read_status_t status = find_items(l, page, &found, out);
    out->matched = found.n;
    if (status == READ_OK) out->items = arena_calloc(page->arena, found.n, sizeof *out->items);
    if (status == READ_OK && !out->items) status = READ_TOO_BIG;
    if (status == READ_OK) item_document(l->fields.writer, page->arena, page->urls, found.n);
    for (size_t i = 0; status == READ_OK && i < found.n; i++)
        status = read_item(l, page, found.nodes[i], out);
    free(found.nodes);
    return status;
}

typedef struct {
    html_list_t *list;
    page_t *page;
    const document_t *document;
    const selector_t *selector;
    const char **out;
    read_status_t status;
} paging_t;

static bool take_next(void *ctx, node_t *node)
{
    paging_t *p = ctx;
    raw_t raw;
    p->status = select_take(p->selector, node, p->list->next->field->type, true, p->page->arena, &raw);
    if (p->status == READ_OK && raw.text)
        p->status = next_read(p->list->next_rule, p->page->urls, p->page->arena, p->document, raw.text,
                              raw.len, p->out);
    return p->status == READ_OK && !*p->out;
}

static read_status_t read_next(html_list_t *l, page_t *page, const document_t *document, items_t *out)
{
    paging_t p = {.list = l, .page = page, .document = document, .out = &out->next_url};
    for (size_t i = 0; l->next && i < l->next->field->n_selectors && !out->next_url; i++) {
        p.selector = l->next->selectors[i];
        read_status_t status = select_each(p.selector, page->root, &page->steps, take_next, &p);
        if (status != READ_OK || p.status != READ_OK) return status != READ_OK ? status : p.status;
        if (out->next_url) out->selector_matches[l->next->first_count + i]++;
    }
    return READ_OK;
}

read_status_t html_items(html_list_t *l, arena_t *arena, const document_t *document, items_t *out)
{
    page_t page = {.dom = dom_of_thread(), .urls = urls_of_thread(), .arena = arena};
    out->selector_matches = arena_calloc(arena, l->n_counts, sizeof *out->selector_matches);
    read_status_t status = out->selector_matches ? open_page(&page, document, out->detail) : READ_TOO_BIG;
    if (status == READ_OK) {
        status = read_items(l, &page, out);
        if (status == READ_OK) status = read_next(l, &page, document, out);
    }
    explain(status, out->detail);
    dom_clean(page.dom);
    return status;
}

// -- detail pages ---------------------------------------------------------------------------------

typedef struct {
    const selector_t *selector;
    const char *value;
    arena_t *arena;
    bool equal;
} comparison_t;

// Only the first match of a page filter counts.
static bool compare(void *ctx, node_t *node)
{
    comparison_t *c = ctx;
    raw_t raw;
    if (select_take(c->selector, node, TYPE_TEXT, true, c->arena, &raw) != READ_OK || !raw.text) return false;
    const char *text = text_clean(c->arena, raw.text, raw.len, TEXT_LINE, MAX_SUMMARY);
    const char *value = text_clean(c->arena, c->value, strlen(c->value), TEXT_LINE, MAX_SUMMARY);
    c->equal = text && value && strcmp(text, value) == 0;
    return false;
}

static read_status_t apply_page_filters(html_detail_t *d, page_t *page, bool *drop)
{
    for (size_t i = 0; !*drop && i < d->template->n_page_filters; i++) {
        comparison_t c = {
            .selector = d->filters[i], .value = d->template->page_filters[i].value, .arena = page->arena};
        read_status_t status = select_each(c.selector, page->root, &page->steps, compare, &c);
        if (status != READ_OK) return status;
        *drop = c.equal;
    }
    return READ_OK;
}

static read_status_t read_details(html_detail_t *d, page_t *page, items_t *out, bool *drop)
{
    bool keep = true;
    item_document(d->fields.writer, page->arena, page->urls, 0);
    read_status_t status = read_fields(page, &d->fields, page->root, out->selector_matches);
    if (status == READ_OK) status = item_end(d->fields.writer, out->items, &keep);
    out->n_items = status == READ_OK;
    *drop = !keep;
    return status == READ_OK && keep ? apply_page_filters(d, page, drop) : status;
}

read_status_t html_details(html_detail_t *d, arena_t *arena, const document_t *document, items_t *out,
                           bool *drop)
{
    page_t page = {.dom = dom_of_thread(), .urls = urls_of_thread(), .arena = arena};
    *out = (items_t){.items = arena_calloc(arena, 1, sizeof *out->items),
                     .selector_matches = arena_calloc(arena, d->n_counts + 1, sizeof(size_t))};
    *drop = false;
    read_status_t status =
        out->items && out->selector_matches ? open_page(&page, document, out->detail) : READ_TOO_BIG;
    if (status == READ_OK) status = read_details(d, &page, out, drop);
    if (status != READ_OK) *drop = false;
    explain(status, out->detail);
    dom_clean(page.dom);
    return status;
}
