// Detail: see the header.
#include "miner/detail.h"

#include <string.h>
#include <yyjson.h>

static bool copy_text(arena_t *arena, const char **text)
{
    if (*text) *text = arena_strdup(arena, *text);
    return *text != NULL;
}

const item_t *detail_keep(arena_t *arena, const item_t *item)
{
    item_t *copy = arena_alloc(arena, sizeof *copy);
    if (!copy) return NULL;
    *copy = *item;
    const char **texts[] = {&copy->key,     &copy->url,     &copy->title, &copy->author,
                            &copy->summary, &copy->content, &copy->image, &copy->fields};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (*texts[i] && !copy_text(arena, texts[i])) return NULL;
    return copy;
}

static bool is_http(const char *url)
{
    return url && (!strncmp(url, "http://", 7) || !strncmp(url, "https://", 8));
}

static const char *member_text(arena_t *arena, const char *json, const char *name)
{
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    const char *text = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), name));
    const char *copy = text ? arena_strdup(arena, text) : NULL;
    yyjson_doc_free(doc);
    return copy;
}

const char *detail_url(arena_t *arena, const char *follow, const item_t *item)
{
    const char *url = item->url;
    if (strcmp(follow, "url") != 0) url = item->fields ? member_text(arena, item->fields, follow) : NULL;
    return is_http(url) ? url : NULL;
}

bool detail_is_permanent(error_class_t error)
{
    switch ((int)error) {
    case ERR_dns:
    case ERR_connect:
    case ERR_tls:
    case ERR_timeout:
    case ERR_reset:
    case ERR_truncated:
    case ERR_rate_limited:
    case ERR_http_5xx:
    case ERR_internal: return false;
    default: return true;
    }
}

// Two JSON objects as one; a reader takes the later of two members of one name, the page's.
static const char *merge_fields(arena_t *arena, const char *list, const char *page)
{
    if (!list || !page) return page ? page : list;
    size_t len = strlen(list);
    if (len <= 2 || strlen(page) <= 2) return len <= 2 ? page : list;
    const char *both = arena_printf(arena, "%.*s,%s", (int)len - 1, list, page + 1);
    return both ? both : page;
}

void detail_merge(arena_t *arena, const item_t *list, const item_t *page, item_t *whole)
{
    *whole = *list;
    if (page->url) whole->url = page->url;
    if (page->title) whole->title = page->title;
    if (page->author) whole->author = page->author;
    if (page->summary) whole->summary = page->summary;
    if (page->content) whole->content = page->content;
    if (page->image) whole->image = page->image;
    if (page->published_ms != TIME_NONE) whole->published_ms = page->published_ms;
    whole->fields = merge_fields(arena, list->fields, page->fields);
}
