// Poll, list: fetching and reading the page that lists a source's items.
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "common/clock.h"
#include "miner/detail.h"
#include "miner/poll_state.h"

enum { FINDINGS_ARENA = 64 << 20 };

static error_class_t read_error(read_status_t status)
{
    switch (status) {
    case READ_OK: return ERR_none;
    case READ_EMPTY_BODY: return ERR_empty_body;
    case READ_NOT_THIS_KIND: return ERR_not_this_kind;
    case READ_PARSE: return ERR_parse;
    case READ_TOO_BIG: return ERR_too_big;
    case READ_TOO_COMPLEX: return ERR_too_complex;
    case READ_ROTTED: return ERR_rotted;
    }
    return ERR_internal;
}

// Keeps the items that are not seen yet. 0; -1: no memory for them.
static int find(poll_t *p, const items_t *items)
{
    bool keep = definition_has_details(p->definition);
    uint32_t hint = 0;
    if (keep) p->arena = arena_new(FINDINGS_ARENA);
    p->findings = malloc(items->n_items * sizeof *p->findings + 1);
    if (!p->findings) return -1;
    for (size_t i = 0; i < items->n_items; i++) {
        const item_t *item = &items->items[i];
        uint64_t hash = seen_hash(item->key, item->content_hash);
        if (!p->census && seen_has(&p->source->seen, hash, &hint)) continue;
        const item_t *copy = keep ? detail_keep(p->arena, item) : NULL;
        if (keep && !copy) return -1;
        p->findings[p->n_findings++] = (finding_t){hash, FINDING_SENT, copy};
    }
    return 0;
}

// Sends what was found; the items are still in the document's arena.
static void ship_findings(poll_t *p, const items_t *items)
{
    wire_part_t part = definition_is_gated(p->definition) ? PART_PROBE : PART_LIST;
    uint32_t n = 0;
    for (size_t i = 0; i < items->n_items && n < p->n_findings; i++) {
        const item_t *item = &items->items[i];
        if (seen_hash(item->key, item->content_hash) == p->findings[n].hash) poll_ship(p, n++, part, item);
    }
    CHECK(n == p->n_findings);
}

static void adopt_redirect(poll_t *p, const fetch_result_t *result)
{
    if (!p->moved) return;
    free(p->fetch_url);
    p->fetch_url = strcmp(result->url, p->source->url) ? xstrdup(result->url) : NULL;
}

static void read_list(poll_t *p, const fetch_result_t *result)
{
    polls_t *ps = p->polls;
    items_t items = {0};
    document_t document = {result->body, result->len, result->content_type, result->url};
    arena_reset(ps->arena);
    int64_t cpu = clock_thread_cpu_us();
    read_status_t status = reader_items(p->definition->reader, ps->arena, &document, &items);
    p->outcome.cpu_us = (uint64_t)(clock_thread_cpu_us() - cpu);
    if (status != READ_OK) {
        poll_failed(p, read_error(status), items.detail);
        return;
    }
    adopt_redirect(p, result); // not before, as the target may be no such page
    p->outcome.items = items.n_items;
    ps->counts.items += items.n_items;
    if (find(p, &items)) {
        poll_failed(p, ERR_too_big, "no memory for what was found");
        return;
    }
    if (p->n_findings == 0) {
        poll_same(p, RESULT_unchanged);
        return;
    }
    ps->counts.changed++;
    p->outcome.result = RESULT_changed;
    poll_report(p, OUTCOME_POLLED);
    poll_move(p, POLL_STORING);
    ship_findings(p, &items);
}

static char *text_or_null(const char *text)
{
    return text && *text ? xstrdup(text) : NULL;
}

// Notes what the response says of itself.
static void note_response(poll_t *p, const fetch_result_t *result)
{
    int64_t now = clock_mono_ms(), offset = p->polls->offset;
    p->outcome.status = (uint64_t)result->status;
    p->outcome.bytes = result->bytes;
    p->outcome.took_ms = (uint64_t)(now - p->began);
    p->outcome.retry_after_s = result->retry_after_s;
    p->row.fetched = now + offset;
    p->outcome.last_ok = p->outcome.started - result->age_ms;
    bool same = result->status == 304;
    p->etag = text_or_null(same ? p->source->etag : result->etag);
    p->last_modified = text_or_null(same ? p->source->last_modified : result->last_modified);
    p->fetch_url = text_or_null(p->source->fetch_url);
    p->outcome.body_hash = p->source->body_hash;
}

// What may have made this poll's items late: its cause, else what came of the polls since the last success,
// else a long wait for its turn.
static uint64_t why_late(const poll_t *p)
{
    bool waited = p->began - p->due.at > p->definition->template->fresh_within_ms / 4;
    if (p->due.cause) return p->due.cause;
    if (p->source->trouble) return CAUSE_TROUBLE + p->source->trouble;
    return waited ? CAUSE_overloaded : CAUSE_scheduled;
}

// The first request is under way.
static void begin(poll_t *p)
{
    const source_t *s = p->source;
    const template_t *t = p->definition->template;
    poll_move(p, POLL_FETCHING);
    p->polls->counts.polls++;
    p->began = clock_mono_ms();
    p->outcome.started = p->row.started = p->began + p->polls->offset;
    p->outcome.generation = s->generation;
    p->row.absent = s->last_ok;
    p->row.backfill = s->last_ok == 0;
    p->row.cause = why_late(p);
    p->census = p->due.cause == CAUSE_replay ||
                ((t->keep_age_ms || t->keep_items) && source_wants_census(s, p->due.due));
}

static void on_list(visit_t *visit, const fetch_result_t *result, bool moved)
{
    poll_t *p = ((task_t *)visit)->poll;
    p->moved = moved;
    if (visit->hops && !moved) p->validated_url = xstrdup(result->url);
    if (result->error == ERR_host_backoff) {
        poll_skipped(p, ERR_host_backoff);
        return;
    }
    if (p->state == POLL_WAITING) begin(p); // it came to no request
    note_response(p, result);
    if (result->error != ERR_none) {
        poll_failed(p, result->error, result->detail);
    } else if (result->status == 304) {
        if (p->asked)
            poll_same(p, RESULT_not_modified);
        else
            poll_failed(p, ERR_empty_body, "HTTP 304, though nobody asked for it");
    } else {
        uint64_t hash = result->len ? XXH3_64bits(result->body, result->len) : 0;
        p->outcome.body_hash = hash;
        if (!hash || hash != p->source->body_hash || p->census) {
            read_list(p, result);
            return;
        }
        adopt_redirect(p, result);
        poll_same(p, RESULT_unchanged);
    }
}

static error_class_t on_start(visit_t *visit, fetch_request_t *request)
{
    poll_t *p = ((task_t *)visit)->poll;
    const source_t *s = p->source;
    if (p->state == POLL_WAITING) begin(p);
    bool valid = s->validated_url ? !strcmp(visit->url, s->validated_url) : visit->hops == 0;
    p->asked =
        valid && !p->census && !p->definition->template->request.method && (s->etag || s->last_modified);
    request->etag = p->asked ? s->etag : NULL;
    request->last_modified = p->asked ? s->last_modified : NULL;
    return poll_request((task_t *)visit, request);
}

void poll_list_start(poll_t *p)
{
    static const visit_ops_t ops = {on_start, on_list};
    const source_t *s = p->source;
    const template_t *t = p->definition->template;
    char text[MAX_URL + 1];
    const char *url = s->fetch_url ? s->fetch_url : request_url(t, s->url, text);
    gate_enter(p->polls->gate, &p->list.visit, &ops, url, s->url, t, p->due.at);
}
