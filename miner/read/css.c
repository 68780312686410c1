// CSS: a selector list is an array of complex selectors, each an array of compounds, each an array of tests.
// A node is tried from the last compound to the first; going up ends at the scope.
#include "miner/read/css.h"

#include <lexbor/dom/dom.h>
#include <lexbor/html/html.h>
#include <string.h>
#include <strings.h>

#include "miner/read/css_direction.h"
#include "miner/read/css_language.h"
#include "miner/read/css_parts.h"
#include "miner/read/effort.h"

typedef lxb_dom_node_t node_t;

// -- matching -------------------------------------------------------------------------------------

// One search. Moves from a node to another never leave the scope's subtree and the siblings that follow it.
typedef struct {
    node_t *scope;   // NULL: no bounds (:is, :not)
    node_t *ceiling; // its parent
    node_t *self;    // what :scope means, whichever list it stands in
    bool strict;     // the scope itself is no match (:has)
    bool outside;    // the candidate stands behind the scope, not in it
    bool quirks;     // class and id ignore case
    int64_t *steps;
} query_t;

static bool is_element(const node_t *n)
{
    return n->type == LXB_DOM_NODE_TYPE_ELEMENT;
}

static node_t *element_before(node_t *n)
{
    do n = n->prev;
    while (n && !is_element(n));
    return n;
}

static node_t *element_after(node_t *n)
{
    do n = n->next;
    while (n && !is_element(n));
    return n;
}

static bool same_text(const char *a, const char *b, size_t len, bool ignore_case)
{
    return ignore_case ? strncasecmp(a, b, len) == 0 : memcmp(a, b, len) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

// word stands in the list of words that white space separates.
static bool has_word(const char *list, size_t len, const char *word, size_t word_len, bool ignore_case)
{
    if (word_len == 0) return false;
    for (const char *end = list + len; list < end;) {
        while (list < end && is_space(*list)) list++;
        const char *from = list;
        while (list < end && !is_space(*list)) list++;
        if ((size_t)(list - from) == word_len && same_text(from, word, word_len, ignore_case)) return true;
    }
    return false;
}

static const lexbor_str_t *value_of(const lxb_dom_attr_t *a)
{
    static const lexbor_str_t empty = {(lxb_char_t *)"", 0};
    return a->value && a->value->data ? a->value : &empty;
}

static const lxb_dom_attr_t *find_attribute(const node_t *n, const test_t *t)
{
    const lxb_dom_attr_t *a = lxb_dom_interface_element(n)->first_attr;
    for (; a; a = a->next) {
        if (t->id) {
            if (a->node.local_name == t->id) return a;
            continue;
        }
        size_t len = 0;
        const char *name = (const char *)lxb_dom_attr_qualified_name((lxb_dom_attr_t *)a, &len);
        if (len == t->name_len && strncasecmp(name, t->name, len) == 0) return a;
    }
    return NULL;
}

static bool contains_text(const char *s, size_t len, const char *part, size_t n, bool ignore_case)
{
    if (!ignore_case) return memmem(s, len, part, n) != NULL;
    for (; len >= n; s++, len--)
        if (strncasecmp(s, part, n) == 0) return true;
    return false;
}

void css_step(int64_t *steps)
{
    if ((--*steps & 1023) == 0 && effort_over()) *steps = 0;
}

static bool match_attribute(const node_t *n, const test_t *t, int64_t *steps)
{
    const lxb_dom_attr_t *a = find_attribute(n, t);
    if (!a || t->presence) return a != NULL;
    const lexbor_str_t *value = value_of(a);
    const char *s = (const char *)value->data, *v = t->value;
    size_t len = value->length, n_v = t->value_len;
    bool fold = t->ignore_case;
    *steps -= (int64_t)(len / 64);
    switch (t->op) {
    case LXB_CSS_SELECTOR_MATCH_EQUAL: return len == n_v && same_text(s, v, len, fold);
    case LXB_CSS_SELECTOR_MATCH_INCLUDE: return has_word(s, len, v, n_v, fold);
    case LXB_CSS_SELECTOR_MATCH_DASH:
        return len >= n_v && same_text(s, v, n_v, fold) && (len == n_v || s[n_v] == '-');
    case LXB_CSS_SELECTOR_MATCH_PREFIX: return n_v && len >= n_v && same_text(s, v, n_v, fold);
    case LXB_CSS_SELECTOR_MATCH_SUFFIX: return n_v && len >= n_v && same_text(s + len - n_v, v, n_v, fold);
    case LXB_CSS_SELECTOR_MATCH_SUBSTRING: return n_v && contains_text(s, len, v, n_v, fold);
    default: return false;
    }
}

static bool match_tag(const node_t *n, const test_t *t)
{
    if (t->id) return n->local_name == t->id;
    size_t len = 0;
    const char *name = (const char *)lxb_dom_element_local_name(lxb_dom_interface_element(n), &len);
    return name && len == t->name_len && strncasecmp(name, t->name, len) == 0;
}

static bool has_attribute(const node_t *n, const char *name)
{
    return lxb_dom_element_has_attribute(lxb_dom_interface_element(n), (const lxb_char_t *)name,
                                         strlen(name));
}

static bool is_tag(const node_t *n, lxb_tag_id_t tag)
{
    return n->local_name == tag && n->ns == LXB_NS_HTML;
}

static bool is_control(const node_t *n)
{
    return is_tag(n, LXB_TAG_INPUT) || is_tag(n, LXB_TAG_SELECT) || is_tag(n, LXB_TAG_TEXTAREA);
}

static bool can_be_disabled(const node_t *n)
{
    return is_control(n) || is_tag(n, LXB_TAG_BUTTON) || is_tag(n, LXB_TAG_OPTION) ||
           is_tag(n, LXB_TAG_OPTGROUP) || is_tag(n, LXB_TAG_FIELDSET);
}

// A fieldset's first legend stays in use when the fieldset is disabled.
static bool is_first_legend(const node_t *n)
{
    if (!is_tag(n, LXB_TAG_LEGEND)) return false;
    while ((n = n->prev))
        if (is_tag(n, LXB_TAG_LEGEND)) return false;
    return true;
}

static bool is_disabled(const node_t *n)
{
    if (!can_be_disabled(n)) return false;
    if (has_attribute(n, "disabled")) return true;
    const node_t *below = n;
    for (const node_t *p = n->parent; p; below = p, p = p->parent) {
        if (is_tag(n, LXB_TAG_OPTION) && is_tag(p, LXB_TAG_OPTGROUP) && has_attribute(p, "disabled"))
            return true;
        if (!is_tag(n, LXB_TAG_OPTION) && is_tag(p, LXB_TAG_FIELDSET) && has_attribute(p, "disabled") &&
            !is_first_legend(below))
            return true;
    }
    return false;
}

bool css_attribute_is(const node_t *n, const char *name, const char *words)
{
    size_t len = 0;
    const char *value = (const char *)lxb_dom_element_get_attribute(
        (lxb_dom_element_t *)n, (const lxb_char_t *)name, strlen(name), &len);
    return value && has_word(words, strlen(words), value, len, true);
}

// By the nearest contenteditable upwards that says yes or no.
static bool is_editable(const node_t *n)
{
    for (; n && n->ns == LXB_NS_HTML && is_element(n); n = n->parent) {
        size_t len = 0;
        if (!has_attribute(n, "contenteditable")) continue;
        lxb_dom_element_get_attribute((lxb_dom_element_t *)n, (const lxb_char_t *)"contenteditable", 15,
                                      &len);
        if (len == 0 || css_attribute_is(n, "contenteditable", "true plaintext-only")) return true;
        if (css_attribute_is(n, "contenteditable", "false")) return false;
    }
    return false;
}

// Of <input>, types that do not exist are text.
static bool is_read_write(const node_t *n)
{
    bool input = is_tag(n, LXB_TAG_INPUT);
    if (!input && !is_tag(n, LXB_TAG_TEXTAREA)) return is_editable(n);
    if (input &&
        css_attribute_is(n, "type", "hidden range color checkbox radio file submit image reset button"))
        return false;
    return !has_attribute(n, "readonly") && !is_disabled(n);
}

static bool is_checked(const node_t *n)
{
    if (is_tag(n, LXB_TAG_OPTION)) return has_attribute(n, "selected");
    // a text may carry `checked` along
    return is_tag(n, LXB_TAG_INPUT) && has_attribute(n, "checked") &&
           css_attribute_is(n, "type", "checkbox radio");
}

static bool is_empty(const node_t *n)
{
    for (n = n->first_child; n; n = n->next)
        if (n->type != LXB_DOM_NODE_TYPE_COMMENT && n->type != LXB_DOM_NODE_TYPE_PROCESSING_INSTRUCTION)
            return false;
    return true;
}

static bool is_root(const node_t *n)
{
    return n->parent && n->parent->type == LXB_DOM_NODE_TYPE_DOCUMENT;
}

// An element of the same name stands before (or behind) n.
static bool has_twin(query_t *q, node_t *n, bool before)
{
    for (node_t *s = n; (s = before ? element_before(s) : element_after(s));) {
        css_step(q->steps);
        if (s->local_name == n->local_name && s->ns == n->ns) return true;
    }
    return false;
}

static bool match_state(query_t *q, node_t *n, const test_t *t)
{
    switch (t->op) {
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_ANY_LINK:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_LINK:
        return (is_tag(n, LXB_TAG_A) || is_tag(n, LXB_TAG_AREA)) && has_attribute(n, "href");
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_CHECKED: return is_checked(n);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_DISABLED: return is_disabled(n);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_ENABLED: return can_be_disabled(n) && !is_disabled(n);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_EMPTY: return is_empty(n);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FIRST_CHILD: return !element_before(n);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_LAST_CHILD: return !element_after(n);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_ONLY_CHILD: return !element_before(n) && !element_after(n);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FIRST_OF_TYPE: return !has_twin(q, n, true);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_LAST_OF_TYPE: return !has_twin(q, n, false);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_ONLY_OF_TYPE: return !has_twin(q, n, true) && !has_twin(q, n, false);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_OPTIONAL: return is_control(n) && !has_attribute(n, "required");
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_REQUIRED: return is_control(n) && has_attribute(n, "required");
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_READ_ONLY: return !is_read_write(n);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_READ_WRITE: return is_read_write(n);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_ROOT: return is_root(n);
    default: return false;
    }
}

static bool match_list(query_t *q, const css_t *list, node_t *n);

// index = a * k + b for some k >= 0
static bool is_in_series(long a, long b, long index)
{
    if (a == 0) return index == b;
    return (index - b) % a == 0 && (index - b) / a >= 0;
}

static bool match_nth(query_t *q, node_t *n, const test_t *t)
{
    bool from_end = t->op == LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NTH_LAST_CHILD ||
                    t->op == LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NTH_LAST_OF_TYPE;
    bool of_type = t->op == LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NTH_OF_TYPE ||
                   t->op == LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NTH_LAST_OF_TYPE;
    if (t->list && !match_list(q, t->list, n)) return false;
    long index = 1;
    for (node_t *s = n; (s = from_end ? element_after(s) : element_before(s)) && *q->steps > 0;
         css_step(q->steps)) {
        if (of_type && (s->local_name != n->local_name || s->ns != n->ns)) continue;
        if (!t->list || match_list(q, t->list, s)) index++;
    }
    return is_in_series(t->a, t->b, index);
}

static bool stop_at_first(void *ctx, node_t *node)
{
    (void)node;
    *(bool *)ctx = true;
    return false;
}

static int search(const css_t *css, query_t *q, css_found_t found, void *ctx);

static bool match_has(query_t *q, node_t *n, const test_t *t)
{
    bool any = false;
    query_t inner = {.scope = n,
                     .ceiling = n->parent,
                     .self = q->self,
                     .strict = true,
                     .quirks = q->quirks,
                     .steps = q->steps};
    return search(t->list, &inner, stop_at_first, &any) == 0 && any;
}

static bool match_contains(query_t *q, node_t *n, const test_t *t)
{
    size_t len = 0;
    lxb_char_t *text = lxb_dom_node_text_content(n, &len);
    bool found = text && contains_text((const char *)text, len, t->value, t->value_len, t->ignore_case);
    if (text) lxb_dom_document_destroy_text(n->owner_document, text);
    *q->steps -= (int64_t)(len / 8);
    return found;
}

static bool match_test(query_t *q, node_t *n, const test_t *t)
{
    const lxb_dom_element_t *e = lxb_dom_interface_element(n);
    switch (t->kind) {
    case TEST_ANY: return true;
    case TEST_TAG: return match_tag(n, t);
    case TEST_ID: {
        const lexbor_str_t *id = e->attr_id ? value_of(e->attr_id) : NULL;
        return id && id->length == t->name_len &&
               same_text((const char *)id->data, t->name, id->length, q->quirks);
    }
    case TEST_CLASS: {
        const lexbor_str_t *list = e->attr_class ? value_of(e->attr_class) : NULL;
        if (!list) return false;
        *q->steps -= (int64_t)(list->length / 64);
        return has_word((const char *)list->data, list->length, t->name, t->name_len, q->quirks);
    }
    case TEST_ATTRIBUTE: return match_attribute(n, t, q->steps);
    case TEST_STATE: return match_state(q, n, t);
    case TEST_NTH: return match_nth(q, n, t);
    case TEST_LIST: return match_list(q, t->list, n) == (t->op != LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NOT);
    case TEST_HAS: return match_has(q, n, t);
    case TEST_CONTAINS: return match_contains(q, n, t);
    case TEST_LANG: return css_language_is(n, t->value, t->value_len, q->steps);
    case TEST_DIR: return css_direction_is(n, t->value, t->value_len, q->steps);
    case TEST_SCOPE: return is_element(q->self) ? n == q->self : is_root(n);
    case TEST_NEVER: return false;
    }
    return false;
}

static bool match_compound(query_t *q, node_t *n, const compound_t *c)
{
    css_step(q->steps);
    for (size_t i = 0; i < c->n; i++)
        if (!match_test(q, n, &c->tests[i])) return false;
    return true;
}

static node_t *up(const query_t *q, node_t *n)
{
    if (n == q->scope || !n->parent || n->parent == q->ceiling || !is_element(n->parent)) return NULL;
    return n->parent;
}

static node_t *back(const query_t *q, node_t *n)
{
    return n == q->scope ? NULL : element_before(n);
}

// n, which matches the first compound, stands where that one's combinator wants it.
static bool is_anchored(const query_t *q, node_t *n, lxb_css_selector_combinator_t lead)
{
    if (!q->scope) return true;
    switch (lead) {
    case LXB_CSS_SELECTOR_COMBINATOR_CHILD: return n->parent == q->scope;
    case LXB_CSS_SELECTOR_COMBINATOR_SIBLING: return q->outside && element_before(n) == q->scope;
    case LXB_CSS_SELECTOR_COMBINATOR_FOLLOWING: return q->outside && n->parent == q->ceiling;
    default: return q->outside ? n == q->scope && !q->strict : n != q->scope || !q->strict;
    }
}

// n matches compounds[i]: do those before it match, too?
static bool match_before(query_t *q, node_t *n, const complex_t *x, size_t i)
{
    lxb_css_selector_combinator_t combinator = x->compounds[i].combinator;
    if (i == 0) return is_anchored(q, n, combinator);
    bool upwards = combinator == LXB_CSS_SELECTOR_COMBINATOR_DESCENDANT ||
                   combinator == LXB_CSS_SELECTOR_COMBINATOR_CHILD;
    bool once =
        combinator == LXB_CSS_SELECTOR_COMBINATOR_CHILD || combinator == LXB_CSS_SELECTOR_COMBINATOR_SIBLING;
    while ((n = upwards ? up(q, n) : back(q, n)) && *q->steps > 0) {
        if (match_compound(q, n, &x->compounds[i - 1]) && match_before(q, n, x, i - 1)) return true;
        if (once) return false;
    }
    return false;
}

static bool match_any_complex(query_t *q, const css_t *css, node_t *n)
{
    for (size_t i = 0; i < css->n; i++) {
        const complex_t *x = &css->complexes[i];
        if (match_compound(q, n, &x->compounds[x->n - 1]) && match_before(q, n, x, x->n - 1)) return true;
    }
    return false;
}

static bool match_list(query_t *q, const css_t *list, node_t *n)
{
    query_t anywhere = {.self = q->self, .quirks = q->quirks, .steps = q->steps};
    return match_any_complex(&anywhere, list, n);
}

// -- searching ------------------------------------------------------------------------------------

static node_t *next_in(node_t *n, const node_t *root)
{
    if (n->first_child) return n->first_child;
    while (n != root && !n->next) n = n->parent;
    return n == root ? NULL : n->next;
}

// Tries root and all below. 1: found wants no more.
static int search_tree(const css_t *css, query_t *q, node_t *root, css_found_t found, void *ctx)
{
    for (node_t *n = root; n; n = next_in(n, root)) {
        css_step(q->steps);
        if (*q->steps <= 0) return -1;
        if (css->tag ? n->local_name != css->tag : !is_element(n)) continue;
        if (css->classed && is_element(n) && !lxb_dom_interface_element(n)->attr_class) continue;
        if (is_element(n) && match_any_complex(q, css, n) && *q->steps > 0 && !found(ctx, n)) return 1;
    }
    return *q->steps > 0 ? 0 : -1;
}

static int search(const css_t *css, query_t *q, css_found_t found, void *ctx)
{
    q->outside = false;
    int rc = css->inside ? search_tree(css, q, q->scope, found, ctx) : 0;
    q->outside = true;
    node_t *s = q->scope;
    for (size_t i = 0; rc == 0 && i < css->outside && (s = element_after(s)); i++)
        rc = search_tree(css, q, s, found, ctx);
    return rc < 0 ? -1 : 0;
}

int css_find(const css_t *css, node_t *scope, int64_t *steps, css_found_t found, void *ctx)
{
    query_t q = {.scope = scope, .ceiling = scope->parent, .self = scope, .steps = steps};
    q.quirks = scope->owner_document && scope->owner_document->compat_mode == LXB_DOM_DOCUMENT_CMODE_QUIRKS;
    return search(css, &q, found, ctx);
}
