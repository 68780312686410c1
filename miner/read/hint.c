// Hint: every element stands for a few simple selectors (tag.class, parent.class > tag); the page's elements,
// or those of its items, vote for theirs with their texts.
#include "miner/read/hint.h"

#include <lexbor/dom/dom.h>
#include <lexbor/html/html.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "miner/read/date_relative.h"
#include "miner/read/dom.h"
#include "miner/read/item.h"
#include "miner/read/select.h"
#include "miner/read/text.h"
#include "miner/read/xpath.h"
#include "proto/limits.h"

typedef lxb_dom_node_t node_t;

enum {
    MAX_NODES = 200000,
    SLOTS = 1 << 14,      // of the table of candidates
    MAX_CLASSES = 4,      // of an element, that are looked at
    MAX_TEXT = 120,       // bytes of an element's text that count
    ENOUGH = 3,           // elements make a list
    SIMILAR = 4,          // letters in common make names similar ...
    SIMILAR_IS_WORTH = 4, // ... and count so many times
    STEPS = 10000000,
};

typedef struct {
    const char *text, *tag;
    size_t n, bytes, end; // end: of the last element, as a place in the page; what is within does not count
} candidate_t;

typedef struct {
    arena_t *arena;
    node_t *root;
    size_t n_nodes;
    size_t *ends, *bytes; // by place in the page: where an element ends, bytes of text in it
    candidate_t *table;
    size_t n_candidates;
    bool one_item; // the whole page: what it has much of is not what was meant
} page_t;

// What is known of the selector that fails.
typedef struct {
    char tag[40];       // or "": any
    char names[200];    // its classes and ids, and the field's name
    char suffix[80];    // "::attr(href)"
    char attribute[40]; // "href"
} wish_t;

// -- the page -------------------------------------------------------------------------------------

static node_t *following(node_t *at, const node_t *root)
{
    if (at->first_child) return at->first_child;
    while (at != root && !at->next) at = at->parent;
    return at == root ? NULL : at->next;
}

static size_t place(const node_t *node)
{
    return (size_t)node->user;
}

static size_t number(page_t *p)
{
    size_t n = 0;
    for (node_t *at = following(p->root, p->root); at && n < MAX_NODES; at = following(at, p->root))
        at->user = (void *)++n;
    return n;
}

// XPath keeps something of its own where the numbers are.
static void number_again(page_t *p)
{
    if (!p->root->user) return;
    xpath_forget(p->root);
    (void)number(p);
}

// Numbers the nodes; the text of each adds to all that hold it.
static int number_nodes(page_t *p)
{
    size_t n = number(p);
    p->n_nodes = n;
    p->ends = arena_calloc(p->arena, n + 2, sizeof *p->ends);
    p->bytes = arena_calloc(p->arena, n + 2, sizeof *p->bytes);
    if (n == MAX_NODES || !p->ends || !p->bytes) return -1;
    p->ends[0] = n; // of the page, whose place is before all others
    for (node_t *at = following(p->root, p->root); at; at = following(at, p->root)) {
        size_t i = place(at);
        if (p->ends[i] == 0) p->ends[i] = i;
        if (at->type == LXB_DOM_NODE_TYPE_TEXT) p->bytes[i] = ((lxb_dom_character_data_t *)at)->data.length;
    }
    return 0;
}

static void sum_up(page_t *p, node_t **nodes)
{
    for (size_t i = p->n_nodes; i > 0; i--) {
        const node_t *parent = nodes[i]->parent;
        if (parent == p->root || !parent) continue;
        size_t k = place(parent);
        if (p->ends[i] > p->ends[k]) p->ends[k] = p->ends[i];
        p->bytes[k] += p->bytes[i] < MAX_TEXT ? p->bytes[i] : MAX_TEXT;
    }
}

static int measure(page_t *p)
{
    if (number_nodes(p) != 0) return -1;
    node_t **nodes = xcalloc(p->n_nodes + 1, sizeof *nodes);
    for (node_t *at = following(p->root, p->root); at; at = following(at, p->root)) nodes[place(at)] = at;
    sum_up(p, nodes);
    free(nodes);
    return 0;
}

// -- candidates -----------------------------------------------------------------------------------

static bool is_word(const char *s, size_t len)
{
    size_t digits = 0;
    for (size_t i = 0; i < len; i++) {
        bool digit = s[i] >= '0' && s[i] <= '9';
        if (!digit && s[i] != '-' && s[i] != '_' && !((s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'z'))
            return false;
        digits += digit;
    }
    // names with many digits are made by programs and gone tomorrow
    return len && len < 40 && digits < 3 && !(*s >= '0' && *s <= '9') && *s != '-';
}

typedef struct {
    const char *s;
    size_t len;
} word_t;

static size_t classes_of(const node_t *node, word_t out[MAX_CLASSES])
{
    size_t len = 0, n = 0;
    const lxb_dom_element_t *e = (const lxb_dom_element_t *)node;
    const char *s = node->type == LXB_DOM_NODE_TYPE_ELEMENT
                        ? (const char *)lxb_dom_element_class((lxb_dom_element_t *)e, &len)
                        : NULL;
    for (size_t i = 0, k; s && i < len && n < MAX_CLASSES; i = k + 1) {
        for (k = i; k < len && !strchr(" \t\r\n\f", s[k]);) k++;
        if (is_word(s + i, k - i)) out[n++] = (word_t){s + i, k - i};
    }
    return n;
}

static const char *name_of(const node_t *node)
{
    return (const char *)lxb_dom_element_local_name((lxb_dom_element_t *)node, NULL);
}

static candidate_t *look_up(page_t *p, const char *text, const char *tag)
{
    size_t at = XXH3_64bits(text, strlen(text)) % SLOTS;
    while (p->table[at].text && strcmp(p->table[at].text, text) != 0) at = (at + 1) % SLOTS;
    candidate_t *c = &p->table[at];
    if (c->text || p->n_candidates >= SLOTS / 2) return c->text ? c : NULL;
    c->text = arena_strdup(p->arena, text);
    c->tag = tag;
    p->n_candidates += c->text != NULL;
    return c->text ? c : NULL;
}

static void vote(page_t *p, const char *text, const node_t *node, size_t end)
{
    candidate_t *c = look_up(p, text, name_of(node));
    if (!c || place(node) <= c->end) return;
    size_t bytes = p->bytes[place(node)];
    c->n++;
    c->bytes += bytes < MAX_TEXT ? bytes : MAX_TEXT;
    c->end = end;
}

// end: until there no other element votes for the same (the element's own end, or that of its item).
static void vote_for_all(page_t *p, const node_t *node, size_t end)
{
    char text[200];
    word_t words[MAX_CLASSES];
    const char *tag = name_of(node);
    if (!is_word(tag, strlen(tag))) return;
    for (size_t i = 0, n = classes_of(node, words); i < n; i++) {
        snprintf(text, sizeof text, "%s.%.*s", tag, (int)words[i].len, words[i].s);
        vote(p, text, node, end);
    }
    if (!node->parent || node->parent->type != LXB_DOM_NODE_TYPE_ELEMENT) return;
    const char *parent = name_of(node->parent);
    for (size_t i = 0, n = classes_of(node->parent, words); i < n && is_word(parent, strlen(parent)); i++) {
        snprintf(text, sizeof text, "%s.%.*s > %s", parent, (int)words[i].len, words[i].s, tag);
        vote(p, text, node, end);
    }
}

// -- what was meant -------------------------------------------------------------------------------

static bool is_name_char(char c)
{
    return is_word(&c, 1) || c == '-' || (c >= '0' && c <= '9');
}

// The last compound of a selector: "div.list > a.storylink" -> "a.storylink".
static const char *last_compound(const char *s, size_t len)
{
    const char *start = s;
    int depth = 0;
    for (size_t i = 0; i < len; i++) {
        depth += (s[i] == '[' || s[i] == '(') - (s[i] == ']' || s[i] == ')');
        if (depth == 0 && strchr(" >+~,", s[i])) start = s + i + 1;
    }
    return start;
}

// false: nothing can be learned from it.
static bool understand(const char *selector, const char *field, wish_t *w)
{
    *w = (wish_t){.tag = ""};
    if (strncmp(selector, "xpath:", 6) == 0) return false;
    const char *suffix = strstr(selector, "::");
    size_t len = suffix ? (size_t)(suffix - selector) : strlen(selector), n = 0;
    while (len && selector[len - 1] == ' ') len--;
    const char *s = last_compound(selector, len), *end = selector + len;
    if (suffix) snprintf(w->suffix, sizeof w->suffix, "%s", suffix);
    if (sscanf(w->suffix, "::attr( %39[^) ]", w->attribute) != 1) w->attribute[0] = 0;
    if (s >= end && !*w->attribute) return false;
    while (s + n < end && is_name_char(s[n]) && n + 1 < sizeof w->tag) n++;
    snprintf(w->tag, sizeof w->tag, "%.*s", (int)n, s);
    snprintf(w->names, sizeof w->names, "%s %.*s", field, (int)(end - s - (long)n), s + n);
    return true;
}

// Do names have SIMILAR letters in a row in common?
static bool is_similar(const char *names, const char *text)
{
    size_t len = strlen(names), n;
    for (size_t i = 0; i + SIMILAR <= len; i++) {
        char part[SIMILAR + 1];
        for (n = 0; n < SIMILAR && is_word(names + i + n, 1); n++) part[n] = names[i + n];
        part[n] = 0;
        if (n == SIMILAR && strcasestr(text, part)) return true;
    }
    return false;
}

static size_t score(const page_t *p, const candidate_t *c, const wish_t *w, size_t least, bool any_tag)
{
    if (!c->text || c->n < least || (!any_tag && *w->tag && strcasecmp(c->tag, w->tag) != 0)) return 0;
    bool similar = is_similar(w->names, c->text);
    if (p->one_item && !similar) return 0;
    // much text, and much in each: a list's entries rather than their parts
    return (c->bytes * c->bytes / c->n + c->n) * (similar ? SIMILAR_IS_WORTH : 1);
}

static const candidate_t *best_of(const page_t *p, const wish_t *w, size_t least)
{
    const candidate_t *best = NULL;
    for (int any_tag = 0; any_tag < 2 && !best; any_tag++) {
        size_t most = 0;
        for (size_t i = 0; i < SLOTS; i++) {
            size_t s = score(p, &p->table[i], w, least, any_tag);
            // of equals the shorter, so that the answer does not depend on the table
            if (s < most || s == 0 || (s == most && strcmp(best->text, p->table[i].text) <= 0)) continue;
            most = s;
            best = &p->table[i];
        }
    }
    return best;
}

// -- hints ----------------------------------------------------------------------------------------

typedef struct {
    node_t **nodes;
    size_t n;
} list_t;

static bool collect(void *ctx, node_t *node)
{
    list_t *l = ctx;
    if (select_is_leaf(node)) return true;
    if (l->n == MAX_ITEMS) return false;
    l->nodes[l->n++] = node;
    return true;
}

static list_t find(page_t *p, const char *selector)
{
    template_error_t error;
    int64_t steps = STEPS;
    list_t found = {.nodes = arena_alloc(p->arena, MAX_ITEMS * sizeof *found.nodes)};
    selector_t *s = found.nodes ? selector_new(selector, "", &error) : NULL;
    if (s && select_each(s, p->root, &steps, collect, &found) != READ_OK) found.n = 0;
    selector_destroy(&s);
    number_again(p);
    return found;
}

static void start_vote(page_t *p)
{
    memset(p->table, 0, SLOTS * sizeof *p->table);
    p->n_candidates = 0;
}

static int suggest(page_t *p, const wish_t *w, size_t least, const char *field, const char *selector,
                   hint_t *out)
{
    const candidate_t *best = best_of(p, w, least);
    if (!best) return 0;
    *out = (hint_t){.field = field, .selector = selector, .matches = best->n};
    out->instead = arena_printf(p->arena, "%s%s", best->text, w->suffix);
    return out->instead != NULL;
}

static size_t hint_items(page_t *p, const template_t *t, hint_t *out)
{
    wish_t w;
    if (!understand(t->items[0], "", &w)) return 0;
    start_vote(p);
    for (node_t *at = following(p->root, p->root); at; at = following(at, p->root))
        if (at->type == LXB_DOM_NODE_TYPE_ELEMENT) vote_for_all(p, at, p->ends[place(at)]);
    if (!suggest(p, &w, ENOUGH, "items", t->items[0], out)) return 0;
    list_t found = find(p, out->instead); // elements within each other too
    out->matches = found.n;
    return found.n > 0;
}

static bool has_attribute(node_t *node, const char *name)
{
    return !*name || lxb_dom_element_has_attribute(lxb_dom_interface_element(node), (const lxb_char_t *)name,
                                                   strlen(name));
}

// A field's selector, and the first text that it gives.
typedef struct {
    page_t *page;
    const field_t *field;
    const selector_t *selector;
    raw_t first;
    size_t nodes; // that give one, be it empty
} trial_t;

static bool take_first(void *ctx, node_t *node)
{
    trial_t *t = ctx;
    raw_t raw;
    if (select_take(t->selector, node, t->field->type, true, t->page->arena, &raw) == READ_OK && raw.text) {
        t->nodes++;
        if (raw.len) t->first = raw;
    }
    return t->first.text == NULL;
}

const char *hint_why_none(const field_t *f)
{
    if (f->match) return "no match of `match`, or nothing of the field's type, in";
    switch (f->type) {
    case TYPE_TIME: return "no date in";
    case TYPE_URL: return "no http link in";
    case TYPE_INTEGER:
    case TYPE_NUMBER: return "no number in";
    default: return "nothing in";
    }
}

// The selector matches, but what it gives is no value.
static bool hint_value(page_t *p, const field_t *f, const list_t *items, hint_t *out)
{
    template_error_t error;
    int64_t steps = STEPS;
    selector_t *s = selector_new(f->selectors[0], "", &error);
    trial_t t = {.page = p, .field = f, .selector = s};
    *out = (hint_t){.field = f->name, .selector = f->selectors[0], .why = hint_why_none(f)};
    for (size_t i = 0; s && i < items->n; i++) {
        t.first.text = NULL;
        (void)select_each(s, items->nodes[i], &steps, take_first, &t);
        if (!t.first.text) continue;
        out->matches++;
        if (!out->value) out->value = text_clean(p->arena, t.first.text, t.first.len, TEXT_LINE, MAX_TEXT);
    }
    selector_destroy(&s);
    number_again(p);
    if (out->value && *out->value) return true;
    out->value = NULL;
    out->matches = t.nodes;
    out->why = "what it matches is empty";
    return t.nodes > 0;
}

// "3 hours ago" where the date of an item is wanted.
static bool is_counted_back(const field_t *f, const char *value)
{
    static const date_sense_t usual;
    const char *column = item_column(f);
    return column && !strcmp(column, "published") && date_is_relative(value, &usual);
}

static size_t hint_field(page_t *p, const field_t *f, const list_t *items, hint_t *out)
{
    wish_t w;
    if (hint_value(p, f, items, out)) {
        if (!out->value || !is_counted_back(f, out->value)) return 1;
        out->why = "a relative date, which `\"dates\": {\"relative\": true}` reads, in";
        return 1;
    }
    if (!understand(f->selectors[0], f->name, &w)) return 0;
    if (f->type == TYPE_URL && !*w.suffix) snprintf(w.attribute, sizeof w.attribute, "href");
    start_vote(p);
    for (size_t i = 0; i < items->n; i++)
        for (node_t *at = following(items->nodes[i], items->nodes[i]); at;
             at = following(at, items->nodes[i]))
            if (at->type == LXB_DOM_NODE_TYPE_ELEMENT && has_attribute(at, w.attribute))
                vote_for_all(p, at, p->ends[place(items->nodes[i])]);
    return (size_t)suggest(p, &w, items->n / 2 + 1, f->name, f->selectors[0], out);
}

static bool all_zero(const size_t *matches, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (matches[i]) return false;
    return n > 0;
}

static size_t hint_fields(page_t *p, const field_t *fields, size_t n_fields, const list_t *items,
                          const size_t *matches, hint_t *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < n_fields && n < max && items->n; i++) {
        const field_t *f = &fields[i];
        if (all_zero(matches, f->n_selectors)) n += hint_field(p, f, items, &out[n]);
        matches += f->n_selectors;
    }
    return n;
}

static size_t hint_page(page_t *p, const template_t *t, bool detail, const size_t *matches, hint_t *out,
                        size_t max)
{
    size_t which = 0;
    p->table = arena_calloc(p->arena, SLOTS, sizeof *p->table);
    if (!p->table || max == 0 || measure(p) != 0) return 0;
    list_t whole = {.nodes = &p->root, .n = 1};
    if (detail) return hint_fields(p, t->detail_fields, t->n_detail_fields, &whole, matches, out, max);
    if (all_zero(matches, t->n_items)) return hint_items(p, t, out);
    while (which < t->n_items && matches[which] == 0) which++;
    list_t items = find(p, t->items[which]);
    return hint_fields(p, t->fields, t->n_fields, &items, matches + t->n_items, out, max);
}

static size_t hint_html(const template_t *t, bool detail, arena_t *arena, const document_t *document,
                        const size_t *matches, hint_t *out, size_t max)
{
    char why[200];
    size_t len, n = 0;
    page_t page = {.arena = arena, .one_item = detail || t->kind == KIND_PAGE};
    dom_t *dom = dom_new();
    if (dom_read(dom, arena, document, &page.root, &len, why) == READ_OK)
        n = hint_page(&page, t, detail, matches, out, max);
    dom_clean(dom);
    dom_destroy(&dom);
    return n;
}

size_t hint_all(const template_t *t, bool detail, arena_t *arena, const document_t *document,
                const size_t *matches, hint_t *out, size_t max)
{
    template_kind_t kind = detail ? t->detail_kind : t->kind;
    if (!matches) return 0;
    if (kind == KIND_HTML || kind == KIND_PAGE)
        return hint_html(t, detail, arena, document, matches, out, max);
    return kind == KIND_JSON ? hint_json(t, detail, arena, document, matches, out, max) : 0;
}
