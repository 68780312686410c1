// JSON: see json.h. yyjson parses, JSONPath selects, item.h puts the items together.
#include "miner/read/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "miner/read/charset.h"
#include "miner/read/effort.h"
#include "miner/read/item.h"
#include "miner/read/jsonpath.h"
#include "miner/read/jsonpath_names.h"
#include "miner/read/next.h"
#include "proto/limits.h"

enum {
    MAX_SCRIPT_HEAD = 200, // bytes of a script before its JSON
    SMALL = 64 << 10,      // bytes of a document that is parsed in its arena, if that has no more in it yet
    LOOK_EVERY = 16,       // items: all that is no path or pattern takes as long as its bytes are many
};

typedef struct {
    jsonpath_t *path;
    bool from_root; // of the document, not of the item
    bool plural;    // of `items`: what it selects are items, be they arrays
    int name;       // where its names lead to; 0: to the item itself
    size_t names;   // how many of its segments these are
    bool whole;     // all
} alternative_t;

typedef struct {
    alternative_t *v;
    size_t n;
} paths_t;

// Where a field's values come from.
typedef struct {
    const field_t *field;
    int index; // among the writer's fields
    paths_t paths;
    bool many;     // it takes more than one value
    bool verbatim; // what is no text stays JSON as it is
} source_t;

struct json_reader {
    const template_t *template;
    item_writer_t *writer;
    urls_t *urls;     // the thread's
    arena_t *arena;   // of the document being read
    yyjson_val *root; // of it
    paths_t items, next;
    paths_t lists;     // of items "$.a[*]": "$.a"
    next_t *next_rule; // or NULL
    source_t *fields;  // one per field of the template, then the key
    size_t n_fields;
    size_t n_selectors;       // of items and fields
    jsonpath_names_t *names;  // what fields take from the item by names alone,
    yyjson_val *const *named; // where these lead to in the present one
    nodelist_t found, nodes;
    size_t found_by; // which alternative of `items` found them
    int64_t work;    // left for this document
};

// -- compiling ------------------------------------------------------------------------------------

// Does the path have a wildcard, filter or slice?
static bool is_plural(const char *s)
{
    char quote = 0;
    for (; *s; s++) {
        if (quote && *s == '\\' && s[1])
            s++;
        else if (quote)
            quote = *s == quote ? 0 : quote;
        else if (*s == '\'' || *s == '"')
            quote = *s;
        else if (strchr("*?:", *s))
            return true;
    }
    return false;
}

// The path of a selector: "$.a" as it is; "@.a", "a", ".a" and "[0]" mean the same from the item, "$$.a" is
// from the root.
static bool compile_one(alternative_t *out, const char *selector, const char *where, template_error_t *error)
{
    char text[MAX_SELECTOR + 8];
    out->from_root = selector[0] == '$' && selector[1] == '$';
    const char *head = *selector == '$' ? "" : strchr("[@.", *selector) ? "$" : "$.";
    const char *tail = selector + (*selector == '@' || out->from_root);
    jsonpath_error_t wrong;
    int n = snprintf(text, sizeof text, "%s%s", head, tail);
    if (n < 0 || (size_t)n >= sizeof text) {
        (void)template_fail(error, where, "the JSONPath is longer than %d bytes", MAX_SELECTOR);
        return false;
    }
    out->path = jsonpath_new(text, (size_t)n, &wrong);
    out->plural = is_plural(text);
    if (!out->path)
        (void)template_fail(error, where, "JSONPath \"%.100s\", at character %zu: %s", text, wrong.offset + 1,
                            wrong.text);
    return out->path != NULL;
}

static bool compile(paths_t *paths, const char **selectors, size_t n, const char *where,
                    template_error_t *error)
{
    paths->v = xcalloc(n + 1, sizeof *paths->v);
    for (; paths->n < n; paths->n++)
        if (!compile_one(&paths->v[paths->n], selectors[paths->n], where, error)) return false;
    return true;
}

static void free_paths(paths_t *paths)
{
    for (size_t i = 0; i < paths->n; i++) jsonpath_destroy(&paths->v[i].path);
    free(paths->v);
}

// The arrays whose elements `items` selects.
static bool compile_lists(json_reader_t *r, const template_t *t, template_error_t *error)
{
    char text[MAX_SELECTOR + 1];
    const char *selector = text;
    r->lists.v = xcalloc(t->n_items + 1, sizeof *r->lists.v);
    for (size_t i = 0; i < t->n_items; i++) {
        size_t len = strlen(t->items[i]);
        if (len < 4 || len > MAX_SELECTOR || strcmp(t->items[i] + len - 3, "[*]") != 0) continue;
        snprintf(text, sizeof text, "%.*s", (int)len - 3, t->items[i]);
        if (!compile_one(&r->lists.v[r->lists.n++], selector, "items", error)) return false;
    }
    return true;
}

static bool compile_source(json_reader_t *r, const field_t *field, int index, template_error_t *error)
{
    char where[MAX_NAME + 20];
    bool key = index == ITEM_KEY;
    source_t *source = &r->fields[r->n_fields++];
    *source = (source_t){.field = field, .index = index, .many = field->all || field->type == TYPE_LIST};
    source->verbatim = !key && !field->typed && !item_column(field);
    snprintf(where, sizeof where, "%s%s", key ? "key" : "fields.", key ? "" : field->name);
    if (!compile(&source->paths, field->selectors, field->n_selectors, where, error)) return false;
    r->n_selectors += source->paths.n;
    for (size_t i = 0; i < source->paths.n; i++) {
        alternative_t *a = &source->paths.v[i];
        if (a->from_root) continue;
        a->name = jsonpath_names_add(r->names, a->path, &a->names);
        a->whole = jsonpath_has_length(a->path, a->names);
    }
    return true;
}

static bool compile_all(json_reader_t *r, const template_t *t, template_error_t *error)
{
    if (!compile(&r->items, t->items, t->n_items, "items", error) || !compile_lists(r, t, error))
        return false;
    r->n_selectors = t->n_items;
    for (size_t i = 0; i < t->n_fields; i++)
        if (!compile_source(r, &t->fields[i], (int)i, error)) return false;
    if (t->key && !compile_source(r, t->key, ITEM_KEY, error)) return false;
    if (!t->next || t->next->n_selectors == 0) return true; // none, or pages are counted
    if (!compile(&r->next, t->next->selectors, t->next->n_selectors, "next", error)) return false;
    return (r->next_rule = next_new(t, error)) != NULL;
}

json_reader_t *json_reader_new(const template_t *t, template_error_t *error)
{
    json_reader_t *r = xcalloc(1, sizeof *r);
    r->template = t;
    r->fields = xcalloc(t->n_fields + 1, sizeof *r->fields);
    r->names = jsonpath_names_new();
    r->writer = item_writer_new(t, false, error);
    if (!r->writer || !compile_all(r, t, error)) json_reader_destroy(&r);
    return r;
}

void json_reader_destroy(json_reader_t **reader)
{
    json_reader_t *r = *reader;
    if (!r) return;
    free_paths(&r->items);
    free_paths(&r->lists);
    free_paths(&r->next);
    next_destroy(&r->next_rule);
    for (size_t i = 0; i < r->n_fields; i++) free_paths(&r->fields[i].paths);
    free(r->fields);
    jsonpath_names_destroy(&r->names);
    item_writer_destroy(&r->writer);
    nodelist_free(&r->found);
    nodelist_free(&r->nodes);
    free(r);
    *reader = NULL;
}

// -- parsing --------------------------------------------------------------------------------------

static bool is_hex4(const char *s)
{
    for (int i = 0; i < 4; i++) {
        if (!strchr("0123456789abcdefABCDEF", s[i]) || !s[i]) return false;
    }
    return true;
}

// 1: \uD8xx to \uDBxx, 2: \uDCxx to \uDFxx, 0: other.
static int surrogate(const char *s, size_t len)
{
    if (len < 6 || s[0] != '\\' || s[1] != 'u' || (s[2] | 0x20) != 'd' || !is_hex4(s + 2)) return 0;
    return strchr("89abAB", s[3]) ? 1 : strchr("cdefCDEF", s[3]) ? 2 : 0;
}

static int repair_escape(const char *s, size_t len, size_t *taken, buf_t *out)
{
    int kind = surrogate(s, len);
    *taken = kind ? 6 : 2;
    if (*taken > len) *taken = len;
    if (kind == 1 && surrogate(s + 6, len - 6) == 2) *taken = 12;
    if (kind && *taken == 6) return buf_puts(out, "\\ufffd");
    return buf_append(out, s, *taken);
}

// What publishers get wrong and still mean: control characters in strings, halves of surrogate pairs.
static int repair(const char *s, size_t len, buf_t *out)
{
    bool inside = false;
    int rc = 0;
    for (size_t i = 0, n; i < len && rc == 0; i += n) {
        n = 1;
        unsigned char c = (unsigned char)s[i];
        if (inside && c == '\\') {
            rc = repair_escape(s + i, len - i, &n, out);
        } else if (inside && c < 0x20) {
            rc = buf_printf(out, "\\u%04x", c);
        } else {
            if (c == '"') inside = !inside;
            rc = buf_append(out, s + i, 1);
        }
    }
    return rc;
}

// Guards against inclusion as a script, before the JSON itself.
static void skip_guard(const char **text, size_t *len)
{
    static const char *const guards[] = {")]}'", "while(1);", "for(;;);", "while (1);", "for (;;);"};
    while (*len && strchr(" \t\r\n", **text) && **text) ++*text, --*len;
    if (*len && (**text == '{' || **text == '[')) return;
    for (size_t i = 0; i < sizeof guards / sizeof *guards; i++) {
        size_t n = strlen(guards[i]);
        if (*len < n || memcmp(*text, guards[i], n) != 0) continue;
        *text += n;
        *len -= n;
        if (*len && **text == ',') ++*text, --*len;
        break;
    }
    while (*len && strchr(" \t\r\n", **text) && **text) ++*text, --*len;
}

// "callback({...});" and "var data = [...];": the JSON that is all of a script.
static void skip_script(const char **text, size_t *len)
{
    size_t n = 0, end = *len;
    while (n < end && n < MAX_SCRIPT_HEAD && (*text)[n] != '{' && (*text)[n] != '[' && (*text)[n] != '<') n++;
    size_t last = n;
    while (last && strchr(" \t\r\n", (*text)[last - 1])) last--;
    if (!last || n == end || (*text)[n] == '<' || ((*text)[last - 1] != '(' && (*text)[last - 1] != '='))
        return;
    while (end > n && strchr(" \t\r\n;)", (*text)[end - 1])) end--;
    *text += n;
    *len = end - n;
}

static yyjson_doc *parse_repaired(const char *text, size_t len, yyjson_read_err *error)
{
    buf_t out;
    buf_init(&out, 6 * (size_t)MAX_DOCUMENT);
    yyjson_doc *doc = NULL;
    if (repair(text, len, &out) == 0 && out.len)
        doc = yyjson_read_opts(out.data, out.len, YYJSON_READ_NUMBER_AS_RAW, NULL, error);
    buf_free(&out);
    return doc;
}

// yyjson checks UTF-8 as it goes, so what it takes needs no look at the charset before. *own: its memory is
// the arena's, for a small document.
static yyjson_doc *parse_strictly(arena_t *arena, const char *bytes, size_t len, bool *own)
{
    yyjson_alc pool;
    if (len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) bytes += 3, len -= 3;
    skip_guard(&bytes, &len);
    size_t size = yyjson_read_max_memory_usage(len, YYJSON_READ_NUMBER_AS_RAW);
    void *memory = len <= SMALL && arena_used(arena) <= SMALL ? arena_alloc(arena, size) : NULL;
    *own = yyjson_alc_pool_init(&pool, memory, size);
    return len ? yyjson_read_opts((char *)bytes, len, YYJSON_READ_NUMBER_AS_RAW, *own ? &pool : NULL, NULL)
               : NULL;
}

static yyjson_doc *parse_leniently(arena_t *arena, const document_t *document, read_status_t *status,
                                   char detail[200])
{
    const char *text;
    size_t len;
    *status = READ_TOO_BIG;
    if (charset_to_utf8(arena, document->bytes, document->len, document->content_type, CHARSET_JSON, &text,
                        &len, NULL) != 0)
        return NULL;
    skip_guard(&text, &len);
    skip_script(&text, &len);
    *status = READ_EMPTY_BODY;
    if (len == 0) return NULL;
    yyjson_read_err error = {0};
    yyjson_doc *doc = parse_repaired(text, len, &error);
    if (doc) return doc;
    *status = *text == '<' ? READ_NOT_THIS_KIND : READ_PARSE;
    if (*text == '<')
        snprintf(detail, 200, "HTML or XML, no JSON (what stands within a page is read with `script`)");
    else
        snprintf(detail, 200, "%s at byte %zu", error.msg ? error.msg : "too much to repair", error.pos);
    return NULL;
}

static void free_doc(void *doc)
{
    yyjson_doc_free(doc);
}

yyjson_doc *json_parse(arena_t *arena, const document_t *document, read_status_t *status, char detail[200])
{
    bool own;
    yyjson_doc *doc = parse_strictly(arena, document->bytes, document->len, &own);
    *status = READ_OK;
    if (doc && own) return doc;
    if (!doc) doc = parse_leniently(arena, document, status, detail);
    if (!doc) return NULL;
    *status = READ_OK;
    if (arena_defer(arena, free_doc, doc) == 0) return doc;
    yyjson_doc_free(doc);
    *status = READ_TOO_BIG;
    return NULL;
}

// -- values ---------------------------------------------------------------------------------------

// A text that lives as long as the document's arena.
static read_status_t put_text(json_reader_t *r, const source_t *source, const char *text, size_t len)
{
    return item_put_kept(r->writer, source->index, text, len);
}

// A number or a truth value.
static read_status_t put_scalar(json_reader_t *r, const source_t *source, const char *text, size_t len)
{
    if (!source->verbatim || source->field->match) return put_text(r, source, text, len);
    return item_put_json(r->writer, source->index, text, len);
}

// An object or array, as JSON.
static read_status_t put_container(json_reader_t *r, const source_t *source, yyjson_val *v)
{
    if (!source->verbatim) return READ_OK;
    size_t len;
    char *json = yyjson_val_write(v, 0, &len);
    if (!json) return READ_OK;
    const char *copy = arena_strndup(r->arena, json, len);
    free(json);
    return copy ? item_put_json(r->writer, source->index, copy, len) : READ_TOO_BIG;
}

static read_status_t put_value(json_reader_t *r, const source_t *source, yyjson_val *v);

// Where several values are wanted an array gives them, and where a text is wanted its first one does.
static read_status_t put_array(json_reader_t *r, const source_t *source, yyjson_val *v)
{
    if (source->verbatim && !source->many) return put_container(r, source, v);
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    for (yyjson_val *one; (one = yyjson_arr_iter_next(&it));) {
        read_status_t status = yyjson_is_arr(one) ? READ_OK : put_value(r, source, one);
        if (status != READ_OK) return status;
        if (!source->many && item_has(r->writer, source->index)) break;
    }
    return READ_OK;
}

static read_status_t put_other(json_reader_t *r, const source_t *source, yyjson_val *v)
{
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_RAW: return put_scalar(r, source, yyjson_get_raw(v), yyjson_get_len(v));
    case YYJSON_TYPE_BOOL:
        return yyjson_get_bool(v) ? put_scalar(r, source, "true", 4) : put_scalar(r, source, "false", 5);
    case YYJSON_TYPE_ARR: return put_array(r, source, v);
    case YYJSON_TYPE_OBJ: return put_container(r, source, v);
    }
    return READ_OK; // null: none
}

static read_status_t put_value(json_reader_t *r, const source_t *source, yyjson_val *v)
{
    if (!yyjson_is_str(v)) return put_other(r, source, v);
    return put_text(r, source, yyjson_get_str(v), yyjson_get_len(v));
}

// What is behind the names of an alternative.
static read_status_t put_nodes(json_reader_t *r, const source_t *source, const alternative_t *a,
                               yyjson_val *item, yyjson_val *v)
{
    if (jsonpath_select_from(a->path, a->names, item, v, &r->work, &r->nodes) != JSONPATH_OK)
        return READ_TOO_COMPLEX;
    for (size_t k = 0; k < r->nodes.n; k++) {
        read_status_t status = put_value(r, source, r->nodes.nodes[k]);
        if (status != READ_OK) return status;
        if (!source->many && item_has(r->writer, source->index)) break;
    }
    return READ_OK;
}

// v: what the alternative's names have led to.
static read_status_t put_alternative(json_reader_t *r, const source_t *source, const alternative_t *a,
                                     yyjson_val *item, yyjson_val *v)
{
    if (a->from_root) return put_nodes(r, source, a, r->root, r->root);
    return a->whole ? put_value(r, source, v) : put_nodes(r, source, a, item, v);
}

static read_status_t read_field(json_reader_t *r, const source_t *source, yyjson_val *item, size_t *matches)
{
    const paths_t *paths = &source->paths;
    bool words = false;
    for (size_t i = 0; i < paths->n; i++) {
        yyjson_val *v = r->named[paths->v[i].name];
        if (!v) continue;
        read_status_t status = put_alternative(r, source, &paths->v[i], item, v);
        if (status != READ_OK) return status;
        bool has = item_has(r->writer, source->index);
        bool back = !has && !words && item_counts_back(r->writer, source->index);
        words = words || back;
        matches[i] += has || back;
        if (has) break;
    }
    return READ_OK;
}

// -- items ----------------------------------------------------------------------------------------

static read_status_t read_item(json_reader_t *r, yyjson_val *v, items_t *out)
{
    size_t *matches = out->selector_matches + r->items.n;
    bool keep;
    if (!(r->named = jsonpath_names_find(r->names, v, &r->work))) return READ_TOO_COMPLEX;
    item_begin(r->writer);
    for (size_t i = 0; i < r->n_fields; i++) {
        read_status_t status = read_field(r, &r->fields[i], v, matches);
        if (status != READ_OK) return status;
        matches += r->fields[i].paths.n;
    }
    read_status_t status = item_end(r->writer, &out->items[out->n_items], &keep);
    if (status == READ_OK && keep) out->n_items++;
    return status;
}

static read_status_t find_items(json_reader_t *r, yyjson_val *root, items_t *out)
{
    r->found.n = 0;
    for (size_t i = 0; i < r->items.n && r->found.n == 0; i++) {
        if (jsonpath_select(r->items.v[i].path, root, &r->work, &r->found) != JSONPATH_OK)
            return READ_TOO_COMPLEX;
        out->selector_matches[i] = r->found.n;
        r->found_by = i;
    }
    return READ_OK;
}

// The node that holds all items, where it is not the items that were selected: an array, or the root.
static yyjson_val *container_of(const json_reader_t *r, yyjson_val *root)
{
    if (r->items.n == 0) return root;
    if (r->found.n != 1 || r->items.v[r->found_by].plural) return NULL;
    return yyjson_is_arr(r->found.nodes[0]) ? r->found.nodes[0] : NULL;
}

static read_status_t read_items(json_reader_t *r, yyjson_val *root, arena_t *arena, items_t *out)
{
    read_status_t status = find_items(r, root, out);
    yyjson_val *container = container_of(r, root);
    if (status != READ_OK) return status;
    out->matched = !container ? r->found.n : yyjson_is_arr(container) ? yyjson_arr_size(container) : 1;
    for (size_t i = 0; container && i < r->items.n; i++)
        if (out->selector_matches[i]) out->selector_matches[i] = out->matched;
    if (out->matched > MAX_ITEMS) return READ_TOO_BIG;
    out->items = arena_alloc(arena, (out->matched + 1) * sizeof *out->items);
    if (!out->items) return READ_TOO_BIG;
    item_document(r->writer, arena, r->urls, out->matched);
    yyjson_val *v = yyjson_is_arr(container) ? unsafe_yyjson_get_first(container) : container;
    for (size_t i = 0; i < out->matched && status == READ_OK; i++) {
        if (i % LOOK_EVERY == LOOK_EVERY - 1 && effort_over()) return READ_TOO_COMPLEX;
        status = read_item(r, container ? v : r->found.nodes[i], out);
        if (yyjson_is_arr(container)) v = unsafe_yyjson_get_next(v);
    }
    return status;
}

// Nothing was selected: because the list is there, and empty?
static bool is_empty_list(json_reader_t *r, yyjson_val *root)
{
    if (yyjson_is_arr(container_of(r, root))) return true;
    for (size_t i = 0; i < r->lists.n; i++) {
        r->nodes.n = 0;
        if (jsonpath_select(r->lists.v[i].path, root, &r->work, &r->nodes) != JSONPATH_OK) return false;
        if (r->nodes.n == 1 && yyjson_is_arr(r->nodes.nodes[0])) return true;
    }
    return false;
}

static read_status_t take_next(json_reader_t *r, arena_t *arena, const document_t *document, yyjson_val *v,
                               items_t *out)
{
    const char *text = yyjson_is_str(v) ? yyjson_get_str(v) : yyjson_is_raw(v) ? yyjson_get_raw(v) : NULL;
    return text ? next_read(r->next_rule, r->urls, arena, document, text, yyjson_get_len(v), &out->next_url)
                : READ_OK;
}

// From the root; only texts and numbers say where it goes on.
static read_status_t read_next(json_reader_t *r, arena_t *arena, const document_t *document, yyjson_val *root,
                               items_t *out)
{
    for (size_t i = 0; i < r->next.n && !out->next_url; i++) {
        if (jsonpath_select(r->next.v[i].path, root, &r->work, &r->nodes) != JSONPATH_OK)
            return READ_TOO_COMPLEX;
        for (size_t k = 0; k < r->nodes.n && !out->next_url; k++) {
            read_status_t status = take_next(r, arena, document, r->nodes.nodes[k], out);
            if (status != READ_OK) return status;
        }
    }
    return READ_OK;
}

// What there is where `items` matched nothing.
static void describe(yyjson_val *root, char detail[200])
{
    size_t i, n, at = (size_t)snprintf(detail, 200, "`items` matched nothing");
    yyjson_val *key, *value;
    if (!yyjson_is_obj(root)) return;
    yyjson_obj_foreach(root, i, n, key, value)
    {
        size_t len = yyjson_get_len(key);
        if (len > 40 || at + len > 180) break;
        at += (size_t)snprintf(detail + at, 200 - at, "%s%s%s", i ? ", " : "; the root has ",
                               yyjson_get_str(key), yyjson_is_arr(value) ? "[]" : "");
    }
}

read_status_t json_items(json_reader_t *r, arena_t *arena, const document_t *document, items_t *out)
{
    read_status_t status;
    *out = (items_t){.selector_matches = arena_calloc(arena, r->n_selectors + 1, sizeof(size_t))};
    if (!out->selector_matches) return READ_TOO_BIG;
    yyjson_doc *doc = json_parse(arena, document, &status, out->detail);
    if (!doc) return status;
    r->urls = urls_of_thread();
    (void)urls_set_base(r->urls, document->url, document->url ? strlen(document->url) : 0);
    r->arena = arena;
    r->root = yyjson_doc_get_root(doc);
    r->work = JSONPATH_MAX_WORK;
    status = read_items(r, yyjson_doc_get_root(doc), arena, out);
    if (status == READ_OK) status = read_next(r, arena, document, yyjson_doc_get_root(doc), out);
    if (status == READ_OK && out->matched == 0 && !is_empty_list(r, r->root)) {
        status = READ_ROTTED;
        describe(r->root, out->detail);
    }
    if (status == READ_TOO_COMPLEX)
        snprintf(out->detail, sizeof out->detail, "a JSONPath passed its step limit");
    return status;
}
