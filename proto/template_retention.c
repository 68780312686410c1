// Template, `retention`: how long items are kept in Postgres, and how many.
#include "proto/template_json.h"

#define MINUTE INT64_C(60000)
#define YEAR   (366 * 24 * 60 * MINUTE)

static int retention_age(parse_t *p, yyjson_val *value, const char *path)
{
    return read_duration(p, value, path, MINUTE, 100 * YEAR, &p->t->keep_age_ms);
}

static int retention_items(parse_t *p, yyjson_val *value, const char *path)
{
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) < 1 || yyjson_get_uint(value) > INT64_MAX)
        return template_fail(p->error, path, "must be a whole number from 1");
    p->t->keep_items = yyjson_get_uint(value);
    return 0;
}

int member_retention(parse_t *p, yyjson_val *value, const char *path)
{
    static const member_t rows[] = {{"age", retention_age}, {"items", retention_items}};
    if (read_members(p, value, path, rows, sizeof rows / sizeof rows[0]) != 0) return -1;
    if (!p->t->keep_age_ms && !p->t->keep_items)
        return template_fail(p->error, path, "has neither `age` nor `items`");
    return 0;
}
