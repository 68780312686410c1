// Hints for JSONPaths: their plain names are followed, and where these end it is said what is there.
#include <string.h>

#include "common/buf.h"
#include "miner/read/hint.h"
#include "miner/read/json.h"
#include "miner/read/jsonpath.h"
#include "proto/limits.h"

enum { MAX_NAMES = 300, MAX_VALUE = 120 }; // bytes of what is said

// How far the names of a path lead.
typedef struct {
    yyjson_val *at;
    size_t len;   // of the path until there
    bool missing; // its next name is no member
    bool whole;   // it has been followed to its end
} walk_t;

// The name that path begins with: "title", ".title" or "['title']"; its length in path, or 0.
static size_t next_name(const char *path, bool first, const char **name, size_t *len)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    if (path[0] == '[' && (path[1] == '\'' || path[1] == '"')) {
        *name = path + 2;
        *len = strcspn(*name, "'\"\\");
        return (*name)[*len] == path[1] && (*name)[*len + 1] == ']' ? *len + 4 : 0;
    }
    size_t dot = path[0] == '.';
    if (!dot && !first) return 0;
    *name = path + dot;
    *len = strspn(*name, plain);
    return *len ? dot + *len : 0;
}

static walk_t walk(yyjson_val *from, const char *path)
{
    walk_t w = {.at = from, .len = strspn(path, "$@")};
    bool first = w.len == 0;
    while (path[w.len]) {
        const char *name;
        size_t len, step = next_name(path + w.len, first, &name, &len);
        if (!step) return w;
        yyjson_val *v = yyjson_obj_getn(w.at, name, len);
        w.missing = !v && yyjson_is_obj(w.at);
        if (!v) return w;
        w.at = v;
        w.len += step;
        first = false;
    }
    w.whole = true;
    return w;
}

// "id, title, tags[], user{}": as many as fit.
static const char *names_of(arena_t *arena, yyjson_val *object)
{
    size_t i, n;
    yyjson_val *key, *value;
    buf_t out;
    buf_init(&out, MAX_NAMES);
    yyjson_obj_foreach(object, i, n, key, value)
    {
        const char *mark = yyjson_is_arr(value) ? "[]" : yyjson_is_obj(value) ? "{}" : "";
        if (buf_printf(&out, "%s%s%s", i ? ", " : "", yyjson_get_str(key), mark) != 0) break;
    }
    const char *names = out.len ? arena_strndup(arena, out.data, out.len) : NULL;
    buf_free(&out);
    return names;
}

static bool hint_members(arena_t *arena, const char *path, size_t len, const char *within, yyjson_val *object,
                         hint_t *out)
{
    out->value = names_of(arena, object);
    bool of_document = path[1] == '$' || strcmp(out->field, "items") == 0;
    out->why = len > strspn(path, "$@") ? arena_printf(arena, "`%.*s%s` has", (int)len, path, within)
               : of_document            ? "the document has"
                                        : "an item has";
    return out->value && out->why;
}

// What stands where the path ends: no text, or one of another type.
static bool hint_end(arena_t *arena, const field_t *f, const char *path, yyjson_val *v, hint_t *out)
{
    bool list = yyjson_is_arr(v);
    if (list) v = yyjson_arr_get_first(v);
    if (yyjson_is_obj(v)) return hint_members(arena, path, strlen(path), list ? "[*]" : "", v, out);
    const char *text = yyjson_is_str(v) ? yyjson_get_str(v) : yyjson_is_raw(v) ? yyjson_get_raw(v) : NULL;
    size_t len = text ? yyjson_get_len(v) : 0;
    if (!len) return false;
    out->why = hint_why_none(f);
    out->value = arena_strndup(arena, text, len < MAX_VALUE ? len : MAX_VALUE);
    return out->value != NULL;
}

static size_t hint_field(arena_t *arena, const field_t *f, yyjson_val *root, yyjson_val *item, hint_t *out)
{
    const char *path = f->selectors[0];
    *out = (hint_t){.field = f->name, .selector = path};
    walk_t w = walk(strncmp(path, "$$", 2) == 0 ? root : item, path);
    if (w.missing) return hint_members(arena, path, w.len, "", w.at, out);
    return w.whole && hint_end(arena, f, path, w.at, out);
}

// Where a path that should have led to the items ends before.
static size_t hint_items(arena_t *arena, const char *path, yyjson_val *root, hint_t *out)
{
    *out = (hint_t){.field = "items", .selector = path};
    walk_t w = walk(root, path);
    return w.missing && hint_members(arena, path, w.len, "", w.at, out);
}

// The first item; NULL: there is none.
static yyjson_val *first_item(const char *const *items, size_t n, const size_t *matches, yyjson_val *root)
{
    nodelist_t found = {.n = 0};
    jsonpath_error_t error;
    int64_t work = JSONPATH_MAX_WORK;
    yyjson_val *item = n ? NULL : root;
    size_t i = 0;
    while (i < n && !matches[i]) i++;
    jsonpath_t *path = i < n ? jsonpath_new(items[i], strlen(items[i]), &error) : NULL;
    if (path && jsonpath_select(path, root, &work, &found) == JSONPATH_OK && found.n) item = found.nodes[0];
    bool holds_all = n == 0 || found.n == 1;
    nodelist_free(&found);
    if (path) jsonpath_destroy(&path);
    return holds_all && yyjson_is_arr(item) ? yyjson_arr_get_first(item) : item;
}

size_t hint_json(const template_t *t, bool detail, arena_t *arena, const document_t *document,
                 const size_t *matches, hint_t *out, size_t max)
{
    char why[200];
    read_status_t status;
    const char **items = detail ? t->detail_items : t->items;
    const field_t *fields = detail ? t->detail_fields : t->fields;
    size_t n_items = detail ? t->n_detail_items : t->n_items, n = 0,
           n_fields = detail ? t->n_detail_fields : t->n_fields;
    yyjson_doc *doc = json_parse(arena, document, &status, why);
    yyjson_val *root = yyjson_doc_get_root(doc), *item = first_item(items, n_items, matches, root);
    if (n_items && max && !item) return hint_items(arena, items[0], root, out);
    matches += n_items;
    for (size_t i = 0; i < n_fields && n < max && item; i++) {
        bool none = fields[i].n_selectors > 0;
        for (size_t k = 0; k < fields[i].n_selectors; k++) none = none && !*matches++;
        if (none) n += hint_field(arena, &fields[i], root, item, &out[n]);
    }
    return n;
}
