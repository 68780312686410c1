// Template, alike: whether two versions find the same items.
#include <string.h>

#include "proto/template_json.h"

// Members that say when and how politely a page is asked for, not what is read from it.
static const char *const others[] = {"comment",
                                     "disabled",
                                     "mode",
                                     "every",
                                     "cron",
                                     "timezone",
                                     "windows",
                                     "min_gap",
                                     "catch_up",
                                     "fresh_within",
                                     "timeout",
                                     "priority",
                                     "politeness",
                                     "deadline",
                                     "retry",
                                     "depends_on",
                                     "blocks",
                                     "max_concurrent",
                                     "max_consecutive_failures",
                                     "retention",
                                     "track"};

static bool reads(const char *member)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(member, others[i])) return false;
    return true;
}

// Whether each member of a that is about reading is in b, too.
static bool holds(yyjson_val *a, yyjson_val *b)
{
    size_t i, n;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(a) || !yyjson_is_obj(b)) return false;
    yyjson_obj_foreach(a, i, n, key, value)
    {
        if (reads(yyjson_get_str(key)) && !yyjson_equals(value, yyjson_obj_get(b, yyjson_get_str(key))))
            return false;
    }
    return true;
}

bool template_reads_alike(const char *json, const char *other)
{
    const yyjson_read_flag flags = YYJSON_READ_ALLOW_COMMENTS | YYJSON_READ_ALLOW_TRAILING_COMMAS;
    yyjson_doc *a = yyjson_read(json, strlen(json), flags), *b = yyjson_read(other, strlen(other), flags);
    bool alike = a && b && holds(yyjson_doc_get_root(a), yyjson_doc_get_root(b)) &&
                 holds(yyjson_doc_get_root(b), yyjson_doc_get_root(a));
    yyjson_doc_free(a);
    yyjson_doc_free(b);
    return alike;
}
