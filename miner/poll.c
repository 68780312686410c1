// Poll: see the header for the states; poll_move is the one place where they change.
#include "miner/poll.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/line.h"
#include "common/log.h"
#include "miner/poll_state.h"
#include "miner/read/url.h"

enum {
    PATIENCE_SLOTS = 7, // who has waited longer at a host goes first, so that hardly anybody waits for ten
    LONGEST_SLOT_MS = 86400000,
};

static const uint64_t STREAM_TOKEN = 1ULL << 63; // in the tokens of streams' batches

// -- states ---------------------------------------------------------------------------------------

void poll_move(poll_t *p, poll_state_t to)
{
    poll_state_t from = p->state;
    if (from == to) return;
    CHECK(to > from || (from == POLL_FOLLOWING && to == POLL_STORING) ||
          (from != POLL_FINISHED && to == POLL_FETCHING));
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
    poll_list_free(&p->list);
    arena_destroy(&p->arena);
    free(p->findings);
    visit_free(&p->page.visit);
    for (int i = 0; p->details && i < DETAILS_AT_ONCE; i++) visit_free(&p->details[i].visit);
    free(p->details);
    free(p->etag);
    free(p->last_modified);
    free(p->fetch_url);
    free(p->validated_url);
    free(p);
}

static void finish(poll_t *p)
{
    polls_t *ps = p->polls;
    source_t *s = p->source;
    poll_move(p, POLL_FINISHED);
    if (p->unacked)
        p->abandoned = true; // the sink's answers still name it
    else
        poll_free(p);
    s->poll = NULL;
    ps->options.finished(ps->options.context, s);
}

// -- outcomes -------------------------------------------------------------------------------------

void poll_report(poll_t *p, wire_outcome_kind_t kind)
{
    p->outcome.kind = kind;
    if ((kind & OUTCOME_STORED) && p->due.due > p->source->done) p->source->done = p->due.due;
    p->polls->options.report(p->polls->options.context, &p->outcome);
}

// The soft state that the poll leads to, unless the broker has voided it meanwhile.
static void report_state(poll_t *p, wire_outcome_kind_t kind)
{
    char memory[MAX_MEMORY + 1] = "";
    wire_outcome_t *o = &p->outcome;
    bool current = o->generation == p->source->generation && p->definition == p->source->definition;
    if (current && p->list.done) {
        p->list.memory.pages = p->list.left_page;
        memory_write(&p->list.memory, memory);
        o->memory = memory;
        source_remember(p->source, memory);
    }
    if (current && !p->incomplete) {
        o->has_state = true;
        // nobody else knows where a temporary redirect leads to next time
        o->etag = p->validated_url ? NULL : p->etag;
        o->last_modified = p->validated_url ? NULL : p->last_modified;
        o->fetch_url = p->fetch_url;
        source_advance(p->source, o);
        if (p->validated_url) source_validate(p->source, p->validated_url, p->etag, p->last_modified);
    }
    if (p->incomplete) source_invalidate(p->source);
    poll_report(p, kind);
}

// What was sent may be stored, and what it took the place of may come back: that is news then.
static void doubt_findings(poll_t *p)
{
    uint64_t *hashes = xmalloc(p->n_findings * sizeof *hashes);
    for (uint32_t i = 0; i < p->n_findings; i++) hashes[i] = p->findings[i].hash;
    seen_forget(&p->source->seen, hashes, p->n_findings);
    free(hashes);
    source_invalidate(p->source);
}

// detail: what went wrong, in words.
void poll_failed(poll_t *p, error_class_t error, const char *detail)
{
    char line[MAX_DETAIL + 1];
    p->outcome.result = RESULT_failed;
    p->outcome.error = error;
    p->source->trouble = error;
    p->outcome.detail = line_copy(line, sizeof line, detail);
    p->outcome.last_ok = 0; // nothing was seen to be absent
    p->polls->counts.failed++;
    log_debug("poll_failed", "source=%016llx error=%s status=%llu url=\"%s\" detail=\"%s\"",
              (unsigned long long)p->source->id, error_class_name(error),
              (unsigned long long)p->outcome.status, source_fetch_url(p->source), line);
    bool elsewhere = error == ERR_not_found || error == ERR_gone || error == ERR_redirects;
    if (elsewhere || (error == ERR_not_this_kind && p->list.memory.found)) source_forget_redirect(p->source);
    if (p->n_findings) doubt_findings(p);
    poll_report(p, OUTCOME_BOTH);
    finish(p);
}

// What keeps the poll from being started at all.
void poll_skipped(poll_t *p, error_class_t reason)
{
    p->polls->counts.skipped++;
    p->outcome.result = RESULT_skipped;
    p->outcome.error = reason;
    p->source->trouble = reason;
    poll_report(p, OUTCOME_BOTH);
    finish(p);
}

void poll_same(poll_t *p, wire_result_t result)
{
    p->outcome.result = result;
    report_state(p, OUTCOME_BOTH);
    finish(p);
}

// Everything is durable: what is done need not be sent again.
static void poll_stored(poll_t *p)
{
    if (p->list.error) {
        poll_failed(p, p->list.error, p->list.detail);
        return;
    }
    uint64_t *done = xmalloc(p->n_findings * sizeof *done + 1);
    size_t n = 0;
    // Documents list the newest first, as a rule, and the oldest are to leave the set first.
    for (uint32_t i = p->n_findings; i-- > 0;)
        if (p->findings[i].state == FINDING_DONE) done[n++] = p->findings[i].hash;
    if (p->census) seen_free(&p->source->seen);
    if (p->outcome.generation == p->source->generation) seen_add(&p->source->seen, done, n, p->list.first);
    free(done);
    report_state(p, p->polled ? OUTCOME_STORED : OUTCOME_BOTH);
    finish(p);
}

// -- findings -------------------------------------------------------------------------------------

static const char *poll_text(const char *text)
{
    return text ? text : "";
}

static wire_sink_template_t sink_template(const poll_t *p)
{
    const template_t *t = p->definition->template;
    return (wire_sink_template_t){.id = p->definition->id,
                                  .name = t->name,
                                  .has_detail = t->follow != NULL,
                                  .fresh_within = t->fresh_within_ms,
                                  .keep_age = t->keep_age_ms,
                                  .keep_items = t->keep_items};
}

void poll_ship(poll_t *p, uint32_t index, wire_part_t part, const item_t *item)
{
    const source_t *s = p->source;
    wire_sink_template_t template = sink_template(p);
    wire_sink_source_t source = {s->id, p->definition->id, s->url};
    wire_item_t row = {
        .part = part, .key = item->key, .content_hash = item->content_hash, .published = TIME_NONE};
    if (part != PART_PROBE) {
        row.url = poll_text(item->url);
        row.title = poll_text(item->title);
        row.author = poll_text(item->author);
        row.summary = poll_text(item->summary);
        row.content = poll_text(item->content);
        row.image = poll_text(item->image);
        row.fields = poll_text(item->fields);
        row.url_norm = poll_text(item->url ? urls_norm(urls_of_thread(), p->polls->arena, item->url) : NULL);
        row.published = item->published_ms;
    }
    const finding_t *f = &p->findings[index];
    wire_poll_t poll = p->row;
    poll.fetched = f->fetched;
    poll.backfill |= f->backfill;
    poll.again = f->again;
    if (f->blind) poll.absent = 0;
    p->unacked++;
    ship_add(quays_of(p->polls->quays, s->id), clock_mono_ms(), &template, &source, &poll, &row, p, index);
}

void poll_ship_proof(poll_t *p)
{
    const source_t *s = p->source;
    wire_sink_template_t template = sink_template(p);
    wire_sink_source_t source = {s->id, p->definition->id, s->url};
    p->unacked++;
    ship_add_poll(quays_of(p->polls->quays, s->id), clock_mono_ms(), &template, &source, &p->row, p);
}

void poll_leave(poll_t *p, finding_t *f)
{
    f->state = FINDING_LEFT;
    p->incomplete = true;
    if (f->page > 1 && f->page > p->list.left_page) p->list.left_page = f->page;
}

document_t poll_document(const poll_t *p, const fetch_result_t *result)
{
    return (document_t){.bytes = result->body,
                        .len = result->len,
                        .content_type = result->content_type,
                        .url = result->url,
                        .fetched = clock_mono_ms() + p->polls->offset - result->age_ms};
}

void poll_advance(poll_t *p)
{
    if (p->list.judging && p->list.unjudged == 0) poll_list_decide(p);
    while (p->list.done && p->following < DETAILS_AT_ONCE && poll_detail_advance(p)) {
    }
    if (p->list.done && !p->following && !p->unacked) poll_detail_settle(p);
    if (!p->list.done && !p->list.judging)
        poll_move(p, POLL_FETCHING);
    else if (p->following)
        poll_move(p, POLL_FOLLOWING);
    else if (p->unacked)
        poll_move(p, POLL_STORING);
    else
        poll_stored(p);
}

// The first verdict of a finding: whether its page had something new.
static void judge(poll_t *p, const finding_t *f, wire_verdict_t verdict)
{
    wire_verdict_t news = definition_is_gated(p->definition) ? VERDICT_lacks_detail : VERDICT_new;
    p->list.unjudged--;
    if (f->page == p->list.page) p->list.fresh += verdict == news;
}

static void on_verdict(void *owner, uint32_t index, wire_verdict_t verdict)
{
    poll_t *p = owner;
    if (p->abandoned) {
        if (--p->unacked == 0) poll_free(p);
        return;
    }
    if (index == SHIP_POLL) {
        p->unacked--;
        poll_advance(p);
        return;
    }
    finding_t *f = &p->findings[index];
    bool is_new = verdict == VERDICT_new, first = f->state == FINDING_SENT;
    // A probe says nothing of revisions, and a detail completes a row that has counted already.
    bool counts = first != definition_is_gated(p->definition);
    p->unacked--;
    if (counts && (is_new || verdict == VERDICT_changed)) p->outcome.fresh++;
    if (verdict == VERDICT_rejected)
        log_warn("item_rejected", "template=%s source=%016llx", p->definition->name,
                 (unsigned long long)p->source->id);
    if (first) judge(p, f, verdict);
    bool wanted = first && f->item && (is_new || verdict == VERDICT_lacks_detail);
    // Details whose row is not there: the next poll sends it again.
    bool lost = !first && verdict == VERDICT_lacks_detail;
    p->incomplete |= lost;
    f->state = wanted ? FINDING_WANTED : lost ? FINDING_LEFT : FINDING_DONE;
    if (p->next_wanted > index) p->next_wanted = index;
    poll_advance(p);
}

error_class_t poll_request(task_t *task, fetch_request_t *request)
{
    poll_t *p = task->poll;
    polls_t *ps = p->polls;
    source_t *s = p->source;
    const template_t *t = p->definition->template;
    bool list = task->finding == TASK_LIST;
    error_class_t error = request_fill(request, t, list, ps->options.fetch.secrets, &ps->texts);
    if (error != ERR_none) visit_explain(&task->visit, ps->texts.why);
    if (t->request.cookies && !s->jar) s->jar = fetch_jar_new();
    if (t->request.cookies) request->jar = s->jar;
    return error;
}

// -- all polls ------------------------------------------------------------------------------------

// Their batches are told from the polls' by the token.
static void send_stream_batch(void *context, unsigned sink, uint64_t token, char *frame, size_t len)
{
    polls_t *ps = context;
    ps->options.send(ps->options.context, sink, token | STREAM_TOKEN, frame, len);
}

polls_t *polls_new(const polls_options_t *options)
{
    polls_t *ps = xcalloc(1, sizeof *ps);
    ps->lease_over = INT64_MAX;
    ps->options = *options;
    ps->gate = gate_new(&(gate_options_t){.backed_off = options->backed_off,
                                          .context = options->context,
                                          .slots = options->slots,
                                          .fetch = options->fetch,
                                          .watched = options->watched});
    ps->quays = quays_new(options->homes, options->send, options->context);
    ps->arena = arena_new(DOCUMENT_ARENA);
    ps->stream_quays = quays_new(options->homes, send_stream_batch, ps);
    ps->streams = streams_new(&(streams_options_t){.report = options->report,
                                                   .finished = options->finished,
                                                   .context = options->context,
                                                   .gate = ps->gate,
                                                   .quays = ps->stream_quays,
                                                   .watch = options->watch,
                                                   .pressure = options->pressure});
    return ps;
}

void polls_destroy(polls_t **polls)
{
    polls_t *ps = *polls;
    if (!ps) return;
    streams_destroy(&ps->streams);
    quays_destroy(&ps->stream_quays);
    gate_destroy(&ps->gate);
    for (poll_t *p = ps->all, *next; p; p = next) {
        next = p->next;
        p->source->poll = NULL;
        poll_free(p);
    }
    quays_destroy(&ps->quays);
    arena_destroy(&ps->arena);
    free(ps);
    *polls = NULL;
}

void polls_set_clock(polls_t *ps, int64_t offset, int64_t slot_ms)
{
    ps->offset = offset;
    if (slot_ms > 0 && slot_ms <= LONGEST_SLOT_MS) gate_set_patience(ps->gate, PATIENCE_SLOTS * slot_ms);
    streams_set_clock(ps->streams, offset);
}

void polls_back_off(polls_t *ps, uint64_t host, int64_t until)
{
    gate_back_off(ps->gate, host, until);
}

static void start_poll(polls_t *ps, source_t *s, const due_t *due)
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
        poll_failed(p, ERR_internal, "the source's template is not at hand or does not parse");
        return;
    }
    if (due->until <= clock_mono_ms()) {
        poll_failed(p, ERR_timeout, "its lease was over before it could begin");
        return;
    }
    if (due->until < ps->lease_over) ps->lease_over = due->until;
    p->definition = definition_ref(s->definition);
    p->page = (task_t){.poll = p, .finding = TASK_LIST};
    poll_list_start(p);
}

void polls_start(polls_t *ps, source_t *s, const due_t *due)
{
    bool ready = s->definition && definition_ready(s->definition) == 0;
    if (ready && s->definition->template->kind == KIND_STREAM) {
        streams_due(ps->streams, s, due);
        return;
    }
    streams_close(ps->streams, s); // its template was of this kind before
    start_poll(ps, s, due);
}

void polls_hurry(source_t *s)
{
    if (s->poll) s->poll->hurry = true;
}

bool polls_busy(const source_t *s)
{
    return s->poll || streams_busy(s);
}

bool polls_take_back(polls_t *ps, source_t *s)
{
    poll_t *p = s->poll;
    streams_close(ps->streams, s);
    if (!p || p->state != POLL_WAITING || !gate_take_back(ps->gate, &p->page.visit)) return polls_busy(s);
    poll_move(p, POLL_FINISHED);
    poll_free(p);
    s->poll = NULL;
    return polls_busy(s);
}

bool polls_has_due(const source_t *s, int64_t due)
{
    return (s->poll && s->poll->due.due == due) || streams_has_due(s, due);
}

void polls_verdicts(polls_t *ps, uint64_t token, const uint8_t *verdicts, size_t n)
{
    if (token & STREAM_TOKEN)
        quays_verdicts(ps->stream_quays, token & ~STREAM_TOKEN, verdicts, n, streams_verdict);
    else
        quays_verdicts(ps->quays, token, verdicts, n, on_verdict);
}

// Gives up what p does, wherever it is.
static void give_up(poll_t *p)
{
    gate_cancel(p->polls->gate, &p->page.visit);
    for (int i = 0; p->details && i < DETAILS_AT_ONCE; i++)
        if (p->details[i].finding != TASK_FREE) gate_cancel(p->polls->gate, &p->details[i].visit);
    poll_failed(p, ERR_timeout, "its lease is over");
}

// Ends the polls whose leases are over, and notes when the next one is.
static void end_leases(polls_t *ps, int64_t now)
{
    if (now < ps->lease_over) return;
    ps->lease_over = INT64_MAX;
    for (poll_t *p = ps->all, *next; p; p = next) {
        next = p->next;
        if (p->abandoned) continue;
        if (p->due.until <= now)
            give_up(p);
        else if (p->due.until < ps->lease_over)
            ps->lease_over = p->due.until;
    }
}

void polls_run(polls_t *ps)
{
    int64_t now = clock_mono_ms();
    end_leases(ps, now);
    streams_run(ps->streams, now);
    gate_run(ps->gate);
    quays_tick(ps->quays, now);
    quays_tick(ps->stream_quays, now);
}

void polls_wait(polls_t *ps, int64_t until)
{
    if (ps->lease_over < until) until = ps->lease_over;
    if (streams_deadline(ps->streams) < until) until = streams_deadline(ps->streams);
    if (quays_deadline(ps->stream_quays) < until) until = quays_deadline(ps->stream_quays);
    if (quays_deadline(ps->quays) < until) until = quays_deadline(ps->quays);
    gate_wait(ps->gate, until);
}

size_t polls_running(const polls_t *ps)
{
    return ps->running + streams_closing(ps->streams);
}

polls_counts_t polls_counts(const polls_t *ps)
{
    polls_counts_t counts = ps->counts;
    streams_counts_t streams = streams_counts(ps->streams);
    counts.gate = gate_counts(ps->gate);
    counts.polls += streams.dues;
    counts.changed += streams.changed;
    counts.failed += streams.failed;
    counts.items += streams.items;
    return counts;
}
