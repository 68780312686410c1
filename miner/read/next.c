// Next: `match`, then `format`, then an absolute URL.
#include "miner/read/next.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "miner/read/value.h"
#include "proto/limits.h"

struct next {
    const field_t *field;
    const char *query; // the template's, or NULL
    value_rule_t *rule;
};

next_t *next_new(const template_t *t, template_error_t *error)
{
    next_t *n = xcalloc(1, sizeof *n);
    n->field = t->next;
    n->query = t->request.query;
    n->rule = value_rule_new(t->next, "next", error);
    if (!n->rule) next_destroy(&n);
    return n;
}

void next_destroy(next_t **next)
{
    if (!*next) return;
    value_rule_destroy(&(*next)->rule);
    free(*next);
    *next = NULL;
}

int next_append_escaped(buf_t *out, const char *s)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    int rc = 0;
    for (; *s && rc == 0; s++)
        rc = strchr(plain, *s) ? buf_append(out, s, 1) : buf_printf(out, "%%%02X", (unsigned char)*s);
    return rc;
}

// Is there a member of that name in url's query?
static bool names(const char *url, const char *name, size_t len)
{
    for (const char *at = strchr(url, '?'); at; at = strchr(at + 1, '&'))
        if (strncmp(at + 1, name, len) == 0 && (!at[1 + len] || strchr("=&#", at[1 + len]))) return true;
    return false;
}

// The URL that a format made, with what it lacks of the template's query. NULL: it is too long.
static const char *with_query(arena_t *arena, const char *url, const char *query)
{
    size_t path = strcspn(url, "#"), len;
    buf_t out;
    if (!query) return url;
    buf_init(&out, MAX_URL);
    int rc = buf_append(&out, url, path);
    bool first = !memchr(url, '?', path);
    for (const char *at = query; *at && rc == 0; at += len + (at[len] == '&')) {
        len = strcspn(at, "&");
        if (names(url, at, strcspn(at, "=&"))) continue;
        rc = buf_printf(&out, "%c%.*s", first ? '?' : '&', (int)len, at);
        first = false;
    }
    const char *made = rc == 0 ? arena_strndup(arena, out.data, out.len) : NULL;
    buf_free(&out);
    return made;
}

static const char *put_together(const field_t *field, const char *query, urls_t *urls, arena_t *arena,
                                const char *value)
{
    const char *url = NULL, *at = strstr(field->format, "{}");
    buf_t out;
    buf_init(&out, MAX_URL);
    if (buf_append(&out, field->format, (size_t)(at - field->format)) == 0 &&
        next_append_escaped(&out, value) == 0 && buf_puts(&out, at + 2) == 0)
        url = urls_resolve(urls, arena, out.data, out.len);
    buf_free(&out);
    return url ? with_query(arena, url, query) : NULL;
}

read_status_t next_read(next_t *n, urls_t *urls, arena_t *arena, const document_t *document, const char *raw,
                        size_t len, const char **out)
{
    value_t value = {.ms = TIME_NONE};
    switch (value_read(n->rule, urls, arena, raw, len, false, true, MAX_URL, &value)) {
    case VALUE_OK: break;
    case VALUE_NONE: return READ_OK;
    case VALUE_EFFORT: return READ_TOO_COMPLEX;
    case VALUE_NO_SPACE: return READ_TOO_BIG;
    }
    const char *url =
        n->field->format ? put_together(n->field, n->query, urls, arena, value.text) : value.text;
    if (url && !(document->url && strcmp(url, document->url) == 0)) *out = url;
    return READ_OK;
}

const char *next_by_number(const template_t *t, urls_t *urls, arena_t *arena, const char *url, uint32_t page,
                           size_t offset)
{
    const char *format = t->next->format;
    const char *at = strstr(format, "{page}"), *made = NULL;
    size_t number = at ? page : offset, len = at ? strlen("{page}") : strlen("{offset}");
    if (!at) at = strstr(format, "{offset}");
    if (!at) return NULL;
    buf_t out;
    buf_init(&out, MAX_URL);
    (void)urls_set_base(urls, url, url ? strlen(url) : 0);
    if (buf_printf(&out, "%.*s%zu%s", (int)(at - format), format, number, at + len) == 0)
        made = urls_resolve(urls, arena, out.data, out.len);
    buf_free(&out);
    return made ? with_query(arena, made, t->request.query) : NULL;
}
