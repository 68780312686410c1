// Template, the prototype's dialect: a home page's links are the items, and each is read by selectors for a
// page's meta elements. It is mapped to a native template of kind html that follows `url`.
#include <ctype.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/template_json.h"

#define ROWS(array) (sizeof(array) / sizeof *(array))

enum { MAX_LABEL = 200, MAX_PATHS = 100 };

bool template_is_prototype(yyjson_val *root)
{
    return yyjson_obj_get(root, "config") || yyjson_obj_get(root, "uri") ||
           yyjson_obj_get(root, "homepageLinksPath");
}

// A field with one selector.
static int fill_field(parse_t *p, field_t *f, const char *name, field_type_t type, const char *selector)
{
    f->name = name;
    f->type = type;
    f->selectors = arena_calloc(p->arena, 1, sizeof *f->selectors);
    if (!f->selectors || !selector) return template_fail(p->error, name, "the template is too big");
    f->selectors[f->n_selectors++] = selector;
    return 0;
}

static int read_page_field(parse_t *p, yyjson_val *value, const char *path, const char *name)
{
    const char *selector;
    bool image = strcmp(name, "image") == 0;
    // the prototype's templates leave a field empty where a site has none
    if (yyjson_is_null(value) || yyjson_equals_str(value, "")) return 0;
    if (read_text(p, value, path, MAX_SELECTOR, &selector) != 0) return -1;
    template_t *t = p->t;
    field_t *f = &t->detail_fields[t->n_detail_fields++];
    const char *full = arena_printf(p->arena, "%s%s", selector, image ? "::attr(content)" : "::content");
    if (fill_field(p, f, name, image ? TYPE_URL : TYPE_TEXT, full) != 0) return -1;
    f->required = strcmp(name, "title") == 0;
    return 0;
}

static int member_title(parse_t *p, yyjson_val *value, const char *path)
{
    return read_page_field(p, value, path, "title");
}

static int member_description(parse_t *p, yyjson_val *value, const char *path)
{
    return read_page_field(p, value, path, "description");
}

static int member_image(parse_t *p, yyjson_val *value, const char *path)
{
    return read_page_field(p, value, path, "image");
}

static int member_keywords(parse_t *p, yyjson_val *value, const char *path)
{
    return read_page_field(p, value, path, "keywords");
}

static int member_author(parse_t *p, yyjson_val *value, const char *path)
{
    return read_page_field(p, value, path, "author");
}

// All links of all paths, in the order of the page: one selector list.
static int member_links(parse_t *p, yyjson_val *value, const char *path)
{
    const char **paths;
    size_t n;
    if (read_texts(p, value, path, MAX_SELECTOR, MAX_PATHS, &paths, &n) != 0) return -1;
    const char *all = paths[0];
    for (size_t i = 1; i < n && all; i++) all = arena_printf(p->arena, "%s, %s", all, paths[i]);
    p->t->items = arena_calloc(p->arena, 1, sizeof *p->t->items);
    if (!p->t->items || !all) return template_fail(p->error, path, "the template is too big");
    p->t->items[p->t->n_items++] = all;
    return 0;
}

static int member_url_filters(parse_t *p, yyjson_val *value, const char *path)
{
    if (yyjson_is_arr(value) && yyjson_arr_size(value) == 0) return 0;
    return read_texts(p, value, path, MAX_SELECTOR, MAX_PATHS, &p->t->url_drops, &p->t->n_url_drops);
}

static int filter_path(parse_t *p, yyjson_val *value, const char *path)
{
    return read_text(p, value, path, MAX_SELECTOR, &p->t->page_filters[p->t->n_page_filters].selector);
}

static int filter_value(parse_t *p, yyjson_val *value, const char *path)
{
    return read_text(p, value, path, MAX_SELECTOR, &p->t->page_filters[p->t->n_page_filters].value);
}

static int member_page_filters(parse_t *p, yyjson_val *value, const char *path)
{
    static const member_t rows[] = {{"path", filter_path}, {"value", filter_value}};
    size_t n = yyjson_arr_size(value), i, all;
    if (!yyjson_is_arr(value) || n > MAX_PATHS)
        return template_fail(p->error, path, "must be a list of at most %d {\"path\", \"value\"}", MAX_PATHS);
    if (!(p->t->page_filters = arena_calloc(p->arena, n + 1, sizeof *p->t->page_filters)))
        return template_fail(p->error, path, "the template is too big");
    yyjson_val *entry;
    yyjson_arr_foreach(value, i, all, entry)
    {
        char where[MAX_PATH];
        path_index(where, path, i);
        if (read_members(p, entry, where, rows, ROWS(rows)) != 0) return -1;
        const page_filter_t *f = &p->t->page_filters[p->t->n_page_filters];
        if (!f->selector || !f->value) return template_fail(p->error, where, "needs both `path` and `value`");
        p->t->n_page_filters++;
    }
    return 0;
}

static int read_config(parse_t *p, yyjson_val *config, const char *path)
{
    static const member_t rows[] = {
        {"uri", read_urls},
        {"homepageLinksPath", member_links},
        {"title", member_title},
        {"description", member_description},
        {"image", member_image},
        {"keywords", member_keywords},
        {"metaAuthor", member_author},
        {"urlFilters", member_url_filters},
        {"pageFilters", member_page_filters},
    };
    template_t *t = p->t;
    t->detail_fields = arena_calloc(p->arena, ROWS(rows), sizeof *t->detail_fields);
    t->fields = arena_calloc(p->arena, 1, sizeof *t->fields);
    if (!t->detail_fields || !t->fields) return template_fail(p->error, path, "the template is too big");
    if (read_members(p, config, path, rows, ROWS(rows)) != 0) return -1;
    char where[MAX_PATH];
    path_member(where, path, t->n_urls == 0 ? "uri" : t->n_items == 0 ? "homepageLinksPath" : "title");
    if (t->n_urls == 0 || t->n_items == 0) return template_fail(p->error, where, "is missing");
    for (size_t i = 0; i < t->n_detail_fields; i++)
        if (t->detail_fields[i].required) return 0;
    return template_fail(p->error, where, "is missing; an item without title is never kept");
}

// -- names ----------------------------------------------------------------------------------------

// "Hacker News" -> "hacker-news". Bytes beyond ASCII are left out.
static const char *slug(arena_t *arena, const char *label, size_t len)
{
    char *out = arena_alloc(arena, len + 1), *at = out;
    if (!out) return NULL;
    for (size_t i = 0; i < len && at - out < MAX_NAME; i++) {
        unsigned char c = (unsigned char)label[i];
        if (isalnum(c) || c == '.' || c == '_')
            *at++ = (char)tolower(c);
        else if (c < 0x80 && at > out && at[-1] != '-')
            *at++ = '-';
    }
    while (at > out && at[-1] == '-') at--;
    *at = '\0';
    return out;
}

static int name_from_source(parse_t *p, yyjson_val *value, const char *path)
{
    if (read_text(p, value, path, MAX_LABEL, &p->t->source_label) != 0) return -1;
    p->t->name = slug(p->arena, p->t->source_label, strlen(p->t->source_label));
    if (p->t->name && *p->t->name) return 0;
    return template_fail(p->error, path,
                         "needs a letter or digit of ASCII, to make the template's name from");
}

static int name_from_host(parse_t *p)
{
    const char *host = strstr(p->t->urls[0], "//");
    host = host ? host + 2 : p->t->urls[0];
    p->t->name = slug(p->arena, host, strcspn(host, "/?#"));
    return p->t->name && *p->t->name ? 0 : template_fail(p->error, "source", "is missing");
}

static int read_wrapped(parse_t *p, yyjson_val *value, const char *path)
{
    return read_config(p, value, path);
}

static int read_disabled(parse_t *p, yyjson_val *value, const char *path)
{
    return read_bool(p, value, path, &p->t->disabled);
}

int template_prototype(parse_t *p, yyjson_val *root)
{
    static const member_t rows[] = {
        {"source", name_from_source}, {"config", read_wrapped}, {"disabled", read_disabled}};
    template_t *t = p->t;
    bool wrapped = yyjson_obj_get(root, "config") != NULL;
    int rc = wrapped ? read_members(p, root, "", rows, ROWS(rows)) : read_config(p, root, "");
    if (rc != 0 || (!t->name && name_from_host(p) != 0)) return -1;
    t->kind = KIND_HTML;
    p->kind_given = true;
    t->priority = PRIORITY_NORMAL;
    t->follow = "url";
    t->n_fields = 1;
    return fill_field(p, &t->fields[0], "url", TYPE_URL, "::attr(href)");
}
