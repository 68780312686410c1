// Hint: for a selector that matches nothing in a page, one that matches what probably was meant: something
// that the page repeats, of the same element, with much text, or with a similar name. For `rtm-ctl try`.
#ifndef RTM_MINER_HINT_H
#define RTM_MINER_HINT_H

#include "miner/read/read.h"

typedef struct {
    const char *field;    // "items" or a field's name
    const char *selector; // that matches nothing
    const char *instead;  // with the same `::...` behind it; NULL: selector matches, but gives no value
    const char *value;    // ... the first text that it gives
    const char *why;      // ... "no date", "nothing"
    size_t matches;       // elements; for a field: items that have one
} hint_t;

// Hints for a template of kind html: for `items` if all of its selectors match nothing in document, else for
// each field of which that is true, or whose first selector gives no value. matches:
// items_t.selector_matches. At most max, in the template's order; texts live in arena. Returns their number;
// pages that cannot be read, XPath and bare suffixes get none.
size_t hint_html(const template_t *template, arena_t *arena, const document_t *document,
                 const size_t *matches, hint_t *out, size_t max);

#endif
