// Poll, list: fetching and reading the pages that list a source's items, and what they prove. Each page's
// items go to the sink before the next page is fetched.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "miner/detail.h"
#include "miner/poll_state.h"
#include "miner/rot.h"

enum {
    FINDINGS_ARENA = 64 << 20,
    BACK_PAGES = 20,    // read at most to meet what is known
    MAX_LISTED = 50000, // items of one poll
};

void poll_list_free(list_t *l)
{
    map_free(&l->known);
    map_free(&l->visited);
    free(l->keys);
    free(l->url);
    free(l->next);
    free(l->base);
    free(l->detail);
}

static uint64_t text_hash(const char *text)
{
    return XXH3_64bits(text, strlen(text));
}

static char *text_or_null(const char *text)
{
    return text && *text ? xstrdup(text) : NULL;
}

static void replace_text(char **to, char *text)
{
    free(*to);
    *to = text;
}

static bool is_newest(const poll_t *p)
{
    return p->definition->template->order == ORDER_NEWEST && !p->list.unordered;
}

// The list is in order of time, and the poll before has said where it began.
static bool is_tracked(const poll_t *p)
{
    return is_newest(p) && p->list.continuity.anchors;
}

static uint32_t pages_of(const poll_t *p)
{
    return p->definition->template->pages;
}

// -- fetching -------------------------------------------------------------------------------------

static void on_page(visit_t *visit, const fetch_result_t *result, bool moved);

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
    list_t *l = &p->list;
    poll_move(p, POLL_FETCHING);
    p->polls->counts.polls++;
    p->began = clock_mono_ms();
    p->outcome.started = p->row.started = p->began + p->polls->offset;
    p->outcome.generation = s->generation;
    p->row.absent = s->last_ok;
    p->row.backfill = s->last_ok == 0;
    p->row.cause = why_late(p);
    if (t->order != ORDER_NEWEST) p->row.continuity = CONTINUITY_unprovable;
    p->census = p->due.cause == CAUSE_replay ||
                ((t->keep_age_ms || t->keep_items) && source_wants_census(s, p->due.due));
    l->page = 1;
}

static error_class_t on_start(visit_t *visit, fetch_request_t *request)
{
    poll_t *p = ((task_t *)visit)->poll;
    const source_t *s = p->source;
    if (p->state == POLL_WAITING) begin(p);
    bool valid = s->validated_url ? !strcmp(visit->url, s->validated_url) : visit->hops == 0;
    p->asked = valid && !p->census && !p->list.url && !p->definition->template->request.method &&
               (s->etag || s->last_modified);
    request->etag = p->asked ? s->etag : NULL;
    request->last_modified = p->asked ? s->last_modified : NULL;
    return poll_request((task_t *)visit, request);
}

static void send(poll_t *p, const char *url, int64_t due)
{
    static const visit_ops_t ops = {on_start, on_page, true};
    gate_enter(p->polls->gate, &p->page.visit, &ops, url, p->source->url, p->definition->template,
               p->due.priority, due);
}

void poll_list_start(poll_t *p)
{
    const source_t *s = p->source;
    char text[MAX_URL + 1];
    send(p, s->fetch_url ? s->fetch_url : request_url(p->definition->template, s->url, text), p->due.at);
}

// Sends for list.url.
static void send_further(poll_t *p)
{
    poll_move(p, POLL_FETCHING);
    send(p, p->list.url, clock_mono_ms());
}

// -- what a page has ------------------------------------------------------------------------------

// Puts a key on the list; false: it was there.
static bool list_key(list_t *l, uint64_t key)
{
    if (l->page > 1 && map_get(&l->known, key)) return false;
    if (l->n_keys == l->cap_keys) {
        l->cap_keys = l->cap_keys ? l->cap_keys * 2 : 64;
        l->keys = xrealloc(l->keys, l->cap_keys * sizeof *l->keys);
    }
    l->keys[l->n_keys++] = key;
    if (l->page > 1) map_put(&l->known, key, l);
    return true;
}

// A further page may show again what the one before showed.
static void know_keys(list_t *l)
{
    for (uint32_t i = 0; i < l->n_keys; i++) map_put(&l->known, l->keys[i], l);
}

// Of an item of a further page: what can be said of when it came.
static void date_finding(const poll_t *p, finding_t *f)
{
    if (p->row.backfill) return;
    if (f->page == 1) { // an older one than the list had room for, where something above was deleted, say
        f->blind = is_tracked(p) && continuity_is_below(&p->list.continuity);
        return;
    }
    bool reached = continuity_is_proven(&p->list.continuity);
    f->blind = reached || !is_tracked(p); // below what is known, or on a page that is not read each time
    f->backfill = is_tracked(p) &&
                  (reached || p->row.started - p->row.absent > p->definition->template->fresh_within_ms);
}

static int add_finding(poll_t *p, const item_t *item, uint64_t hash)
{
    finding_t f = {.hash = hash,
                   .state = FINDING_SENT,
                   .page = p->list.page,
                   .fetched = clock_mono_ms() + p->polls->offset};
    if (p->arena && !(f.item = detail_keep(p->arena, item))) return -1;
    date_finding(p, &f);
    p->findings[p->n_findings++] = f;
    return 0;
}

static int make_room(poll_t *p, const items_t *items)
{
    finding_t *more = realloc(p->findings, (p->n_findings + items->n_items) * sizeof *more + 1);
    if (!more) return -1;
    p->findings = more;
    if (!p->arena && definition_has_details(p->definition)) p->arena = arena_new(FINDINGS_ARENA);
    return 0;
}

// Whether an item is new for all that is known before the sink has answered. What the sink knows may be of a
// poll that died before it had read all its pages; only where a stored poll has not said what it listed is
// the sink asked.
static bool is_strange(const poll_t *p)
{
    const list_t *l = &p->list;
    return l->memory.n_anchors ? l->n_keys <= PAGE_ANCHORS : p->row.absent == 0;
}

// Keeps the items that are not seen yet; which[i] is then the item of the page's finding number i. 0; -1: no
// memory for them.
static int find(poll_t *p, const items_t *items, uint32_t *which)
{
    list_t *l = &p->list;
    uint32_t hint = 0;
    l->unlisted = l->found = l->fresh = l->strange = 0;
    if (l->page == 2) know_keys(l);
    if (!which || make_room(p, items)) return -1;
    for (size_t i = 0; i < items->n_items; i++) {
        const item_t *item = &items->items[i];
        uint64_t key = text_hash(item->key), hash = seen_hash(item->key, item->content_hash);
        if (!list_key(l, key)) continue;
        bool seen = seen_has(&p->source->seen, hash, &hint), anchor = memory_has_anchor(&l->memory, key);
        l->unlisted++;
        l->strange += !seen && !anchor && is_strange(p);
        l->back += !seen && !anchor && l->page > pages_of(p) && !continuity_is_proven(&l->continuity);
        if (!seen || p->census) {
            if (add_finding(p, item, hash)) return -1;
            p->findings[p->n_findings - 1].blind |=
                seen || anchor; // it was listed: if the sink lacks it, it was lost
            p->findings[p->n_findings - 1].again = !seen && seen_otherwise(&p->source->seen, hash);
            which[l->found++] = (uint32_t)i;
        }
        continuity_item(&l->continuity, anchor, seen);
    }
    return 0;
}

// Sends what was found; the items are still in the document's arena.
static void ship_findings(poll_t *p, const items_t *items, const uint32_t *which)
{
    wire_part_t part = definition_is_gated(p->definition) ? PART_PROBE : PART_LIST;
    uint32_t first = p->n_findings - p->list.found;
    p->list.unjudged += p->list.found;
    for (uint32_t i = 0; i < p->list.found; i++) poll_ship(p, first + i, part, &items->items[which[i]]);
}

// -- what the list proves ---------------------------------------------------------------------------

static wire_continuity_t continuity_of(const poll_t *p)
{
    const list_t *l = &p->list;
    if (!is_newest(p) || l->n_keys <= CONTINUITY_PROOF) return CONTINUITY_unprovable;
    if (!l->continuity.anchors || !p->row.absent) return CONTINUITY_unknown;
    return continuity_is_proven(&l->continuity) ? CONTINUITY_continuous : CONTINUITY_gap;
}

static wire_gap_reason_t gap_reason(const poll_t *p, wire_continuity_t continuity)
{
    const list_t *l = &p->list;
    if (continuity == CONTINUITY_continuous) return GAP_paged_back;
    if (l->broken) return GAP_page_failed;
    if (l->page == 1 && !l->next) return GAP_no_next_page;
    return !l->next || l->unlisted == 0 ? GAP_list_ended : GAP_page_limit;
}

static void note_gap(poll_t *p, wire_continuity_t continuity)
{
    wire_outcome_t *o = &p->outcome;
    bool gap = continuity == CONTINUITY_gap;
    if (!gap && (continuity != CONTINUITY_continuous || p->list.page <= pages_of(p))) return;
    o->gap_since = p->row.absent;
    o->gap_reason = gap_reason(p, continuity);
    o->gap_found = p->list.back;
    log_info("gap", "template=%s source=%016llx state=%s reason=%s pages=%u found=%llu", p->definition->name,
             (unsigned long long)p->source->id, gap ? "open" : "closed", wire_gap_reason_name(o->gap_reason),
             p->list.page, (unsigned long long)o->gap_found);
}

static void set_anchors(const poll_t *p, list_t *l)
{
    bool needed = is_newest(p) || pages_of(p) > 1;
    uint32_t most = l->page > 1 ? MAX_ANCHORS : PAGE_ANCHORS;
    l->memory.n_anchors = 0;
    for (uint32_t i = 0; needed && i < l->n_keys && i < most; i++)
        l->memory.anchors[l->memory.n_anchors++] = memory_anchor(l->keys[i]);
}

// The list has been read as far as it will be: what it proves is told, to the sink only what it does not
// know.
static void conclude(poll_t *p)
{
    list_t *l = &p->list;
    wire_continuity_t continuity = continuity_of(p);
    l->done = true;
    l->judging = false;
    p->listed = clock_mono_ms();
    p->outcome.continuity = continuity;
    note_gap(p, continuity);
    set_anchors(p, l);
    if (!p->outcome.gap_since && (continuity == CONTINUITY_unknown || continuity == l->memory.told)) return;
    l->memory.told = (uint8_t)continuity;
    if (p->row.continuity && p->n_findings) return; // the items' row has said it
    p->row.continuity = continuity;
    p->row.gap_since = p->outcome.gap_since;
    p->row.gap_reason = p->outcome.gap_reason;
    p->row.gap_found = p->outcome.gap_found;
    poll_ship_proof(p);
    p->row.gap_since = 0;
    p->row.continuity = p->row.gap_reason = p->row.gap_found = 0;
}

// -- further pages ----------------------------------------------------------------------------------

static uint32_t most_pages(const poll_t *p)
{
    uint32_t most = pages_of(p);
    if (is_tracked(p) && most < BACK_PAGES) most = BACK_PAGES;
    return most < p->list.memory.pages ? p->list.memory.pages : most;
}

typedef enum { STOP, GO_ON, WAIT } go_t;

static go_t goes_on(const poll_t *p)
{
    const list_t *l = &p->list;
    if (!l->next || l->page >= most_pages(p) || l->n_keys >= MAX_LISTED || l->unlisted == 0) return STOP;
    if (l->page < l->memory.pages) return GO_ON;
    if (is_tracked(p)) return continuity_is_proven(&l->continuity) ? STOP : GO_ON;
    if (l->found == 0) return STOP;
    if (l->strange) return GO_ON;
    if (l->unjudged) return WAIT; // the sink knows what is new
    return l->fresh ? GO_ON : STOP;
}

// What was found stays where it is; the poll fails when that is stored, so the next one starts from where
// this one did.
static void fail_later(poll_t *p, error_class_t error, const char *detail)
{
    p->list.error = error == ERR_host_backoff ? ERR_rate_limited : error;
    replace_text(&p->list.detail, text_or_null(detail));
    p->list.done = p->hurry = true;
    p->list.judging = false;
    poll_advance(p);
}

void poll_list_decide(poll_t *p)
{
    list_t *l = &p->list;
    go_t go = goes_on(p);
    l->judging = go == WAIT;
    if (go == STOP) conclude(p);
    if (go != GO_ON) return;
    replace_text(&l->url, l->next);
    l->next = NULL;
    l->page++;
    send_further(p);
}

static void visited(poll_t *p, const char *url)
{
    map_put(&p->list.visited, text_hash(url), p);
}

// url: the page's own, after redirects.
static void note_next(poll_t *p, const items_t *items, const char *url)
{
    const template_t *t = p->definition->template;
    const char *next = items->next_url;
    if (t->next && t->next->n_selectors == 0)
        next = reader_page_url(p->definition->reader, p->polls->arena, p->list.base, p->list.page + 1,
                               p->list.matched);
    if (next) visited(p, url), visited(p, p->list.url ? p->list.url : source_fetch_url(p->source));
    if (next && (strlen(next) > MAX_URL || map_get(&p->list.visited, text_hash(next)))) next = NULL;
    replace_text(&p->list.next, text_or_null(next));
}

// Takes what a page lists. -1: it does not fit into memory.
static int take_page(poll_t *p, const items_t *items, const char *url)
{
    uint32_t *which = arena_alloc(p->polls->arena, items->n_items * sizeof *which + 1);
    uint32_t before = p->n_findings;
    p->list.unordered |= items->unordered;
    if (find(p, items, which)) {
        p->n_findings = before;
        return -1;
    }
    p->outcome.items += items->n_items;
    p->polls->counts.items += items->n_items;
    p->list.matched += items->matched;
    note_next(p, items, url);
    ship_findings(p, items, which);
    return 0;
}

// -- reading ----------------------------------------------------------------------------------------

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

static read_status_t read_page(poll_t *p, const fetch_result_t *result, items_t *items)
{
    polls_t *ps = p->polls;
    document_t document = poll_document(p, result);
    arena_reset(ps->arena);
    int64_t cpu = clock_thread_cpu_us();
    watch_begin(ps->options.watch, &p->outcome, p->definition->name, document.url);
    read_status_t status = reader_items(p->definition->reader, ps->arena, &document, items);
    watch_end(ps->options.watch);
    p->outcome.cpu_us += (uint64_t)(clock_thread_cpu_us() - cpu);
    if (status != READ_ROTTED || !p->definition->template->may_be_empty) return status;
    items->n_items = items->matched = 0;
    return READ_OK;
}

static void adopt_redirect(poll_t *p, const fetch_result_t *result)
{
    const char *url = p->moved ? result->url : p->list.discovered ? p->list.url : NULL;
    if (!url) return;
    replace_text(&p->fetch_url, strcmp(url, p->source->url) != 0 ? xstrdup(url) : NULL);
}

// A page came where a feed was wanted, and it names its feed. Not if the source has been a feed itself: then
// the page is an error page, and its feed another one.
static bool discover(poll_t *p, const items_t *items, const char *url)
{
    list_t *l = &p->list;
    if (!items->next_url || l->discovered || (l->memory.items && !l->memory.found)) return false;
    visited(p, url), visited(p, source_fetch_url(p->source));
    if (strlen(items->next_url) > MAX_URL || map_get(&l->visited, text_hash(items->next_url))) return false;
    l->discovered = l->memory.found = true;
    replace_text(&l->url, xstrdup(items->next_url));
    log_info("feed_found", "template=%s source=%016llx url=\"%s\"", p->definition->name,
             (unsigned long long)p->source->id, l->url);
    send_further(p);
    return true;
}

static bool is_rotted(poll_t *p, const items_t *items, char *why, size_t size)
{
    rot_look_t look = {
        .items = items, .elsewhere = p->validated_url, .since_ok = p->outcome.started - p->row.absent};
    return rot_judge(&p->list.memory, p->definition->template, &look, why, size);
}

static void read_first(poll_t *p, const fetch_result_t *result)
{
    items_t items = {0};
    char why[MAX_DETAIL + 1];
    if (!p->list.discovered) memory_parse(&p->list.memory, p->source->memory);
    p->list.continuity.anchors = p->list.memory.n_anchors;
    read_status_t status = read_page(p, result, &items);
    if (status == READ_NOT_THIS_KIND && discover(p, &items, result->url)) return;
    if (status != READ_OK) {
        poll_failed(p, read_error(status), items.detail);
        return;
    }
    if (is_rotted(p, &items, why, sizeof why)) {
        poll_failed(p, ERR_rotted, why);
        return;
    }
    adopt_redirect(p, result); // not before, as the target may be no such page
    rot_learn(&p->list.memory, p->definition->template, &items);
    p->list.base = xstrdup(result->url);
    if (take_page(p, &items, result->url)) {
        poll_failed(p, ERR_too_big, "no memory for what was found");
        return;
    }
    p->list.first = p->list.n_keys;
    p->outcome.result = p->n_findings ? RESULT_changed : RESULT_unchanged;
    p->polls->counts.changed += p->n_findings > 0;
    poll_list_decide(p);
    p->polled = !p->list.done || p->unacked;
    if (p->polled) poll_report(p, OUTCOME_POLLED);
    poll_advance(p);
}

// Beyond the last page sites answer with all sorts of things.
static void end_of_list(poll_t *p)
{
    p->list.unlisted = 0;
    replace_text(&p->list.next, NULL);
    poll_list_decide(p);
    poll_advance(p);
}

// A further page cannot be had. Beyond the template's pages that leaves a gap, sooner or later; else the poll
// fails.
static void further_failed(poll_t *p, error_class_t error, const char *detail)
{
    bool ended =
        error == ERR_not_found || error == ERR_gone || error == ERR_empty_body || error == ERR_rotted;
    bool lasting = error != ERR_host_backoff && detail_is_permanent(error);
    bool beyond = p->list.page > pages_of(p);
    p->list.broken =
        !ended && beyond && (lasting || source_try(p->source, (uint64_t)p->row.absent) >= DETAIL_TRIES);
    if (ended || p->list.broken)
        end_of_list(p);
    else
        fail_later(p, error, detail);
}

static void read_further(poll_t *p, const fetch_result_t *result)
{
    items_t items = {0};
    if (result->error != ERR_none || result->status == 304) {
        further_failed(p, result->error ? result->error : ERR_http_4xx, result->detail);
        return;
    }
    read_status_t status = read_page(p, result, &items);
    if (status != READ_OK) {
        further_failed(p, read_error(status), items.detail);
    } else if (take_page(p, &items, result->url)) {
        fail_later(p, ERR_too_big, "no memory for what was found");
    } else {
        poll_list_decide(p);
        poll_advance(p);
    }
}

// Notes what the first page's response says of itself.
static void note_response(poll_t *p, const fetch_result_t *result)
{
    int64_t now = clock_mono_ms(), offset = p->polls->offset;
    p->outcome.status = (uint64_t)result->status;
    p->outcome.took_ms = (uint64_t)(now - p->began);
    p->outcome.retry_after_s = result->retry_after_s;
    p->row.fetched = now + offset;
    p->outcome.last_ok = p->outcome.started - result->age_ms;
    bool same = result->status == 304;
    replace_text(&p->etag, text_or_null(same ? p->source->etag : result->etag));
    replace_text(&p->last_modified, text_or_null(same ? p->source->last_modified : result->last_modified));
    replace_text(&p->fetch_url, text_or_null(p->source->fetch_url));
    p->outcome.body_hash = p->source->body_hash;
}

static void on_first(poll_t *p, const fetch_result_t *result)
{
    if (result->error == ERR_host_backoff) {
        if (p->list.discovered)
            poll_failed(p, ERR_rate_limited, result->detail);
        else
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
        if (!hash || hash != p->source->body_hash || p->census || p->list.discovered) {
            read_first(p, result);
            return;
        }
        adopt_redirect(p, result);
        poll_same(p, RESULT_unchanged);
    }
}

static void on_page(visit_t *visit, const fetch_result_t *result, bool moved)
{
    poll_t *p = ((task_t *)visit)->poll;
    p->outcome.bytes += result->bytes;
    if (p->list.page > 1) {
        read_further(p, result);
        return;
    }
    p->moved = moved;
    replace_text(&p->validated_url, visit->hops && !moved ? xstrdup(result->url) : NULL);
    on_first(p, result);
}
