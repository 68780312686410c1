// Template, native dialect: a row per member, then the checks that need more than one member.
#include <stdio.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/template_json.h"

#define ROWS(array) (sizeof(array) / sizeof *(array))

enum {
    MAX_DROPS = 100, // patterns of one filter, substrings of urlFilters
    MAX_PATTERN = 1024,
    MAX_DEFAULT = 1024,
    MAX_COMMENT = 64 << 10,
    SECOND = 1000,
};

static const char *const kinds[] = {"html", "feed", "json", "sitemap", "page", "stream", "auto", NULL};
static const char *const types[] = {"text", "html", "url", "integer", "number", "time", "list", NULL};
static const char *const orders[] = {"newest", "ranked", "none", NULL};

// -- fields ---------------------------------------------------------------------------------------

static field_type_t implied_type(const char *name)
{
    static const struct {
        const char *name;
        field_type_t type;
    } implied[] = {{"url", TYPE_URL},
                   {"image", TYPE_URL},
                   {"published", TYPE_TIME},
                   {"published_at", TYPE_TIME},
                   {"date", TYPE_TIME}};
    for (size_t i = 0; i < ROWS(implied); i++)
        if (strcmp(implied[i].name, name) == 0) return implied[i].type;
    return TYPE_TEXT;
}

static int field_select(parse_t *p, yyjson_val *value, const char *path)
{
    field_t *f = p->field;
    return read_texts(p, value, path, MAX_SELECTOR, MAX_SELECTORS, &f->selectors, &f->n_selectors);
}

static int field_match(parse_t *p, yyjson_val *value, const char *path)
{
    return read_text(p, value, path, MAX_PATTERN, &p->field->match);
}

static int field_type(parse_t *p, yyjson_val *value, const char *path)
{
    int type;
    if (read_word(p, value, path, types, &type) != 0) return -1;
    field_t *f = p->field;
    field_type_t implied = implied_type(f->name);
    if (implied != TYPE_TEXT && (field_type_t)type != implied)
        return template_fail(p->error, path, "`%s` is always of type \"%s\"", f->name, types[implied]);
    f->type = (field_type_t)type;
    f->typed = true;
    return 0;
}

static int field_format(parse_t *p, yyjson_val *value, const char *path)
{
    return read_text(p, value, path, MAX_URL, &p->field->format);
}

static int field_default(parse_t *p, yyjson_val *value, const char *path)
{
    return read_text(p, value, path, MAX_DEFAULT, &p->field->default_text);
}

static int field_all(parse_t *p, yyjson_val *value, const char *path)
{
    return read_bool(p, value, path, &p->field->all);
}

static int field_markup(parse_t *p, yyjson_val *value, const char *path)
{
    return read_bool(p, value, path, &p->field->markup);
}

static int field_required(parse_t *p, yyjson_val *value, const char *path)
{
    return read_bool(p, value, path, &p->field->required);
}

static int read_field(parse_t *p, yyjson_val *value, const char *path, const char *name, field_t *f)
{
    static const member_t rows[] = {{"select", field_select},     {"match", field_match},
                                    {"format", field_format},     {"type", field_type},
                                    {"default", field_default},   {"all", field_all},
                                    {"required", field_required}, {"markup", field_markup}};
    f->name = name;
    f->type = implied_type(name);
    p->field = f;
    if (!yyjson_is_obj(value)) return field_select(p, value, path);
    if (read_members(p, value, path, rows, ROWS(rows)) != 0) return -1;
    if (f->n_selectors == 0 && !f->default_text && !f->format)
        return template_fail(p->error, path, "has none of `select`, `format` and `default`");
    if (f->markup && f->type == TYPE_HTML)
        return template_fail(p->error, path,
                             "`markup` takes the text of markup, type \"html\" keeps it: say one");
    return 0;
}

// Members of an item that two names would fill.
static const char *column_of(const char *name)
{
    if (strcmp(name, "description") == 0) return "summary";
    if (strcmp(name, "published_at") == 0 || strcmp(name, "date") == 0) return "published";
    return name;
}

static int check_field_name(parse_t *p, const char *name, const char *path, const field_t *fields, size_t n)
{
    if (!*name || strlen(name) > MAX_NAME)
        return template_fail(p->error, path, "a field's name has 1 to %d bytes", MAX_NAME);
    if (strcmp(name, "key") == 0)
        return template_fail(p->error, path, "is no field; `key` stands beside `fields`");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fields[i].name, name) == 0) return template_fail(p->error, path, "is given twice");
        if (strcmp(column_of(fields[i].name), column_of(name)) == 0)
            return template_fail(p->error, path, "is the same as `%s`; keep one of them", fields[i].name);
    }
    return 0;
}

static int read_fields(parse_t *p, yyjson_val *value, const char *path, field_t **out, size_t *n)
{
    if (!yyjson_is_obj(value))
        return template_fail(p->error, path, "must be an object: {\"title\": \"a selector\", ...}");
    size_t count = yyjson_obj_size(value), index, all;
    if (count == 0) return template_fail(p->error, path, "is empty");
    if (count > MAX_FIELDS)
        return template_fail(p->error, path, "has %zu fields; at most %d", count, MAX_FIELDS);
    if (!(*out = arena_calloc(p->arena, count, sizeof **out)))
        return template_fail(p->error, path, "the template is too big");
    yyjson_val *key, *field;
    yyjson_obj_foreach(value, index, all, key, field)
    {
        char where[MAX_PATH];
        const char *name = arena_strdup(p->arena, yyjson_get_str(key));
        path_member(where, path, name ? name : "");
        if (!name) return template_fail(p->error, where, "the template is too big");
        if (check_field_name(p, name, where, *out, *n) != 0) return -1;
        if (read_field(p, field, where, name, &(*out)[*n]) != 0) return -1;
        ++*n;
    }
    return 0;
}

// -- filters --------------------------------------------------------------------------------------

static int read_filters(parse_t *p, yyjson_val *value, const char *path, bool drop, filter_t **out, size_t *n)
{
    if (!yyjson_is_obj(value))
        return template_fail(p->error, path, "must be an object: {\"title\": \"a pattern\", ...}");
    size_t count = yyjson_obj_size(value), index, all;
    filter_t *list = arena_calloc(p->arena, *n + count + 1, sizeof *list);
    if (!list) return template_fail(p->error, path, "the template is too big");
    if (*n + count > MAX_FIELDS)
        return template_fail(p->error, path, "has too many fields; at most %d", MAX_FIELDS);
    if (*n) memcpy(list, *out, *n * sizeof *list);
    *out = list;
    yyjson_val *key, *patterns;
    yyjson_obj_foreach(value, index, all, key, patterns)
    {
        char where[MAX_PATH];
        filter_t *f = &list[(*n)++];
        path_member(where, path, yyjson_get_str(key));
        f->drop = drop;
        f->field = arena_strdup(p->arena, column_of(yyjson_get_str(key)));
        if (!f->field) return template_fail(p->error, where, "the template is too big");
        if (read_texts(p, patterns, where, MAX_PATTERN, MAX_DROPS, &f->patterns, &f->n_patterns) != 0)
            return -1;
    }
    return 0;
}

static int member_keep(parse_t *p, yyjson_val *value, const char *path)
{
    return read_filters(p, value, path, false, &p->t->filters, &p->t->n_filters);
}

static int member_drop(parse_t *p, yyjson_val *value, const char *path)
{
    return read_filters(p, value, path, true, &p->t->filters, &p->t->n_filters);
}

// -- detail ---------------------------------------------------------------------------------------

// Selectors that start with `$` are JSONPaths.
static template_kind_t kind_of_selectors(const char *script, const char **items, const field_t *fields)
{
    const char **first = items ? items : fields->selectors;
    return script || (first && first[0][0] == '$') ? KIND_JSON : KIND_HTML;
}

static int detail_follow(parse_t *p, yyjson_val *value, const char *path)
{
    return read_text(p, value, path, MAX_NAME, &p->t->follow);
}

static int detail_kind(parse_t *p, yyjson_val *value, const char *path)
{
    static const char *const words[] = {"html", "json", NULL};
    int word;
    if (read_word(p, value, path, words, &word) != 0) return -1;
    p->t->detail_kind = word ? KIND_JSON : KIND_HTML;
    p->detail_kind_given = true;
    return 0;
}

static int detail_script(parse_t *p, yyjson_val *value, const char *path)
{
    return read_text(p, value, path, MAX_SELECTOR, &p->t->detail_script);
}

static int detail_items(parse_t *p, yyjson_val *value, const char *path)
{
    template_t *t = p->t;
    return read_texts(p, value, path, MAX_SELECTOR, MAX_SELECTORS, &t->detail_items, &t->n_detail_items);
}

static int detail_fields(parse_t *p, yyjson_val *value, const char *path)
{
    return read_fields(p, value, path, &p->t->detail_fields, &p->t->n_detail_fields);
}

static int detail_keep(parse_t *p, yyjson_val *value, const char *path)
{
    return read_filters(p, value, path, false, &p->t->detail_filters, &p->t->n_detail_filters);
}

static int detail_drop(parse_t *p, yyjson_val *value, const char *path)
{
    return read_filters(p, value, path, true, &p->t->detail_filters, &p->t->n_detail_filters);
}

static int member_detail(parse_t *p, yyjson_val *value, const char *path)
{
    static const member_t rows[] = {
        {"follow", detail_follow}, {"kind", detail_kind}, {"script", detail_script}, {"items", detail_items},
        {"fields", detail_fields}, {"keep", detail_keep}, {"drop", detail_drop}};
    template_t *t = p->t;
    if (read_members(p, value, path, rows, ROWS(rows)) != 0) return -1;
    if (t->n_detail_fields == 0)
        return template_fail(p->error, path, "has no `fields` to read from the page");
    if (!t->follow) t->follow = "url";
    if (!p->detail_kind_given)
        t->detail_kind = kind_of_selectors(t->detail_script, t->detail_items, t->detail_fields);
    if (t->detail_kind == KIND_JSON) return 0;
    if (t->detail_script || t->n_detail_items)
        return template_fail(
            p->error, path,
            "has `%s`, which is for kind \"json\"; fields of kind \"html\" are looked up from the whole page",
            t->detail_script ? "script" : "items");
    return 0;
}

// -- further pages --------------------------------------------------------------------------------

static int next_first(parse_t *p, yyjson_val *value, const char *path)
{
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) > 1000000)
        return template_fail(p->error, path, "must be a whole number, 0 or 1 as a rule");
    p->t->first_page = (uint32_t)yyjson_get_uint(value);
    return 0;
}

static bool holds_once(const char *format, const char *word)
{
    const char *at = strstr(format, word);
    return at && !strstr(at + strlen(word), word);
}

// Without `select` pages are counted.
static int check_counted(parse_t *p, field_t *f, const char *path)
{
    f->type = TYPE_TEXT;
    if (!f->format) return template_fail(p->error, path, "has no `select`");
    if (f->match) return template_fail(p->error, "next.match", "needs a `select`");
    if (holds_once(f->format, "{page}") != holds_once(f->format, "{offset}")) return 0;
    return template_fail(p->error, "next.format",
                         "without `select` must hold {page} or {offset} once: \"?page={page}\"");
}

static int member_next(parse_t *p, yyjson_val *value, const char *path)
{
    static const member_t rows[] = {
        {"select", field_select}, {"match", field_match}, {"format", field_format}, {"first", next_first}};
    p->t->first_page = 1;
    field_t *f = p->field = p->t->next = arena_calloc(p->arena, 1, sizeof *f);
    if (!f) return template_fail(p->error, path, "the template is too big");
    f->name = "next";
    if (!yyjson_is_obj(value) ? field_select(p, value, path) : read_members(p, value, path, rows, ROWS(rows)))
        return -1;
    if (f->n_selectors == 0) return check_counted(p, f, path);
    f->type = f->format ? TYPE_TEXT : TYPE_URL;
    if (!f->format || holds_once(f->format, "{}")) return 0;
    return template_fail(p->error, "next.format",
                         "must hold {} once, where the value goes: \"/list?after={}\"");
}

static int member_pages(parse_t *p, yyjson_val *value, const char *path)
{
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) < 1 || yyjson_get_uint(value) > MAX_PAGES)
        return template_fail(p->error, path, "must be a whole number from 1 to %d", MAX_PAGES);
    p->t->pages = (uint32_t)yyjson_get_uint(value);
    return 0;
}

// -- politeness and requests ----------------------------------------------------------------------

static int polite_concurrency(parse_t *p, yyjson_val *value, const char *path)
{
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) < 1 || yyjson_get_uint(value) > 64)
        return template_fail(p->error, path, "must be a whole number from 1 to 64");
    p->t->host_concurrency = (uint32_t)yyjson_get_uint(value);
    return 0;
}

static int polite_gap(parse_t *p, yyjson_val *value, const char *path)
{
    p->gap_given = true;
    return read_duration(p, value, path, 0, 3600 * SECOND, &p->t->host_gap_ms);
}

static int polite_robots(parse_t *p, yyjson_val *value, const char *path)
{
    bool obey = true;
    int rc = read_bool(p, value, path, &obey);
    p->t->ignore_robots = !obey;
    return rc;
}

static int member_politeness(parse_t *p, yyjson_val *value, const char *path)
{
    static const member_t rows[] = {
        {"concurrency", polite_concurrency}, {"gap", polite_gap}, {"robots", polite_robots}};
    return read_members(p, value, path, rows, ROWS(rows));
}

// -- the whole ------------------------------------------------------------------------------------

static int member_name(parse_t *p, yyjson_val *value, const char *path)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (read_text(p, value, path, MAX_NAME, &p->t->name) != 0) return -1;
    if (!p->t->name[strspn(p->t->name, allowed)]) return 0;
    return template_fail(p->error, path, "\"%.60s\" may hold letters, digits, \".\", \"_\" and \"-\" only",
                         p->t->name);
}

static int member_kind(parse_t *p, yyjson_val *value, const char *path)
{
    int kind;
    if (read_word(p, value, path, kinds, &kind) != 0) return -1;
    p->t->kind = (template_kind_t)kind;
    p->kind_given = true;
    return 0;
}

static int member_items(parse_t *p, yyjson_val *value, const char *path)
{
    return read_texts(p, value, path, MAX_SELECTOR, MAX_SELECTORS, &p->t->items, &p->t->n_items);
}

static int member_key(parse_t *p, yyjson_val *value, const char *path)
{
    p->t->key = arena_calloc(p->arena, 1, sizeof *p->t->key);
    if (!p->t->key) return template_fail(p->error, path, "the template is too big");
    return read_field(p, value, path, "key", p->t->key);
}

static int member_fields(parse_t *p, yyjson_val *value, const char *path)
{
    return read_fields(p, value, path, &p->t->fields, &p->t->n_fields);
}

static int member_order(parse_t *p, yyjson_val *value, const char *path)
{
    int order;
    if (read_word(p, value, path, orders, &order) != 0) return -1;
    p->t->order = (item_order_t)order;
    p->order_given = true;
    return 0;
}

static int member_track(parse_t *p, yyjson_val *value, const char *path)
{
    return read_texts(p, value, path, MAX_NAME, MAX_FIELDS, &p->t->track, &p->t->n_track);
}

static int member_disabled(parse_t *p, yyjson_val *value, const char *path)
{
    return read_bool(p, value, path, &p->t->disabled);
}

static int member_may_be_empty(parse_t *p, yyjson_val *value, const char *path)
{
    return read_bool(p, value, path, &p->t->may_be_empty);
}

static int member_script(parse_t *p, yyjson_val *value, const char *path)
{
    return read_text(p, value, path, MAX_SELECTOR, &p->t->script);
}

static int member_comment(parse_t *p, yyjson_val *value, const char *path)
{
    const char *ignored;
    return read_text(p, value, path, MAX_COMMENT, &ignored);
}

int template_native(parse_t *p, yyjson_val *root)
{
    static const member_t rows[] = {
        {"name", member_name},
        {"comment", member_comment},
        {"kind", member_kind},
        {"url", read_urls},
        {"urls", read_urls},
        {"items", member_items},
        {"script", member_script},
        {"next", member_next},
        {"pages", member_pages},
        {"key", member_key},
        {"fields", member_fields},
        {"keep", member_keep},
        {"drop", member_drop},
        {"detail", member_detail},
        {"order", member_order},
        {"dates", member_dates},
        {"track", member_track},
        {"mode", member_mode},
        {"every", member_every},
        {"cron", member_cron},
        {"timezone", member_timezone},
        {"windows", member_windows},
        {"min_gap", member_min_gap},
        {"catch_up", member_catch_up},
        {"fresh_within", member_fresh_within},
        {"timeout", member_timeout},
        {"priority", member_priority},
        {"politeness", member_politeness},
        {"method", member_method},
        {"headers", member_headers},
        {"query", member_query},
        {"body", member_body},
        {"auth", member_auth},
        {"cookies", member_cookies},
        {"tls", member_tls},
        {"disabled", member_disabled},
        {"may_be_empty", member_may_be_empty},
        {"depends_on", member_depends_on},
        {"blocks", member_blocks},
        {"max_concurrent", member_max_concurrent},
        {"deadline", member_deadline},
        {"retry", member_retry},
        {"max_consecutive_failures", member_max_failures},
        {"events", member_events},
        {"offset", member_offset},
        {"resume", member_resume},
        {"retention", member_retention},
    };
    p->t->priority = PRIORITY_NORMAL;
    if (read_members(p, root, "", rows, ROWS(rows)) != 0) return -1;
    if (!p->t->name)
        return template_fail(p->error, "name", "is missing; give the template a name such as \"my-source\"");
    if (p->t->n_urls == 0)
        return template_fail(p->error, "url", "is missing; say which page, feed or API to poll");
    return 0;
}

// -- what follows from the members ----------------------------------------------------------------

static template_kind_t implied_kind(const template_t *t)
{
    bool selects = t->script || t->n_items || t->n_fields;
    return selects ? kind_of_selectors(t->script, t->items, t->fields) : KIND_AUTO;
}

// Kinds that know their fields by themselves.
static bool reads_by_itself(template_kind_t kind)
{
    return kind == KIND_FEED || kind == KIND_SITEMAP || kind == KIND_AUTO;
}

// Where guids are not to be trusted: what else identifies an item.
static int check_own_key(parse_t *p, const char *what)
{
    static const char *const names[] = {"guid", "url", "title"};
    const field_t *key = p->t->key;
    bool good = key->n_selectors > 0 && !key->match && !key->format && !key->default_text;
    for (size_t i = 0; i < key->n_selectors && good; i++) {
        size_t k = 0;
        while (k < ROWS(names) && strcmp(names[k], key->selectors[i]) != 0) k++;
        good = k < ROWS(names);
    }
    if (good) return 0;
    return template_fail(p->error, "key", "kind \"%s\" takes \"guid\", \"url\" or \"title\" here", what);
}

static int check_kind(parse_t *p)
{
    template_t *t = p->t;
    if (t->script && t->kind != KIND_JSON)
        return template_fail(p->error, "script",
                             "is for kind \"json\": it says where in a page the JSON stands");
    if (reads_by_itself(t->kind)) {
        const char *what = template_kind_name(t->kind);
        if (t->n_items)
            return template_fail(p->error, "items", "kind \"%s\" finds its items by itself; leave it out",
                                 what);
        if (t->n_fields)
            return template_fail(p->error, "fields", "kind \"%s\" knows its fields by itself; leave it out",
                                 what);
        return t->key ? check_own_key(p, what) : 0;
    }
    if (t->kind == KIND_HTML && t->n_items == 0)
        return template_fail(p->error, "items",
                             "is missing; kind \"html\" needs a CSS selector for one item");
    if (t->kind == KIND_PAGE) return template_page(p);
    if (t->n_fields == 0)
        return template_fail(p->error, "fields",
                             "is missing; say what to read: {\"title\": \"a selector\", ...}");
    return 0;
}

// Where pages may follow, and how they are found.
static int check_pages(parse_t *p)
{
    static const char *links[] = {"a[rel~=next]", "link[rel~=next]"};
    static field_t usual = {.name = "next", .type = TYPE_URL, .selectors = links, .n_selectors = 2};
    template_t *t = p->t;
    const char *what = template_kind_name(t->kind);
    bool selects = t->kind == KIND_HTML || t->kind == KIND_JSON;
    if (t->next && t->next->n_selectors == 0 && t->kind != KIND_PAGE && t->kind != KIND_STREAM) return 0;
    if (t->next && !selects)
        return template_fail(p->error, "next", "kind \"%s\" has no selectors; leave it out", what);
    if (t->pages > 1 && !selects && t->kind != KIND_FEED && t->kind != KIND_AUTO)
        return template_fail(p->error, "pages", "kind \"%s\" has no further pages; leave it out", what);
    if (t->pages > 1 && t->kind == KIND_JSON && !t->next)
        return template_fail(p->error, "next",
                             "is missing; say where the next page's URL stands, \"$.next\"");
    bool newest = p->order_given && t->order == ORDER_NEWEST; // pages back where something may be missing
    if ((t->pages > 1 || newest) && t->kind == KIND_HTML && !t->next) t->next = &usual;
    return 0;
}

static const field_t *find_in(const field_t *fields, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].name, name) == 0) return &fields[i];
    return NULL;
}

static const field_t *find_field(const template_t *t, const char *name)
{
    return find_in(t->fields, t->n_fields, name);
}

static bool is_known_field(const template_t *t, const char *name)
{
    static const char *const own[] = {"title",   "url",   "author",    "summary",
                                      "content", "image", "published", "fields"};
    if (!reads_by_itself(t->kind))
        return find_field(t, name) || find_in(t->detail_fields, t->n_detail_fields, name);
    for (size_t i = 0; i < ROWS(own); i++)
        if (strcmp(own[i], name) == 0) return true;
    return false;
}

// Each {name} of a format is another field of the same set that has no format itself.
static int check_format(parse_t *p, const field_t *f, const field_t *fields, size_t n, const char *prefix)
{
    char where[MAX_PATH], name[MAX_NAME + 1];
    snprintf(where, sizeof where, "%s%.80s.format", prefix, f->name);
    if (f->type == TYPE_TIME && f->format && !strchr(f->format, '{'))
        return template_fail(
            p->error, where,
            "puts fields together, as in \"{day} {hour}\"; dates need no format, and what is left open in them, `dates` says");
    for (const char *at = f->format; at && (at = strchr(at, '{'));) {
        size_t len = strcspn(++at, "}"), i = 0;
        if (!at[len] || len == 0 || len > MAX_NAME)
            return template_fail(p->error, where, "\"{\" must start the name of a field, as in {id}");
        snprintf(name, sizeof name, "%.*s", (int)len, at);
        while (i < n && strcmp(fields[i].name, name) != 0) i++;
        if (i == n) return template_fail(p->error, where, "there is no field `%.60s` beside it", name);
        if (fields[i].format) return template_fail(p->error, where, "`%.60s` has a format itself", name);
        at += len;
    }
    return 0;
}

static int check_formats(parse_t *p)
{
    const template_t *t = p->t;
    for (size_t i = 0; i < t->n_fields; i++)
        if (check_format(p, &t->fields[i], t->fields, t->n_fields, "fields.") != 0) return -1;
    for (size_t i = 0; i < t->n_detail_fields; i++)
        if (check_format(p, &t->detail_fields[i], t->detail_fields, t->n_detail_fields, "detail.fields.") !=
            0)
            return -1;
    if (t->key && t->key->format) return check_format(p, t->key, t->fields, t->n_fields, "");
    return 0;
}

// A filter of a field that there is not would leave everything out, or nothing.
static int check_filters(parse_t *p, const char *prefix, const filter_t *filters, size_t n_filters,
                         const field_t *fields, size_t n)
{
    for (size_t i = 0; i < n_filters; i++) {
        char where[MAX_PATH], path[MAX_PATH];
        snprintf(where, sizeof where, "%s%s", prefix, filters[i].drop ? "drop" : "keep");
        path_member(path, where, filters[i].field);
        size_t k = 0;
        while (k < n && strcmp(column_of(fields[k].name), filters[i].field) != 0) k++;
        if (k == n) return template_fail(p->error, path, "there is no field `%.60s`", filters[i].field);
    }
    return 0;
}

static int check_names(parse_t *p)
{
    const template_t *t = p->t;
    if (!reads_by_itself(t->kind) && t->kind != KIND_PAGE &&
        check_filters(p, "", t->filters, t->n_filters, t->fields, t->n_fields) != 0)
        return -1;
    if (check_filters(p, "detail.", t->detail_filters, t->n_detail_filters, t->detail_fields,
                      t->n_detail_fields) != 0)
        return -1;
    for (size_t i = 0; i < t->n_track; i++) {
        char where[MAX_PATH];
        path_index(where, "track", i);
        if (!is_known_field(t, t->track[i]))
            return template_fail(p->error, where, "there is no field `%.60s`", t->track[i]);
    }
    if (!t->follow || reads_by_itself(t->kind)) return 0;
    const field_t *follow = find_field(t, t->follow);
    if (!follow)
        return template_fail(p->error, "detail.follow", "there is no field `%.60s` in `fields` to follow",
                             t->follow);
    if (follow->type != TYPE_URL)
        return template_fail(p->error, "detail.follow", "`%.60s` is no link; give it `\"type\": \"url\"`",
                             t->follow);
    if (follow->all)
        return template_fail(p->error, "detail.follow", "`%.60s` has `all`: one link is followed", t->follow);
    return 0;
}

static bool is_tracked(const template_t *t, const field_t *f)
{
    if (t->n_track == 0)
        return !f->untracked &&
               (f->type == TYPE_TEXT || f->type == TYPE_HTML || f->type == TYPE_URL || f->type == TYPE_LIST);
    for (size_t i = 0; i < t->n_track; i++)
        if (strcmp(t->track[i], f->name) == 0) return true;
    return false;
}

static void fill_defaults(parse_t *p)
{
    template_t *t = p->t;
    if (t->pages == 0) t->pages = 1;
    if (t->host_concurrency == 0) t->host_concurrency = 2;
    if (!p->gap_given) t->host_gap_ms = 200;
    if (!p->order_given) t->order = t->kind == KIND_FEED || t->kind == KIND_AUTO ? ORDER_NEWEST : ORDER_NONE;
    for (size_t i = 0; i < t->n_fields; i++) t->fields[i].tracked = is_tracked(t, &t->fields[i]);
    t->hold = t->n_page_filters > 0 || t->n_detail_filters > 0;
    for (size_t i = 0; i < t->n_detail_fields; i++) {
        t->detail_fields[i].tracked = is_tracked(t, &t->detail_fields[i]);
        if (t->detail_fields[i].required) t->hold = true;
    }
}

int template_complete(parse_t *p)
{
    if (!p->kind_given) p->t->kind = implied_kind(p->t);
    if (template_stream(p) != 0 || check_kind(p) != 0 || check_pages(p) != 0 || check_names(p) != 0 ||
        check_formats(p) != 0 || template_schedule(p) != 0 || template_request(p) != 0)
        return -1;
    fill_defaults(p);
    template_dates(p->t);
    return template_policy_complete(p);
}
