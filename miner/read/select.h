// Select: one selector of a template. `xpath:` and an XPath 1.0 expression, or CSS, and behind it what is
// taken of the element: `::text` its text,
// `::attr(name)` an attribute, `::content` the attribute `content` or else the text. Without CSS before it,
// the item itself is meant.
#ifndef RTM_MINER_SELECT_H
#define RTM_MINER_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "miner/read/read.h"
#include "proto/template.h"

struct lxb_dom_node;

typedef struct selector selector_t;

// path: where the selector stands, for the error. NULL: *error says why.
selector_t *selector_new(const char *text, const char *path, template_error_t *error);
void selector_destroy(selector_t **selector);
// Takes an element, not a text or an attribute of it.
bool selector_is_plain(const selector_t *selector);

// Called for each element found, in document order; false ends the search. XPath finds attributes, texts and
// other values, too: node is then a leaf, and a text that is no part of the page lives only until the call
// ends.
typedef bool (*select_found_t)(void *ctx, struct lxb_dom_node *node);
// READ_OK, or READ_TOO_COMPLEX when *steps, the document's budget, is used up.
read_status_t select_each(const selector_t *selector, struct lxb_dom_node *scope, int64_t *steps,
                          select_found_t found, void *ctx);

// No element, but a text or attribute: no items can be read from it.
bool select_is_leaf(const struct lxb_dom_node *node);

// What is taken of node for a field of type: without `::...` the markup within (html), href or src (url),
// datetime (time), else the text. One line of text where one_line. false: node has no such attribute.
// READ_TOO_BIG: the arena is full.
typedef struct {
    const char *text; // NULL: nothing
    size_t len;
} raw_t;
read_status_t select_take(const selector_t *selector, struct lxb_dom_node *node, field_type_t type,
                          bool one_line, arena_t *arena, raw_t *out);

#endif
