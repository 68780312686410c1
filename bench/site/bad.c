// Bad: what every host also has under /_bad/: pages that a reader of the web must survive. Each is a
// function; the table at the end names them.
#include <string.h>

#include "bench/site/serve.h"

#define DEEP_MAX 10000000 // levels

static void bad_empty(request_t *request)
{
    reply_text(request, 200, "");
}

// ?mb=N, ?endless=1: chunked, and never ends.
static void bad_huge(request_t *request)
{
    static const char unit[] =
        "<p>All work and no play makes a very long page, and a longer one, and a longer one "
        "still, until somebody says that it is enough and closes the connection.</p>\n";
    double mb = query_number(request, "mb", serve_huge_mb(request->serve), 0, 1e6);
    body_part_t parts[] = {{"<!DOCTYPE html><html><body>\n", 1},
                           {unit, (uint64_t)(mb * 1048576 / (sizeof unit - 1)) + 1}};
    reply(request, 200, body_parts(parts, 2, query_number(request, "endless", 0, 0, 1) > 0));
    reply_header(request, "Content-Type", "text/html");
}

static void bad_truncated(request_t *request)
{
    static const char page[] =
        "<!DOCTYPE html><html><body><table><tr class=\"athing\" id=\"1\"><td>It begins well "
        "enough, with a table and a row, but then it does not go on and so on and so on.";
    reply(request, 200,
          body_cut(request->connection, page, sizeof page - 1, 2 * sizeof page, false, NULL, NULL));
}

static void bad_reset(request_t *request)
{
    static const char page[] =
        "<!DOCTYPE html><html><body>The rest of this page is lost, and not by our doing.";
    reply(request, 200,
          body_cut(request->connection, page, sizeof page - 1, sizeof page - 1, true, NULL, NULL));
}

static void bad_binary(request_t *request)
{
    char bytes[8192];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)((i * 2654435761u) >> 13);
    reply(request, 200, MHD_create_response_from_buffer(sizeof bytes, bytes, MHD_RESPMEM_MUST_COPY));
    reply_header(request, "Content-Type", "application/octet-stream");
}

static void bad_404(request_t *request)
{
    reply_text(request, 404, "<h1>not found</h1>");
}

// ?ms=N
static void bad_slow(request_t *request)
{
    request->delay_ms = (unsigned)query_number(request, "ms", 10000, 0, 3600000);
    reply_text(request, 200, "<p>at last</p>");
}

static void bad_redirect_loop(request_t *request)
{
    char to[64];
    snprintf(to, sizeof to, "/_bad/redirect-loop?n=%.0f", query_number(request, "n", 0, 0, 1e9) + 1);
    reply_text(request, 302, "");
    reply_header(request, "Location", to);
}

// ?after=SECONDS
static void bad_429(request_t *request)
{
    char after[16];
    snprintf(after, sizeof after, "%.0f", query_number(request, "after", 5, 0, 1e6));
    reply_text(request, 429, "<h1>too many requests</h1>");
    reply_header(request, "Retry-After", after);
}

static void bad_bomb(request_t *request)
{
    size_t len;
    const char *bomb = serve_bomb(request->serve, &len);
    reply(request, 200, MHD_create_response_from_buffer(len, (void *)bomb, MHD_RESPMEM_PERSISTENT));
    reply_header(request, "Content-Encoding", "deflate");
    reply_header(request, "Content-Type", "text/html");
}

static void bad_utf8(request_t *request)
{
    reply_text(
        request, 200,
        "<!DOCTYPE html><html><head><title>\xc3( \xff\xfe \xe2\x82</title></head><body><table>"
        "<tr class=\"athing\" id=\"1\"><td><span class=\"titleline\"><a href=\"p/\xc0\xaf\">\xed\xa0\x80 and "
        "\xf8\x88\x80\x80\x80</a></span></td></tr></table></body></html>");
}

// ?depth=N, ?kind=html|xml|json
static void bad_deep(request_t *request)
{
    static const struct {
        const char *kind, *type, *open, *close;
    } shapes[] = {{"html", "text/html", "<div>", "</div>"},
                  {"xml", "application/rss+xml", "<item>", "</item>"},
                  {"json", "application/json", "[", "]"}};
    const char *kind = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, "kind");
    size_t i = sizeof shapes / sizeof shapes[0];
    while (--i > 0 && !(kind && strcmp(kind, shapes[i].kind) == 0)) continue;
    uint64_t depth = (uint64_t)query_number(request, "depth", 100000, 1, DEEP_MAX);
    body_part_t parts[] = {{shapes[i].open, depth}, {shapes[i].close, depth}};
    reply(request, 200, body_parts(parts, 2, false));
    reply_header(request, "Content-Type", shapes[i].type);
}

void bad_answer(request_t *request, const char *name)
{
    static const struct {
        const char *name;
        void (*answer)(request_t *request);
    } pages[] = {{"empty", bad_empty}, {"huge", bad_huge}, {"truncated", bad_truncated},
                 {"reset", bad_reset}, {"404", bad_404},   {"binary", bad_binary},
                 {"slow", bad_slow},   {"429", bad_429},   {"redirect-loop", bad_redirect_loop},
                 {"bomb", bad_bomb},   {"deep", bad_deep}, {"utf8", bad_utf8}};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (strcmp(name, pages[i].name) == 0) {
            pages[i].answer(request);
            return;
        }
    }
    bad_404(request);
}
