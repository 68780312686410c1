// CSS: a selector list is an array of complex selectors, each an array of compounds, each an array of tests.
// A node is tried from the last compound to the first; going up ends at the scope.
#include "miner/read/css.h"

#include <lexbor/css/css.h>
#include <lexbor/dom/dom.h>
#include <lexbor/html/html.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"
#include "miner/read/effort.h"

typedef lxb_dom_node_t node_t;

enum { MAX_NESTING = 8, MAX_TESTS = 1000 }; // of :is(), :not(), :has() in each other; of one selector list

typedef enum {
    TEST_ANY,
    TEST_TAG,       // id, or name where the id depends on the document
    TEST_ID,        // name
    TEST_CLASS,     // name
    TEST_ATTRIBUTE, // id or name, op, value
    TEST_STATE,     // op: a pseudo-class without arguments
    TEST_NTH,       // op, a, b, list: `of S`
    TEST_LIST,      // op: :is, :where, :not
    TEST_HAS,       // list
    TEST_CONTAINS,  // value
} test_kind_t;

typedef struct {
    test_kind_t kind;
    unsigned op;
    bool presence, ignore_case;
    uintptr_t id; // 0: compare name
    char *name;   // in lower case for tags and attributes
    char *value;
    size_t name_len, value_len;
    long a, b;
    css_t *list;
} test_t;

typedef struct {
    test_t *tests;
    size_t n;
    lxb_css_selector_combinator_t combinator; // to the compound before; of the first one: to the scope
} compound_t;

typedef struct {
    compound_t *compounds;
    size_t n;
} complex_t;

struct css {
    complex_t *complexes;
    size_t n;
    uintptr_t tag;  // what each match must be, so that most nodes need no more than one look; 0: several
    bool classed;   // each match must have a class
    bool inside;    // a match can lie in the scope
    size_t outside; // how many of the siblings that follow the scope a match can lie in
};

// -- compiling ------------------------------------------------------------------------------------

typedef struct {
    lexbor_hash_t *tags, *attributes; // empty: only to look known names up
    char *why;
    size_t size;
    int depth;
    size_t tests;
} compiler_t;

__attribute__((format(printf, 2, 3))) static int refuse(compiler_t *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->why, c->size, fmt, args);
    va_end(args);
    return -1;
}

static char *lower_copy(const lexbor_str_t *s)
{
    char *copy = xstrndup((const char *)s->data, s->length);
    for (char *p = copy; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p |= 0x20;
    return copy;
}

// The values of these attributes are compared without case in HTML (HTML standard, "Case-sensitivity of
// selectors").
static bool value_ignores_case(const char *name)
{
    static const char names[] = " accept accept-charset align alink axis bgcolor charset checked clear "
                                "codetype color compact declare defer dir"
                                " direction disabled enctype face frame hreflang http-equiv lang language "
                                "link media method multiple nohref"
                                " noresize noshade nowrap readonly rel rev rules scope scrolling selected "
                                "shape target text type valign"
                                " valuetype vlink ";
    char padded[40];
    int n = snprintf(padded, sizeof padded, " %s ", name);
    return n < (int)sizeof padded && strstr(names, padded);
}

static int compile_list(compiler_t *c, const lxb_css_selector_list_t *list, css_t **out);

static int compile_attribute(compiler_t *c, const lxb_css_selector_t *s, test_t *t)
{
    const lxb_css_selector_attribute_t *a = &s->u.attribute;
    t->kind = TEST_ATTRIBUTE;
    t->op = a->match;
    t->presence = a->value.data == NULL;
    t->value = t->presence ? NULL : xstrndup((const char *)a->value.data, a->value.length);
    t->value_len = a->value.length;
    t->ignore_case = a->modifier == LXB_CSS_SELECTOR_MODIFIER_I ||
                     (a->modifier == LXB_CSS_SELECTOR_MODIFIER_UNSET && value_ignores_case(t->name));
    const lxb_dom_attr_data_t *known =
        lxb_dom_attr_data_by_local_name(c->attributes, (const lxb_char_t *)t->name, t->name_len);
    t->id = known ? known->attr_id : 0;
    return 0;
}

static int compile_state(compiler_t *c, const lxb_css_selector_t *s, test_t *t)
{
    t->kind = TEST_STATE;
    t->op = s->u.pseudo.type;
    switch (t->op) {
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_ANY_LINK:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_LINK:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_CHECKED:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_DISABLED:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_ENABLED:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_EMPTY:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FIRST_CHILD:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FIRST_OF_TYPE:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_LAST_CHILD:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_LAST_OF_TYPE:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_ONLY_CHILD:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_ONLY_OF_TYPE:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_OPTIONAL:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_REQUIRED:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_READ_ONLY:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_READ_WRITE:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_ROOT: return 0;
    default: return refuse(c, ":%.40s never matches in a document that nobody looks at", t->name);
    }
}

static int compile_nth(compiler_t *c, const lxb_css_selector_t *s, test_t *t)
{
    const lxb_css_selector_anb_of_t *anb = s->u.pseudo.data;
    t->kind = TEST_NTH;
    t->a = anb->anb.a;
    t->b = anb->anb.b;
    return anb->of ? compile_list(c, anb->of, &t->list) : 0;
}

static int compile_function(compiler_t *c, const lxb_css_selector_t *s, test_t *t)
{
    t->op = s->u.pseudo.type;
    switch (t->op) {
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_IS:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_WHERE:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NOT:
        t->kind = TEST_LIST;
        return compile_list(c, s->u.pseudo.data, &t->list);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_HAS:
        t->kind = TEST_HAS;
        return compile_list(c, s->u.pseudo.data, &t->list);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NTH_CHILD:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NTH_LAST_CHILD:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NTH_OF_TYPE:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NTH_LAST_OF_TYPE: return compile_nth(c, s, t);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_LEXBOR_CONTAINS: {
        const lxb_css_selector_contains_t *contains = s->u.pseudo.data;
        t->kind = TEST_CONTAINS;
        t->value = xstrndup((const char *)contains->str.data, contains->str.length);
        t->value_len = contains->str.length;
        t->ignore_case = contains->insensitive;
        return 0;
    }
    default: return refuse(c, ":%.40s() is not supported", t->name);
    }
}

static int compile_test(compiler_t *c, const lxb_css_selector_t *s, test_t *t)
{
    bool folds = s->type == LXB_CSS_SELECTOR_TYPE_ELEMENT || s->type == LXB_CSS_SELECTOR_TYPE_ATTRIBUTE;
    t->name = folds ? lower_copy(&s->name) : xstrndup((const char *)s->name.data, s->name.length);
    t->name_len = s->name.length;
    if (s->ns.data && !(s->ns.length == 1 && *s->ns.data == '*'))
        return refuse(c, "namespace \"%.40s|\" is not declared; use *|", (const char *)s->ns.data);
    switch (s->type) {
    case LXB_CSS_SELECTOR_TYPE_ANY: return t->kind = TEST_ANY, 0;
    case LXB_CSS_SELECTOR_TYPE_ELEMENT: {
        const lxb_tag_data_t *known = lxb_tag_data_by_name(c->tags, (const lxb_char_t *)t->name, t->name_len);
        t->kind = TEST_TAG;
        t->id = known ? known->tag_id : 0;
        return 0;
    }
    case LXB_CSS_SELECTOR_TYPE_ID: return t->kind = TEST_ID, 0;
    case LXB_CSS_SELECTOR_TYPE_CLASS: return t->kind = TEST_CLASS, 0;
    case LXB_CSS_SELECTOR_TYPE_ATTRIBUTE: return compile_attribute(c, s, t);
    case LXB_CSS_SELECTOR_TYPE_PSEUDO_CLASS: return compile_state(c, s, t);
    case LXB_CSS_SELECTOR_TYPE_PSEUDO_CLASS_FUNCTION: return compile_function(c, s, t);
    default: return refuse(c, "\"::%.40s\" is not supported; use ::text or ::attr(name)", t->name);
    }
}

static int compile_complex(compiler_t *c, const lxb_css_selector_list_t *list, complex_t *out)
{
    size_t n = 0;
    for (const lxb_css_selector_t *s = list->first; s; s = s->next) n++;
    if ((c->tests += n) > MAX_TESTS) return refuse(c, "the selector is too long");
    out->compounds = xcalloc(n ? n : 1, sizeof *out->compounds);
    for (const lxb_css_selector_t *s = list->first; s; s = s->next) {
        bool first = s == list->first;
        if (s->combinator == LXB_CSS_SELECTOR_COMBINATOR_CELL)
            return refuse(c, "the combinator \"||\" is not supported");
        if (first || s->combinator != LXB_CSS_SELECTOR_COMBINATOR_CLOSE) {
            out->compounds[out->n].tests = xcalloc(n, sizeof(test_t));
            // within :is() and :not() lexbor calls the first test "close", too
            out->compounds[out->n++].combinator = s->combinator == LXB_CSS_SELECTOR_COMBINATOR_CLOSE
                                                      ? LXB_CSS_SELECTOR_COMBINATOR_DESCENDANT
                                                      : s->combinator;
        }
        compound_t *last = &out->compounds[out->n - 1];
        if (compile_test(c, s, &last->tests[last->n++]) != 0) return -1;
    }
    return out->n ? 0 : refuse(c, "the selector is empty");
}

// How many of the siblings that follow the scope a match can lie in: each + on their level leads one further.
static size_t reach(const complex_t *x)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++) {
        switch (x->compounds[i].combinator) {
        case LXB_CSS_SELECTOR_COMBINATOR_SIBLING: n++; break;
        case LXB_CSS_SELECTOR_COMBINATOR_FOLLOWING: return SIZE_MAX;
        case LXB_CSS_SELECTOR_COMBINATOR_CHILD: return n;
        default:
            if (i > 0) return n; // at the beginning it may be the scope itself that is meant
        }
    }
    return n;
}

// Whether a match can lie in the scope: not where it is to follow the scope.
static bool stays_inside(const complex_t *x)
{
    lxb_css_selector_combinator_t lead = x->compounds[0].combinator;
    return lead != LXB_CSS_SELECTOR_COMBINATOR_SIBLING && lead != LXB_CSS_SELECTOR_COMBINATOR_FOLLOWING;
}

static bool wants_class(const complex_t *x)
{
    const compound_t *last = &x->compounds[x->n - 1];
    for (size_t i = 0; i < last->n; i++)
        if (last->tests[i].kind == TEST_CLASS) return true;
    return false;
}

// The tag that the last compound asks for first, or 0.
static uintptr_t tag_of(const complex_t *x)
{
    const compound_t *last = &x->compounds[x->n - 1];
    return last->tests[0].kind == TEST_TAG ? last->tests[0].id : 0;
}

static int compile_list(compiler_t *c, const lxb_css_selector_list_t *list, css_t **out)
{
    if (++c->depth > MAX_NESTING) return refuse(c, "the selector nests too deeply");
    size_t n = 0;
    for (const lxb_css_selector_list_t *l = list; l; l = l->next) n++;
    css_t *css = *out = xcalloc(1, sizeof *css);
    css->complexes = xcalloc(n ? n : 1, sizeof *css->complexes);
    for (; list; list = list->next) {
        complex_t *x = &css->complexes[css->n++];
        if (compile_complex(c, list, x) != 0) return -1;
        if (reach(x) > css->outside) css->outside = reach(x);
        css->inside = css->inside || stays_inside(x);
        css->classed = wants_class(x) && (css->n == 1 || css->classed);
        css->tag = css->n == 1 || css->tag == tag_of(x) ? tag_of(x) : 0;
    }
    c->depth--;
    return 0;
}

static void explain(lxb_css_parser_t *parser, compiler_t *c)
{
    lexbor_array_obj_t *messages = &parser->log->messages;
    const lxb_css_log_message_t *m = lexbor_array_obj_get(messages, 0);
    if (!m || lexbor_array_obj_length(messages) == 0) {
        snprintf(c->why, c->size, "no valid CSS selector");
        return;
    }
    const char *text = (const char *)m->text.data;
    int len = (int)m->text.length, skip = len > 11 && memcmp(text, "Selectors. ", 11) == 0 ? 11 : 0;
    snprintf(c->why, c->size, "no valid CSS selector: %.*s", len - skip > 80 ? 80 : len - skip, text + skip);
}

css_t *css_new(const char *text, size_t len, char *why, size_t size)
{
    css_t *css = NULL;
    compiler_t c = {
        .why = why, .size = size, .tags = lexbor_hash_create(), .attributes = lexbor_hash_create()};
    lxb_css_parser_t *parser = lxb_css_parser_create();
    CHECK(lexbor_hash_init(c.tags, 8, sizeof(lxb_tag_data_t)) == LXB_STATUS_OK);
    CHECK(lexbor_hash_init(c.attributes, 8, sizeof(lxb_dom_attr_data_t)) == LXB_STATUS_OK);
    CHECK(lxb_css_parser_init(parser, NULL) == LXB_STATUS_OK);
    lxb_css_memory_t *memory = lxb_css_memory_create();
    CHECK(lxb_css_memory_init(memory, 64) == LXB_STATUS_OK);
    lxb_css_parser_memory_set(parser, memory);
    lxb_css_selector_list_t *list =
        lxb_css_selectors_parse_relative_list(parser, (const lxb_char_t *)text, len);
    if (!list)
        explain(parser, &c);
    else if (compile_list(&c, list, &css) != 0)
        css_destroy(&css);
    lxb_css_memory_destroy(memory, true);
    lxb_css_parser_destroy(parser, true);
    lexbor_hash_destroy(c.tags, true);
    lexbor_hash_destroy(c.attributes, true);
    return css;
}

static void free_compound(compound_t *compound)
{
    for (size_t i = 0; i < compound->n; i++) {
        free(compound->tests[i].name);
        free(compound->tests[i].value);
        css_destroy(&compound->tests[i].list);
    }
    free(compound->tests);
}

void css_destroy(css_t **css)
{
    if (!*css) return;
    for (size_t i = 0; i < (*css)->n; i++) {
        complex_t *x = &(*css)->complexes[i];
        for (size_t k = 0; k < x->n; k++) free_compound(&x->compounds[k]);
        free(x->compounds);
    }
    free((*css)->complexes);
    free(*css);
    *css = NULL;
}

// -- matching -------------------------------------------------------------------------------------

// One search. Moves from a node to another never leave the scope's subtree and the siblings that follow it.
typedef struct {
    node_t *scope;   // NULL: no bounds (:is, :not)
    node_t *ceiling; // its parent
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

// Counts one down; nothing is left when the document's time is up.
static void step(int64_t *steps)
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

static bool is_disabled(const node_t *n)
{
    if (!can_be_disabled(n)) return false;
    if (has_attribute(n, "disabled")) return true;
    for (const node_t *p = n->parent; p; p = p->parent) {
        if (is_tag(n, LXB_TAG_OPTION) && is_tag(p, LXB_TAG_OPTGROUP) && has_attribute(p, "disabled"))
            return true;
        if (!is_tag(n, LXB_TAG_OPTION) && is_tag(p, LXB_TAG_FIELDSET) && has_attribute(p, "disabled"))
            return true;
    }
    return false;
}

static bool is_read_write(const node_t *n)
{
    if (has_attribute(n, "contenteditable")) return true;
    bool text = is_tag(n, LXB_TAG_INPUT) || is_tag(n, LXB_TAG_TEXTAREA);
    return text && !has_attribute(n, "readonly") && !is_disabled(n);
}

static bool is_checked(const node_t *n)
{
    return (is_tag(n, LXB_TAG_INPUT) && has_attribute(n, "checked")) ||
           (is_tag(n, LXB_TAG_OPTION) && has_attribute(n, "selected"));
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
        step(q->steps);
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
         step(q->steps)) {
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
    query_t inner = {
        .scope = n, .ceiling = n->parent, .strict = true, .quirks = q->quirks, .steps = q->steps};
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
    }
    return false;
}

static bool match_compound(query_t *q, node_t *n, const compound_t *c)
{
    step(q->steps);
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
    query_t anywhere = {.quirks = q->quirks, .steps = q->steps};
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
        step(q->steps);
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
    query_t q = {.scope = scope, .ceiling = scope->parent, .steps = steps};
    q.quirks = scope->owner_document && scope->owner_document->compat_mode == LXB_DOM_DOCUMENT_CMODE_QUIRKS;
    return search(css, &q, found, ctx);
}
