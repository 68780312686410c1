// Template: from bytes to a checked struct. The members of the two dialects stand in template_native.c and
// template_prototype.c.
#include "proto/template.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "proto/limits.h"
#include "proto/template_json.h"

uint64_t template_id(const char *name)
{
    return XXH3_64bits(name, strlen(name));
}

uint64_t source_id(const char *template_name, const char *url)
{
    char both[MAX_NAME + MAX_URL + 2];
    int n = snprintf(both, sizeof both, "%.*s%c%.*s", MAX_NAME, template_name, '\0', MAX_URL, url);
    return XXH3_64bits(both, (size_t)n);
}

int template_fail(template_error_t *error, const char *field, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    error->line = 0;
    snprintf(error->field, sizeof error->field, "%s", field);
    vsnprintf(error->text, sizeof error->text, fmt, args);
    va_end(args);
    return -1;
}

const char *template_kind_name(template_kind_t kind)
{
    static const char *const names[] = {
        [KIND_HTML] = "html", [KIND_FEED] = "feed",     [KIND_JSON] = "json", [KIND_SITEMAP] = "sitemap",
        [KIND_PAGE] = "page", [KIND_STREAM] = "stream", [KIND_AUTO] = "auto"};
    return names[kind];
}

const char *priority_name(priority_t priority)
{
    static const char *const names[] = {"low", "normal", "high", "critical"};
    return names[priority];
}

static yyjson_doc *read_json(const char *json, size_t len, template_error_t *error)
{
    template_fail(error, "", "is empty");
    if (len > MAX_TEMPLATE)
        template_fail(error, "", "has %zu bytes; at most %d are allowed", len, MAX_TEMPLATE);
    if (len == 0 || len > MAX_TEMPLATE) return NULL;
    yyjson_read_err why;
    if (len >= 3 && !memcmp(json, "\xef\xbb\xbf", 3)) json += 3, len -= 3; // a byte order mark
    // read_opts takes char * for its in-situ mode, which is not used
    yyjson_doc *doc = yyjson_read_opts((char *)json, len, 0, NULL, &why);
    if (doc) return doc;
    size_t line = 0, column = 0, character = 0;
    yyjson_locate_pos(json, len, why.pos, &line, &column, &character);
    template_fail(error, "", "no valid JSON: %s (line %zu, column %zu)", why.msg, line, column);
    error->line = (int)line;
    return NULL;
}

template_t *template_parse(arena_t *arena, const char *json, size_t len, template_error_t *error)
{
    yyjson_doc *doc = read_json(json, len, error);
    if (!doc) return NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    parse_t p = {.arena = arena, .error = error, .t = arena_calloc(arena, 1, sizeof *p.t)};
    int rc = -1;
    if (!p.t)
        template_fail(error, "", "the template is too big");
    else if (!yyjson_is_obj(root))
        template_fail(error, "", "must be a JSON object {...}");
    else
        rc = template_is_prototype(root) ? template_prototype(&p, root) : template_native(&p, root);
    if (rc == 0) rc = template_complete(&p);
    yyjson_doc_free(doc);
    return rc == 0 ? p.t : NULL;
}
