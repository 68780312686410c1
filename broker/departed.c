#include "broker/departed.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

// Number i from the oldest.
static gone_t *at(const departed_t *d, size_t i)
{
    return &d->ring[(d->head + i) % DEPARTED_MAX];
}

void departed_free(departed_t *d)
{
    free(d->ring);
    *d = (departed_t){0};
}

void departed_forget(departed_t *d, const char *name)
{
    size_t i = 0;
    while (i < d->n && strcmp(at(d, i)->name, name) != 0) i++;
    if (i == d->n) return;
    for (; i + 1 < d->n; i++) *at(d, i) = *at(d, i + 1);
    d->n--;
}

void departed_add(departed_t *d, const gone_t *gone)
{
    if (!d->ring) d->ring = xcalloc(DEPARTED_MAX, sizeof *d->ring);
    departed_forget(d, gone->name);
    if (d->n == DEPARTED_MAX) {
        d->head = (d->head + 1) % DEPARTED_MAX;
        d->n--;
    }
    *at(d, d->n++) = *gone;
}

void departed_trim(departed_t *d, int64_t before)
{
    while (d->n && at(d, 0)->left_at <= before) {
        d->head = (d->head + 1) % DEPARTED_MAX;
        d->n--;
    }
}

const gone_t *departed_at(const departed_t *d, size_t i)
{
    return i < d->n ? at(d, d->n - 1 - i) : NULL;
}
