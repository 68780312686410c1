// Feed attributes: see feed_attributes.h.
#include "miner/read/feed_attributes.h"

#include <string.h>
#include <strings.h>

#include "miner/read/feed_item.h"
#include "miner/read/json_text.h"

bool span_is(span_t s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.s, word, s.len) == 0;
}

bool span_begins(span_t s, const char *word)
{
    return s.len >= strlen(word) && strncasecmp(s.s, word, strlen(word)) == 0;
}

bool span_contains(span_t s, const char *word)
{
    return s.len && memmem(s.s, s.len, word, strlen(word));
}

static span_t value_of(const xmlChar **at)
{
    return (span_t){(const char *)at[3], (size_t)(at[4] - at[3])};
}

span_t attributes_get(const attributes_t *a, const char *name)
{
    for (int i = 0; i < a->n; i++)
        if (strcasecmp((const char *)a->list[5 * i], name) == 0) return value_of(a->list + 5 * i);
    return (span_t){NULL, 0};
}

void span_put_json(buf_t *out, const char *name, span_t value)
{
    if (!value.s) return;
    size_t before = out->len;
    if (buf_append(out, before ? "," : "{", 1) != 0 || json_text(out, name, strlen(name)) != 0 ||
        buf_append(out, ":", 1) != 0 || json_text(out, value.s, value.len) != 0)
        out->len = before;
}

bool attributes_put_json(const attributes_t *a, buf_t *out)
{
    for (int i = 0; i < a->n; i++)
        span_put_json(out, (const char *)a->list[5 * i], value_of(a->list + 5 * i));
    return out->len && buf_append(out, "}", 1) == 0;
}
