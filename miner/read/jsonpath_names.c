// JSONPath names: the paths form a tree; an object's members are compared with the names below its place.
#include "miner/read/jsonpath_names.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/jsonpath_ast.h"

enum { PLACES = 256, MAX_NAMES = 10000 };

// A name on the way of some paths.
typedef struct {
    const char *text; // borrowed from the first path that has it
    size_t len;
    int next;         // that has the same place below the same name; 0: none
    unsigned below;   // how many names there are below it
    uint64_t lengths; // of these, a bit for each, modulo 64: no look at the text of most others
    uint16_t *at;     // the first of these for each place, 0: none; NULL: there are no names below
} name_t;

struct jsonpath_names {
    name_t *v; // v[0] is `$`
    int n, cap;
    yyjson_val **values; // of the last search
};

jsonpath_names_t *jsonpath_names_new(void)
{
    jsonpath_names_t *names = xcalloc(1, sizeof *names);
    names->v = xcalloc(1, sizeof *names->v);
    names->values = xcalloc(1, sizeof(yyjson_val *));
    names->n = names->cap = 1;
    return names;
}

void jsonpath_names_destroy(jsonpath_names_t **names)
{
    if (!*names) return;
    for (int i = 0; i < (*names)->n; i++) free((*names)->v[i].at);
    free((*names)->v);
    free((*names)->values);
    free(*names);
    *names = NULL;
}

// Most members that nobody wants differ in this from those that somebody does.
static unsigned place(const char *text, size_t len)
{
    return ((unsigned char)text[0] + 2u * (unsigned char)text[len / 2] + 5u * (unsigned)len) % PLACES;
}

static bool has_length(uint64_t lengths, size_t len)
{
    return lengths >> len % 64 & 1;
}

static inline bool is_same_8(const char *a, const char *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x == y;
}

static inline bool is_same_4(const char *a, const char *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x == y;
}

// Names are short: a call of memcmp would take longer. What is left at the end is compared with some before
// it.
static inline bool is_same(const char *a, const char *b, size_t len)
{
    if (len < 4) return !len || (*a == *b && a[len / 2] == b[len / 2] && a[len - 1] == b[len - 1]);
    if (len < 8) return is_same_4(a, b) && is_same_4(a + len - 4, b + len - 4);
    for (size_t i = 0; i + 8 < len; i += 8)
        if (!is_same_8(a + i, b + i)) return false;
    return is_same_8(a + len - 8, b + len - 8);
}

// The name below parent that is text; 0: none.
static inline int find(const jsonpath_names_t *names, const name_t *parent, const char *text, size_t len)
{
    int i = parent->at[place(text, len)];
    while (i && (names->v[i].len != len || !is_same(names->v[i].text, text, len))) i = names->v[i].next;
    return i;
}

// The same, made where there is none yet.
static int find_or_make(jsonpath_names_t *names, int parent, const selector_t *s)
{
    if (!names->v[parent].at) names->v[parent].at = xcalloc(PLACES, sizeof(uint16_t));
    int i = find(names, &names->v[parent], s->name, s->name_len);
    if (i) return i;
    if (names->n == names->cap) {
        names->cap *= 2;
        names->v = xrealloc(names->v, (size_t)names->cap * sizeof *names->v);
        names->values = xrealloc(names->values, (size_t)names->cap * sizeof(yyjson_val *));
    }
    uint16_t *first = &names->v[parent].at[place(s->name, s->name_len)];
    names->v[names->n] = (name_t){.text = s->name, .len = s->name_len, .next = *first};
    *first = (uint16_t)names->n;
    names->v[parent].below++;
    names->v[parent].lengths |= (uint64_t)1 << s->name_len % 64;
    return names->n++;
}

// Names that the path starts with.
static size_t count_names(const segment_t *s)
{
    size_t n = 0;
    for (; s && !s->descendant && s->selectors->kind == SELECT_NAME && !s->selectors->next; s = s->next) n++;
    return n;
}

int jsonpath_names_add(jsonpath_names_t *names, const jsonpath_t *path, size_t *taken)
{
    int at = 0;
    const segment_t *s = path->query.segments;
    size_t n = count_names(s);
    if (names->n + n > MAX_NAMES) n = 0;
    *taken = n;
    for (; n; n--, s = s->next) at = find_or_make(names, at, s->selectors);
    return at;
}

// Most values are no containers, and a processor that expects that need not wait for their type.
static inline yyjson_val *next_key(yyjson_val *key)
{
    return __builtin_expect(unsafe_yyjson_is_ctn(key + 1), 0) ? unsafe_yyjson_get_next(key + 1) : key + 2;
}

static bool find_below(jsonpath_names_t *names, const name_t *parent, yyjson_val *object, int64_t *work)
{
    if (!yyjson_is_obj(object)) return true;
    size_t missing = parent->below, n = unsafe_yyjson_get_len(object);
    uint64_t lengths = parent->lengths;
    if ((*work -= 1 + (int64_t)n / 8) < 0) return false;
    yyjson_val *key = unsafe_yyjson_get_first(object);
    for (; n; n--, key = next_key(key)) {
        if (!has_length(lengths, unsafe_yyjson_get_len(key))) continue;
        int i = find(names, parent, unsafe_yyjson_get_str(key), unsafe_yyjson_get_len(key));
        if (!i || names->values[i]) continue;
        names->values[i] = key + 1;
        if (names->v[i].below && !find_below(names, &names->v[i], key + 1, work)) return false;
        if (--missing == 0) break;
    }
    return true;
}

yyjson_val *const *jsonpath_names_find(jsonpath_names_t *names, yyjson_val *root, int64_t *work)
{
    for (int i = 1; i < names->n; i++) names->values[i] = NULL;
    names->values[0] = root;
    return !names->v->below || find_below(names, names->v, root, work) ? names->values : NULL;
}
