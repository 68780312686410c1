// Http status: one mutex guards the published texts; an answer copies what it sends.
#include "common/http_status.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_listen.h"
#include "common/log.h"

enum { CONNECTIONS_MAX = 32, CONNECTION_TIMEOUT_S = 10 };

struct http_status {
    struct MHD_Daemon *daemon;
    unsigned port;
    int64_t stall_ms;
    pthread_mutex_t lock; // guards what follows
    bool healthy;
    int64_t published_ms; // monotonic; 0: never
    char *health, *metrics;
};

// -- answers --------------------------------------------------------------------------------------

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, const char *type,
                              const char *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (!response) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

// Holds the lock.
static enum MHD_Result answer_health(http_status_t *status, struct MHD_Connection *connection)
{
    if (!status->published_ms)
        return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain", "starting\n");
    char text[160];
    int64_t age = clock_mono_ms() - status->published_ms;
    if (age > status->stall_ms) {
        snprintf(text, sizeof text, "stalled: nothing heard of the main loop for %lld ms\n", (long long)age);
        return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain", text);
    }
    return answer(connection, status->healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain",
                  status->health);
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data, size_t *data_size,
                              void **context)
{
    static int seen;
    http_status_t *status = arg;
    (void)version, (void)data;
    if (!*context) { // the headers; answering now would end connections that still send a body
        *context = &seen;
        return MHD_YES;
    }
    if (*data_size) {
        *data_size = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") && strcmp(method, "HEAD"))
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "only GET\n");
    enum MHD_Result result;
    pthread_mutex_lock(&status->lock);
    if (!strcmp(url, "/healthz"))
        result = answer_health(status, connection);
    else if (!strcmp(url, "/metrics"))
        result = answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                        status->metrics ? status->metrics : "");
    else
        result = answer(connection, MHD_HTTP_NOT_FOUND, "text/plain", "here are /healthz and /metrics\n");
    pthread_mutex_unlock(&status->lock);
    return result;
}

// -- start and end --------------------------------------------------------------------------------

static void announce(http_status_t *status, const struct addrinfo *address)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(status->daemon, MHD_DAEMON_INFO_BIND_PORT);
    status->port = info ? info->port : 0;
    char url[128];
    http_listen_url(address, status->port, url, sizeof url);
    log_info("http", "endpoint=%s", url);
}

http_status_t *http_status_new(const char *bind, int64_t stall_ms, char *err, size_t err_size)
{
    struct addrinfo *address = http_listen_resolve(bind, NULL, err, err_size);
    if (!address) return NULL;
    http_status_t *status = xcalloc(1, sizeof *status);
    status->stall_ms = stall_ms;
    pthread_mutex_init(&status->lock, NULL);
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
    if (address->ai_family == AF_INET6) flags |= MHD_USE_IPv6;
    status->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, handle, status, MHD_OPTION_SOCK_ADDR, address->ai_addr,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_END);
    if (status->daemon)
        announce(status, address);
    else
        snprintf(err, err_size, "cannot listen on %s (is the port in use?)", bind);
    freeaddrinfo(address);
    if (!status->daemon) http_status_destroy(&status);
    return status;
}

void http_status_destroy(http_status_t **status_p)
{
    http_status_t *status = *status_p;
    if (!status) return;
    if (status->daemon) MHD_stop_daemon(status->daemon);
    pthread_mutex_destroy(&status->lock);
    free(status->health);
    free(status->metrics);
    free(status);
    *status_p = NULL;
}

unsigned http_status_port(const http_status_t *status)
{
    return status->port;
}

// A copy of text, cut to the bound at a line's end; it ends with a line feed.
static char *text_copy(const char *text)
{
    size_t len = strlen(text);
    if (len > HTTP_STATUS_MAX) {
        len = HTTP_STATUS_MAX;
        while (len > 0 && text[len - 1] != '\n') len--;
    }
    char *copy = xmalloc(len + 2);
    memcpy(copy, text, len);
    if (len && copy[len - 1] != '\n') copy[len++] = '\n';
    copy[len] = '\0';
    return copy;
}

void http_status_publish(http_status_t *status, bool healthy, const char *health, const char *metrics)
{
    char *h = text_copy(health), *m = text_copy(metrics), *old_h, *old_m;
    pthread_mutex_lock(&status->lock);
    old_h = status->health, old_m = status->metrics;
    status->health = h, status->metrics = m;
    status->healthy = healthy;
    status->published_ms = clock_mono_ms();
    pthread_mutex_unlock(&status->lock);
    free(old_h);
    free(old_m);
}
