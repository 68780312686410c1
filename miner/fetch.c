// Fetch: easy handles and body buffers are reused; curl_multi keeps connections.
#include "miner/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "miner/address.h"
#include "miner/proxy.h"

enum {
    CONNECT_TIMEOUT_MS = 10000,
    DNS_CACHE_S = 300,       // longer than the usual interval of polls, or every poll would miss
    IDLE_CONNECTION_S = 75,  // kept for the next poll of a source every 30 or 60 s
    MAX_CONNECTIONS = 1000,  // idle ones; libcurl walks them all about once a second
    SPARE_TRANSFERS = 64,    // kept for reuse
    SPARE_BODY = 256 << 10,  // a spare transfer's buffer is not larger
    MAX_RETRY_AFTER = 86400, // seconds
    EVENTS = 64,
    MAX_COOKIES = 100,
    MAX_HEADER = 8192, // that the miner makes; larger than a validator or a secret may be
};

struct transfer {
    fetch_t *fetch;
    CURL *easy;
    struct curl_slist *headers;
    buf_t body;
    fetch_done_fn *done;
    void *owner;
    char detail[CURL_ERROR_SIZE]; // curl's words for its error, or ""
    int64_t timeout_ms;           // that is set
    size_t cut_at;
    fetch_jar_t *jar;
    bool too_big, cut, refused;
    bool proxied;          // the address is the proxy's, which is the operator's choice
    bool special;          // has options that others have not: it is not used again
    struct transfer *next; // in fetch.spare, or in fetch.running
    struct transfer *previous;
    const fetch_stream_t *stream; // or NULL
    bool open;                    // a stream's success has been told
};

struct fetch_jar {
    CURLSH *share;
};

struct fetch {
    CURLM *multi;
    int epoll, watched;
    int64_t deadline; // of curl's timer, monotonic ms, INT64_MAX: none
    char *user_agent, *proxy, *no_proxy;
    bool allow_private;
    size_t max_document;
    fetch_counts_t counts;
    transfer_t *running, *spare;
    size_t n_running, n_spare;
};

void fetch_global_init(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

void fetch_global_cleanup(void)
{
    curl_global_cleanup();
}

// -- what curl calls ------------------------------------------------------------------------------

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    fetch_t *f = context;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(f->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    struct epoll_event event = {
        .events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u),
        .data.fd = fd,
    };
    if (!known) curl_multi_assign(f->multi, fd, f);
    if (epoll_ctl(f->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0) return 0;
    int op = errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    return epoll_ctl(f->epoll, op, fd, &event);
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    fetch_t *f = context;
    (void)multi;
    f->deadline = timeout_ms < 0 ? INT64_MAX : clock_mono_ms() + timeout_ms;
    return 0;
}

static size_t on_stream(transfer_t *t, const char *bytes, size_t len)
{
    if (!t->open) return len; // of a redirect or an error
    switch (t->stream->data(t->owner, bytes, len)) {
    case FETCH_TAKEN: return len;
    case FETCH_PAUSED: return CURL_WRITEFUNC_PAUSE;
    case FETCH_STOP: break;
    }
    return len ? 0 : 1;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *context)
{
    transfer_t *t = context;
    size_t len = size * n;
    if (t->stream) return on_stream(t, bytes, len);
    if (t->cut_at && len > t->cut_at - t->body.len) {
        len = t->cut_at - t->body.len;
        t->cut = true;
    }
    if (buf_append(&t->body, bytes, len)) {
        t->too_big = true;
        return 0;
    }
    return t->cut ? 0 : len;
}

// The empty line behind a response's headers has come.
static size_t on_header(char *bytes, size_t size, size_t n, void *context)
{
    transfer_t *t = context;
    fetch_result_t head = {.error = ERR_none};
    const char *type = NULL, *url = NULL;
    (void)bytes;
    if (size * n > 2 || t->open) return size * n;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &head.status);
    if (head.status < 200 || head.status > 299) return size * n;
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
    head.content_type = type;
    head.url = url ? url : "";
    t->open = true;
    t->stream->opened(t->owner, &head);
    return size * n;
}

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    transfer_t *t = context;
    bool any = t->fetch->allow_private || t->proxied;
    if (purpose == CURLSOCKTYPE_IPCXN && !any && address_is_special(&address->addr)) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// -- transfers ------------------------------------------------------------------------------------

#define SET(easy, option, value) CHECK(curl_easy_setopt(easy, option, value) == CURLE_OK)

static void set_constants(transfer_t *t)
{
    fetch_t *f = t->fetch;
    SET(t->easy, CURLOPT_NOSIGNAL, 1L);
    SET(t->easy, CURLOPT_PRIVATE, t);
    SET(t->easy, CURLOPT_ERRORBUFFER, t->detail);
    SET(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(t->easy, CURLOPT_WRITEDATA, t);
    SET(t->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(t->easy, CURLOPT_OPENSOCKETDATA, t);
    SET(t->easy, CURLOPT_USERAGENT, f->user_agent);
    SET(t->easy, CURLOPT_ACCEPT_ENCODING, ""); // all that this libcurl can, always the same
    SET(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(t->easy, CURLOPT_PROXY, ""); // not from the environment
    SET(t->easy, CURLOPT_NOPROXY, "");
    SET(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(t->easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S);
    SET(t->easy, CURLOPT_MAXAGE_CONN, (long)IDLE_CONNECTION_S);
    SET(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
}

static transfer_t *transfer_new(fetch_t *f)
{
    transfer_t *t = xcalloc(1, sizeof *t);
    t->fetch = f;
    t->timeout_ms = -1;
    t->easy = curl_easy_init();
    CHECK(t->easy != NULL);
    buf_init(&t->body, f->max_document);
    set_constants(t);
    return t;
}

static void transfer_free(transfer_t *t)
{
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    buf_free(&t->body);
    free(t);
}

static transfer_t *take_spare(fetch_t *f)
{
    transfer_t *t = f->spare;
    if (!t) return transfer_new(f);
    f->spare = t->next;
    f->n_spare--;
    return t;
}

static void give_back(fetch_t *f, transfer_t *t)
{
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    if (t->special || f->n_spare >= SPARE_TRANSFERS) {
        transfer_free(t);
        return;
    }
    if (t->body.cap > SPARE_BODY) buf_free(&t->body);
    t->next = f->spare;
    f->spare = t;
    f->n_spare++;
}

static void add_header(transfer_t *t, const char *name, const char *value)
{
    char line[MAX_HEADER + 32];
    size_t n = strlen(name), len = value ? strlen(value) : 0;
    if (len == 0 || len > MAX_HEADER) return;
    memcpy(line, name, n);
    memcpy(line + n, value, len + 1);
    t->headers = curl_slist_append(t->headers, line);
}

// Headers that say who asks are not for other origins than those that the template names.
static bool is_private_header(const char *line)
{
    return !strncasecmp(line, "Authorization:", 14) || !strncasecmp(line, "Cookie:", 7);
}

static void set_headers(transfer_t *t, const fetch_request_t *r)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (!r->foreign || !is_private_header(r->headers[i]))
            t->headers = curl_slist_append(t->headers, r->headers[i]);
    add_header(t, "If-None-Match: ", r->etag);
    add_header(t, "If-Modified-Since: ", r->last_modified);
    if (!r->foreign && r->authorization) add_header(t, "Authorization: ", r->authorization);
}

// What few requests have.
static void set_special(transfer_t *t, const fetch_request_t *r)
{
    fetch_t *f = t->fetch;
    t->special = true;
    if (r->body) {
        SET(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
        SET(t->easy, CURLOPT_COPYPOSTFIELDS, r->body);
        t->headers = curl_slist_append(t->headers, "Expect:"); // no waiting for a 100
        add_header(t, "Content-Type: ", r->body_type);
    }
    if (r->method) SET(t->easy, CURLOPT_CUSTOMREQUEST, r->method);
    if (r->jar) SET(t->easy, CURLOPT_SHARE, r->jar->share);
    if (r->jar) SET(t->easy, CURLOPT_COOKIEFILE, ""); // cookies are understood
    if (r->ca) SET(t->easy, CURLOPT_CAINFO, r->ca);
    if (r->insecure) SET(t->easy, CURLOPT_SSL_VERIFYPEER, 0L);
    if (r->insecure) SET(t->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    if (r->tls13) SET(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    if (t->proxied) SET(t->easy, CURLOPT_PROXY, f->proxy);
    if (!r->stream) return;
    SET(t->easy, CURLOPT_ACCEPT_ENCODING, NULL); // a compressed stream comes in blocks, not event by event
    SET(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    SET(t->easy, CURLOPT_HEADERDATA, t);
}

static void set_request(transfer_t *t, const fetch_request_t *r)
{
    fetch_t *f = t->fetch;
    buf_reset(&t->body);
    t->too_big = t->cut = t->refused = t->open = false;
    t->detail[0] = '\0';
    t->cut_at = r->cut_at;
    t->jar = r->jar;
    t->stream = r->stream;
    // what may not be talked to is left to on_open
    t->proxied =
        f->proxy && proxy_serves(f->no_proxy, r->url) && (f->allow_private || !proxy_is_special(r->url));
    set_headers(t, r);
    bool tls = r->ca || r->insecure || r->tls13;
    if (r->body || r->method || r->jar || tls || t->proxied || r->stream) set_special(t, r);
    SET(t->easy, CURLOPT_URL, r->url);
    SET(t->easy, CURLOPT_HTTPHEADER, t->headers);
    if (t->timeout_ms == r->timeout_ms) return; // of the transfer before, as a rule
    t->timeout_ms = r->timeout_ms;
    SET(t->easy, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    long connect =
        r->timeout_ms && r->timeout_ms < CONNECT_TIMEOUT_MS ? (long)r->timeout_ms : CONNECT_TIMEOUT_MS;
    SET(t->easy, CURLOPT_CONNECTTIMEOUT_MS, connect);
}

transfer_t *fetch_start(fetch_t *f, const fetch_request_t *request, fetch_done_fn *done, void *owner)
{
    transfer_t *t = take_spare(f);
    t->done = done;
    t->owner = owner;
    set_request(t, request);
    t->previous = NULL;
    t->next = f->running;
    if (f->running) f->running->previous = t;
    f->running = t;
    f->n_running++;
    CHECK(curl_multi_add_handle(f->multi, t->easy) == CURLM_OK);
    return t;
}

static void unlink_running(fetch_t *f, transfer_t *t)
{
    if (t->previous)
        t->previous->next = t->next;
    else
        f->running = t->next;
    if (t->next) t->next->previous = t->previous;
    f->n_running--;
}

void fetch_cancel(fetch_t *f, transfer_t *t)
{
    curl_multi_remove_handle(f->multi, t->easy);
    unlink_running(f, t);
    give_back(f, t);
}

void fetch_resume(fetch_t *f, transfer_t *t)
{
    int running;
    if (curl_easy_pause(t->easy, CURLPAUSE_CONT) != CURLE_OK) f->deadline = 0; // its end is noticed there
    curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

// -- results --------------------------------------------------------------------------------------

static error_class_t curl_error(const transfer_t *t, CURLcode code)
{
    if (t->too_big) return ERR_too_big;
    if (t->refused) return ERR_refused_address;
    if (t->cut) return ERR_none;
    switch ((int)code) {
    case CURLE_OK: return ERR_none;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST: return ERR_dns;
    case CURLE_PROXY:
    case CURLE_COULDNT_CONNECT: return ERR_connect;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_INVALIDCERTSTATUS: return ERR_tls;
    case CURLE_OPERATION_TIMEDOUT: return ERR_timeout;
    case CURLE_PARTIAL_FILE: return ERR_truncated;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT: return ERR_bad_url;
    case CURLE_BAD_CONTENT_ENCODING: return ERR_parse;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return ERR_reset;
    default: return ERR_internal;
    }
}

error_class_t fetch_status_error(long status, bool has_retry_after, bool is_challenge)
{
    if ((status >= 200 && status < 300) || status == 304) return ERR_none;
    if (status >= 400 && is_challenge) return ERR_challenge;
    if (status == 404) return ERR_not_found;
    if (status == 410) return ERR_gone;
    if (status == 429 || (status == 503 && has_retry_after)) return ERR_rate_limited;
    if (status >= 500) return ERR_http_5xx;
    if (status >= 400) return ERR_http_4xx;
    return status >= 300 ? ERR_redirects : ERR_reset;
}

uint64_t fetch_retry_after(const char *value, int64_t now)
{
    char *end;
    long long seconds = strtoll(value, &end, 10);
    while (*end == ' ') end++;
    if (end == value || *end) {
        time_t at = curl_getdate(value, NULL);
        seconds = at < 0 ? 0 : (long long)at - now;
    }
    if (seconds <= 0) return 0;
    return seconds > MAX_RETRY_AFTER ? MAX_RETRY_AFTER : (uint64_t)seconds;
}

static const char *header(CURL *easy, const char *name)
{
    struct curl_header *h;
    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : "";
}

static const char *validator(CURL *easy, const char *name)
{
    const char *value = header(easy, name);
    return strlen(value) > MAX_VALIDATOR ? "" : value;
}

// Those that mean something with the status; looking one up takes a while.
static void read_headers(transfer_t *t, fetch_result_t *r)
{
    const char *retry_after = r->status >= 400 ? header(t->easy, "Retry-After") : "";
    bool challenge = r->status >= 400 && !strcmp(header(t->easy, "cf-mitigated"), "challenge");
    r->error = fetch_status_error(r->status, *retry_after, challenge);
    if (*retry_after) r->retry_after_s = fetch_retry_after(retry_after, clock_wall_ms() / 1000);
    if (r->error != ERR_none) return;
    if (r->status != 304) r->etag = validator(t->easy, "ETag");
    if (r->status != 304) r->last_modified = validator(t->easy, "Last-Modified");
    long long age = strtoll(header(t->easy, "Age"), NULL, 10);
    r->age_ms = age > 0 && age < INT32_MAX ? age * 1000 : 0;
}

// What went wrong, in words.
static const char *detail_of(transfer_t *t, CURLcode code, const fetch_result_t *r)
{
    size_t size = sizeof t->detail;
    if (r->error == ERR_none) return "";
    if (t->too_big)
        snprintf(t->detail, size, "the body is larger than %zu KiB", t->fetch->max_document >> 10);
    else if (t->refused)
        snprintf(t->detail, size, "the address is not a public one");
    else if (code == CURLE_OK)
        snprintf(t->detail, size, "HTTP %ld%s", r->status, r->error == ERR_challenge ? ", a challenge" : "");
    else if (!t->detail[0])
        snprintf(t->detail, size, "%s", curl_easy_strerror(code));
    return t->detail;
}

static void read_result(transfer_t *t, CURLcode code, fetch_result_t *r)
{
    const char *type = NULL, *url = NULL, *redirect = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &r->status);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
    r->content_type = type;
    r->url = url ? url : "";
    r->etag = r->last_modified = "";
    r->bytes = t->body.len;
    r->error = curl_error(t, code);
    if (r->error != ERR_none) return;
    read_headers(t, r);
    if (r->error == ERR_redirects) curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &redirect);
    r->redirect = redirect;
    if (r->error != ERR_none) return;
    r->body = t->body.data;
    r->len = t->body.len;
}

bool fetch_redirect_is_get(long status, bool post)
{
    return status == 303 || (post && (status == 301 || status == 302));
}

static void count(transfer_t *t)
{
    long connections = 0;
    curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connections);
    t->fetch->counts.requests++;
    t->fetch->counts.connections += connections > 0 ? (uint64_t)connections : 0;
}

static void leave_jar(transfer_t *t)
{
    struct curl_slist *cookies = NULL;
    size_t n = 0;
    curl_easy_getinfo(t->easy, CURLINFO_COOKIELIST, &cookies);
    for (struct curl_slist *c = cookies; c; c = c->next) n++;
    curl_slist_free_all(cookies);
    if (n > MAX_COOKIES) SET(t->easy, CURLOPT_COOKIELIST, "ALL"); // forgets them
    SET(t->easy, CURLOPT_SHARE, NULL);
    t->jar = NULL;
}

static void finish(fetch_t *f, transfer_t *t, CURLcode code)
{
    fetch_result_t result = {0};
    read_result(t, code, &result);
    result.detail = detail_of(t, code, &result);
    count(t);
    curl_multi_remove_handle(f->multi, t->easy);
    if (t->jar) leave_jar(t);
    unlink_running(f, t);
    t->done(t->owner, &result);
    give_back(f, t);
}

static void finish_all(fetch_t *f)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(f->multi, &left));) {
        if (m->msg != CURLMSG_DONE) continue;
        transfer_t *t = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        finish(f, t, m->data.result);
    }
}

// -- cookies --------------------------------------------------------------------------------------

fetch_jar_t *fetch_jar_new(void)
{
    fetch_jar_t *jar = xcalloc(1, sizeof *jar);
    jar->share = curl_share_init();
    CHECK(jar->share && curl_share_setopt(jar->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE) == CURLSHE_OK);
    return jar;
}

void fetch_jar_destroy(fetch_jar_t **jar)
{
    if (!*jar) return;
    CHECK(curl_share_cleanup((*jar)->share) == CURLSHE_OK);
    free(*jar);
    *jar = NULL;
}

// -- loop -----------------------------------------------------------------------------------------

fetch_t *fetch_new(const fetch_options_t *options, int watched)
{
    fetch_t *f = xcalloc(1, sizeof *f);
    *f = (fetch_t){.watched = watched,
                   .deadline = INT64_MAX,
                   .user_agent = xstrdup(options->user_agent),
                   .proxy = options->proxy ? xstrdup(options->proxy) : NULL,
                   .no_proxy = options->no_proxy ? xstrdup(options->no_proxy) : NULL,
                   .allow_private = options->allow_private,
                   .max_document = options->max_document};
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    f->multi = curl_multi_init();
    CHECK(f->epoll >= 0 && f->multi != NULL);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)MAX_CONNECTIONS);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = watched};
    if (watched >= 0) CHECK(epoll_ctl(f->epoll, EPOLL_CTL_ADD, watched, &event) == 0);
    return f;
}

void fetch_destroy(fetch_t **fetch)
{
    fetch_t *f = *fetch;
    if (!f) return;
    for (transfer_t *t = f->running, *next; t; t = next) {
        next = t->next;
        curl_multi_remove_handle(f->multi, t->easy);
        transfer_free(t);
    }
    for (transfer_t *t = f->spare, *next; t; t = next) {
        next = t->next;
        transfer_free(t);
    }
    curl_multi_cleanup(f->multi);
    close(f->epoll);
    free(f->user_agent);
    free(f->proxy);
    free(f->no_proxy);
    free(f);
    *fetch = NULL;
}

size_t fetch_running(const fetch_t *f)
{
    return f->n_running;
}

fetch_counts_t fetch_counts(const fetch_t *f)
{
    return f->counts;
}

static int curl_events(uint32_t events)
{
    return (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
           (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) | (events & EPOLLERR ? CURL_CSELECT_ERR : 0);
}

static int wait_time(const fetch_t *f, int64_t timeout_ms)
{
    if (f->deadline != INT64_MAX) {
        int64_t left = f->deadline - clock_mono_ms();
        if (left < timeout_ms) timeout_ms = left;
    }
    return timeout_ms < 0 ? 0 : timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
}

void fetch_wait(fetch_t *f, int64_t timeout_ms)
{
    struct epoll_event events[EVENTS];
    int running;
    int n = epoll_wait(f->epoll, events, EVENTS, wait_time(f, timeout_ms));
    for (int i = 0; i < n; i++)
        if (events[i].data.fd != f->watched)
            curl_multi_socket_action(f->multi, events[i].data.fd, curl_events(events[i].events), &running);
    if (f->deadline <= clock_mono_ms()) {
        f->deadline = INT64_MAX;
        curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    finish_all(f);
}
