// Unreadable: a sorted array; there are none, or few.
#include "broker/unreadable.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

static void forget(unreadable_t *u)
{
    free(u->name);
    free(u->json);
    free(u->why);
}

void unreadables_free(unreadables_t *all)
{
    for (size_t i = 0; i < all->n; i++) forget(&all->v[i]);
    free(all->v);
    *all = (unreadables_t){0};
}

void unreadables_add(unreadables_t *all, const char *name, const char *json, const char *why)
{
    all->v = xrealloc(all->v, (all->n + 1) * sizeof *all->v);
    all->v[all->n++] = (unreadable_t){xstrdup(name), xstrdup(json), xstrdup(why)};
}

const unreadable_t *unreadables_find(const unreadables_t *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->v[i].name, name) == 0) return &all->v[i];
    return NULL;
}

void unreadables_forget(unreadables_t *all, const char *name)
{
    const unreadable_t *u = unreadables_find(all, name);
    if (!u) return;
    size_t i = (size_t)(u - all->v);
    forget(&all->v[i]);
    memmove(&all->v[i], &all->v[i + 1], (--all->n - i) * sizeof *all->v);
}
