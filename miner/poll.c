// Poll: see the header for the states; poll_move is the one place where they change.
#include "miner/poll.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/line.h"
#include "common/log.h"
#include "miner/detail.h"
#include "miner/polite.h"

enum {
    DETAILS_AT_ONCE = 8,     // detail pages under way or waiting for their host, per poll
    DETAIL_YIELD_MS = 10000, // lists that are due so soon go first: they find what is new
    DETAILS_FOR_MS = 45000,  // later ones are left to the next poll, as with a due that waits: lists go first
    FINDINGS_ARENA = 64 << 20,
};

typedef enum { POLL_WAITING, POLL_FETCHING, POLL_STORING, POLL_FOLLOWING, POLL_FINISHED } poll_state_t;

// What becomes of one item that was found.
typedef enum {
    FINDING_SENT,    // list part or probe on the way to the sink
    FINDING_WANTED,  // its detail page is to be followed
    FINDING_FETCHED, // its detail page is under way
    FINDING_ADDED,   // detail or whole on the way to the sink
    FINDING_DONE,    // durable as it is: it goes to the seen set
    FINDING_LEFT,    // its details could not be had now: the next poll finds it again
} finding_state_t;

typedef struct {
    uint64_t hash; // seen_hash
    finding_state_t state;
    const item_t *item; // in the poll's arena; NULL where the template has no details
} finding_t;

// One transfer of a poll.
typedef struct {
    polite_ticket_t ticket; // first, see OWNER
    struct poll *poll;
    int64_t finding; // whose detail page, or one of the two below
} task_t;

enum { TASK_FREE = -2, TASK_LIST = -1 };

typedef struct poll {
    polls_t *polls;
    source_t *source;
    definition_t *definition;
    poll_state_t state;
    due_t due;
    task_t list, *details;  // details: DETAILS_AT_ONCE, or NULL
    int64_t began;          // monotonic ms of the request start
    wire_outcome_t outcome; // as it comes to be; its texts are below
    wire_poll_t row;        // for the sink
    char *etag, *last_modified, *fetch_url;
    arena_t *arena; // of the findings' items, or NULL
    finding_t *findings;
    uint32_t n_findings, next_wanted;
    uint32_t unacked;   // findings on the way to the sink
    uint32_t following; // detail pages under way
    bool incomplete;    // some finding was left
    bool hurry;         // the source's next due waits: details that are not under way are left
    struct poll *next, *previous;
} poll_t;

struct polls {
    polls_options_t options;
    polite_t *polite;
    fetch_t *fetch;
    ship_t *ship;
    arena_t *arena;   // of the document being read
    int64_t offset;   // broker ms = monotonic ms + offset
    size_t transfers; // under way
    size_t running;   // polls beyond waiting
    poll_t *all;
    polls_counts_t counts;
};

// -- states ---------------------------------------------------------------------------------------

static void poll_move(poll_t *p, poll_state_t to)
{
    poll_state_t from = p->state;
    if (from == to) return;
    CHECK(to > from || (from == POLL_FOLLOWING && to == POLL_STORING));
    if (from == POLL_WAITING && to != POLL_FINISHED) p->polls->running++;
    if (from != POLL_WAITING && to == POLL_FINISHED) p->polls->running--;
    p->state = to;
}

static void poll_free(poll_t *p)
{
    polls_t *ps = p->polls;
    if (p->previous)
        p->previous->next = p->next;
    else
        ps->all = p->next;
    if (p->next) p->next->previous = p->previous;
    definition_unref(&p->definition);
    arena_destroy(&p->arena);
    free(p->findings);
    free(p->details);
    free(p->etag);
    free(p->last_modified);
    free(p->fetch_url);
    free(p);
}

static void finish(poll_t *p)
{
    polls_t *ps = p->polls;
    source_t *s = p->source;
    poll_move(p, POLL_FINISHED);
    poll_free(p);
    s->poll = NULL;
    ps->options.finished(ps->options.context, s);
}

// -- outcomes -------------------------------------------------------------------------------------

static void report(poll_t *p, wire_outcome_kind_t kind)
{
    p->outcome.kind = kind;
    if ((kind & OUTCOME_STORED) && p->due.due > p->source->done) p->source->done = p->due.due;
    p->polls->options.report(p->polls->options.context, &p->outcome);
}

// The soft state that the poll leads to, unless the broker has voided it meanwhile.
static void report_state(poll_t *p, wire_outcome_kind_t kind)
{
    wire_outcome_t *o = &p->outcome;
    if (!p->incomplete && o->generation == p->source->generation && p->definition == p->source->definition) {
        o->has_state = true;
        o->etag = p->etag;
        o->last_modified = p->last_modified;
        o->fetch_url = p->fetch_url;
        source_advance(p->source, o);
    }
    report(p, kind);
}

// detail: what went wrong, in words.
static void finish_failed(poll_t *p, error_class_t error, const char *detail)
{
    char line[MAX_DETAIL + 1];
    p->outcome.result = RESULT_failed;
    p->outcome.error = error;
    p->outcome.detail = line_copy(line, sizeof line, detail);
    p->outcome.last_ok = 0; // nothing was seen to be absent
    p->polls->counts.failed++;
    log_debug("poll_failed", "source=%016llx error=%s status=%llu url=\"%s\" detail=\"%s\"",
              (unsigned long long)p->source->id, error_class_name(error),
              (unsigned long long)p->outcome.status, source_fetch_url(p->source), line);
    if (error == ERR_not_found || error == ERR_gone || error == ERR_redirects)
        source_forget_redirect(p->source);
    report(p, OUTCOME_BOTH);
    finish(p);
}

// What keeps the poll from being started at all.
static void finish_skipped(poll_t *p, error_class_t reason)
{
    p->outcome.result = RESULT_skipped;
    p->outcome.error = reason;
    report(p, OUTCOME_BOTH);
    finish(p);
}

static void finish_same(poll_t *p, wire_result_t result)
{
    p->outcome.result = result;
    report_state(p, OUTCOME_BOTH);
    finish(p);
}

// Everything is durable: what is done need not be sent again.
static void finish_stored(poll_t *p)
{
    uint64_t *done = xmalloc(p->n_findings * sizeof *done + 1);
    size_t n = 0;
    // Documents list the newest first, as a rule, and the oldest are to leave the set first.
    for (uint32_t i = p->n_findings; i-- > 0;)
        if (p->findings[i].state == FINDING_DONE) done[n++] = p->findings[i].hash;
    if (p->outcome.generation == p->source->generation) seen_add(&p->source->seen, done, n, p->outcome.items);
    free(done);
    report_state(p, OUTCOME_STORED);
    finish(p);
}

// -- findings -------------------------------------------------------------------------------------

static const char *part_text(const char *text)
{
    return text ? text : "";
}

static void ship_finding(poll_t *p, uint32_t index, wire_part_t part, const item_t *item)
{
    const source_t *s = p->source;
    const template_t *t = p->definition->template;
    wire_sink_template_t template = {p->definition->id, t->name, t->follow != NULL, t->fresh_within_ms};
    wire_sink_source_t source = {s->id, p->definition->id, s->url};
    wire_item_t row = {
        .part = part, .key = item->key, .content_hash = item->content_hash, .published = TIME_NONE};
    if (part != PART_PROBE) {
        row.url = part_text(item->url);
        row.title = part_text(item->title);
        row.author = part_text(item->author);
        row.summary = part_text(item->summary);
        row.content = part_text(item->content);
        row.image = part_text(item->image);
        row.fields = part_text(item->fields);
        row.published = item->published_ms;
    }
    p->unacked++;
    ship_add(p->polls->ship, clock_mono_ms(), &template, &source, &p->row, &row, p, index);
}

static bool advance_detail(poll_t *p);
static void start_detail(polite_ticket_t *ticket);
static void turn_detail_away(polite_ticket_t *ticket);

// Goes on with a poll whose findings have moved.
static void advance(poll_t *p)
{
    while (p->following < DETAILS_AT_ONCE && advance_detail(p)) {
    }
    if (p->following)
        poll_move(p, POLL_FOLLOWING);
    else if (p->unacked)
        poll_move(p, POLL_STORING);
    else
        finish_stored(p);
}

static void on_verdict(void *owner, uint32_t index, wire_verdict_t verdict)
{
    poll_t *p = owner;
    finding_t *f = &p->findings[index];
    bool is_new = verdict == VERDICT_new, first = f->state == FINDING_SENT;
    // A probe says nothing of revisions, and a detail completes a row that has counted already.
    bool counts = first != definition_is_gated(p->definition);
    p->unacked--;
    if (counts && (is_new || verdict == VERDICT_changed)) p->outcome.fresh++;
    if (verdict == VERDICT_rejected)
        log_warn("item_rejected", "template=%s source=%016llx", p->definition->name,
                 (unsigned long long)p->source->id);
    bool wanted = first && f->item && (is_new || verdict == VERDICT_lacks_detail);
    f->state = wanted ? FINDING_WANTED : FINDING_DONE;
    if (p->next_wanted > index) p->next_wanted = index;
    advance(p);
}

// -- details --------------------------------------------------------------------------------------

// The detail page cannot be had and never will be: a row that stands counts as complete, an item that needs
// its page to be let through stays out.
static void settle_without(poll_t *p, uint32_t index)
{
    finding_t *f = &p->findings[index];
    if (definition_is_gated(p->definition)) {
        f->state = FINDING_DONE;
        return;
    }
    item_t nothing = {.key = f->item->key, .content_hash = f->item->content_hash, .published_ms = TIME_NONE};
    f->state = FINDING_ADDED;
    ship_finding(p, index, PART_DETAIL, &nothing);
}

static void settle_failed(poll_t *p, uint32_t index, error_class_t error)
{
    finding_t *f = &p->findings[index];
    log_debug("detail_failed", "source=%016llx error=%s url=\"%s\"", (unsigned long long)p->source->id,
              error_class_name(error), part_text(f->item->url));
    if (detail_is_permanent(error) || source_try(p->source, f->hash) >= DETAIL_TRIES) {
        settle_without(p, index);
        return;
    }
    f->state = FINDING_LEFT;
    p->incomplete = true;
}

static void settle_read(poll_t *p, uint32_t index, const document_t *document)
{
    finding_t *f = &p->findings[index];
    item_t page = {.published_ms = TIME_NONE};
    bool drop = false, gated = definition_is_gated(p->definition);
    arena_reset(p->polls->arena);
    int64_t cpu = clock_thread_cpu_us();
    read_status_t status = reader_detail(p->definition->reader, p->polls->arena, document, &page, &drop);
    p->outcome.cpu_us += (uint64_t)(clock_thread_cpu_us() - cpu);
    if (status != READ_OK || drop) {
        settle_without(p, index);
        return;
    }
    item_t whole = page;
    whole.key = f->item->key;
    whole.content_hash = f->item->content_hash;
    if (gated) detail_merge(p->polls->arena, f->item, &page, &whole);
    f->state = FINDING_ADDED;
    ship_finding(p, index, gated ? PART_WHOLE : PART_DETAIL, &whole);
}

static void task_end(task_t *task)
{
    polls_t *ps = task->poll->polls;
    polite_leave(ps->polite, &task->ticket, clock_mono_ms());
    ps->transfers--;
}

static void on_detail(void *owner, const fetch_result_t *result)
{
    task_t *task = owner;
    poll_t *p = task->poll;
    uint32_t index = (uint32_t)task->finding;
    task_end(task);
    task->finding = TASK_FREE;
    p->following--;
    if (result->error == ERR_none && result->status != 304)
        settle_read(p, index, &(document_t){result->body, result->len, result->content_type, result->url});
    else
        settle_failed(p, index, result->error == ERR_none ? ERR_http_4xx : result->error);
    advance(p);
}

static task_t *free_task(poll_t *p)
{
    if (!p->details) {
        p->details = xcalloc(DETAILS_AT_ONCE, sizeof *p->details);
        for (int i = 0; i < DETAILS_AT_ONCE; i++) p->details[i] = (task_t){.poll = p, .finding = TASK_FREE};
    }
    task_t *task = p->details;
    while (task->finding != TASK_FREE) task++;
    return task;
}

static void follow(poll_t *p, uint32_t index, const char *url)
{
    const template_t *t = p->definition->template;
    task_t *task = free_task(p);
    task->finding = index;
    task->ticket.start = start_detail;
    task->ticket.turn_away = turn_detail_away;
    task->ticket.concurrency = t->host_concurrency;
    task->ticket.gap = t->host_gap_ms;
    p->following++;
    p->findings[index].state = FINDING_FETCHED;
    int64_t now = clock_mono_ms();
    polite_enter(p->polls->polite, &task->ticket, polite_host(url), now + DETAIL_YIELD_MS, now);
}

// Moves the next wanted finding on; false: there is none.
static bool advance_detail(poll_t *p)
{
    uint32_t i = p->next_wanted;
    while (i < p->n_findings && p->findings[i].state != FINDING_WANTED) i++;
    p->next_wanted = i;
    if (i == p->n_findings) return false;
    const char *url = detail_url(p->arena, p->definition->template->follow, p->findings[i].item);
    int64_t now = clock_mono_ms();
    if (!url) {
        settle_without(p, i);
    } else if (p->hurry || now - p->began > DETAILS_FOR_MS ||
               polite_is_backed_off(p->polls->polite, polite_host(url), now)) {
        p->findings[i].state = FINDING_LEFT;
        p->incomplete = true;
    } else {
        follow(p, i, url);
    }
    return true;
}

static void start_detail(polite_ticket_t *ticket)
{
    task_t *task = (task_t *)ticket;
    poll_t *p = task->poll;
    const template_t *t = p->definition->template;
    fetch_request_t request = {.url = detail_url(p->arena, t->follow, p->findings[task->finding].item),
                               .headers = t->headers,
                               .n_headers = t->n_headers,
                               .timeout_ms = t->timeout_ms};
    fetch_start(p->polls->fetch, &request, on_detail, task);
}

// -- the list -------------------------------------------------------------------------------------

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
        if (seen_has(&p->source->seen, hash, &hint)) continue;
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
        if (seen_hash(item->key, item->content_hash) == p->findings[n].hash) ship_finding(p, n++, part, item);
    }
    CHECK(n == p->n_findings);
}

static void adopt_redirect(poll_t *p, const fetch_result_t *result)
{
    if (!result->moved || strlen(result->url) > MAX_URL) return;
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
        finish_failed(p, read_error(status), items.detail);
        return;
    }
    adopt_redirect(p, result); // not before, as the target may be no such page
    p->outcome.items = items.n_items;
    ps->counts.items += items.n_items;
    if (find(p, &items)) {
        finish_failed(p, ERR_too_big, "no memory for what was found");
        return;
    }
    if (p->n_findings == 0) {
        finish_same(p, RESULT_unchanged);
        return;
    }
    ps->counts.changed++;
    p->outcome.result = RESULT_changed;
    report(p, OUTCOME_POLLED);
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

static void on_list(void *owner, const fetch_result_t *result)
{
    task_t *task = owner;
    poll_t *p = task->poll;
    task_end(task);
    note_response(p, result);
    if (result->error != ERR_none) {
        finish_failed(p, result->error, result->detail);
    } else if (result->status == 304) {
        if (p->etag || p->last_modified)
            finish_same(p, RESULT_not_modified);
        else
            finish_failed(p, ERR_empty_body, "HTTP 304, though nobody asked for it");
    } else {
        uint64_t hash = result->len ? XXH3_64bits(result->body, result->len) : 0;
        p->outcome.body_hash = hash;
        if (!hash || hash != p->source->body_hash) {
            read_list(p, result);
            return;
        }
        adopt_redirect(p, result);
        finish_same(p, RESULT_unchanged);
    }
}

static void start_list(polite_ticket_t *ticket)
{
    task_t *task = (task_t *)ticket;
    poll_t *p = task->poll;
    const source_t *s = p->source;
    const template_t *t = p->definition->template;
    poll_move(p, POLL_FETCHING);
    p->polls->counts.polls++;
    p->began = clock_mono_ms();
    p->outcome.started = p->row.started = p->began + p->polls->offset;
    p->outcome.generation = s->generation;
    p->row.absent = s->last_ok;
    p->row.backfill = s->last_ok == 0;
    fetch_request_t request = {.url = source_fetch_url(s),
                               .etag = s->etag,
                               .last_modified = s->last_modified,
                               .headers = t->headers,
                               .n_headers = t->n_headers,
                               .timeout_ms = t->timeout_ms};
    fetch_start(p->polls->fetch, &request, on_list, task);
}

// -- all polls ------------------------------------------------------------------------------------

polls_t *polls_new(const polls_options_t *options)
{
    polls_t *ps = xcalloc(1, sizeof *ps);
    ps->options = *options;
    ps->polite = polite_new();
    ps->fetch = fetch_new(&options->fetch, options->watched);
    ps->ship = ship_new(options->send, options->context);
    ps->arena = arena_new(DOCUMENT_ARENA);
    return ps;
}

void polls_destroy(polls_t **polls)
{
    polls_t *ps = *polls;
    if (!ps) return;
    fetch_destroy(&ps->fetch);
    for (poll_t *p = ps->all, *next; p; p = next) {
        next = p->next;
        p->source->poll = NULL;
        poll_free(p);
    }
    ship_destroy(&ps->ship);
    polite_destroy(&ps->polite);
    arena_destroy(&ps->arena);
    free(ps);
    *polls = NULL;
}

void polls_set_clock(polls_t *ps, int64_t offset)
{
    ps->offset = offset;
}

// The host must not be asked now: a list is settled, a detail page is left to the next poll.
static void turn_list_away(polite_ticket_t *ticket)
{
    finish_skipped(((task_t *)ticket)->poll, ERR_host_backoff);
}

static void turn_detail_away(polite_ticket_t *ticket)
{
    task_t *task = (task_t *)ticket;
    poll_t *p = task->poll;
    p->findings[task->finding].state = FINDING_LEFT;
    p->incomplete = true;
    task->finding = TASK_FREE;
    p->following--;
    advance(p);
}

void polls_back_off(polls_t *ps, uint64_t host, int64_t until)
{
    int64_t now = clock_mono_ms();
    polite_ticket_t *ticket;
    if (until <= now) {
        polite_lift(ps->polite, host, now);
        return;
    }
    polite_back_off(ps->polite, host, until, now);
    while ((ticket = polite_evict(ps->polite, host, now))) ticket->turn_away(ticket);
}

void polls_start(polls_t *ps, source_t *s, const due_t *due)
{
    poll_t *p = xcalloc(1, sizeof *p);
    p->polls = ps;
    p->source = s;
    p->due = *due;
    p->outcome = (wire_outcome_t){.source = s->id, .due = due->due, .cause = due->cause};
    p->row = (wire_poll_t){.source = s->id, .due = due->due, .cause = due->cause};
    p->next = ps->all;
    if (ps->all) ps->all->previous = p;
    ps->all = p;
    s->poll = p;
    if (!s->definition || definition_ready(s->definition)) {
        finish_failed(p, ERR_internal, "the source's template is not at hand or does not parse");
        return;
    }
    p->definition = definition_ref(s->definition);
    p->list = (task_t){.poll = p, .finding = TASK_LIST};
    p->list.ticket.start = start_list;
    p->list.ticket.turn_away = turn_list_away;
    p->list.ticket.concurrency = p->definition->template->host_concurrency;
    p->list.ticket.gap = p->definition->template->host_gap_ms;
    int64_t now = clock_mono_ms();
    if (polite_is_backed_off(ps->polite, s->host, now)) {
        finish_skipped(p, ERR_host_backoff);
        return;
    }
    polite_enter(ps->polite, &p->list.ticket, s->host, due->at, now);
}

void polls_hurry(source_t *s)
{
    if (s->poll) s->poll->hurry = true;
}

bool polls_take_back(polls_t *ps, source_t *s)
{
    poll_t *p = s->poll;
    if (!p || p->state != POLL_WAITING) return false;
    polite_leave(ps->polite, &p->list.ticket, clock_mono_ms());
    poll_move(p, POLL_FINISHED);
    poll_free(p);
    s->poll = NULL;
    return true;
}

bool polls_has_due(const source_t *s, int64_t due)
{
    return s->poll && s->poll->due.due == due;
}

void polls_verdicts(polls_t *ps, uint64_t token, const uint8_t *verdicts, size_t n)
{
    ship_verdicts(ps->ship, token, verdicts, n, on_verdict);
}

static void start_what_may(polls_t *ps, int64_t now)
{
    polite_ticket_t *ticket;
    while (ps->transfers < ps->options.slots && (ticket = polite_next(ps->polite, now))) {
        ps->transfers++;
        ticket->start(ticket);
    }
}

void polls_run(polls_t *ps, int64_t until)
{
    int64_t now = clock_mono_ms();
    start_what_may(ps, now);
    ship_tick(ps->ship, now);
    if (ps->transfers < ps->options.slots && polite_wake(ps->polite) < until) until = polite_wake(ps->polite);
    if (ship_deadline(ps->ship) < until) until = ship_deadline(ps->ship);
    fetch_wait(ps->fetch, until == INT64_MAX ? INT64_MAX : until - clock_mono_ms());
}

size_t polls_running(const polls_t *ps)
{
    return ps->running;
}

polls_counts_t polls_counts(const polls_t *ps)
{
    return ps->counts;
}
