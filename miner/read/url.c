// URL: lexbor's WHATWG parser with its memory kept from link to link.
#include "miner/read/url.h"

#include <lexbor/url/url.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"
#include "miner/read/blocks.h"
#include "proto/limits.h"

enum {
    CLEAN_EVERY = 256, // links after which the parser's memory is taken back
    MAX_PARAMETERS = 64,
};

struct urls {
    lxb_url_parser_t *parser;
    lexbor_mraw_t *scratch; // of resolved URLs
    lexbor_mraw_t *kept;    // of the base
    lxb_url_t *base;        // or NULL
    char *base_text;   // what urls_set_base made base of, or NULL: most documents' is that of the one before
    char *origin;      // of base, "https://host:81", for what starts with a slash; or NULL: not made yet
    unsigned resolved; // since scratch was cleaned
    char known[80];    // the origin of the last link that was in normal form: the next one often has it, too
    size_t known_len;
};

urls_t *urls_new(void)
{
    urls_t *u = xcalloc(1, sizeof *u);
    u->scratch = lexbor_mraw_create();
    u->kept = lexbor_mraw_create();
    u->parser = lxb_url_parser_create();
    CHECK(lexbor_mraw_init(u->scratch, 16 << 10) == LXB_STATUS_OK);
    CHECK(lexbor_mraw_init(u->kept, 4 << 10) == LXB_STATUS_OK);
    CHECK(lxb_url_parser_init(u->parser, u->scratch) == LXB_STATUS_OK);
    return u;
}

void urls_destroy(urls_t **urls)
{
    urls_t *u = *urls;
    if (!u) return;
    lxb_url_parser_destroy(u->parser, true);
    lexbor_mraw_destroy(u->scratch, true);
    lexbor_mraw_destroy(u->kept, true);
    free(u->base_text);
    free(u->origin);
    free(u);
    *urls = NULL;
}

static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;

static void end_of_thread(void *value)
{
    urls_t *urls = value;
    urls_destroy(&urls);
}

static void make_key(void)
{
    CHECK(pthread_key_create(&thread_key, end_of_thread) == 0);
}

urls_t *urls_of_thread(void)
{
    pthread_once(&thread_once, make_key);
    urls_t *urls = pthread_getspecific(thread_key);
    if (!urls) CHECK(pthread_setspecific(thread_key, urls = urls_new()) == 0);
    return urls;
}

// The length of a dot at s, however it is written; 0: there is none.
static size_t dot_length(const char *s, size_t len)
{
    if (len && *s == '.') return 1;
    return len > 2 && strncasecmp(s, "%2e", 3) == 0 ? 3 : 0;
}

// Where a query or fragment begins behind a path that ends in `.` or `..`; 0: nowhere.
static size_t end_of_dots(const char *text, size_t len)
{
    size_t end = 0, start;
    while (end < len && text[end] != '?' && text[end] != '#') end++;
    for (start = end; start && text[start - 1] != '/' && text[start - 1] != '\\'; start--) {
        if (end - start == 6) return 0;
    }
    size_t one = end < len ? dot_length(text + start, end - start) : 0;
    size_t two = one ? dot_length(text + start + one, end - start - one) : 0;
    return one && start + one + two == end ? end : 0;
}

// What a path has to encode; line breaks and tabs go.
static const bool encoded_in_paths[256] = {
    [0 ... 8] = true, [0xB ... 0xC] = true, [0xE ... ' '] = true, ['"'] = true, ['<'] = true,
    ['>'] = true,     ['`'] = true,         ['{'] = true,         ['}'] = true, [0x7F ... 0xFF] = true,
};

// *text, at most MAX_URL long, encoded up to its query: in a path, lexbor forgets what stands behind a `%`
// that begins no escape, and the empty segment before a first one that is to be encoded. Hosts are decoded
// again. out: room for 3 * MAX_URL, used if there is something to encode.
static void encode(const char **text, size_t *len, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *from = *text;
    size_t n = 0, i = 0, end = 0;
    while (end < *len && from[end] != '?' && from[end] != '#') end++;
    while (i < end && !encoded_in_paths[(unsigned char)from[i]]) i++;
    if (i == end) return;
    memcpy(out, from, n = i);
    for (; i < end; i++) {
        unsigned char c = (unsigned char)from[i];
        bool encoded = encoded_in_paths[c];
        if (encoded) out[n++] = '%';
        if (encoded) out[n++] = digits[c >> 4];
        out[n++] = encoded ? digits[c & 15] : from[i];
    }
    memcpy(out + n, from + end, *len - end);
    *text = out;
    *len = n + *len - end;
}

static lxb_url_t *parse(urls_t *u, const lxb_url_t *base, const char *text, size_t len)
{
    char straight[MAX_URL + 1], encoded[3 * MAX_URL];
    while (len && (unsigned char)*text <= ' ') text++, len--;
    while (len && (unsigned char)text[len - 1] <= ' ') len--;
    size_t dots = len < sizeof straight ? end_of_dots(text, len) : 0;
    if (dots) { // lexbor loses the `?` or `#` there; with `/` before it the URL means the same
        memcpy(straight, text, dots);
        straight[dots] = '/';
        memcpy(straight + dots + 1, text + dots, len - dots);
        text = straight;
        len++;
    }
    if (len <= MAX_URL) encode(&text, &len, encoded);
    if (++u->resolved > CLEAN_EVERY) {
        lexbor_mraw_clean(u->scratch);
        u->resolved = 0;
    }
    lxb_url_parser_clean(u->parser);
    return lxb_url_parse(u->parser, base, (const lxb_char_t *)text, len);
}

// url becomes the base; its memory moves to `kept`.
static int keep_base(urls_t *u, const lxb_url_t *url)
{
    if (!url) return -1;
    lexbor_mraw_t *fresh = lexbor_mraw_create();
    CHECK(lexbor_mraw_init(fresh, 4 << 10) == LXB_STATUS_OK);
    u->base = lxb_url_clone(fresh, url);
    lexbor_mraw_destroy(u->kept, true);
    u->kept = fresh;
    return u->base ? 0 : -1;
}

static void forget_text(urls_t *u)
{
    free(u->base_text);
    free(u->origin);
    u->base_text = u->origin = NULL;
}

int urls_set_base(urls_t *u, const char *url, size_t len)
{
    if (url && u->base && u->base_text && strlen(u->base_text) == len && memcmp(u->base_text, url, len) == 0)
        return 0;
    u->base = NULL;
    forget_text(u);
    if (!url || keep_base(u, parse(u, NULL, url, len)) != 0) return -1;
    u->base_text = xstrndup(url, len);
    return 0;
}

int urls_move_base(urls_t *u, const char *url, size_t len)
{
    if (keep_base(u, parse(u, u->base, url, len)) != 0) return -1;
    forget_text(u);
    return 0;
}

// -- resolving ------------------------------------------------------------------------------------

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// What the parser would do about a character behind the host.
enum {
    URL_PARSE, // look at it
    URL_PLAIN, // leave it as it is
    URL_DOT,   // look whether a dot segment starts, however it is written
    URL_QUERY, // leave it, and what follows is no path
};

static const unsigned char url_classes[256] = {
    ['a' ... 'z'] = URL_PLAIN, ['A' ... 'Z'] = URL_PLAIN, ['0' ... '9'] = URL_PLAIN, ['!'] = URL_PLAIN,
    ['$'] = URL_PLAIN,         ['&'] = URL_PLAIN,         ['('] = URL_PLAIN,         [')'] = URL_PLAIN,
    ['*'] = URL_PLAIN,         ['+'] = URL_PLAIN,         [','] = URL_PLAIN,         ['-'] = URL_PLAIN,
    ['/'] = URL_PLAIN,         [':'] = URL_PLAIN,         [';'] = URL_PLAIN,         ['='] = URL_PLAIN,
    ['@'] = URL_PLAIN,         ['_'] = URL_PLAIN,         ['~'] = URL_PLAIN,         ['.'] = URL_DOT,
    ['%'] = URL_DOT,           ['?'] = URL_QUERY,         ['#'] = URL_QUERY};

// Length of a host name at s that needs no look: labels of lower case and digits, the last one no number. 0:
// it does.
static size_t normal_host(const char *s, size_t len)
{
    size_t i = 0, label = 0;
    char last = '.';
    for (; i < len && s[i] != '/'; last = s[i++]) {
        bool letter = s[i] >= 'a' && s[i] <= 'z', digit = s[i] >= '0' && s[i] <= '9';
        if (s[i] == '.' && last != '.')
            label = i + 1;
        else if (!letter && !digit && !(s[i] == '-' && last != '-'))
            return 0;
    }
    return last != '.' && s[label] >= 'a' && s[label] <= 'z' ? i : 0;
}

// Does the block at s, behind a character of the same path, have none but letters, digits and -./:;_ in it,
// and no dot behind a slash?
static bool is_plain_block(const char *s)
{
    block_t now = block_load(s), before = block_load(s - 1);
    block_t letter = (block_t)((now | 0x20) - 'a' < 26), other = (block_t)(now - '-' <= ';' - '-');
    block_t dot = (block_t)(before == '/') & (block_t)(now == '.');
    return !block_any(~(letter | other | (block_t)(now == '_')) | dot);
}

// How much of s may be left out of a closer look, as most paths have nothing special in them.
static size_t plain_prefix(const char *s, size_t len)
{
    size_t i = 1;
    while (i + sizeof(block_t) <= len && is_plain_block(s + i)) i += sizeof(block_t);
    bool rest = i > 1 && i + sizeof(block_t) > len && is_plain_block(s + len - sizeof(block_t));
    return rest ? len : i;
}

// Is what stands behind the host, from a slash on, in normal form?
static bool is_normal_path(const char *s, size_t len)
{
    bool path = true;
    for (size_t i = plain_prefix(s, len); i < len; i++) {
        int class = url_classes[(unsigned char)s[i]];
        if (class == URL_PLAIN) continue;
        if (class == URL_PARSE || (class == URL_DOT && path && s[i - 1] == '/')) return false;
        if (class == URL_QUERY) path = false;
    }
    return true;
}

// Length of "https://host" at s, in normal form and with a slash behind it; 0: there is none.
static size_t normal_origin(urls_t *u, const char *s, size_t len)
{
    size_t n = u->known_len, scheme = 0, host;
    if (n && n < len && s[n] == '/' && memcmp(s, u->known, n) == 0) return n;
    if (len > 8 && memcmp(s, "https://", 8) == 0) scheme = 8;
    if (len > 7 && memcmp(s, "http://", 7) == 0) scheme = 7;
    host = scheme ? normal_host(s + scheme, len - scheme) : 0;
    n = host ? scheme + host : 0;
    if (n == len) return 0;
    u->known_len = n <= sizeof u->known ? n : 0;
    memcpy(u->known, s, u->known_len);
    return n;
}

// Most links are absolute and in normal form already; recognising these saves the parser's work.
static bool is_normal(urls_t *u, const char *s, size_t len)
{
    size_t origin = normal_origin(u, s, len);
    return origin && is_normal_path(s + origin, len - origin);
}

// "/a/b", in normal form behind the base's origin? Not "//host", and a dot would have something before it.
static bool is_rooted(const char *s, size_t len)
{
    return *s == '/' && len > 1 && s[1] != '/' && is_normal_path(s, len);
}

typedef struct {
    char *text;
    size_t len;
    bool too_long;
} sink_t;

static lxb_status_t collect(const lxb_char_t *data, size_t len, void *ctx)
{
    sink_t *sink = ctx;
    if (len > MAX_URL - sink->len) return sink->too_long = true, LXB_STATUS_STOP;
    memcpy(sink->text + sink->len, data, len);
    sink->len += len;
    return LXB_STATUS_OK;
}

static bool is_web(const lxb_url_t *url)
{
    lxb_url_scheme_type_t type = url->scheme.type;
    return type == LXB_URL_SCHEMEL_TYPE_HTTP || type == LXB_URL_SCHEMEL_TYPE_HTTPS;
}

// Makes u->origin. false: the base has none that can be used.
static bool has_origin(urls_t *u)
{
    char out[MAX_URL];
    sink_t sink = {.text = out};
    if (u->origin) return *u->origin;
    if (u->base && is_web(u->base)) lxb_url_serialize(u->base, collect, &sink, false);
    const char *host = sink.too_long ? NULL : memmem(out, sink.len, "//", 2);
    const char *path = host ? memchr(host + 2, '/', (size_t)(out + sink.len - host - 2)) : NULL;
    u->origin = xstrndup(out, path ? (size_t)(path - out) : 0);
    return path != NULL;
}

static const char *behind_origin(const urls_t *u, arena_t *arena, const char *text, size_t len)
{
    size_t n = strlen(u->origin);
    char *url = n + len <= MAX_URL ? arena_alloc(arena, n + len + 1) : NULL;
    if (!url) return NULL;
    memcpy(url, u->origin, n);
    memcpy(url + n, text, len);
    url[n + len] = '\0';
    return url;
}

const char *urls_resolve(urls_t *u, arena_t *arena, const char *text, size_t len)
{
    while (len && is_space(text[len - 1])) len--;
    while (len && is_space(*text)) text++, len--;
    if (len == 0 || len > MAX_URL) return NULL;
    if (is_normal(u, text, len)) return arena_strndup(arena, text, len);
    if (is_rooted(text, len) && has_origin(u)) return behind_origin(u, arena, text, len);
    lxb_url_t *url = parse(u, u->base, text, len);
    if (!url || !is_web(url)) return NULL;
    char out[MAX_URL];
    sink_t sink = {.text = out};
    lxb_url_serialize(url, collect, &sink, false);
    return sink.too_long || sink.len == 0 ? NULL : arena_strndup(arena, out, sink.len);
}

// -- the normal form ------------------------------------------------------------------------------

static bool is_tracking(const char *name, size_t len)
{
    static const char *const exact[] = {"fbclid",  "gclid",  "dclid",  "gbraid", "wbraid", "msclkid",
                                        "yclid",   "igshid", "mc_cid", "mc_eid", "_hsenc", "_hsmi",
                                        "mkt_tok", "cmpid",  "ocid",   "wt_mc"};
    if (len > 4 && strncmp(name, "utm_", 4) == 0) return true;
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        if (strlen(exact[i]) == len && memcmp(exact[i], name, len) == 0) return true;
    return false;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

// One way to write what is encoded (RFC 3986, 6.2.2): capital digits, and characters that need no encoding
// have none. In place; the new length.
static size_t put_encoding_straight(char *s, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool encoded = s[i] == '%' && len - i > 2 && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0;
        int c = encoded ? hex(s[i + 1]) * 16 + hex(s[i + 2]) : s[i];
        if (!encoded || is_unreserved(c)) {
            s[n++] = (char)c;
        } else {
            s[n++] = '%';
            s[n++] = "0123456789ABCDEF"[c >> 4];
            s[n++] = "0123456789ABCDEF"[c & 15];
        }
        if (encoded) i += 2;
    }
    return n;
}

typedef struct {
    const char *text;
    size_t len;
} parameter_t;

static int by_text(const void *a, const void *b)
{
    const parameter_t *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->text, y->text, n);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

// Appends the query without tracking parameters, sorted; a query of very many parameters stays as it is.
static size_t put_query(char *out, const char *query, size_t len)
{
    parameter_t p[MAX_PARAMETERS];
    size_t n = 0, at = 0;
    for (const char *end = query + len; query < end;) {
        const char *amp = memchr(query, '&', (size_t)(end - query));
        size_t part = (size_t)((amp ? amp : end) - query);
        const char *eq = memchr(query, '=', part);
        if (part && !is_tracking(query, eq ? (size_t)(eq - query) : part)) {
            if (n == MAX_PARAMETERS) return out[0] = '?', memcpy(out + 1, end - len, len), len + 1;
            p[n++] = (parameter_t){query, part};
        }
        query += part + (amp != NULL);
    }
    if (n == 0) return 0;
    qsort(p, n, sizeof *p, by_text);
    for (size_t i = 0; i < n; i++) {
        out[at++] = i ? '&' : '?';
        memcpy(out + at, p[i].text, p[i].len);
        at += p[i].len;
    }
    return at;
}

// "www.example.com" is example.com; "www.com" is itself.
static const char *without_www(const char *host, const char *end)
{
    if (end - host < 5 || memcmp(host, "www.", 4) != 0) return host;
    size_t rest = strcspn(host + 4, "/?:@"); // `@` ends a user's name
    return host[4 + rest] != '@' && memchr(host + 4, '.', rest) ? host + 4 : host;
}

const char *urls_norm(urls_t *u, arena_t *arena, const char *text)
{
    size_t len = strlen(text);
    lxb_url_t *url = len <= MAX_URL ? parse(u, NULL, text, len) : NULL;
    if (!url || !is_web(url)) return NULL;
    char whole[MAX_URL + 1], out[MAX_URL + 16];
    sink_t sink = {.text = whole};
    lxb_url_serialize(url, collect, &sink, true);
    if (sink.too_long) return NULL;
    sink.len = put_encoding_straight(whole, sink.len);
    whole[sink.len] = '\0';
    const char *end = whole + sink.len, *host = memmem(whole, sink.len, "//", 2);
    if (!host) return NULL;
    host = without_www(host + 2, end);
    const char *query = memchr(host, '?', (size_t)(end - host));
    const char *path_end = query ? query : end;
    while (path_end > host && path_end[-1] == '/') path_end--;
    memcpy(out, "https://", 8);
    size_t at = 8, n = (size_t)(path_end - host);
    memcpy(out + at, host, n);
    at += n;
    if (query) at += put_query(out + at, query + 1, (size_t)(end - query - 1));
    return arena_strndup(arena, out, at);
}
