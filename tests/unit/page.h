// Page: a parsed page, and what selectors find in it; for tests of selectors.
#ifndef RTM_TESTS_PAGE_H
#define RTM_TESTS_PAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lexbor/html/html.h>

#include "miner/read/dom.h"
#include "miner/read/select.h"

typedef struct {
    arena_t *arena;
    dom_t *dom;
    lxb_dom_node_t *root;
} page_t;

static inline void page_open(page_t *p, const char *html)
{
    char detail[200];
    p->arena = arena_new(4 << 20);
    p->dom = dom_new();
    assert_int_equal(dom_parse(p->dom, html, strlen(html), &p->root, detail), READ_OK);
}

static inline void page_close(page_t *p)
{
    dom_clean(p->dom);
    dom_destroy(&p->dom);
    arena_destroy(&p->arena);
}

static inline lxb_dom_node_t *page_element(const page_t *p, const char *id)
{
    return lxb_dom_interface_node(lxb_dom_element_by_id(lxb_dom_interface_element(p->root->first_child->next),
                                                        (const lxb_char_t *)id, strlen(id)));
}

typedef struct {
    const selector_t *selector;
    arena_t *arena;
    char out[400];
} listing_t;

static inline void page_add(listing_t *l, const char *text, size_t len)
{
    size_t at = strlen(l->out);
    snprintf(l->out + at, sizeof l->out - at, "%s%.*s", at ? " " : "", (int)len, text);
}

// What is said of an element that a selector matches: its id, or NULL.
static inline const char *page_id(lxb_dom_node_t *node, size_t *len)
{
    return (const char *)lxb_dom_element_get_attribute(lxb_dom_interface_element(node),
                                                       (const lxb_char_t *)"id", 2, len);
}

// What add makes of the selector's matches from scope.
static inline void page_expect(page_t *p, lxb_dom_node_t *scope, const char *selector, const char *matches,
                               bool (*add)(void *listing, lxb_dom_node_t *node))
{
    template_error_t error;
    selector_t *sel = selector_new(selector, "items", &error);
    if (!sel) fail_msg("%s: %s", selector, error.text);
    listing_t l = {.selector = sel, .arena = p->arena};
    int64_t steps = 100000;
    assert_int_equal(select_each(sel, scope, &steps, add, &l), READ_OK);
    if (strcmp(l.out, matches) != 0) fail_msg("`%s` gives \"%s\", not \"%s\"", selector, l.out, matches);
    selector_destroy(&sel);
}

#endif
