// Compare: see compare.h.
#include "ctl/compare.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "common/map.h"
#include "ctl/page.h"
#include "ctl/print.h"
#include "miner/read/read.h"
#include "proto/limits.h"

enum { TEMPLATE_ARENA = 64 << 20, SHOWN_MAX = 10, NOT_FOUND = 404 };

// One of the two templates and what it finds.
typedef struct {
    arena_t *arena; // of the template
    arena_t *items_arena;
    template_t *template;
    reader_t *reader;
    read_status_t status;
    items_t items;
} side_t;

static int side_init(side_t *side, const char *text)
{
    template_error_t error = {0};
    *side = (side_t){.arena = arena_new(TEMPLATE_ARENA), .items_arena = arena_new(DOCUMENT_ARENA)};
    side->template = template_parse(side->arena, text, strlen(text), &error);
    if (side->template) side->reader = reader_new(side->template, &error);
    return side->reader ? 0 : -1;
}

static void side_free(side_t *side)
{
    reader_destroy(&side->reader);
    arena_destroy(&side->items_arena);
    arena_destroy(&side->arena);
}

static void side_read(side_t *side, const document_t *document)
{
    side->status = reader_items(side->reader, side->items_arena, document, &side->items);
    if (side->status != READ_OK) side->items.n_items = 0;
}

// -- is there anything to compare? ----------------------------------------------------------------

// Whether two templates read lists alike: only what does not decide which items there are differs. Those of
// the prototype are compared as a whole.
static bool read_alike(const char *old_text, const char *new_text)
{
    static const char *const members[] = {"kind", "items", "script", "key",    "fields",
                                          "keep", "drop",  "dates",  "source", "config"};
    yyjson_doc *a = yyjson_read(old_text, strlen(old_text), 0),
               *b = yyjson_read(new_text, strlen(new_text), 0);
    yyjson_val *x = yyjson_doc_get_root(a), *y = yyjson_doc_get_root(b);
    bool alike = a && b && !yyjson_obj_get(x, "uri") && !yyjson_obj_get(y, "uri");
    for (size_t i = 0; alike && i < sizeof members / sizeof *members; i++) {
        yyjson_val *p = yyjson_obj_get(x, members[i]), *q = yyjson_obj_get(y, members[i]);
        alike = p && q ? yyjson_equals(p, q) : p == q;
    }
    alike = alike || (a && b && yyjson_equals(x, y));
    yyjson_doc_free(a);
    yyjson_doc_free(b);
    return alike;
}

// A URL that both poll, or NULL.
static const char *common_url(const template_t *a, const template_t *b)
{
    map_t urls;
    const char *found = NULL;
    map_init(&urls);
    for (size_t i = 0; i < a->n_urls; i++)
        map_put(&urls, XXH3_64bits(a->urls[i], strlen(a->urls[i])), (void *)a->urls[i]);
    for (size_t i = 0; i < b->n_urls && !found; i++)
        if (map_get(&urls, XXH3_64bits(b->urls[i], strlen(b->urls[i])))) found = b->urls[i];
    map_free(&urls);
    return found;
}

// The template in the place of name as its text; NULL: there is none, or (*result) it could not be asked for.
static char *present(ctl_t *ctl, const char *path, const char *name, int *result)
{
    const wire_arg_t arg = {.name = "name", .value = name};
    const wire_reply_t *reply;
    *result = ctl_call(ctl, path, "show", &arg, 1, &reply);
    if (*result != CTL_OK || reply->code) return NULL;
    yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
    yyjson_val *template = yyjson_obj_get(yyjson_doc_get_root(doc), "template");
    char *text = template ? yyjson_val_write(template, 0, NULL) : NULL;
    yyjson_doc_free(doc);
    return text;
}

// -- the difference -------------------------------------------------------------------------------

typedef struct {
    size_t added, lost, changed;
    const item_t *shown[3 * SHOWN_MAX];
    const char *what[3 * SHOWN_MAX];
    size_t n_shown;
} difference_t;

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same(const item_t *a, const item_t *b)
{
    return same_text(a->url, b->url) && same_text(a->title, b->title) && same_text(a->author, b->author) &&
           same_text(a->summary, b->summary) && same_text(a->content, b->content) &&
           same_text(a->image, b->image) && same_text(a->fields, b->fields) &&
           a->published_ms == b->published_ms;
}

static void index_items(map_t *map, const items_t *items)
{
    map_init(map);
    for (size_t i = 0; i < items->n_items; i++)
        map_put(map, XXH3_64bits(items->items[i].key, strlen(items->items[i].key)), &items->items[i]);
}

static void note(difference_t *d, size_t *count, const char *what, const item_t *item)
{
    if ((*count)++ >= SHOWN_MAX) return;
    d->what[d->n_shown] = what;
    d->shown[d->n_shown++] = item;
}

static void find_difference(const items_t *old, const items_t *new, difference_t *d)
{
    map_t before, after;
    *d = (difference_t){.added = 0};
    index_items(&before, old);
    index_items(&after, new);
    for (size_t i = 0; i < old->n_items; i++) {
        const char *key = old->items[i].key;
        const item_t *now = map_get(&after, XXH3_64bits(key, strlen(key)));
        if (!now)
            note(d, &d->lost, "lost", &old->items[i]);
        else if (!same(&old->items[i], now))
            note(d, &d->changed, "changed", now);
    }
    for (size_t i = 0; i < new->n_items; i++) {
        const char *key = new->items[i].key;
        if (!map_get(&before, XXH3_64bits(key, strlen(key)))) note(d, &d->added, "added", &new->items[i]);
    }
    map_free(&before);
    map_free(&after);
}

static void tell(const difference_t *d, const side_t *old, const side_t *new, const char *url)
{
    fputs(new->template->name, stderr);
    fprintf(stderr, ": %zu items before, %zu now (%zu added, %zu lost, %zu changed) on ", old->items.n_items,
            new->items.n_items, d->added, d->lost, d->changed);
    term_print(stderr, url, false);
    fputc('\n', stderr);
    for (size_t i = 0; i < d->n_shown; i++) {
        const char *text = d->shown[i]->title ? d->shown[i]->title : d->shown[i]->url;
        fprintf(stderr, "  %-7s ", d->what[i]);
        term_print(stderr, d->shown[i]->key, false);
        fputs("  ", stderr);
        term_print(stderr, text ? text : "", false);
        fputc('\n', stderr);
    }
}

static int compare_on(side_t *old, side_t *new, const char *url, const page_options_t *options)
{
    page_t page;
    difference_t d;
    int result = CTL_OK;
    page_init(&page, options);
    if (page_get(&page, new->template, url, NULL) != 0) {
        result =
            ctl_refuse("%s: cannot be compared with the template in its place; --force replaces that all the "
                       "same",
                       new->template->name);
    } else {
        document_t document = page_document(&page, url);
        side_read(old, &document);
        side_read(new, &document);
        find_difference(&old->items, &new->items, &d);
        if (d.added || d.lost || d.changed || new->status != READ_OK) tell(&d, old, new, url);
        if (d.lost)
            result =
                ctl_refuse("%s: %zu items that the template in its place finds would be lost%s%s; --force "
                           "replaces it all the same",
                           new->template->name, d.lost, new->status != READ_OK ? ": " : "",
                           new->status != READ_OK ? read_status_name(new->status) : "");
    }
    page_free(&page);
    return result;
}

int compare_with_present(ctl_t *ctl, const char *path, const char *text, const page_options_t *options)
{
    side_t new, old;
    int result = CTL_OK;
    // what is wrong with the template the broker says, and better
    char *old_text = side_init(&new, text) == 0 ? present(ctl, path, new.template->name, &result) : NULL;
    if (old_text && !read_alike(old_text, text)) {
        if (side_init(&old, old_text) == 0) {
            const char *url = common_url(old.template, new.template);
            if (url) result = compare_on(&old, &new, url, options);
        }
        side_free(&old);
    }
    free(old_text);
    side_free(&new);
    return result;
}
