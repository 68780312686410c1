// Api: what readers ask over HTTP: GET /v1/items and GET /v1/stream, as docs/openapi.json describes them. It
// has threads and connections to Postgres of its own, of which there are a fixed few, so that whatever
// readers do, the writer does not wait for them.
#ifndef RTM_SINK_API_H
#define RTM_SINK_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct api api_t;

typedef struct {
    const char *bind;       // HOST:PORT; without a host: loopback
    const char *conninfo;   // of a role that may read; must outlive the api
    const char *token_file; // tokens, one a line; NULL: everybody may read
    uint64_t max_streams;
} api_options_t;

// NULL: *err says why.
api_t *api_start(const api_options_t *options, char *err, size_t err_size);
void api_stop(api_t **api);
// Prometheus' text format, at most size bytes with the NUL. Returns its length.
size_t api_metrics(api_t *api, char *out, size_t size);

#endif
