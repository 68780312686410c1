// Template, dates: what dates mean that leave it open.
#include <string.h>

#include "common/zone.h"
#include "proto/template_json.h"

static int find_zone(const char *name, const char *path, const zone_t **zone, template_error_t *error)
{
    const char *why;
    if (zone_shared(name, zone, &why) == 0) return 0;
    return template_fail(error, path, "\"%.60s\": %s; right would be \"Europe/Berlin\" or \"UTC\"", name,
                         why);
}

int template_zone(const template_t *t, const zone_t **zone, template_error_t *error)
{
    return find_zone(t->timezone, "timezone", zone, error);
}

static int member_zone(parse_t *p, yyjson_val *value, const char *path)
{
    const char *name;
    if (read_text(p, value, path, ZONE_MAX_NAME, &name) != 0) return -1;
    p->t->dates.zoned = true;
    return find_zone(name, path, &p->t->dates.zone, p->error);
}

static int member_number_order(parse_t *p, yyjson_val *value, const char *path)
{
    static const char *const orders[] = {"dmy", "mdy", "ymd", NULL};
    int word;
    if (read_word(p, value, path, orders, &word) != 0) return -1;
    p->t->dates.order = (date_order_t)(DATE_ORDER_DMY + word);
    return 0;
}

static int member_relative(parse_t *p, yyjson_val *value, const char *path)
{
    return read_bool(p, value, path, &p->t->dates.relative);
}

int member_dates(parse_t *p, yyjson_val *value, const char *path)
{
    static const member_t members[] = {
        {"timezone", member_zone}, {"order", member_number_order}, {"relative", member_relative}};
    if (!yyjson_is_obj(value) || yyjson_obj_size(value) == 0)
        return template_fail(p->error, path,
                             "must be an object: {\"timezone\": \"Europe/Berlin\", \"order\": \"dmy\"}");
    return read_members(p, value, path, members, sizeof members / sizeof *members);
}

void template_dates(template_t *t)
{
    for (size_t i = 0; i < t->n_fields; i++) t->fields[i].dates = &t->dates;
    for (size_t i = 0; i < t->n_detail_fields; i++) t->detail_fields[i].dates = &t->dates;
    if (t->key) t->key->dates = &t->dates;
}
