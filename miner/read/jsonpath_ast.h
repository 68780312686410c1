// The compiled form of a JSONPath, shared by its parser (jsonpath.c) and its evaluator (jsonpath_eval.c)
// only. Names are those of RFC 9535.
#ifndef RTM_MINER_JSONPATH_AST_H
#define RTM_MINER_JSONPATH_AST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "miner/read/iregexp.h"
#include "miner/read/jsonpath.h"

typedef struct expr expr_t;

typedef enum { SELECT_NAME, SELECT_WILDCARD, SELECT_INDEX, SELECT_SLICE, SELECT_FILTER } selector_kind_t;

typedef struct selector {
    selector_kind_t kind;
    const char *name; // UTF-8, may hold NUL
    size_t name_len;
    int64_t index;           // or the slice's start
    int64_t end, step;       // of a slice
    bool has_start, has_end; // of a slice
    const expr_t *filter;    // a logical expression
    const struct selector *next;
} selector_t;

typedef struct segment {
    bool descendant;
    const selector_t *selectors;
    const struct segment *next;
} segment_t;

typedef struct {
    bool relative; // starts at `@`, not at `$`
    bool singular; // at most one node, by its form
    const segment_t *segments;
} query_t;

typedef enum {
    EXPR_OR,
    EXPR_AND,
    EXPR_NOT,
    EXPR_COMPARE,
    EXPR_QUERY,   // existence in a logical place, else its node or nodes
    EXPR_LITERAL, // value
    EXPR_FUNCTION,
} expr_kind_t;

typedef enum { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE } compare_op_t;
typedef enum { FUNC_LENGTH, FUNC_COUNT, FUNC_MATCH, FUNC_SEARCH, FUNC_VALUE } func_t;

struct expr {
    expr_kind_t kind;
    compare_op_t op;
    func_t func;
    bool paren;            // stood in parentheses: neither a comparable nor a bare function argument
    const expr_t *args[2]; // operands or arguments
    size_t n_args;
    query_t query;
    yyjson_val literal;
    iregexp_t *regexp; // of match and search, where the pattern is a literal
};

struct jsonpath {
    arena_t *arena; // owns all of the above, but for the regular expressions
    query_t query;
    iregexp_t *regexps; // compiled with the query, chained
    iregexp_t *recent;  // the one last compiled from a document's text
};

#endif
