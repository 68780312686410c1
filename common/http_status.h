// Http status: `GET /healthz` and `GET /metrics` of a process, served by a thread of libmicrohttpd.
// The process publishes texts about once a second and the thread serves the latest, so neither waits for the
// other. A process that has not published for longer than it promised is reported as stalled (503).
#ifndef RTM_COMMON_HTTP_STATUS_H
#define RTM_COMMON_HTTP_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct http_status http_status_t;

// The bound of a published text, bytes; longer ones are cut at a line's end.
#define HTTP_STATUS_MAX (256u << 10)

// Listens on bind: "127.0.0.1:7480", "[::1]:7480", ":7480" (every address), port 0: any free one. Logs
// `http endpoint=http://HOST:PORT`. stall_ms: how long a publication counts. NULL: *err says why.
http_status_t *http_status_new(const char *bind, int64_t stall_ms, char *err, size_t err_size);
void http_status_destroy(http_status_t **status);
// The port it listens on.
unsigned http_status_port(const http_status_t *status);

// What is served from now on: /healthz answers 200 if healthy, else 503, with health (one line) as its body;
// /metrics answers metrics (Prometheus text format). Before the first publication /healthz answers 503.
void http_status_publish(http_status_t *status, bool healthy, const char *health, const char *metrics);

#endif
