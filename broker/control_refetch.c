// Control, refetch: sources are mined again as if for the first time, because what was stored of them is
// lost.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/control.h"
#include "common/log.h"

enum { REFETCH_CHUNK = 2000 }; // sources that one request touches

// Another generation: what miners remember of the source is void, and so is what a poll under way will tell.
// Without last_ok nothing is said to have been absent before, since it may only have been lost.
static void refetch(broker_t *b, source_t *s)
{
    s->generation++;
    s->last_ok = 0;
    s->continuity = 0;
    source_set_validators(s, "", "", s->validators ? s->validators->fetch_url : "", 0);
    source_set_memory(s, "");
    broker_store_source(b, s);
    if (s->known_to_owner && !s->lane->moving) outbox_define(b, s->lane->owner, s);
}

// Where a request goes on: the cursor is "position:id" of a listing.
typedef struct {
    uint64_t listing; // 0: the first
    size_t position;
    size_t left; // sources that this request may still look at
    int64_t since;
    int64_t refetched;
} walk_t;

static void walk_listing(call_t *c, walk_t *w, const listing_t *l)
{
    size_t i = l->id == w->listing ? w->position : 0;
    for (; i < l->n_sources && w->left; i++, w->left--) {
        source_t *s = l->sources[i];
        if (s->last_ok && s->last_ok < w->since) continue; // nothing of it is lost
        refetch(c->broker, s);
        w->refetched++;
    }
    if (i < l->n_sources) snprintf(c->cursor, sizeof c->cursor, "%zu:%016" PRIx64, i, l->id);
}

// If the cursor's listing is gone meanwhile, all are looked at again, which does no harm.
static void walk(call_t *c, walk_t *w, const listing_t *only)
{
    size_t n, from = 0;
    listing_t **sorted = catalog_sorted(&c->broker->catalog, &n);
    for (size_t i = 0; i < n; i++)
        if (sorted[i]->id == w->listing) from = i;
    for (size_t i = from; i < n && !c->cursor[0]; i++)
        if (!only || sorted[i] == only) walk_listing(c, w, sorted[i]);
    free(sorted);
    outbox_flush(c->broker);
}

static bool read_since(call_t *c, int64_t *since)
{
    const char *text = call_arg(c, "since");
    char *end;
    errno = 0;
    *since = *text ? strtoll(text, &end, 10) : 0;
    if (!*text || (!errno && end != text && !*end && *since >= 0)) return true;
    call_refuse(c, 400, "since", "\"%.60s\" is no time in ms since 1970", text);
    return false;
}

void command_refetch(call_t *c)
{
    const char *cursor = call_arg(c, "cursor"), *colon = strchr(cursor, ':');
    walk_t w = {.listing = colon ? strtoull(colon + 1, NULL, 16) : 0,
                .position = strtoul(cursor, NULL, 10),
                .left = REFETCH_CHUNK};
    bool named = call_arg(c, "name")[0], all = call_flag(c, "all");
    if (!named && !all && !call_arg(c, "since")[0]) {
        call_refuse(c, 400, "since", "say what to refetch: since, name or all");
        return;
    }
    if (!read_since(c, &w.since)) return;
    listing_t *only = named ? call_listing(c) : NULL;
    if (named && !only) return;
    walk(c, &w, only);
    log_info("refetch", "name=\"%s\" since_ms=%" PRId64 " sources=%" PRId64, only ? only->template->name : "",
             w.since, w.refetched);
    yyjson_mut_val *o = call_object(c);
    put_int(c, o, "sources", w.refetched);
}
