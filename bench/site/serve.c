// Serve: see serve.h. A request is answered in its handler; if it is to be slow, the answer is made first, as
// a far server would, and the connection sleeps before it is sent.
#include "bench/site/serve.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/check.h"

#define TICK_MS          5
#define CONNECTION_BYTES 8192
#define IDLE_SECONDS     120
#define SPARE_FILES      64

struct serve {
    site_t *site;
    serve_options_t opt;
    delay_t *delay;
    struct MHD_Daemon *daemon;
    char *bomb;
    size_t bomb_len;
};

site_t *serve_site(serve_t *serve)
{
    return serve->site;
}

unsigned serve_huge_mb(const serve_t *serve)
{
    return serve->opt.huge_mb;
}

const char *serve_bomb(const serve_t *serve, size_t *len)
{
    *len = serve->bomb_len;
    return serve->bomb;
}

// -- replies --------------------------------------------------------------------------------------

void reply(request_t *request, unsigned status, response_t *response)
{
    request->status = status;
    request->response = response;
}

void reply_header(request_t *request, const char *name, const char *value)
{
    if (request->response) MHD_add_response_header(request->response, name, value);
}

void reply_text(request_t *request, unsigned status, const char *text)
{
    reply(request, status, body_text(text));
    reply_header(request, "Content-Type", *text == '{' ? "application/json" : "text/html; charset=utf-8");
}

static const char *header(const request_t *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

double query_number(const request_t *request, const char *name, double otherwise, double min, double max)
{
    const char *text = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
    double number = text && *text ? strtod(text, NULL) : otherwise;
    return !(number >= min) ? min : number > max ? max : number;
}

// -- lists and details ----------------------------------------------------------------------------

// What a client may compare with: empty where the site gives none.
typedef struct {
    char etag[32];
    stamp_t modified;
} validators_t;

// Last-Modified is in whole seconds: it is withheld until the second of the change is over, so that a client
// that repeats it can never be told "not modified" about a change later in that second.
static void find_validators(const site_t *site, const sheet_t *sheet, validators_t *out)
{
    site_valid_t valid = site_options(site)->valid;
    *out = (validators_t){{0}, {{0}}};
    if (valid == VALID_OFF) return;
    if (valid != VALID_DATE) {
        snprintf(out->etag, sizeof out->etag, "%s\"%016llx\"", valid == VALID_WEAK ? "W/" : "",
                 (unsigned long long)sheet->tag);
    }
    if (site_now(site) / 1000 > sheet->changed_ms / 1000) page_date(&out->modified, sheet->changed_ms);
}

// RFC 9110, 13.1: If-None-Match by weak comparison, and it alone if it is there. Of dates only the very one
// that was given out counts.
static bool is_known(const request_t *request, const validators_t *validators)
{
    const char *none_match = header(request, "If-None-Match");
    const char *since = header(request, "If-Modified-Since");
    if (none_match) {
        const char *opaque = strchr(validators->etag, '"');
        return opaque && (strstr(none_match, opaque) || strcmp(none_match, "*") == 0);
    }
    return since && validators->modified.text[0] && strcmp(since, validators->modified.text) == 0;
}

static response_t *sheet_response(site_t *site, sheet_t *sheet)
{
    site_valid_t valid = site_options(site)->valid;
    if (valid == VALID_ON || valid == VALID_DATE) {
        return MHD_create_response_from_buffer_with_free_callback_cls(sheet->page.len, sheet->page.bytes,
                                                                      sheet_unref, sheet);
    }
    char *copy = xmalloc(sheet->page.len + 1);
    memcpy(copy, sheet->page.bytes, sheet->page.len);
    page_shuffle(&sheet->page, copy, site_salt(site));
    response_t *response = MHD_create_response_from_buffer(sheet->page.len, copy, MHD_RESPMEM_MUST_FREE);
    sheet_unref(sheet);
    return response;
}

static void answer_sheet(request_t *request, sheet_t *sheet, site_fate_t fate)
{
    site_t *site = request->serve->site;
    validators_t validators;
    find_validators(site, sheet, &validators);
    site_kind_t kind = world_kind(site_world(site), sheet->source);
    if (fate == FATE_RESET) {
        size_t len = sheet->page.len;
        reply(request, 200,
              body_cut(request->connection, sheet->page.bytes, len, len, true, sheet_unref, sheet));
    } else if (is_known(request, &validators)) {
        sheet_unref(sheet);
        reply(request, 304, body_text(""));
    } else {
        reply(request, 200, sheet_response(site, sheet));
        reply_header(request, "Content-Type", page_type(kind));
    }
    if (validators.etag[0]) reply_header(request, "ETag", validators.etag);
    if (validators.modified.text[0]) reply_header(request, "Last-Modified", validators.modified.text);
}

static void answer_detail(request_t *request, uint32_t source, uint32_t post, site_fate_t fate)
{
    world_item_t item;
    buf_t page;
    buf_init(&page, PAGE_MAX);
    if (site_item(request->serve->site, source, post, &item) != 0 || page_detail(&page, &item) != 0) {
        reply_text(request, 404, "<h1>no such post</h1>");
        buf_free(&page);
    } else if (fate == FATE_RESET) {
        reply(request, 200,
              body_cut(request->connection, page.data, page.len, page.len, true, free, page.data));
    } else {
        reply(request, 200, MHD_create_response_from_buffer(page.len, page.data, MHD_RESPMEM_MUST_FREE));
        reply_header(request, "Content-Type", page_type(SITE_HTML));
    }
}

// A path under /s/, taken apart.
typedef struct {
    uint32_t source, post;
    bool detail;
} place_t;

static bool read_number(const char **text, uint32_t *number)
{
    char *end;
    if (**text < '0' || **text > '9') return false;
    unsigned long value = strtoul(*text, &end, 10);
    if (value >= UINT32_MAX) return false;
    *number = (uint32_t)value;
    *text = end;
    return true;
}

// Whether path names a list or a post of a source that lives on the request's host.
static bool find_place(const request_t *request, const char *path, place_t *place)
{
    const world_t *world = site_world(request->serve->site);
    *place = (place_t){0};
    if (strncmp(path, "/s/", 3) != 0) return false;
    path += 3;
    if (!read_number(&path, &place->source) || *path++ != '/') return false;
    if (place->source >= world_options(world)->sources) return false;
    if (request->host != world_host(world, place->source)) return false;
    if (strncmp(path, "p/", 2) != 0)
        return strcmp(path, site_kind_leaf(world_kind(world, place->source))) == 0;
    path += 2;
    place->detail = true;
    return read_number(&path, &place->post) && !*path;
}

static void answer_place(request_t *request, const place_t *place, site_fate_t fate)
{
    if (fate == FATE_500 || fate == FATE_503) {
        reply_text(request, fate == FATE_500 ? 500 : 503, "<h1>out of order</h1>");
        if (fate == FATE_503) reply_header(request, "Retry-After", "1");
        return;
    }
    if (place->detail) {
        answer_detail(request, place->source, place->post, fate);
        return;
    }
    sheet_t *sheet = site_sheet(request->serve->site, place->source);
    if (sheet) answer_sheet(request, sheet, fate);
}

// -- requests -------------------------------------------------------------------------------------

static site_fate_t begin(request_t *request, site_ask_t ask)
{
    request->counted = true;
    return site_begin(request->serve->site, request->host, ask, &request->delay_ms);
}

static void answer(request_t *request)
{
    place_t place;
    const char *path = request->path;
    if (strncmp(path, "/_site/", 7) == 0) {
        control_answer(request, path + 7);
    } else if (find_place(request, path, &place)) {
        site_fate_t fate = begin(request, place.detail ? ASK_DETAIL : ASK_LIST);
        answer_place(request, &place, fate);
    } else if (strncmp(path, "/_bad/", 6) == 0) {
        (void)begin(request, ASK_BAD);
        bad_answer(request, path + 6);
    } else if (strcmp(path, "/robots.txt") == 0) {
        (void)begin(request, ASK_ROBOTS);
        reply(request, 200, body_text("User-agent: *\nAllow: /\n"));
        reply_header(request, "Content-Type", "text/plain");
    } else {
        (void)begin(request, ASK_OTHER);
        reply_text(request, 404, "<h1>not found</h1>");
    }
}

static enum MHD_Result send_reply(request_t *request)
{
    enum MHD_Result sent = MHD_queue_response(request->connection, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return sent;
}

static request_t *request_new(serve_t *serve, struct MHD_Connection *connection)
{
    request_t *request = xcalloc(1, sizeof *request);
    const char *name = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    request->serve = serve;
    request->connection = connection;
    request->host = name ? world_host_named(site_world(serve->site), name) : -1;
    return request;
}

// Called first with *state NULL, then with the body if there is one, then to be answered, and once more when
// a connection that slept goes on.
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state)
{
    (void)version;
    (void)upload;
    request_t *request = *state;
    if (!request) {
        *state = request_new(arg, connection);
        return MHD_YES;
    }
    if (*upload_len > 0) {
        *upload_len = 0;
        return MHD_YES;
    }
    if (!request->ready) {
        request->path = path;
        request->method = method;
        request->ready = true;
        answer(request);
        if (!request->response) return MHD_NO;
        if (request->delay_ms > 0) {
            delay_suspend(request->serve->delay, &request->delayed, connection, request->delay_ms);
            return MHD_YES;
        }
    }
    return send_reply(request);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how)
{
    (void)arg;
    (void)connection;
    request_t *request = *state;
    if (!request) return;
    if (request->response) MHD_destroy_response(request->response);
    if (request->counted) {
        bool whole = how == MHD_REQUEST_TERMINATED_COMPLETED_OK;
        site_end(request->serve->site, request->host, whole ? request->status : 0);
    }
    free(request);
    *state = NULL;
}

// -- server ---------------------------------------------------------------------------------------

static enum MHD_Result on_peer(void *arg, const struct sockaddr *peer, socklen_t len)
{
    const serve_t *serve = arg;
    if (serve->opt.allow_remote) return MHD_YES;
    if (peer->sa_family != AF_INET || len < sizeof(struct sockaddr_in)) return MHD_NO;
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)peer;
    return ntohl(in->sin_addr.s_addr) >> 24 == 127 ? MHD_YES : MHD_NO;
}

static void tick(void *arg)
{
    site_tick(arg);
}

static unsigned connections_max(unsigned threads)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < 2 * SPARE_FILES) return SPARE_FILES;
    if (files.rlim_cur > 200000) files.rlim_cur = 200000;
    return ((unsigned)files.rlim_cur - SPARE_FILES) / threads * threads;
}

serve_t *serve_new(site_t *site, const serve_options_t *options)
{
    serve_t *serve = xcalloc(1, sizeof *serve);
    serve->site = site;
    serve->opt = *options;
    serve->bomb = body_bomb(options->huge_mb, &serve->bomb_len);
    serve->delay = delay_new(TICK_MS, tick, site);
    CHECK(fcntl(options->listen_fd, F_SETFL, O_NONBLOCK) == 0);
    serve->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_SUSPEND_RESUME | MHD_USE_ITC, 0, on_peer, serve, on_request,
        serve, MHD_OPTION_LISTEN_SOCKET, options->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        connections_max(options->threads), MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, on_completed, serve,
        MHD_OPTION_THREAD_POOL_SIZE, options->threads > 1 ? options->threads : 0, MHD_OPTION_END);
    if (!serve->daemon) serve_destroy(&serve);
    return serve;
}

void serve_destroy(serve_t **serve)
{
    if (!*serve) return;
    delay_close((*serve)->delay);
    if ((*serve)->daemon) MHD_stop_daemon((*serve)->daemon);
    delay_destroy(&(*serve)->delay);
    free((*serve)->bomb);
    free(*serve);
    *serve = NULL;
}
