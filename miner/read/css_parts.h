// CSS parts: a compiled selector. css_compile.c makes it, css.c matches it.
#ifndef RTM_MINER_CSS_PARTS_H
#define RTM_MINER_CSS_PARTS_H

#include <lexbor/css/css.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "miner/read/css.h"

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
    TEST_LANG,      // value: ranges
    TEST_DIR,       // value
    TEST_SCOPE,
    TEST_NEVER,
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

// Counts one down; nothing is left when the document's time is up.
void css_step(int64_t *steps);

// The element's attribute has one of these words ("a b") as its value, without case.
bool css_attribute_is(const lxb_dom_node_t *element, const char *name, const char *words);

#endif
