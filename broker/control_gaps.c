// Control, gaps: where posts of a list in order of time may be missing.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/control.h"

static void put_row(call_t *c, yyjson_mut_val *rows, const source_t *s, const char *state, const gap_t *gap)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(c->doc, rows);
    put_str(c, o, "template", s->listing->template->name);
    put_id(c, o, "source", s->id);
    put_str(c, o, "url", s->url);
    put_str(c, o, "state", state);
    put_time(c, o, "from_ms", gap ? gap->since : 0);
    put_time(c, o, "to_ms", gap ? gap->until : 0);
    put_str(c, o, "reason", gap && gap->reason ? wire_gap_reason_name(gap->reason) : "");
    put_int(c, o, "found", gap ? (int64_t)gap->found : 0);
}

// The newest first, from number *from on, which moves. True: there is more, the page is full.
static bool put_gaps(call_t *c, yyjson_mut_val *rows, const listing_t *only, size_t *from)
{
    const gap_t *gap;
    for (; (gap = gaps_at(&c->broker->gaps, *from)); (*from)++) {
        const source_t *s = map_get(&c->broker->catalog.sources, gap->source);
        if (!s || (only && s->listing != only)) continue; // its template is gone, or another
        if (!call_row(c, strlen(s->url))) return true;
        put_row(c, rows, s, gap->closed ? "closed" : "open", gap);
    }
    return false;
}

// Sources of one template that can prove nothing, in the template's order.
static bool put_unprovable(call_t *c, yyjson_mut_val *rows, const listing_t *l, size_t *from)
{
    for (; *from < l->n_sources; (*from)++) {
        if (l->sources[*from]->continuity != CONTINUITY_unprovable) continue;
        if (!call_row(c, strlen(l->sources[*from]->url))) return true;
        put_row(c, rows, l->sources[*from], "unprovable", NULL);
    }
    return false;
}

// The cursor is "g" or "u" (of the two lists) and a position.
void command_gaps(call_t *c)
{
    const char *cursor = call_arg(c, "cursor");
    const listing_t *only = call_arg(c, "name")[0] ? call_listing(c) : NULL;
    size_t from = cursor[0] ? strtoul(cursor + 1, NULL, 10) : 0;
    if (call_arg(c, "name")[0] && !only) return;
    yyjson_mut_val *rows = call_table(c);
    if (cursor[0] != 'u') {
        if (put_gaps(c, rows, only, &from)) {
            snprintf(c->cursor, sizeof c->cursor, "g%zu", from);
            return;
        }
        from = 0;
    }
    if (only && put_unprovable(c, rows, only, &from)) snprintf(c->cursor, sizeof c->cursor, "u%zu", from);
}
