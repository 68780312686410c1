// Template, kind page: a page that is watched is a list of one item, whose content is what is watched.
#include <string.h>

#include "proto/limits.h"
#include "proto/template_json.h"

static field_t *find(template_t *t, const char *name)
{
    for (size_t i = 0; i < t->n_fields; i++)
        if (strcmp(t->fields[i].name, name) == 0) return &t->fields[i];
    return NULL;
}

static int check(parse_t *p)
{
    template_t *t = p->t;
    if (t->key) return template_fail(p->error, "key", "the key of a watched page is its URL; leave it out");
    if (find(t, "url"))
        return template_fail(p->error, "fields.url", "the url of a watched page is its own; leave it out");
    if (t->follow) return template_fail(p->error, "detail", "a watched page has no details");
    if (find(t, "content") && t->n_items)
        return template_fail(p->error, "fields.content", "is what `items` selects; keep one of them");
    if (t->n_fields + 2 > MAX_FIELDS)
        return template_fail(p->error, "fields", "has %zu fields; at most %d", t->n_fields, MAX_FIELDS - 2);
    return 0;
}

static int copy_fields(parse_t *p)
{
    template_t *t = p->t;
    field_t *all = arena_calloc(p->arena, t->n_fields + 2, sizeof *all);
    if (!all) return template_fail(p->error, "", "the template is too big");
    if (t->n_fields) memcpy(all, t->fields, t->n_fields * sizeof *all);
    t->fields = all;
    return 0;
}

int template_page(parse_t *p)
{
    static const char *whole[] = {":scope"}, *body[] = {"body"}, *title[] = {"title"};
    template_t *t = p->t;
    if (check(p) != 0 || copy_fields(p) != 0) return -1;
    if (!find(t, "content"))
        t->fields[t->n_fields++] = (field_t){.name = "content",
                                             .selectors = t->n_items ? t->items : body,
                                             .n_selectors = t->n_items ? t->n_items : 1,
                                             .all = true};
    // a title that the template does not ask for says what the page is, but is not watched
    if (!find(t, "title"))
        t->fields[t->n_fields++] =
            (field_t){.name = "title", .selectors = title, .n_selectors = 1, .untracked = true};
    t->items = whole;
    t->n_items = 1;
    return 0;
}
