// Control: what tests ask of the site itself, under /_site/ on any host. GET status (?host=N), sources
// (?from=N&n=N); POST stop, start, clear, set
// (?host=N&latency_ms=..&jitter_ms=..&error_rate=..&reset_rate=..), post (?source=N).
#include <string.h>

#include "bench/site/serve.h"

#define ANSWER_MAX  (8u << 20)
#define SOURCES_MAX 20000 // told in one answer

static void reply_json(request_t *request, unsigned status, buf_t *out)
{
    reply_text(request, status, buf_cstr(out) ? buf_cstr(out) : "");
    reply_header(request, "Content-Type", "application/json");
}

// The host that the query names, or -1 for all.
static int64_t query_host(const request_t *request)
{
    double last = world_options(site_world(serve_site(request->serve)))->hosts - 1;
    return (int64_t)query_number(request, "host", -1, -1, last);
}

static void control_status(request_t *request, buf_t *out)
{
    bool failed = site_status(serve_site(request->serve), query_host(request), out) != 0;
    reply_json(request, failed ? 500 : 200, out);
}

static void control_stop(request_t *request, buf_t *out)
{
    site_set_posting(serve_site(request->serve), false);
    control_status(request, out);
}

static void control_start(request_t *request, buf_t *out)
{
    site_set_posting(serve_site(request->serve), true);
    control_status(request, out);
}

static void control_clear(request_t *request, buf_t *out)
{
    site_clear(serve_site(request->serve));
    control_status(request, out);
}

static void control_set(request_t *request, buf_t *out)
{
    site_t *site = serve_site(request->serve);
    int64_t host = query_host(request);
    site_manner_t manner = site_manner(site, host);
    manner.latency_ms = (unsigned)query_number(request, "latency_ms", manner.latency_ms, 0, 3600000);
    manner.jitter_ms = (unsigned)query_number(request, "jitter_ms", manner.jitter_ms, 0, 3600000);
    manner.error_rate = query_number(request, "error_rate", manner.error_rate, 0, 1);
    manner.reset_rate = query_number(request, "reset_rate", manner.reset_rate, 0, 1);
    site_set_manner(site, host, &manner);
    bool failed =
        buf_printf(out, "{\"latency_ms\":%u,\"jitter_ms\":%u,\"error_rate\":%g,\"reset_rate\":%g}\n",
                   manner.latency_ms, manner.jitter_ms, manner.error_rate, manner.reset_rate) != 0;
    reply_json(request, failed ? 500 : 200, out);
}

static void control_post(request_t *request, buf_t *out)
{
    uint32_t source = (uint32_t)query_number(request, "source", 0, 0, WORLD_SOURCES_MAX);
    if (site_post(serve_site(request->serve), source, out) == 0) {
        reply_json(request, 200, out);
    } else {
        reply_text(request, 409, "{\"error\":\"no such source, or it is full\"}");
    }
}

static void control_sources(request_t *request, buf_t *out)
{
    const world_t *world = site_world(serve_site(request->serve));
    uint32_t all = world_options(world)->sources;
    uint32_t from = (uint32_t)query_number(request, "from", 0, 0, all);
    uint32_t n = (uint32_t)query_number(request, "n", SOURCES_MAX, 0, SOURCES_MAX);
    bool failed = buf_puts(out, "[") != 0;
    for (uint32_t source = from; source < all && source - from < n; source++) {
        char url[192];
        world_source_url(world, source, url, sizeof url);
        failed |= buf_printf(out, "%s\n{\"source\":%u,\"host\":%u,\"kind\":\"%s\",\"url\":\"%s\"}",
                             source > from ? "," : "", source, world_host(world, source),
                             site_kind_name(world_kind(world, source)), url) != 0;
    }
    failed |= buf_puts(out, "]\n") != 0;
    reply_json(request, failed ? 500 : 200, out);
}

void control_answer(request_t *request, const char *name)
{
    static const struct {
        const char *name, *method;
        void (*answer)(request_t *request, buf_t *out);
    } calls[] = {{"status", "GET", control_status}, {"sources", "GET", control_sources},
                 {"stop", "POST", control_stop},    {"start", "POST", control_start},
                 {"clear", "POST", control_clear},  {"set", "POST", control_set},
                 {"post", "POST", control_post}};
    buf_t out;
    buf_init(&out, ANSWER_MAX);
    reply_text(request, 404, "{\"error\":\"no such call\"}");
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (strcmp(name, calls[i].name) != 0 || strcmp(request->method, calls[i].method) != 0) continue;
        MHD_destroy_response(request->response);
        calls[i].answer(request, &out);
        break;
    }
    buf_free(&out);
}
