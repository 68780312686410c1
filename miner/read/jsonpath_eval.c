// JSONPath, the evaluator. Segments are followed depth first: for each node that a segment selects, the rest
// of the query runs at once. That gives the order of RFC 9535 without lists between segments, and lets
// existence tests stop at the first node. All work is counted; past its bound the query fails.
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/effort.h"
#include "miner/read/jsonpath_ast.h"

// What is done with the nodes at the end of a query.
typedef struct {
    nodelist_t *list; // append them, or NULL: only count
    yyjson_val *first;
    size_t n;
    size_t enough; // stop at that many; 0: never
} sink_t;

typedef struct {
    jsonpath_t *path;
    yyjson_val *root;
    int64_t work; // left
    int depth;
    bool failed; // a bound was passed
} eval_t;

static bool walk(eval_t *ev, const segment_t *segment, yyjson_val *node, sink_t *sink);
static bool eval_logical(eval_t *ev, const expr_t *e, yyjson_val *current);

static bool spend(eval_t *ev, size_t work)
{
    ev->work -= (int64_t)work;
    if (ev->work < 0) ev->failed = true;
    return !ev->failed;
}

static bool enter(eval_t *ev)
{
    if (++ev->depth > JSONPATH_MAX_DEPTH) ev->failed = true;
    return !ev->failed;
}

static bool emit(eval_t *ev, yyjson_val *node, sink_t *sink)
{
    if (sink->n++ == 0) sink->first = node;
    nodelist_t *list = sink->list;
    if (list) {
        if (list->n == JSONPATH_MAX_NODES) {
            ev->failed = true;
            return false;
        }
        if (list->n == list->cap) {
            list->cap = list->cap ? list->cap * 2 : 16;
            list->nodes = xrealloc(list->nodes, list->cap * sizeof(yyjson_val *));
        }
        list->nodes[list->n++] = node;
    }
    return sink->n != sink->enough;
}

// -- numbers --------------------------------------------------------------------------------------

typedef struct {
    bool integer; // i is exact
    int64_t i;
    double d;
    const char *digits; // of an integer's text, however long; NULL: none
    size_t n_digits;
    bool negative;
} number_t;

static bool is_number(yyjson_val *v)
{
    return yyjson_is_num(v) || yyjson_is_raw(v);
}

static number_t number_of_text(const char *text, size_t len)
{
    number_t n = {.negative = len && *text == '-'};
    n.digits = text + n.negative;
    n.n_digits = len - n.negative;
    for (size_t i = 0; i < n.n_digits && n.digits; i++) {
        if (n.digits[i] < '0' || n.digits[i] > '9') n.digits = NULL;
    }
    if (n.digits && n.n_digits <= 18) {
        for (size_t i = 0; i < n.n_digits; i++) n.i = n.i * 10 + (n.digits[i] - '0');
        if (n.negative) n.i = -n.i;
        n.integer = true;
        n.d = (double)n.i;
    } else {
        n.d = strtod(text, NULL); // yyjson ends raw text with NUL
    }
    return n;
}

static number_t number_of(yyjson_val *v)
{
    if (yyjson_is_raw(v)) return number_of_text(yyjson_get_raw(v), yyjson_get_len(v));
    if (yyjson_is_real(v)) return (number_t){.d = yyjson_get_real(v)};
    if (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX)
        return (number_t){.d = (double)yyjson_get_uint(v)};
    return (number_t){.integer = true, .i = yyjson_get_sint(v), .d = (double)yyjson_get_sint(v)};
}

static int sign(int64_t x)
{
    return (x > 0) - (x < 0);
}

// Integers of any length are compared exactly, all others as doubles.
static int compare_numbers(yyjson_val *va, yyjson_val *vb)
{
    number_t a = number_of(va), b = number_of(vb);
    if (a.integer && b.integer) return (a.i > b.i) - (a.i < b.i);
    if (a.digits && b.digits) { // at least one is longer than an int64_t, so no zero
        if (a.negative != b.negative) return a.negative ? -1 : 1;
        int c = a.n_digits != b.n_digits ? (a.n_digits > b.n_digits ? 1 : -1)
                                         : sign(memcmp(a.digits, b.digits, a.n_digits));
        return a.negative ? -c : c;
    }
    return (a.d > b.d) - (a.d < b.d);
}

// -- comparisons (2.3.5.2.2); NULL is Nothing -----------------------------------------------------

static bool equal(eval_t *ev, yyjson_val *a, yyjson_val *b);

static size_t text_size(yyjson_val *v)
{
    return yyjson_is_str(v) || yyjson_is_raw(v) ? yyjson_get_len(v) : 0;
}

static bool equal_arrays(eval_t *ev, yyjson_val *a, yyjson_val *b)
{
    yyjson_arr_iter ia = yyjson_arr_iter_with(a), ib = yyjson_arr_iter_with(b);
    if (yyjson_arr_size(a) != yyjson_arr_size(b)) return false;
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&ia));) {
        if (!equal(ev, v, yyjson_arr_iter_next(&ib))) return false;
    }
    return true;
}

static bool equal_objects(eval_t *ev, yyjson_val *a, yyjson_val *b)
{
    if (yyjson_obj_size(a) != yyjson_obj_size(b)) return false;
    yyjson_obj_iter it = yyjson_obj_iter_with(a);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        if (!spend(ev, 1 + yyjson_obj_size(b) / 4)) return false;
        yyjson_val *other = yyjson_obj_getn(b, yyjson_get_str(key), yyjson_get_len(key));
        if (!other || !equal(ev, yyjson_obj_iter_get_val(key), other)) return false;
    }
    return true;
}

static bool equal_values(eval_t *ev, yyjson_val *a, yyjson_val *b)
{
    if (is_number(a) && is_number(b)) return compare_numbers(a, b) == 0;
    if (yyjson_get_type(a) != yyjson_get_type(b)) return false;
    switch (yyjson_get_type(a)) {
    case YYJSON_TYPE_NULL: return true;
    case YYJSON_TYPE_BOOL: return yyjson_get_bool(a) == yyjson_get_bool(b);
    case YYJSON_TYPE_STR:
        return yyjson_get_len(a) == yyjson_get_len(b) &&
               memcmp(yyjson_get_str(a), yyjson_get_str(b), yyjson_get_len(a)) == 0;
    case YYJSON_TYPE_ARR: return equal_arrays(ev, a, b);
    case YYJSON_TYPE_OBJ: return equal_objects(ev, a, b);
    }
    return false;
}

static bool equal(eval_t *ev, yyjson_val *a, yyjson_val *b)
{
    if (!a || !b) return a == b;
    if (!enter(ev) || !spend(ev, 1 + (text_size(a) + text_size(b)) / 16)) return false;
    bool same = equal_values(ev, a, b);
    ev->depth--;
    return same;
}

// Code points sort as their UTF-8 bytes do.
static bool less(eval_t *ev, yyjson_val *a, yyjson_val *b)
{
    if (!a || !b || !spend(ev, 1 + (text_size(a) + text_size(b)) / 16)) return false;
    if (is_number(a) && is_number(b)) return compare_numbers(a, b) < 0;
    if (!yyjson_is_str(a) || !yyjson_is_str(b)) return false;
    size_t na = yyjson_get_len(a), nb = yyjson_get_len(b);
    int c = memcmp(yyjson_get_str(a), yyjson_get_str(b), na < nb ? na : nb);
    return c < 0 || (c == 0 && na < nb);
}

static bool compare(eval_t *ev, compare_op_t op, yyjson_val *a, yyjson_val *b)
{
    switch (op) {
    case OP_EQ: return equal(ev, a, b);
    case OP_NE: return !equal(ev, a, b);
    case OP_LT: return less(ev, a, b);
    case OP_LE: return less(ev, a, b) || equal(ev, a, b);
    case OP_GT: return less(ev, b, a);
    case OP_GE: return less(ev, b, a) || equal(ev, a, b);
    }
    return false;
}

// -- functions and expressions --------------------------------------------------------------------

static sink_t run(eval_t *ev, const query_t *query, yyjson_val *current, size_t enough)
{
    sink_t sink = {.enough = enough};
    (void)walk(ev, query->segments, query->relative ? current : ev->root, &sink);
    return sink;
}

static size_t count_code_points(const char *s, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += ((unsigned char)s[i] & 0xC0) != 0x80;
    return n;
}

static yyjson_val *eval_length(eval_t *ev, yyjson_val *v, yyjson_val *scratch)
{
    if (!v || !spend(ev, 1 + text_size(v) / 8)) return NULL;
    if (yyjson_is_str(v))
        yyjson_set_uint(scratch, count_code_points(yyjson_get_str(v), yyjson_get_len(v)));
    else if (yyjson_is_ctn(v))
        yyjson_set_uint(scratch, yyjson_get_len(v));
    else
        return NULL;
    return scratch;
}

// The value of a comparable, or NULL for Nothing. What is computed is put into *scratch.
static yyjson_val *eval_value(eval_t *ev, const expr_t *e, yyjson_val *current, yyjson_val *scratch)
{
    sink_t sink;
    yyjson_val inner;
    switch (e->kind) {
    case EXPR_LITERAL: return (yyjson_val *)&e->literal;
    case EXPR_QUERY: return run(ev, &e->query, current, 1).first;
    case EXPR_FUNCTION: break;
    default: return NULL;
    }
    memset(scratch, 0, sizeof *scratch);
    switch (e->func) {
    case FUNC_LENGTH: return eval_length(ev, eval_value(ev, e->args[0], current, &inner), scratch);
    case FUNC_COUNT: yyjson_set_uint(scratch, run(ev, &e->args[0]->query, current, 0).n); return scratch;
    case FUNC_VALUE: sink = run(ev, &e->args[0]->query, current, 2); return sink.n == 1 ? sink.first : NULL;
    default: return NULL;
    }
}

// The expression for a pattern that came from the document; the last one is kept.
static const iregexp_t *regexp_of(eval_t *ev, yyjson_val *pattern, bool whole)
{
    const char *text = yyjson_get_str(pattern);
    size_t len = yyjson_get_len(pattern);
    iregexp_t *recent = ev->path->recent;
    if (recent && recent->whole == whole && recent->len == len && memcmp(recent->text, text, len) == 0)
        return recent;
    if (!spend(ev, 200 + (len < IREGEXP_MAX ? len * 20 : 0))) return NULL;
    iregexp_destroy(&ev->path->recent);
    ev->path->recent = iregexp_new(text, len, whole);
    return ev->path->recent;
}

static bool eval_match(eval_t *ev, const expr_t *e, yyjson_val *current)
{
    yyjson_val s1, s2;
    yyjson_val *subject = eval_value(ev, e->args[0], current, &s1);
    yyjson_val *pattern = eval_value(ev, e->args[1], current, &s2);
    if (!yyjson_is_str(subject) || !yyjson_is_str(pattern)) return false;
    const iregexp_t *regexp = e->regexp ? e->regexp : regexp_of(ev, pattern, e->func == FUNC_MATCH);
    if (!regexp) return false;
    int rc = iregexp_match(regexp, yyjson_get_str(subject), yyjson_get_len(subject), &ev->work);
    if (rc < 0) ev->failed = true;
    return rc == 1;
}

static bool eval_compare(eval_t *ev, const expr_t *e, yyjson_val *current)
{
    yyjson_val sa, sb;
    yyjson_val *a = eval_value(ev, e->args[0], current, &sa);
    yyjson_val *b = eval_value(ev, e->args[1], current, &sb);
    return !ev->failed && compare(ev, e->op, a, b);
}

static bool eval_logical(eval_t *ev, const expr_t *e, yyjson_val *current)
{
    if (!spend(ev, 1)) return false;
    switch (e->kind) {
    case EXPR_OR: return eval_logical(ev, e->args[0], current) || eval_logical(ev, e->args[1], current);
    case EXPR_AND: return eval_logical(ev, e->args[0], current) && eval_logical(ev, e->args[1], current);
    case EXPR_NOT: return !eval_logical(ev, e->args[0], current);
    case EXPR_COMPARE: return eval_compare(ev, e, current);
    case EXPR_QUERY: return run(ev, &e->query, current, 1).n > 0;
    case EXPR_FUNCTION: return eval_match(ev, e, current);
    case EXPR_LITERAL: break;
    }
    return false;
}

// -- selectors ------------------------------------------------------------------------------------
// Each returns false when the query is to stop: enough nodes, or a bound was passed.

// Calls for each child of node that passes the filter (NULL: all).
static bool select_children(eval_t *ev, const segment_t *segment, const expr_t *filter, yyjson_val *node,
                            sink_t *sink)
{
    size_t n = yyjson_get_len(node);
    bool object = yyjson_is_obj(node);
    yyjson_val *v = unsafe_yyjson_get_first(node);
    for (size_t i = 0; i < n; i++) {
        yyjson_val *child = object ? v + 1 : v;
        v = unsafe_yyjson_get_next(child);
        if (!spend(ev, 1)) return false;
        if (filter && !eval_logical(ev, filter, child)) continue;
        if (ev->failed || !walk(ev, segment->next, child, sink)) return false;
    }
    return true;
}

// yyjson_obj_getn, with most names told apart by their length and first byte; NULL also where node is no
// object.
static yyjson_val *member(yyjson_val *node, const char *name, size_t len)
{
    if (!yyjson_is_obj(node)) return NULL;
    yyjson_val *key = unsafe_yyjson_get_first(node);
    for (size_t i = unsafe_yyjson_get_len(node); i > 0; i--, key = unsafe_yyjson_get_next(key + 1)) {
        const char *text = unsafe_yyjson_get_str(key);
        if (unsafe_yyjson_get_len(key) == len && *text == *name && memcmp(text, name, len) == 0)
            return key + 1;
    }
    return NULL;
}

static bool select_name(eval_t *ev, const segment_t *segment, const selector_t *s, yyjson_val *node,
                        sink_t *sink)
{
    if (!yyjson_is_obj(node)) return true;
    if (!spend(ev, 1 + yyjson_obj_size(node) / 8)) return false;
    yyjson_val *v = member(node, s->name, s->name_len);
    return v ? walk(ev, segment->next, v, sink) : true;
}

static bool select_index(eval_t *ev, const segment_t *segment, const selector_t *s, yyjson_val *node,
                         sink_t *sink)
{
    if (!yyjson_is_arr(node)) return true;
    int64_t n = (int64_t)yyjson_arr_size(node);
    int64_t i = s->index < 0 ? s->index + n : s->index;
    if (i < 0 || i >= n) return true;
    if (!spend(ev, 1 + (size_t)i / 8)) return false;
    return walk(ev, segment->next, yyjson_arr_get(node, (size_t)i), sink);
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

// Bounds of a slice over n elements (2.3.4.2.2): the first index, and how many there are.
static int64_t slice_bounds(const selector_t *s, int64_t n, int64_t *first)
{
    bool up = s->step > 0;
    int64_t start = s->has_start ? s->index : up ? 0 : n - 1;
    int64_t end = s->has_end ? s->end : up ? n : -n - 1;
    start = start < 0 ? start + n : start;
    end = end < 0 ? end + n : end;
    start = up ? clamp(start, 0, n) : clamp(start, -1, n - 1);
    end = up ? clamp(end, 0, n) : clamp(end, -1, n - 1);
    *first = start;
    int64_t distance = up ? end - start : start - end;
    int64_t stride = up ? s->step : -s->step;
    return distance <= 0 ? 0 : (distance - 1) / stride + 1;
}

static bool select_slice(eval_t *ev, const segment_t *segment, const selector_t *s, yyjson_val *node,
                         sink_t *sink)
{
    int64_t n = (int64_t)yyjson_arr_size(node), first;
    int64_t count = yyjson_is_arr(node) && s->step != 0 ? slice_bounds(s, n, &first) : 0;
    if (count == 0) return true;
    if (!spend(ev, (size_t)n)) return false;
    // yyjson's arrays can be walked forwards only
    yyjson_val **elements = xmalloc((size_t)n * sizeof *elements);
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(node, i, max, v) elements[i] = v;
    bool go_on = true;
    for (int64_t k = 0; k < count && go_on; k++)
        go_on = spend(ev, 1) && walk(ev, segment->next, elements[first + k * s->step], sink);
    free(elements);
    return go_on;
}

static bool select_one(eval_t *ev, const segment_t *segment, const selector_t *s, yyjson_val *node,
                       sink_t *sink)
{
    switch (s->kind) {
    case SELECT_NAME: return select_name(ev, segment, s, node, sink);
    case SELECT_WILDCARD: return select_children(ev, segment, NULL, node, sink);
    case SELECT_INDEX: return select_index(ev, segment, s, node, sink);
    case SELECT_SLICE: return select_slice(ev, segment, s, node, sink);
    case SELECT_FILTER: return select_children(ev, segment, s->filter, node, sink);
    }
    return false;
}

static bool select_all(eval_t *ev, const segment_t *segment, yyjson_val *node, sink_t *sink)
{
    for (const selector_t *s = segment->selectors; s; s = s->next) {
        if (!select_one(ev, segment, s, node, sink)) return false;
    }
    return true;
}

// node itself, then its descendants, a parent before its children.
static bool descend(eval_t *ev, const segment_t *segment, yyjson_val *node, sink_t *sink)
{
    if (!yyjson_is_ctn(node)) return spend(ev, 1);
    if (!enter(ev) || !select_all(ev, segment, node, sink)) return false;
    bool object = yyjson_is_obj(node);
    yyjson_val *v = unsafe_yyjson_get_first(node);
    for (size_t i = 0, n = yyjson_get_len(node); i < n; i++) {
        yyjson_val *child = object ? v + 1 : v;
        v = unsafe_yyjson_get_next(child);
        if (!descend(ev, segment, child, sink)) return false;
    }
    ev->depth--;
    return true;
}

// Runs the query's rest from node.
static bool walk(eval_t *ev, const segment_t *segment, yyjson_val *node, sink_t *sink)
{
    if (!segment) return emit(ev, node, sink);
    int depth = ev->depth;
    if (!enter(ev)) return false;
    bool go_on = true;
    if (segment->descendant)
        go_on = descend(ev, segment, node, sink);
    else if (yyjson_is_ctn(node))
        go_on = select_all(ev, segment, node, sink);
    ev->depth = depth; // also where the walk stopped in between
    return go_on;
}

jsonpath_status_t jsonpath_select_from(jsonpath_t *path, size_t names, yyjson_val *root, yyjson_val *node,
                                       int64_t *work, nodelist_t *out)
{
    if (effort_over()) return JSONPATH_TOO_COMPLEX;
    eval_t ev = {.path = path, .root = root, .work = *work};
    sink_t sink = {.list = out};
    const segment_t *rest = path->query.segments;
    while (names--) rest = rest->next;
    out->n = 0;
    (void)walk(&ev, rest, node, &sink);
    *work = ev.work;
    if (!ev.failed) return JSONPATH_OK;
    out->n = 0;
    return JSONPATH_TOO_COMPLEX;
}

jsonpath_status_t jsonpath_select(jsonpath_t *path, yyjson_val *root, int64_t *work, nodelist_t *out)
{
    return jsonpath_select_from(path, 0, root, root, work, out);
}

bool jsonpath_has_length(const jsonpath_t *path, size_t segments)
{
    const segment_t *s = path->query.segments;
    for (; s && segments; s = s->next) segments--;
    return !s && segments == 0;
}

void nodelist_free(nodelist_t *list)
{
    free(list->nodes);
    *list = (nodelist_t){0};
}
