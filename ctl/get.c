// Get: starts a transfer and waits until it is done.
#include "ctl/get.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "miner/read/events.h"

enum { WAIT_MS = 1000 };

void get_init(get_t *get, const fetch_options_t *options)
{
    fetch_global_init();
    *get = (get_t){.fetch = fetch_new(options, -1)};
}

static void forget(get_t *get)
{
    free(get->body);
    free(get->content_type);
    free(get->url);
    free(get->redirect);
    *get = (get_t){.fetch = get->fetch};
}

void get_free(get_t *get)
{
    if (!get->fetch) return;
    forget(get);
    fetch_destroy(&get->fetch);
    fetch_global_cleanup();
}

static void done(void *owner, const fetch_result_t *result)
{
    get_t *get = owner;
    get->error = result->error;
    get->status = result->status;
    get->len = result->len;
    get->body = xstrndup(result->body ? result->body : "", result->body ? result->len : 0);
    get->content_type = result->content_type ? xstrdup(result->content_type) : NULL;
    get->url = result->url ? xstrdup(result->url) : NULL;
    get->redirect = result->redirect ? xstrdup(result->redirect) : NULL;
}

int get_request(get_t *get, const fetch_request_t *request)
{
    int64_t start = clock_mono_ms();
    forget(get);
    fetch_start(get->fetch, request, done, get);
    while (fetch_running(get->fetch)) fetch_wait(get->fetch, WAIT_MS);
    get->took_ms = clock_mono_ms() - start;
    return get->error == ERR_none && get->status != 304 ? 0 : -1;
}

// -- the beginning of a stream --------------------------------------------------------------------

typedef struct {
    get_t *get;
    buf_t body;
    events_t *events;
    size_t left; // events
    int64_t opened;
    bool over;
} sample_t;

static void sample_opened(void *owner, const fetch_result_t *head)
{
    sample_t *s = owner;
    events_format_t format;
    s->opened = clock_mono_ms();
    done(s->get, head);
    if (events_format(head->content_type, &format)) s->events = events_new(format);
    s->over = !s->events;
}

static fetch_take_t sample_data(void *owner, const char *bytes, size_t len)
{
    sample_t *s = owner;
    event_t event;
    size_t before = len;
    if (s->over) return FETCH_STOP;
    const char *at = bytes;
    while (s->left && events_next(s->events, &at, &len, &event)) s->left -= event.len > 0;
    s->over = buf_append(&s->body, bytes, before - len) != 0 || !s->left;
    return s->over ? FETCH_STOP : FETCH_TAKEN;
}

static void sample_done(void *owner, const fetch_result_t *result)
{
    sample_t *s = owner;
    if (!s->opened) done(s->get, result);
    s->over = true;
}

int get_events(get_t *get, const fetch_request_t *request, size_t events, int64_t for_ms)
{
    static const fetch_stream_t stream = {sample_opened, sample_data};
    sample_t s = {.get = get, .left = events};
    fetch_request_t r = *request;
    int64_t start = clock_mono_ms(), until = start + request->timeout_ms;
    forget(get);
    buf_init(&s.body, MAX_DOCUMENT);
    r.stream = &stream;
    r.timeout_ms = 0;
    get->error = ERR_timeout;
    transfer_t *transfer = fetch_start(get->fetch, &r, sample_done, &s);
    while (fetch_running(get->fetch) && !s.over && clock_mono_ms() < until) {
        fetch_wait(get->fetch, WAIT_MS / 10);
        if (s.opened) until = s.opened + for_ms;
    }
    if (fetch_running(get->fetch)) fetch_cancel(get->fetch, transfer);
    if (s.opened) {
        free(get->body);
        get->body = xstrndup(s.body.len ? s.body.data : "", s.body.len);
        get->len = s.body.len;
    }
    events_destroy(&s.events);
    buf_free(&s.body);
    get->took_ms = clock_mono_ms() - start;
    return get->error == ERR_none ? 0 : -1;
}

int get_url(get_t *get, const char *url, int64_t timeout_ms)
{
    char *to = xstrdup(url);
    int result = -1;
    for (int hops = 0; hops <= MAX_REDIRECTS; hops++) {
        result = get_request(get, &(fetch_request_t){.url = to, .timeout_ms = timeout_ms});
        if (!get->redirect) break;
        free(to);
        to = xstrdup(get->redirect);
    }
    free(to);
    return result;
}

const char *get_failure(const get_t *get, char out[64])
{
    if (get->status)
        snprintf(out, 64, "%.40s (HTTP %ld)", error_class_name(get->error), get->status);
    else
        snprintf(out, 64, "%.40s%s", error_class_name(get->error),
                 get->error == ERR_refused_address ? " (--allow-private)" : "");
    return out;
}
