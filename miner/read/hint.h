// Hint: for a selector that matches nothing in a page, one that matches what probably was meant: something
// that the page repeats, of the same element, with much text, or with a similar name. For a JSONPath: what
// there is where it leads. For `rtm-ctl try`.
#ifndef RTM_MINER_HINT_H
#define RTM_MINER_HINT_H

#include "miner/read/read.h"

typedef struct {
    const char *field;    // "items" or a field's name
    const char *selector; // that matches nothing
    const char *instead;  // with the same `::...` behind it; NULL: see why
    const char *why;      // it gives no value: "no date in", "`$.user` has"
    const char *value;    // ... the first text that it gives, or the names of members; NULL: none
    size_t matches;       // elements; for a field: items that have one
} hint_t;

// Hints for a list (or, detail, for a detail page) of kind html or json: for `items` if all of its selectors
// match nothing in document, else for each field of which no selector gives a value. matches:
// items_t.selector_matches. At most max, in the template's order; texts live in arena. Returns their number;
// documents that cannot be read and XPath get none. With `script` document is what items_t.script says.
size_t hint_all(const template_t *template, bool detail, arena_t *arena, const document_t *document,
                const size_t *matches, hint_t *out, size_t max);

// Why a text is no value of field: "no date".
const char *hint_why_none(const field_t *field);
// The part for JSON.
size_t hint_json(const template_t *template, bool detail, arena_t *arena, const document_t *document,
                 const size_t *matches, hint_t *out, size_t max);

#endif
