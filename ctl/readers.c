// Readers: items from the sink's API: pages of them, and the stream of new ones.
#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "common/check.h"
#include "common/clock.h"
#include "ctl/ctl.h"
#include "ctl/term.h"
#include "miner/fetch.h"
#include "miner/read/events.h"

#define API "http://127.0.0.1:7442"

enum {
    CURSOR_MAX = 4096,
    QUERY_MAX = 16 << 10,
    BODY_MAX = 64 << 20, // of a page
    ERROR_MAX = 4096,
    TOKEN_FILE_MAX = 64 << 10,
    PAGE_ROWS = 1000,
    RETRY_MS = 2000,
    FIRST_RETRY_MS = 200, // until the API was reached once
    SILENCE_S = 60,       // the stream says something every 15 s
    CONNECT_S = 10,
};

// What both commands take.
typedef struct {
    const char *api, *token_file, *template_name, *source;
    const char *since, *words, *cursor, *order; // items only
    int64_t limit;
} readers_t;

// One request under way.
typedef struct {
    CURL *curl;
    struct curl_slist *headers;
    bool json; // output
    long status;
    buf_t body;       // what is not an event
    events_t *events; // of a stream
    char last[CURSOR_MAX];
    int64_t left; // items to print, -1: all
    bool over;    // nothing more is wanted
    bool refused; // the stream itself said so
} exchange_t;

// -- output -----------------------------------------------------------------------------------------------

static void put_text(yyjson_val *item, const char *member, const char *none)
{
    const char *text = yyjson_get_str(yyjson_obj_get(item, member));
    term_print(stdout, text && *text ? text : none, false);
}

// "2026-11-25 08:18:55  template  title  url": of times it shows UTC, to the second.
static void put_line(yyjson_val *item)
{
    const char *time = yyjson_get_str(yyjson_obj_get(item, "updated_at"));
    char stamp[20] = "";
    snprintf(stamp, sizeof stamp, "%s", time ? time : "?");
    char *t = strchr(stamp, 'T');
    if (t) *t = ' ';
    term_print(stdout, stamp, false);
    fputs("  ", stdout);
    put_text(item, "template", "?");
    fputs("  ", stdout);
    put_text(item, "title", "(no title)");
    if (yyjson_get_int(yyjson_obj_get(item, "revision")) > 1) fputs(" (changed)", stdout);
    fputs("  ", stdout);
    put_text(item, "url", "");
    putchar('\n');
}

static void put_item(yyjson_val *item, bool json)
{
    size_t len;
    char *text = json ? yyjson_val_write(item, 0, &len) : NULL;
    if (text) {
        term_print_json(stdout, text, len);
        putchar('\n');
    } else {
        put_line(item);
    }
    free(text);
    fflush(stdout);
}

// -- requests ---------------------------------------------------------------------------------------------

static void add_param(CURL *curl, buf_t *url, const char *name, const char *value)
{
    char *escaped = value && *value ? curl_easy_escape(curl, value, 0) : NULL;
    bool first = !memchr(url->data, '?', url->len);
    if (escaped) CHECK(buf_printf(url, "%c%s=%s", first ? '?' : '&', name, escaped) == 0);
    curl_free(escaped);
}

// The first token of a file, as the sink's --api-token-file has them. "": there is none.
static int read_token(const char *path, char *token, size_t size)
{
    buf_t file;
    char *rest = NULL;
    *token = '\0';
    if (!path) return CTL_OK;
    if (ctl_read(&file, path, TOKEN_FILE_MAX)) {
        buf_free(&file);
        return CTL_USAGE;
    }
    char *text = xstrndup(file.len ? file.data : "", file.len);
    for (char *line = strtok_r(text, "\r\n", &rest); line && !*token; line = strtok_r(NULL, "\r\n", &rest)) {
        line += strspn(line, " \t");
        if (*line != '#') snprintf(token, size, "%.*s", (int)strcspn(line, " \t"), line);
    }
    free(text);
    buf_free(&file);
    return *token ? CTL_OK : (ctl_refuse("%s: it has no token", path), CTL_USAGE);
}

static void add_header(exchange_t *x, const char *name, const char *value)
{
    char line[CURSOR_MAX + 64];
    if (!*value) return;
    snprintf(line, sizeof line, "%s: %s", name, value);
    x->headers = curl_slist_append(x->headers, line);
}

static size_t take(char *bytes, size_t size, size_t n, void *context);

static int prepare(exchange_t *x, const readers_t *r)
{
    char token[512], bearer[600] = "";
    int status = read_token(r->token_file, token, sizeof token);
    if (status != CTL_OK) return status;
    if (*token) snprintf(bearer, sizeof bearer, "Bearer %s", token);
    curl_slist_free_all(x->headers);
    x->headers = NULL;
    add_header(x, "Authorization", bearer);
    add_header(x, "Last-Event-ID", x->events ? x->last : "");
    buf_reset(&x->body);
    x->status = 0;
    curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers);
    curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(x->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(x->curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    return CTL_OK;
}

static CURLcode ask(exchange_t *x, const readers_t *r, const char *path, const char *cursor,
                    const char *limit)
{
    buf_t url;
    buf_init(&url, QUERY_MAX);
    CHECK(buf_printf(&url, "%.*s%s", (int)strcspn(r->api, "?#") - (r->api[strlen(r->api) - 1] == '/'), r->api,
                     path) == 0);
    add_param(x->curl, &url, "template", r->template_name);
    add_param(x->curl, &url, "source", r->source);
    add_param(x->curl, &url, "since", r->since);
    add_param(x->curl, &url, "q", r->words);
    add_param(x->curl, &url, "order", r->order);
    add_param(x->curl, &url, "cursor", cursor);
    add_param(x->curl, &url, "limit", limit);
    curl_easy_setopt(x->curl, CURLOPT_URL, buf_cstr(&url));
    CURLcode code = curl_easy_perform(x->curl);
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &x->status);
    buf_free(&url);
    return code;
}

static int unreachable(const readers_t *r, CURLcode code)
{
    ctl_refuse("%s: %s (where is the sink's --api? --api or RTM_API says so here)", r->api,
               curl_easy_strerror(code));
    return CTL_UNREACHABLE;
}

// What an answer other than 200 says.
static int refused(const exchange_t *x)
{
    yyjson_doc *doc = yyjson_read(x->body.len ? x->body.data : "", x->body.len, 0);
    const char *why = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "error"));
    if (x->status == 401)
        ctl_refuse("the sink wants a token that it knows: --token-file, or RTM_TOKEN_FILE");
    else
        ctl_refuse("%s (HTTP %ld)", why ? why : "the answer is not understood", x->status);
    yyjson_doc_free(doc);
    return CTL_REFUSED;
}

// -- the stream -------------------------------------------------------------------------------------------

static void take_event(exchange_t *x, const event_t *e)
{
    if (*e->id) snprintf(x->last, sizeof x->last, "%s", e->id);
    if (e->too_big) ctl_refuse("an item is too long to be shown: cursor %.100s", e->id);
    if (!e->data) return;
    yyjson_doc *doc = yyjson_read(e->data, e->len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!strcmp(e->type, "error")) {
        const char *why = yyjson_get_str(yyjson_obj_get(root, "error"));
        ctl_refuse("%s", why ? why : "the sink ends the stream");
        x->refused = x->over = true;
    } else if (!strcmp(e->type, "cut")) {
        ctl_refuse("this was too slow and was cut off; it goes on where it was");
    } else if (root && x->left) {
        put_item(root, x->json);
        if (x->left > 0 && --x->left == 0) x->over = true;
    }
    yyjson_doc_free(doc);
}

// curl's callback. Less than n ends the transfer.
static size_t take(char *bytes, size_t size, size_t n, void *context)
{
    exchange_t *x = context;
    const char *p = bytes;
    size_t left = size * n;
    event_t event;
    long status = 0;
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!x->events || status != 200) return buf_append(&x->body, bytes, left) ? 0 : left;
    while (!x->over && events_next(x->events, &p, &left, &event)) take_event(x, &event);
    return x->over ? 0 : size * n;
}

static void nap(int64_t ms)
{
    fflush(stdout);
    poll(NULL, 0, (int)(ms / 2 + rand() % (ms / 2 + 1)));
}

// Follows the stream, connecting again where it ends, until enough came or the sink refuses.
static int follow(exchange_t *x, const readers_t *r, int64_t reach_ms)
{
    bool reached = false;
    for (int64_t start = clock_mono_ms();;) {
        int status = prepare(x, r);
        if (status != CTL_OK) return status;
        CURLcode code = ask(x, r, "/v1/stream", NULL, NULL);
        if (x->over) return x->refused ? CTL_REFUSED : CTL_OK;
        if (x->status && x->status != 200 && x->status != 503) return refused(x);
        reached |= x->status == 200;
        if (!reached && clock_mono_ms() - start >= reach_ms)
            return x->status ? refused(x) : unreachable(r, code);
        int64_t retry = events_retry_ms(x->events);
        events_destroy(&x->events); // half an event is of no use
        x->events = events_new(EVENTS_SSE);
        nap(!reached ? FIRST_RETRY_MS : retry > 0 && retry < 60000 ? retry : RETRY_MS);
    }
}

int run_tail(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    readers_t r = {0};
    int64_t count;
    const conf_option_t own[] = {
        {"api", CONF_STR, "URL", API, "where the sink's --api is", &r.api, 0, 0},
        {"token-file", CONF_STR, "FILE", NULL, "a token of the sink's --api-token-file", &r.token_file, 0, 0},
        {"template", CONF_STR, "NAME", NULL, "only items of this template", &r.template_name, 0, 0},
        {"source", CONF_STR, "ID", NULL, "only items of this source: its id or URL", &r.source, 0, 0},
        {"from", CONF_STR, "CURSOR", NULL, "begin behind an item that was seen before", &r.cursor, 0, 0},
        {"count", CONF_INT, "N", "0", "end after so many items, 0: never", &count, 0, 0},
    };
    ctl_parse(command, ctl, own, sizeof own / sizeof *own, argc, argv, 0, 0);
    fetch_global_init();
    exchange_t x = {.curl = curl_easy_init(), .json = ctl->json, .left = count ? count : -1};
    CHECK(x.curl != NULL);
    x.events = events_new(EVENTS_SSE);
    snprintf(x.last, sizeof x.last, "%s", r.cursor ? r.cursor : "");
    buf_init(&x.body, ERROR_MAX);
    int result = follow(&x, &r, ctl->reach_ms);
    events_destroy(&x.events);
    buf_free(&x.body);
    curl_slist_free_all(x.headers);
    curl_easy_cleanup(x.curl);
    fetch_global_cleanup();
    return result;
}

// -- pages ------------------------------------------------------------------------------------------------

// Prints a page. -1: it is not understood.
static int put_page(exchange_t *x, bool *more)
{
    yyjson_doc *doc = yyjson_read(x->body.data, x->body.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *items = yyjson_obj_get(root, "items"), *item;
    const char *cursor = yyjson_get_str(yyjson_obj_get(root, "cursor"));
    bool good = yyjson_is_arr(items) && cursor;
    if (good) {
        for (yyjson_arr_iter it = yyjson_arr_iter_with(items); (item = yyjson_arr_iter_next(&it));)
            put_item(item, x->json);
        x->left -= (int64_t)yyjson_arr_size(items);
        snprintf(x->last, sizeof x->last, "%s", cursor);
        *more = yyjson_get_bool(yyjson_obj_get(root, "more"));
    }
    yyjson_doc_free(doc);
    return good ? 0 : -1;
}

static int page_through(exchange_t *x, const readers_t *r)
{
    for (bool more = true; more && x->left > 0;) {
        char limit[24];
        snprintf(limit, sizeof limit, "%lld", (long long)(x->left < PAGE_ROWS ? x->left : PAGE_ROWS));
        int status = prepare(x, r);
        if (status != CTL_OK) return status;
        CURLcode code = ask(x, r, "/v1/items", x->last, limit);
        if (!x->status) return unreachable(r, code);
        if (x->status != 200) return refused(x);
        if (code != CURLE_OK || put_page(x, &more)) return ctl_refuse("the answer is not understood");
    }
    return CTL_OK;
}

int run_items(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    readers_t r = {0};
    const conf_option_t own[] = {
        {"api", CONF_STR, "URL", API, "where the sink's --api is", &r.api, 0, 0},
        {"token-file", CONF_STR, "FILE", NULL, "a token of the sink's --api-token-file", &r.token_file, 0, 0},
        {"template", CONF_STR, "NAME", NULL, "only items of this template", &r.template_name, 0, 0},
        {"source", CONF_STR, "ID", NULL, "only items of this source: its id or URL", &r.source, 0, 0},
        {"since", CONF_STR, "TIME", NULL, "only what changed since: 2026-11-25T08:00:00Z, or 2h ago",
         &r.since, 0, 0},
        {"order", CONF_STR, "ORDER", "newest", "newest or oldest first", &r.order, 0, 0},
        {"from", CONF_STR, "CURSOR", NULL, "begin behind an item that was seen before", &r.cursor, 0, 0},
        {"limit", CONF_INT, "N", "20", "print at most N items", &r.limit, 1, INT64_C(1) << 40},
    };
    int i = ctl_parse(command, ctl, own, sizeof own / sizeof *own, argc, argv, 0, 1);
    if (i < argc) r.words = argv[i];
    fetch_global_init();
    exchange_t x = {.curl = curl_easy_init(), .json = ctl->json, .left = r.limit};
    CHECK(x.curl != NULL);
    snprintf(x.last, sizeof x.last, "%s", r.cursor ? r.cursor : "");
    buf_init(&x.body, BODY_MAX);
    int result = page_through(&x, &r);
    buf_free(&x.body);
    curl_slist_free_all(x.headers);
    curl_easy_cleanup(x.curl);
    fetch_global_cleanup();
    return result;
}
