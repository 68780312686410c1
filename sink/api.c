// Api: one HTTP thread of libmicrohttpd. It answers what is wrong at once, suspends what needs Postgres until
// the pool has the answer, and leaves streams to `stream`.
#include "sink/api.h"

#include <ctype.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <yyjson.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/http_listen.h"
#include "common/log.h"
#include "common/nice.h"
#include "sink/api_request.h"
#include "sink/pool.h"
#include "sink/stream.h"

enum {
    OTHER_CONNECTIONS = 64, // besides streams
    CONNECTION_MEMORY = 5 << 10,
    CONNECTION_TIMEOUT_S = 30,
    SEND_BUFFER = 32 << 10, // of a socket; the kernel doubles it
    OTHER_FILES = 256,
    PAGE_MAX = 32 << 20, // far above what PAGE_BYTES of texts can become as JSON
    MAX_TOKENS = 16,
    TOKEN_MIN = 16,
    TOKEN_MAX = 256,
};

struct api {
    struct MHD_Daemon *daemon;
    int stop_fd;
    pool_t *pool;
    stream_t *stream;
    char tokens[MAX_TOKENS][TOKEN_MAX + 1];
    int n_tokens; // 0: everybody may read
    bool is_nice; // of the HTTP thread
    pthread_mutex_t lock;
    uint64_t requests, refused; // guarded by it
};

typedef struct {
    api_t *api;
    struct MHD_Connection *connection;
    api_request_t *request;  // a stream needs it no more
    stream_client_t *client; // of a stream
    bool asked;              // the pool was
    unsigned code;           // of the pool's answer
    buf_t body;
} exchange_t;

// -- answers ----------------------------------------------------------------------------------------------

static void count(api_t *api, bool refused)
{
    pthread_mutex_lock(&api->lock);
    api->requests++;
    api->refused += refused;
    pthread_mutex_unlock(&api->lock);
}

static void add_headers(struct MHD_Response *response, unsigned code)
{
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED || code == MHD_HTTP_NO_CONTENT)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD, OPTIONS");
    if (code == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"rtm\"");
    if (code == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

static enum MHD_Result queue(exchange_t *x, unsigned code, const char *type, struct MHD_Response *response)
{
    if (!response) return MHD_NO;
    if (type) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    add_headers(response, code);
    count(x->api, code >= 400);
    enum MHD_Result result = MHD_queue_response(x->connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static void put_error(buf_t *body, const char *text)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "error", text);
    size_t len = 0;
    // what a client sent back to it need not be UTF-8
    char *json =
        yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE | YYJSON_WRITE_ESCAPE_UNICODE, &len);
    buf_reset(body);
    CHECK(json && buf_append(body, json, len) == 0 && buf_puts(body, "\n") == 0);
    free(json);
    yyjson_mut_doc_free(doc);
}

// Answers with x->body, which becomes the response's.
static enum MHD_Result answer(exchange_t *x, unsigned code)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(x->body.len, x->body.data, MHD_RESPMEM_MUST_FREE);
    if (response) x->body.data = NULL, x->body.len = x->body.cap = 0;
    return queue(x, code, "application/json", response);
}

static enum MHD_Result answer_error(exchange_t *x, unsigned code, const char *text)
{
    put_error(&x->body, text);
    return answer(x, code);
}

// -- tokens -----------------------------------------------------------------------------------------------

// Takes as long for a token that is nearly right as for any other of its length.
static bool same(const char *a, const char *b)
{
    size_t len = strlen(a);
    unsigned char differ = 0;
    if (len != strlen(b)) return false;
    for (size_t i = 0; i < len; i++) differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

static bool is_allowed(const api_t *api, struct MHD_Connection *connection)
{
    static const char scheme[] = "Bearer ";
    bool found = api->n_tokens == 0;
    const char *given =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (!given || strncasecmp(given, scheme, sizeof scheme - 1)) return found;
    for (int i = 0; i < api->n_tokens; i++) found |= same(api->tokens[i], given + sizeof scheme - 1);
    return found;
}

// A line without the blanks around it.
static char *trim(char *line)
{
    while (isspace((unsigned char)*line)) line++;
    size_t n = strlen(line);
    while (n > 0 && isspace((unsigned char)line[n - 1])) line[--n] = '\0';
    return line;
}

static int read_tokens(api_t *api, const char *path, char *err, size_t err_size)
{
    FILE *f = fopen(path, "re");
    char line[2 * TOKEN_MAX];
    const char *why = f ? NULL : "it cannot be read";
    while (!why && fgets(line, sizeof line, f)) {
        const char *token = trim(line);
        if (!*token || *token == '#') continue;
        if (strlen(token) < TOKEN_MIN || strlen(token) > TOKEN_MAX)
            why = "a token has 16 to 256 characters";
        else if (api->n_tokens == MAX_TOKENS)
            why = "it has more than 16 tokens";
        else
            memcpy(api->tokens[api->n_tokens++], token, strlen(token) + 1);
    }
    if (f) fclose(f);
    if (!why && api->n_tokens == 0) why = "it has no token: one a line";
    if (why) snprintf(err, err_size, "%s: %s", path, why);
    return why ? -1 : 0;
}

// -- items ------------------------------------------------------------------------------------------------

static void append_row(void *context, const page_row_t *row)
{
    buf_t *body = context;
    char cursor[POSITION_TEXT];
    position_print(&row->position, cursor);
    const char *comma = body->len && body->data[body->len - 1] != '[' ? "," : "";
    CHECK(buf_printf(body, "%s\n{\"cursor\":\"%s\",", comma, cursor) == 0);
    CHECK(buf_append(body, row->json + 1, row->json_len - 1) == 0);
}

// In a thread of the pool.
static pg_status_t read_items(void *context, pg_t *pg, const char *why)
{
    exchange_t *x = context;
    page_end_t end;
    char cursor[POSITION_TEXT];
    buf_reset(&x->body);
    pg_status_t status = PG_FAILED;
    if (pg) {
        CHECK(buf_puts(&x->body, "{\"items\":[") == 0);
        status = page_read(pg, &x->request->query, append_row, &x->body, &end);
        if (status == PG_FAILED) return status;
    }
    if (status == PG_OK) {
        position_print(&end.next, cursor);
        CHECK(buf_printf(&x->body, "],\n\"cursor\":\"%s\",\"more\":%s}\n", cursor,
                         end.more ? "true" : "false") == 0);
    } else {
        put_error(&x->body, pg ? pg_reason(pg) : "Postgres is away, try again later");
        if (!pg) log_debug("api", "reason=\"%s\"", why);
    }
    x->code = status == PG_OK ? MHD_HTTP_OK : pg ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_SERVICE_UNAVAILABLE;
    MHD_resume_connection(x->connection);
    return status;
}

static enum MHD_Result ask(exchange_t *x)
{
    x->asked = true;
    MHD_suspend_connection(x->connection);
    if (pool_submit(x->api->pool, read_items, x) == 0) return MHD_YES;
    put_error(&x->body, "too many requests wait already, try again later");
    x->code = MHD_HTTP_SERVICE_UNAVAILABLE;
    MHD_resume_connection(x->connection);
    return MHD_YES;
}

// -- the stream -------------------------------------------------------------------------------------------

static enum MHD_Result start_stream(exchange_t *x, bool head)
{
    static const char type[] = "text/event-stream";
    const page_query_t *q = &x->request->query;
    struct MHD_Response *response = NULL;
    if (head)
        return queue(x, MHD_HTTP_OK, type, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
    x->client = stream_open(x->api->stream, x->connection, q->from, q->template_name, q->source, &response);
    if (!x->client)
        return answer_error(x, MHD_HTTP_SERVICE_UNAVAILABLE,
                            "there are as many streams as may be, try again later");
    free(x->request);
    x->request = NULL;
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close"); // where it ends there is no more
    return queue(x, MHD_HTTP_OK, type, response);
}

// -- requests ---------------------------------------------------------------------------------------------

static enum MHD_Result dispatch(exchange_t *x, const char *path, const char *method)
{
    route_t route = api_route(path);
    bool head = !strcmp(method, MHD_HTTP_METHOD_HEAD);
    if (!strcmp(method, MHD_HTTP_METHOD_OPTIONS) && route != ROUTE_NONE)
        return queue(x, MHD_HTTP_NO_CONTENT, NULL,
                     MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
    if (!is_allowed(x->api, x->connection))
        return answer_error(x, MHD_HTTP_UNAUTHORIZED, "this needs a token: Authorization: Bearer TOKEN");
    if (route == ROUTE_NONE) return answer_error(x, MHD_HTTP_NOT_FOUND, "here are /v1/items and /v1/stream");
    if (!head && strcmp(method, MHD_HTTP_METHOD_GET))
        return answer_error(x, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET, HEAD and OPTIONS");
    if (!x->request) x->request = xcalloc(1, sizeof *x->request);
    if (!api_request_read(x->request, x->connection, route))
        return answer_error(x, MHD_HTTP_BAD_REQUEST, x->request->error);
    return route == ROUTE_ITEMS ? ask(x) : start_stream(x, head);
}

static exchange_t *new_exchange(api_t *api, struct MHD_Connection *connection)
{
    exchange_t *x = xcalloc(1, sizeof *x);
    x->api = api;
    x->connection = connection;
    buf_init(&x->body, PAGE_MAX);
    return x;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data, size_t *data_size,
                              void **context)
{
    exchange_t *x = *context;
    (void)version, (void)data;
    if (!x) { // the headers; answering now would end connections that still send a body
        *context = new_exchange(arg, connection);
        return MHD_YES;
    }
    if (*data_size) {
        *data_size = 0;
        return MHD_YES;
    }
    return x->asked ? answer(x, x->code) : dispatch(x, path, method);
}

static void completed(void *arg, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code)
{
    exchange_t *x = *context;
    (void)arg, (void)connection;
    if (!x) return;
    if (x->client) stream_close(x->client, code == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED);
    buf_free(&x->body);
    free(x->request);
    free(x);
    *context = NULL;
}

// A client's share of the kernel's memory is small, too: who does not read is soon known.
static void connected(void *arg, struct MHD_Connection *connection, void **context,
                      enum MHD_ConnectionNotificationCode code)
{
    api_t *api = arg;
    int size = SEND_BUFFER;
    (void)context;
    if (code != MHD_CONNECTION_NOTIFY_STARTED) return;
    if (!api->is_nice) nice_thread();
    api->is_nice = true;
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

// -- life -------------------------------------------------------------------------------------------------

// Each stream is an open file.
static int allow_files(uint64_t streams, char *err, size_t err_size)
{
    struct rlimit limit;
    rlim_t want = streams + OTHER_CONNECTIONS + OTHER_FILES;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur >= want) return 0;
    limit.rlim_cur = want;
    if (want <= limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) == 0) return 0;
    snprintf(err, err_size, "so many streams need %llu open files, and ulimit -Hn says %llu",
             (unsigned long long)want, (unsigned long long)limit.rlim_max);
    return -1;
}

static int listen_on(api_t *api, const api_options_t *options, char *err, size_t err_size)
{
    struct addrinfo *address = http_listen_resolve(options->bind, "127.0.0.1", err, err_size);
    if (!address) return -1;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (address->ai_family == AF_INET6) flags |= MHD_USE_IPv6;
    unsigned connections = (unsigned)(options->max_streams + OTHER_CONNECTIONS);
    api->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, api, MHD_OPTION_SOCK_ADDR, address->ai_addr,
                                   MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_TIMEOUT,
                                   (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                   (size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
                                   MHD_OPTION_NOTIFY_CONNECTION, connected, api,
                                   MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u, MHD_OPTION_END);
    if (api->daemon) {
        char url[128];
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_BIND_PORT);
        http_listen_url(address, info ? info->port : 0, url, sizeof url);
        log_info("api", "endpoint=%s streams=%llu token=%s", url, (unsigned long long)options->max_streams,
                 api->n_tokens ? "required" : "none");
    } else {
        snprintf(err, err_size, "cannot listen on %s (is the port in use?)", options->bind);
    }
    freeaddrinfo(address);
    return api->daemon ? 0 : -1;
}

api_t *api_start(const api_options_t *options, char *err, size_t err_size)
{
    api_t *api = xcalloc(1, sizeof *api);
    pthread_mutex_init(&api->lock, NULL);
    api->stop_fd = eventfd(0, EFD_CLOEXEC);
    CHECK(api->stop_fd >= 0);
    bool good = !options->token_file || read_tokens(api, options->token_file, err, err_size) == 0;
    good = good && allow_files(options->max_streams, err, err_size) == 0;
    if (good) {
        api->pool = pool_start(options->conninfo, api->stop_fd);
        api->stream = stream_start(options->conninfo, api->stop_fd, api->pool, options->max_streams);
        good = listen_on(api, options, err, err_size) == 0;
    }
    if (!good) api_stop(&api);
    return api;
}

// The pool first, which answers what waits, then the streams' responses, then the connections: the daemon
// must not end while one is suspended.
void api_stop(api_t **api_p)
{
    api_t *api = *api_p;
    if (!api) return;
    uint64_t one = 1;
    CHECK(write(api->stop_fd, &one, sizeof one) == sizeof one);
    if (api->pool) pool_stop(api->pool);
    if (api->stream) stream_stop(api->stream);
    if (api->daemon) MHD_stop_daemon(api->daemon);
    stream_destroy(&api->stream);
    pool_destroy(&api->pool);
    pthread_mutex_destroy(&api->lock);
    close(api->stop_fd);
    free(api);
    *api_p = NULL;
}

size_t api_metrics(api_t *api, char *out, size_t size)
{
    stream_stats_t s = stream_stats(api->stream);
    pthread_mutex_lock(&api->lock);
    uint64_t requests = api->requests, refused = api->refused;
    pthread_mutex_unlock(&api->lock);
    int n =
        snprintf(out, size,
                 "# TYPE rtm_sink_api_streams gauge\nrtm_sink_api_streams %llu\n"
                 "# TYPE rtm_sink_api_requests_total counter\nrtm_sink_api_requests_total %llu\n"
                 "# TYPE rtm_sink_api_refused_total counter\nrtm_sink_api_refused_total %llu\n"
                 "# TYPE rtm_sink_api_events_total counter\nrtm_sink_api_events_total %llu\n"
                 "# TYPE rtm_sink_api_cut_total counter\nrtm_sink_api_cut_total{reason=\"too_slow\"} %llu\n",
                 (unsigned long long)s.clients, (unsigned long long)requests, (unsigned long long)refused,
                 (unsigned long long)s.events, (unsigned long long)s.cut);
    return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}
