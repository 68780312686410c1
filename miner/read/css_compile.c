// CSS compile: lexbor's parser gives a tree, which becomes arrays of tests.
#include <lexbor/css/css.h>
#include <lexbor/dom/dom.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "miner/read/css_parts.h"
#include "miner/read/css_source.h"

enum {
    MAX_NESTING = 8,        // of :is(), :not(), :has() in each other
    MAX_TESTS = 1000,       // of one selector list
    MAX_SOURCE = 256 << 10, // bytes of its text, as lexbor gets it
};

typedef struct {
    lexbor_hash_t *tags, *attributes; // empty: only to look known names up
    char *why;
    size_t size;
    int depth, forgiving; // of lists in each other; of :is and :where
    bool in_has;
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
    static const char names[] = " accept accept-charset align alink axis bgcolor charset checked clear"
                                " codetype color compact declare defer dir direction disabled enctype face"
                                " frame hreflang http-equiv lang language link media method multiple nohref"
                                " noresize noshade nowrap readonly rel rev rules scope scrolling selected"
                                " shape target text type valign valuetype vlink ";
    char padded[40];
    int n = snprintf(padded, sizeof padded, " %s ", name);
    return n < (int)sizeof padded && strstr(names, padded);
}

static int compile_list(compiler_t *c, const lxb_css_selector_list_t *list, css_t **out);

// What css_source wrote as an attribute.
static test_kind_t kind_of_name(const char *name)
{
    return !strcmp(name, CSS_LANG)    ? TEST_LANG
           : !strcmp(name, CSS_DIR)   ? TEST_DIR
           : !strcmp(name, CSS_SCOPE) ? TEST_SCOPE
           : !strcmp(name, CSS_NEVER) ? TEST_NEVER
                                      : TEST_ATTRIBUTE;
}

static int compile_attribute(compiler_t *c, const lxb_css_selector_t *s, test_t *t)
{
    const lxb_css_selector_attribute_t *a = &s->u.attribute;
    t->kind = kind_of_name(t->name);
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
    default: return refuse(c, ":%.40s is not supported", t->name);
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

// Of a list that forgives: what is no selector in it matches nothing, and does no harm.
static int compile_forgiving(compiler_t *c, const lxb_css_selector_t *s, test_t *t)
{
    c->forgiving++;
    int rc = compile_list(c, s->u.pseudo.data, &t->list);
    c->forgiving--;
    return rc;
}

// :has() does not stand in :has() (Selectors Level 4, 4.5), where it would cost the most.
static int compile_has(compiler_t *c, const lxb_css_selector_t *s, test_t *t)
{
    t->kind = TEST_HAS;
    if (c->in_has && c->forgiving) return t->kind = TEST_NEVER, 0;
    if (c->in_has) return refuse(c, ":has() does not stand in :has()");
    int forgiving = c->forgiving;
    c->in_has = true;
    c->forgiving = 0;
    int rc = compile_list(c, s->u.pseudo.data, &t->list);
    c->in_has = false;
    c->forgiving = forgiving;
    return rc;
}

static int compile_function(compiler_t *c, const lxb_css_selector_t *s, test_t *t)
{
    t->op = s->u.pseudo.type;
    switch (t->op) {
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_IS:
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_WHERE: return t->kind = TEST_LIST, compile_forgiving(c, s, t);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_NOT:
        t->kind = TEST_LIST;
        return compile_list(c, s->u.pseudo.data, &t->list);
    case LXB_CSS_SELECTOR_PSEUDO_CLASS_FUNCTION_HAS: return compile_has(c, s, t);
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

// How many tests there are from s on, up to the next combinator.
static size_t length_of_compound(const lxb_css_selector_t *s)
{
    size_t n = 1;
    while ((s = s->next) && s->combinator == LXB_CSS_SELECTOR_COMBINATOR_CLOSE) n++;
    return n;
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
            out->compounds[out->n].tests = xcalloc(length_of_compound(s), sizeof(test_t));
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

// What is left out of a list is logged; it may be only where lists forgive.
static lxb_css_selector_list_t *parse(lxb_css_parser_t *parser, compiler_t *c, const char *text, size_t len)
{
    buf_t source;
    bool forgiving;
    lxb_css_selector_list_t *list = NULL;
    buf_init(&source, MAX_SOURCE);
    if (css_source(text, len, &source, &forgiving, c->why, c->size) == 0) {
        list = lxb_css_selectors_parse_relative_list(parser, (const lxb_char_t *)source.data, source.len);
        if (!forgiving && lexbor_array_obj_length(&parser->log->messages)) list = NULL;
        if (!list) explain(parser, c);
    }
    buf_free(&source);
    return list;
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
    lxb_css_selector_list_t *list = parse(parser, &c, text, len);
    if (list && compile_list(&c, list, &css) != 0) css_destroy(&css);
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
