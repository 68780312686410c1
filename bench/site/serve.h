// Serve: the site over HTTP. Lists and details under /s/, bad pages under /_bad/, control under /_site/.
#ifndef RTM_SITE_SERVE_H
#define RTM_SITE_SERVE_H

#include <microhttpd.h>

#include "bench/site/body.h"
#include "bench/site/delay.h"
#include "bench/site/site.h"

typedef struct {
    int listen_fd; // bound and listening; becomes the server's
    bool allow_remote;
    unsigned threads, huge_mb;
} serve_options_t;

typedef struct serve serve_t;

// One request from its beginning to its end.
typedef struct {
    serve_t *serve;
    struct MHD_Connection *connection;
    const char *path, *method;
    int64_t host; // as named by the Host header, or -1
    delayed_t delayed;
    response_t *response; // what will be sent, ours until then
    unsigned status;
    unsigned delay_ms;
    bool counted, ready;
} request_t;

// NULL when the server cannot start. The site must outlive it.
serve_t *serve_new(site_t *site, const serve_options_t *options);
void serve_destroy(serve_t **serve);
site_t *serve_site(serve_t *serve);
unsigned serve_huge_mb(const serve_t *serve);
// The ready-made body of /_bad/bomb.
const char *serve_bomb(const serve_t *serve, size_t *len);

// Sets status and response of a request.
void reply(request_t *request, unsigned status, response_t *response);
void reply_text(request_t *request, unsigned status, const char *text);
void reply_header(request_t *request, const char *name, const char *value);
// A number in the query, or the default; out of bounds: the nearest bound.
double query_number(const request_t *request, const char *name, double otherwise, double min, double max);

// Answer a path behind /_bad/ or /_site/.
void bad_answer(request_t *request, const char *name);
void control_answer(request_t *request, const char *name);

#endif
