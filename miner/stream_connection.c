// Stream connection: from the gate to the end of a response, and when it is asked for again.
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/line.h"
#include "common/log.h"
#include "miner/read/next.h"
#include "miner/stream_state.h"

static void note_gap(stream_t *st)
{
    const source_t *s = st->source;
    int64_t since = st->quiet > s->last_ok ? st->quiet : s->last_ok;
    if (st->resumed || !since) return;
    st->streams->counts.gaps++;
    if (!st->gap_since) st->gap_since = since;
    log_warn("stream_gap", "template=%s source=%016llx since_ms=%lld reason=not_resumed",
             st->definition->name, (unsigned long long)s->id, (long long)since);
}

static void on_opened(void *owner, const fetch_result_t *head)
{
    stream_t *st = owner; // a visit is the first member
    events_format_t format = EVENTS_SSE;
    char line[MAX_DETAIL + 1];
    st->status = (uint64_t)head->status;
    // 204: do not come back; what else is empty or no stream is told when it has ended
    st->refused = head->status == 204 || !events_format(head->content_type, &format);
    st->error = head->status == 204 ? ERR_empty_body : ERR_not_this_kind;
    snprintf(st->detail, sizeof st->detail, "%s",
             head->status == 204 ? "HTTP 204: the server wants nobody to come back"
                                 : line_copy(line, sizeof line, head->content_type));
    if (st->refused) return;
    st->events = events_new(format);
    st->error = ERR_none;
    st->byte_at = clock_mono_ms();
    st->retry_after_s = 0;
    stream_move(st, STREAM_OPEN, st->byte_at + st->definition->template->timeout_ms);
    gate_release(st->streams->options.gate, &st->visit);
    note_gap(st);
    log_info("stream_open", "template=%s source=%016llx resumed=%d url=\"%s\"", st->definition->name,
             (unsigned long long)st->source->id, st->resumed, source_fetch_url(st->source));
    stream_settle_open(st);
}

// Between the half and the whole of span, differently for each stream and try.
static int64_t jittered(const stream_t *st, int64_t span)
{
    uint64_t seed[] = {st->source->id, st->failures, (uint64_t)clock_mono_us()};
    return span / 2 + (int64_t)(XXH3_64bits(seed, sizeof seed) % (uint64_t)(span / 2 + 1));
}

static int64_t retry_delay(const stream_t *st)
{
    int64_t least = st->retry_ms >= 0 ? st->retry_ms : STREAM_RETRY_MS / 2;
    int64_t span = st->retry_ms > STREAM_RETRY_MS ? st->retry_ms : STREAM_RETRY_MS;
    for (unsigned i = 1; i < st->failures && span < STREAM_RETRY_MAX; i++) span *= 2;
    if (span > STREAM_RETRY_MAX && span > st->retry_ms) span = STREAM_RETRY_MAX;
    int64_t delay = jittered(st, span), asked = (int64_t)st->retry_after_s * 1000;
    if (st->status == 204) delay = STREAM_STOPPED_MS;
    if (delay < least) delay = least + jittered(st, STREAM_RETRY_MS) / 4;
    return asked > delay ? asked : delay;
}

void stream_disconnected(stream_t *st, error_class_t error, const char *detail)
{
    bool was_open = st->state == STREAM_OPEN;
    char line[MAX_DETAIL + 1];
    if (st->events && events_retry_ms(st->events) >= 0) st->retry_ms = events_retry_ms(st->events);
    events_destroy(&st->events);
    st->error = error;
    line_copy(line, sizeof line, detail); // which may be st->detail itself
    memcpy(st->detail, line, sizeof line);
    st->failures++;
    int64_t delay = retry_delay(st);
    st->retry_at = clock_mono_ms() + delay;
    stream_move(st, STREAM_WAITING, st->retry_at);
    log_info(was_open ? "stream_ended" : "stream_failed",
             "template=%s source=%016llx error=%s status=%llu again_ms=%lld detail=\"%s\"",
             st->definition->name, (unsigned long long)st->source->id, error_class_name(error),
             (unsigned long long)st->status, (long long)delay, st->detail);
    stream_settle_failed(st, error, st->detail);
}

// Its host asks for a pause: no due waits for that.
static void back_off(stream_t *st, uint64_t span_s)
{
    st->retry_at = clock_mono_ms() + jittered(st, STREAM_RETRY_MAX) + (int64_t)span_s * 1000;
    stream_move(st, STREAM_WAITING, st->retry_at);
    stream_settle_skipped(st, ERR_host_backoff);
}

static void on_done(visit_t *visit, const fetch_result_t *result, bool moved)
{
    stream_t *st = (stream_t *)visit;
    event_t event;
    (void)moved;
    if (result->error == ERR_host_backoff && visit->hops == 0) {
        back_off(st, result->retry_after_s);
        return;
    }
    st->status = (uint64_t)result->status;
    st->retry_after_s = result->retry_after_s;
    if (st->refused) {
        stream_disconnected(st, st->error, st->detail);
        return;
    }
    if (result->error == ERR_none && st->events && events_end(st->events, &event))
        stream_take_event(st, &event);
    error_class_t error = result->error != ERR_none ? result->error : ERR_reset;
    stream_disconnected(st, error,
                        result->error != ERR_none ? result->detail : "the server ended the stream");
}

static bool has_header(const template_t *t, const char *name)
{
    for (size_t i = 0; i < t->n_headers; i++)
        if (strncasecmp(t->headers[i], name, strlen(name)) == 0) return true;
    return false;
}

// Where to ask, and how to say where to go on. NULL: it cannot be said.
static const char *where(stream_t *st, buf_t *buf)
{
    const template_t *t = st->definition->template;
    const source_t *s = st->source;
    char text[MAX_URL + 1];
    if (!t->resume || !st->position) {
        const char *url = s->fetch_url ? s->fetch_url : request_url(t, s->url, text);
        return buf_puts(buf, url) ? NULL : buf_cstr(buf);
    }
    const char *at = strstr(t->resume, "{}");
    if (buf_append(buf, t->resume, (size_t)(at - t->resume)) || next_append_escaped(buf, st->position) ||
        buf_puts(buf, at + 2))
        return NULL;
    return buf_cstr(buf);
}

// What the request says besides the template's headers.
static void add_headers(stream_t *st, fetch_request_t *request)
{
    const template_t *t = st->definition->template;
    size_t n = 0;
    for (; n < t->n_headers && n < MAX_STREAM_HEADERS - 3; n++) st->headers[n] = t->headers[n];
    if (!has_header(t, "accept:"))
        st->headers[n++] = "Accept: text/event-stream, application/x-ndjson, application/json;q=0.9";
    st->headers[n++] = "Cache-Control: no-cache";
    if (st->position && !t->resume) {
        snprintf(st->id_header, sizeof st->id_header, "Last-Event-ID: %s", st->position);
        st->headers[n++] = st->id_header;
    }
    request->headers = st->headers;
    request->n_headers = n;
}

static error_class_t on_start(visit_t *visit, fetch_request_t *request)
{
    static const fetch_stream_t stream = {.opened = on_opened, .data = stream_data};
    stream_t *st = (stream_t *)visit;
    int64_t now = clock_mono_ms();
    st->began = now;
    st->paused = st->refused = st->exhausting = false;
    st->status = st->retry_after_s = 0;
    stream_move(st, STREAM_CONNECTING, now + st->definition->template->timeout_ms);
    const template_t *t = st->definition->template;
    error_class_t error =
        request_fill(request, t, true, gate_secrets(st->streams->options.gate), &st->streams->texts);
    if (error != ERR_none) visit_explain(visit, st->streams->texts.why);
    if (t->request.cookies && !st->source->jar) st->source->jar = fetch_jar_new();
    if (t->request.cookies) request->jar = st->source->jar;
    add_headers(st, request);
    request->timeout_ms = 0;
    request->stream = &stream;
    return error;
}

void stream_queue(stream_t *st)
{
    static const visit_ops_t ops = {on_start, on_done, true};
    buf_t buf;
    buf_init(&buf, MAX_URL + 1);
    const char *url = where(st, &buf);
    st->resumed = st->position != NULL;
    stream_move(st, STREAM_QUEUED, INT64_MAX);
    if (url)
        gate_enter(st->streams->options.gate, &st->visit, &ops, url, st->source->url,
                   st->definition->template, st->definition->template->priority, clock_mono_ms());
    buf_free(&buf);
    if (!url) stream_disconnected(st, ERR_bad_url, "the position to resume from makes too long a URL");
}
