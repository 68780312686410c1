// CSS language: :lang(), which what an element inherits decides. Used by css.c, and by XPath's lang().
#ifndef RTM_MINER_CSS_LANGUAGE_H
#define RTM_MINER_CSS_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lxb_dom_node;

// Is the element's language in one of the ranges ("en,*-CH", RFC 4647, extended filtering)? The empty range
// means no language. *steps: the budget, counted down.
bool css_language_is(const struct lxb_dom_node *element, const char *ranges, size_t len, int64_t *steps);

#endif
