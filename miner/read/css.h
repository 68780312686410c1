// CSS: selectors (Selectors Level 4, as far as a document without a user has them) compiled from lexbor's
// parser and matched on lexbor's tree. The matching is ours, because it must stop: each test of a node costs
// a step of a budget that is shared by a whole document.
#ifndef RTM_MINER_CSS_H
#define RTM_MINER_CSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lxb_dom_node;

typedef struct css css_t; // a compiled selector list: "a.x > b, i"

// Compiles text. NULL: why (of size bytes) says what is wrong.
css_t *css_new(const char *text, size_t len, char *why, size_t size);
void css_destroy(css_t **css);

// Called for each match in document order; false ends the search.
typedef bool (*css_found_t)(void *ctx, struct lxb_dom_node *node);

// Finds what css matches from scope: its descendants and scope itself. A selector that starts with > + ~ is
// meant relative to scope, so that + and ~ find siblings of scope and what these hold. scope may be a
// document. *steps is the budget, counted down. 0; -1: the budget ran out.
int css_find(const css_t *css, struct lxb_dom_node *scope, int64_t *steps, css_found_t found, void *ctx);

#endif
