// JSONPath, the parser: a recursive descent over the grammar of RFC 9535 (collected in its appendix A), with
// the checks of well-typedness (2.4.3) where a function is called. What it builds lives in one arena.
#include "miner/read/jsonpath.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/charset.h"
#include "miner/read/jsonpath_ast.h"

enum { MAX_NESTING = 64, ARENA_MAX = 4 << 20 };

static const int64_t INT_BOUND = 9007199254740991; // 2^53 - 1

typedef struct {
    const char *start, *p, *end;
    jsonpath_t *path;
    jsonpath_error_t *error;
    int depth;
} parser_t;

// -- small things ---------------------------------------------------------------------------------

__attribute__((format(printf, 2, 3))) static bool fail(parser_t *ps, const char *fmt, ...)
{
    ps->error->offset = (size_t)(ps->p - ps->start);
    va_list args;
    va_start(args, fmt);
    vsnprintf(ps->error->text, sizeof ps->error->text, fmt, args);
    va_end(args);
    return false;
}

static bool fail_at(parser_t *ps, const char *where, const char *text)
{
    ps->p = where;
    return fail(ps, "%s", text);
}

static void *make(parser_t *ps, size_t size)
{
    void *p = arena_calloc(ps->path->arena, 1, size);
    CHECK(p); // the query's length bounds what it needs
    return p;
}

static bool more(const parser_t *ps)
{
    return ps->p < ps->end;
}

static bool at(const parser_t *ps, char c)
{
    return more(ps) && *ps->p == c;
}

static bool at_text(const parser_t *ps, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(ps->end - ps->p) >= len && memcmp(ps->p, text, len) == 0;
}

static bool take(parser_t *ps, const char *text)
{
    if (!at_text(ps, text)) return false;
    ps->p += strlen(text);
    return true;
}

static void skip_blanks(parser_t *ps)
{
    while (more(ps) && (*ps->p == ' ' || *ps->p == '\t' || *ps->p == '\n' || *ps->p == '\r')) ps->p++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool at_digit(const parser_t *ps)
{
    return more(ps) && is_digit(*ps->p);
}

static bool is_name_first(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

// -- literals -------------------------------------------------------------------------------------

static int hex_value(char c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool parse_hex4(parser_t *ps, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++, ps->p++) {
        int digit = more(ps) ? hex_value(*ps->p) : -1;
        if (digit < 0) return fail(ps, "\\u needs four hexadecimal digits");
        *value = *value * 16 + (uint32_t)digit;
    }
    return true;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    int tail = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
    *out++ = (char)(first[tail] | (c >> (6 * tail)));
    while (tail--) *out++ = (char)(0x80 | ((c >> (6 * tail)) & 0x3F));
    return out;
}

static bool parse_unicode_escape(parser_t *ps, char **out)
{
    const char *start = ps->p;
    uint32_t c, low;
    if (!parse_hex4(ps, &c)) return false;
    if (c >= 0xDC00 && c <= 0xDFFF) return fail_at(ps, start, "a low surrogate without a high one before it");
    if (c >= 0xD800 && c <= 0xDBFF) {
        if (!take(ps, "\\u")) return fail_at(ps, start, "a high surrogate without a low one behind it");
        if (!parse_hex4(ps, &low)) return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail_at(ps, start, "a high surrogate without a low one behind it");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    *out = put_utf8(*out, c);
    return true;
}

static bool parse_escape(parser_t *ps, char quote, char **out)
{
    ps->p++;
    if (!more(ps)) return fail(ps, "the string is not closed");
    char c = *ps->p++;
    switch (c) {
    case 'b': *(*out)++ = '\b'; return true;
    case 'f': *(*out)++ = '\f'; return true;
    case 'n': *(*out)++ = '\n'; return true;
    case 'r': *(*out)++ = '\r'; return true;
    case 't': *(*out)++ = '\t'; return true;
    case '/':
    case '\\': *(*out)++ = c; return true;
    case 'u': return parse_unicode_escape(ps, out);
    }
    if (c != quote) return fail_at(ps, ps->p - 1, "no such escape sequence");
    *(*out)++ = c;
    return true;
}

// A quoted string at ps->p, decoded into the arena.
static bool parse_string(parser_t *ps, const char **text, size_t *len)
{
    char quote = *ps->p++;
    char *out = make(ps, (size_t)(ps->end - ps->p) + 1);
    *text = out;
    while (more(ps) && *ps->p != quote) {
        if (*ps->p == '\\') {
            if (!parse_escape(ps, quote, &out)) return false;
        } else if ((unsigned char)*ps->p < 0x20) {
            return fail(ps, "a control character in a string must be escaped");
        } else {
            *out++ = *ps->p++;
        }
    }
    if (!more(ps)) return fail(ps, "the string is not closed");
    ps->p++;
    *len = (size_t)(out - *text);
    return true;
}

// The ABNF's `int` at ps->p: no leading zeros, no -0, within the exact range of a double.
static bool parse_int(parser_t *ps, int64_t *value)
{
    const char *start = ps->p;
    bool negative = take(ps, "-");
    if (!at_digit(ps)) return fail(ps, "a digit was expected");
    const char *digits = ps->p;
    *value = 0;
    for (; at_digit(ps); ps->p++) {
        *value = *value * 10 + (*ps->p - '0');
        if (*value > INT_BOUND) return fail_at(ps, start, "integers go from -(2^53-1) to 2^53-1");
    }
    if (*digits == '0' && (ps->p - digits > 1 || negative))
        return fail_at(ps, start, "an integer has no leading zero, and no -0");
    if (negative) *value = -*value;
    return true;
}

static bool parse_digits(parser_t *ps)
{
    if (!at_digit(ps)) return fail(ps, "a digit was expected");
    while (at_digit(ps)) ps->p++;
    return true;
}

// A number keeps its text: the evaluator compares it without loss.
static bool parse_number(parser_t *ps, yyjson_val *literal)
{
    const char *start = ps->p;
    (void)take(ps, "-");
    const char *digits = ps->p;
    if (!parse_digits(ps)) return false;
    if (*digits == '0' && ps->p - digits > 1) return fail_at(ps, start, "a number has no leading zero");
    if (take(ps, ".") && !parse_digits(ps)) return false;
    if (take(ps, "e") || take(ps, "E")) {
        if (!take(ps, "-")) (void)take(ps, "+");
        if (!parse_digits(ps)) return false;
    }
    size_t len = (size_t)(ps->p - start);
    char *text = make(ps, len + 1);
    memcpy(text, start, len);
    return yyjson_set_raw(literal, text, len);
}

// -- segments and selectors -----------------------------------------------------------------------

static expr_t *parse_or(parser_t *ps);
static bool parse_segments(parser_t *ps, query_t *query);

static bool enter(parser_t *ps)
{
    return ++ps->depth <= MAX_NESTING ? true : fail(ps, "nested too deeply");
}

// A filter's or function's expression must be of LogicalType where it decides.
static bool check_logical(parser_t *ps, const char *where, const expr_t *e)
{
    if (e->kind == EXPR_LITERAL) return fail_at(ps, where, "a literal alone is no condition: compare it");
    if (e->kind == EXPR_FUNCTION && e->func != FUNC_MATCH && e->func != FUNC_SEARCH)
        return fail_at(ps, where, "the function's result is a value: compare it");
    return true;
}

static bool parse_filter(parser_t *ps, selector_t *s)
{
    s->kind = SELECT_FILTER;
    ps->p++;
    skip_blanks(ps);
    if (!enter(ps)) return false;
    s->filter = parse_or(ps);
    ps->depth--;
    return s->filter != NULL;
}

// An optional int and the blanks behind it.
static bool parse_bound(parser_t *ps, int64_t *value, bool *has)
{
    *has = at(ps, '-') || at_digit(ps);
    if (*has && !parse_int(ps, value)) return false;
    return true;
}

static bool parse_index_or_slice(parser_t *ps, selector_t *s)
{
    bool has_step;
    if (!parse_bound(ps, &s->index, &s->has_start)) return false;
    const char *behind = ps->p;
    skip_blanks(ps);
    if (!take(ps, ":")) {
        ps->p = behind;
        s->kind = SELECT_INDEX;
        return s->has_start ? true : fail(ps, "a selector was expected: 'name', *, index, slice or ?filter");
    }
    s->kind = SELECT_SLICE;
    s->step = 1;
    skip_blanks(ps);
    if (!parse_bound(ps, &s->end, &s->has_end)) return false;
    behind = ps->p;
    skip_blanks(ps);
    if (!take(ps, ":")) {
        ps->p = behind;
        return true;
    }
    behind = ps->p;
    skip_blanks(ps);
    if (!parse_bound(ps, &s->step, &has_step)) return false;
    if (!has_step) ps->p = behind;
    return true;
}

static bool parse_selector(parser_t *ps, selector_t *s)
{
    if (at(ps, '\'') || at(ps, '"')) {
        s->kind = SELECT_NAME;
        return parse_string(ps, &s->name, &s->name_len);
    }
    if (take(ps, "*")) {
        s->kind = SELECT_WILDCARD;
        return true;
    }
    return at(ps, '?') ? parse_filter(ps, s) : parse_index_or_slice(ps, s);
}

static bool parse_brackets(parser_t *ps, segment_t *segment)
{
    const selector_t **tail = &segment->selectors;
    ps->p++;
    do {
        selector_t *s = make(ps, sizeof *s);
        *tail = s;
        tail = &s->next;
        skip_blanks(ps);
        if (!parse_selector(ps, s)) return false;
        skip_blanks(ps);
    } while (take(ps, ","));
    return take(ps, "]") ? true : fail(ps, "',' or ']' was expected");
}

// `name` or `*` behind a dot.
static bool parse_shorthand(parser_t *ps, segment_t *segment)
{
    selector_t *s = make(ps, sizeof *s);
    segment->selectors = s;
    if (take(ps, "*")) {
        s->kind = SELECT_WILDCARD;
        return true;
    }
    if (!more(ps) || !is_name_first(*ps->p)) return fail(ps, "a name or * was expected");
    s->kind = SELECT_NAME;
    s->name = ps->p;
    while (more(ps) && (is_name_first(*ps->p) || is_digit(*ps->p))) ps->p++;
    s->name_len = (size_t)(ps->p - s->name);
    return true;
}

static bool parse_segment(parser_t *ps, segment_t *segment)
{
    segment->descendant = take(ps, "..");
    if (at(ps, '[')) return parse_brackets(ps, segment);
    if (!segment->descendant) ps->p++;
    return parse_shorthand(ps, segment);
}

static bool is_singular(const segment_t *segment)
{
    const selector_t *s = segment->selectors;
    return !segment->descendant && !s->next && (s->kind == SELECT_NAME || s->kind == SELECT_INDEX);
}

static bool parse_segments(parser_t *ps, query_t *query)
{
    const segment_t **tail = &query->segments;
    query->singular = true;
    for (;;) {
        const char *behind = ps->p;
        skip_blanks(ps);
        if (!at(ps, '.') && !at(ps, '[')) {
            ps->p = behind;
            return true;
        }
        segment_t *segment = make(ps, sizeof *segment);
        *tail = segment;
        tail = &segment->next;
        if (!parse_segment(ps, segment)) return false;
        query->singular = query->singular && is_singular(segment);
    }
}

// -- filter expressions ---------------------------------------------------------------------------

static expr_t *new_expr(parser_t *ps, expr_kind_t kind)
{
    expr_t *e = make(ps, sizeof *e);
    e->kind = kind;
    return e;
}

static expr_t *new_pair(parser_t *ps, expr_kind_t kind, const expr_t *a, const expr_t *b)
{
    expr_t *e = new_expr(ps, kind);
    e->args[0] = a;
    e->args[1] = b;
    e->n_args = b ? 2 : 1;
    return e;
}

// What a parameter takes (2.4.1): each function of the RFC has parameters of one type.
static const struct {
    const char *name;
    size_t n_params;
    bool nodes; // NodesType, else ValueType
} functions[] = {
    [FUNC_LENGTH] = {"length", 1, false}, [FUNC_COUNT] = {"count", 1, true},
    [FUNC_MATCH] = {"match", 2, false},   [FUNC_SEARCH] = {"search", 2, false},
    [FUNC_VALUE] = {"value", 1, true},
};

static bool returns_value(const expr_t *e)
{
    return e->func == FUNC_LENGTH || e->func == FUNC_COUNT || e->func == FUNC_VALUE;
}

// Is e a value: a literal, a singular query, a function that returns one?
static bool is_comparable(const expr_t *e)
{
    if (e->paren) return false;
    if (e->kind == EXPR_QUERY) return e->query.singular;
    return e->kind == EXPR_LITERAL || (e->kind == EXPR_FUNCTION && returns_value(e));
}

static bool check_argument(parser_t *ps, const char *where, func_t func, const expr_t *e)
{
    if (functions[func].nodes) {
        if (e->kind == EXPR_QUERY && !e->paren) return true;
        ps->p = where;
        return fail(ps, "%s() takes a query", functions[func].name);
    }
    if (is_comparable(e)) return true;
    ps->p = where;
    return fail(ps, "%s() takes values: a literal, a query for one node, a function of a value",
                functions[func].name);
}

static expr_t *parse_argument(parser_t *ps);

static bool parse_arguments(parser_t *ps, expr_t *call)
{
    skip_blanks(ps);
    if (take(ps, ")")) return true;
    do {
        skip_blanks(ps);
        const char *where = ps->p;
        if (call->n_args == functions[call->func].n_params)
            return fail(ps, "too many arguments for %s()", functions[call->func].name);
        const expr_t *arg = parse_argument(ps);
        if (!arg || !check_argument(ps, where, call->func, arg)) return false;
        call->args[call->n_args++] = arg;
        skip_blanks(ps);
    } while (take(ps, ","));
    return take(ps, ")") ? true : fail(ps, "',' or ')' was expected");
}

static void compile_regexp(parser_t *ps, expr_t *call)
{
    yyjson_val *pattern = (yyjson_val *)&call->args[1]->literal;
    if (call->args[1]->kind != EXPR_LITERAL || !yyjson_is_str(pattern)) return;
    call->regexp = iregexp_new(yyjson_get_str(pattern), yyjson_get_len(pattern), call->func == FUNC_MATCH);
    call->regexp->next = ps->path->regexps;
    ps->path->regexps = call->regexp;
}

static expr_t *parse_function(parser_t *ps)
{
    const char *name = ps->p;
    while (more(ps) && ((*ps->p >= 'a' && *ps->p <= 'z') || *ps->p == '_' || is_digit(*ps->p))) ps->p++;
    size_t len = (size_t)(ps->p - name);
    if (!at(ps, '(')) return fail_at(ps, name, "a query, literal or function was expected"), NULL;
    expr_t *call = NULL;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strlen(functions[i].name) != len || memcmp(functions[i].name, name, len) != 0) continue;
        call = new_expr(ps, EXPR_FUNCTION);
        call->func = (func_t)i;
    }
    if (!call) return fail_at(ps, name, "no such function"), NULL;
    ps->p++;
    if (!enter(ps) || !parse_arguments(ps, call)) return NULL;
    ps->depth--;
    if (call->n_args < functions[call->func].n_params)
        return fail(ps, "too few arguments for %s()", functions[call->func].name), NULL;
    if (call->func == FUNC_MATCH || call->func == FUNC_SEARCH) compile_regexp(ps, call);
    return call;
}

static bool at_word(const parser_t *ps, const char *word)
{
    size_t len = strlen(word);
    if (!at_text(ps, word)) return false;
    const char *p = ps->p + len;
    return p == ps->end || !(is_name_first(*p) || is_digit(*p) || *p == '(');
}

static bool parse_literal(parser_t *ps, expr_t *e)
{
    const char *text = NULL;
    size_t len = 0;
    if (at(ps, '"') || at(ps, '\''))
        return parse_string(ps, &text, &len) && yyjson_set_strn(&e->literal, text, len);
    if (at(ps, '-') || at_digit(ps)) return parse_number(ps, &e->literal);
    if (at_word(ps, "true")) return take(ps, "true") && yyjson_set_bool(&e->literal, true);
    if (at_word(ps, "false")) return take(ps, "false") && yyjson_set_bool(&e->literal, false);
    return take(ps, "null") && yyjson_set_null(&e->literal);
}

static bool at_literal(const parser_t *ps)
{
    return at(ps, '"') || at(ps, '\'') || at(ps, '-') || at_digit(ps) || at_word(ps, "true") ||
           at_word(ps, "false") || at_word(ps, "null");
}

static expr_t *parse_query_expr(parser_t *ps)
{
    expr_t *e = new_expr(ps, EXPR_QUERY);
    e->query.relative = *ps->p++ == '@';
    if (!enter(ps) || !parse_segments(ps, &e->query)) return NULL;
    ps->depth--;
    return e;
}

static expr_t *parse_paren(parser_t *ps)
{
    ps->p++;
    skip_blanks(ps);
    if (!enter(ps)) return NULL;
    expr_t *e = parse_or(ps);
    if (!e) return NULL;
    ps->depth--;
    skip_blanks(ps);
    if (!take(ps, ")")) return fail(ps, "')' was expected"), NULL;
    e->paren = true;
    return e;
}

// One operand: parenthesized, a query, a literal or a function's call. Whether it may stand alone is its
// surroundings' business.
static expr_t *parse_operand(parser_t *ps)
{
    if (at(ps, '(')) return parse_paren(ps);
    if (at(ps, '@') || at(ps, '$')) return parse_query_expr(ps);
    if (at_literal(ps)) {
        expr_t *e = new_expr(ps, EXPR_LITERAL);
        return parse_literal(ps, e) ? e : NULL;
    }
    if (more(ps) && *ps->p >= 'a' && *ps->p <= 'z') return parse_function(ps);
    return fail(ps, "a query, literal or function was expected"), NULL;
}

static bool take_compare_op(parser_t *ps, compare_op_t *op)
{
    static const char *const names[] = {
        [OP_EQ] = "==", [OP_NE] = "!=", [OP_LE] = "<=", [OP_GE] = ">=", [OP_LT] = "<", [OP_GT] = ">"};
    static const compare_op_t order[] = {OP_EQ, OP_NE, OP_LE, OP_GE, OP_LT, OP_GT};
    const char *behind = ps->p;
    skip_blanks(ps);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (!take(ps, names[order[i]])) continue;
        *op = order[i];
        return true;
    }
    ps->p = behind;
    return false;
}

static bool check_comparable(parser_t *ps, const char *where, const expr_t *e)
{
    return is_comparable(e) ? true
                            : fail_at(ps, where,
                                      "only values can be compared: a literal, a query for one "
                                      "node, a function of a value");
}

// An operand, or a comparison if an operator follows.
static expr_t *parse_comparison(parser_t *ps)
{
    const char *where = ps->p;
    compare_op_t op;
    expr_t *left = parse_operand(ps);
    if (!left || !take_compare_op(ps, &op)) return left;
    if (!check_comparable(ps, where, left)) return NULL;
    skip_blanks(ps);
    where = ps->p;
    const expr_t *right = parse_operand(ps);
    if (!right || !check_comparable(ps, where, right)) return NULL;
    expr_t *e = new_pair(ps, EXPR_COMPARE, left, right);
    e->op = op;
    return e;
}

// `!` binds to a test or to parentheses, never to a comparison.
static expr_t *parse_not(parser_t *ps)
{
    ps->p++;
    skip_blanks(ps);
    const char *where = ps->p;
    const expr_t *e = parse_operand(ps);
    if (!e || !check_logical(ps, where, e)) return NULL;
    return new_pair(ps, EXPR_NOT, e, NULL);
}

static expr_t *parse_basic(parser_t *ps)
{
    return at(ps, '!') ? parse_not(ps) : parse_comparison(ps);
}

// One level of && or ||. A single operand is passed through unchecked if bare is set: it may be a function's
// argument.
static expr_t *parse_chain(parser_t *ps, const char *op, bool bare)
{
    bool is_or = *op == '|';
    const char *where = ps->p;
    expr_t *left = is_or ? parse_chain(ps, "&&", bare) : parse_basic(ps);
    for (;;) {
        if (!left) return NULL;
        const char *behind = ps->p;
        skip_blanks(ps);
        if (!take(ps, op)) {
            ps->p = behind;
            return bare || check_logical(ps, where, left) ? left : NULL;
        }
        if (!check_logical(ps, where, left)) return NULL;
        bare = false;
        skip_blanks(ps);
        where = ps->p;
        const expr_t *right = is_or ? parse_chain(ps, "&&", false) : parse_basic(ps);
        if (!right || !check_logical(ps, where, right)) return NULL;
        left = new_pair(ps, is_or ? EXPR_OR : EXPR_AND, left, right);
    }
}

static expr_t *parse_or(parser_t *ps)
{
    return parse_chain(ps, "||", false);
}

static expr_t *parse_argument(parser_t *ps)
{
    return parse_chain(ps, "||", true);
}

// -- the whole ------------------------------------------------------------------------------------

static bool parse_query(parser_t *ps)
{
    size_t valid = charset_valid_prefix(ps->p, (size_t)(ps->end - ps->p));
    if (ps->p + valid < ps->end) return fail_at(ps, ps->p + valid, "not valid UTF-8");
    if (!take(ps, "$")) return fail(ps, "a JSONPath starts with $");
    if (!parse_segments(ps, &ps->path->query)) return false;
    if (!more(ps)) return true;
    return fail(ps, *ps->p == '-' ? "names with other signs stand in brackets: ['a-b']"
                                  : "a segment was expected: .name, ..name or [...]");
}

jsonpath_t *jsonpath_new(const char *query, size_t len, jsonpath_error_t *error)
{
    *error = (jsonpath_error_t){0};
    if (len > JSONPATH_MAX_QUERY) {
        snprintf(error->text, sizeof error->text, "longer than %d bytes", JSONPATH_MAX_QUERY);
        return NULL;
    }
    jsonpath_t *path = xcalloc(1, sizeof *path);
    path->arena = arena_new(ARENA_MAX);
    const char *copy = arena_strndup(path->arena, query, len);
    CHECK(copy);
    parser_t ps = {.start = copy, .p = copy, .end = copy + len, .path = path, .error = error};
    if (!parse_query(&ps)) jsonpath_destroy(&path);
    return path;
}

void jsonpath_destroy(jsonpath_t **path)
{
    if (!*path) return;
    for (iregexp_t *r = (*path)->regexps, *next; r; r = next) {
        next = r->next;
        iregexp_destroy(&r);
    }
    iregexp_destroy(&(*path)->recent);
    arena_destroy(&(*path)->arena);
    free(*path);
    *path = NULL;
}
