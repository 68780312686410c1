// CSS direction: :dir(), by what an element says or inherits, or by its text (HTML standard, "The dir
// attribute"). Used by css.c only.
#ifndef RTM_MINER_CSS_DIRECTION_H
#define RTM_MINER_CSS_DIRECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lxb_dom_node;

// Is the element's direction the one named, ltr or rtl? *steps: the budget, counted down.
bool css_direction_is(const struct lxb_dom_node *element, const char *name, size_t len, int64_t *steps);

#endif
