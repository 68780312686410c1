// Template, requests: how the pages of a template are asked for: method, headers, query, body, and what the
// miner adds from files of its own, which are only named here.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/limits.h"
#include "proto/template_json.h"

#define ROWS(array) (sizeof(array) / sizeof *(array))

enum { MAX_HEADERS = 32, MAX_HEADER = 4096, MAX_QUERY = 64, MAX_BODY = 64 << 10 };

static const char *const methods[] = {"GET", "POST", "PUT", NULL};
static const char *const versions[] = {"1.2", "1.3", NULL};

int member_method(parse_t *p, yyjson_val *value, const char *path)
{
    int method;
    if (read_word(p, value, path, methods, &method) != 0) return -1;
    p->t->request.method = methods[method];
    return 0;
}

// -- headers --------------------------------------------------------------------------------------

// A header that belongs to the connection or is made by the miner.
static bool is_reserved_header(const char *name)
{
    static const char *const names[] = {
        "host",    "content-length", "transfer-encoding", "connection",        "upgrade",         "te",
        "trailer", "expect",         "if-none-match",     "if-modified-since", "accept-encoding", "range"};
    for (size_t i = 0; i < ROWS(names); i++)
        if (strcasecmp(names[i], name) == 0) return true;
    return false;
}

static bool is_header_name(const char *name)
{
    if (!*name) return false;
    for (; *name; name++)
        if ((unsigned char)*name <= ' ' || (unsigned char)*name >= 0x7F ||
            strchr("()<>@,;:\\\"/[]?={}", *name))
            return false;
    return true;
}

static int read_header(parse_t *p, const char *name, yyjson_val *value, const char *path, const char **out)
{
    const char *text;
    if (!is_header_name(name)) return template_fail(p->error, path, "is no valid header name");
    if (is_reserved_header(name)) return template_fail(p->error, path, "is set by the miner itself");
    if (read_text(p, value, path, MAX_HEADER, &text) != 0) return -1;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            return template_fail(p->error, path, "holds a control character");
    *out = arena_printf(p->arena, "%s: %s", name, text);
    return *out ? 0 : template_fail(p->error, path, "the template is too big");
}

int member_headers(parse_t *p, yyjson_val *value, const char *path)
{
    if (!yyjson_is_obj(value))
        return template_fail(p->error, path, "must be an object: {\"Accept\": \"text/html\", ...}");
    size_t count = yyjson_obj_size(value), index, all;
    if (count > MAX_HEADERS) return template_fail(p->error, path, "has more than %d headers", MAX_HEADERS);
    if (!(p->t->headers = arena_calloc(p->arena, count + 1, sizeof *p->t->headers)))
        return template_fail(p->error, path, "the template is too big");
    yyjson_val *key, *text;
    yyjson_obj_foreach(value, index, all, key, text)
    {
        char where[MAX_PATH];
        const char *name = yyjson_get_str(key);
        path_member(where, path, name);
        for (size_t i = 0; i < p->t->n_headers; i++)
            if (strncasecmp(p->t->headers[i], name, strlen(name)) == 0 &&
                p->t->headers[i][strlen(name)] == ':')
                return template_fail(p->error, where, "is given twice");
        if (read_header(p, name, text, where, &p->t->headers[p->t->n_headers]) != 0) return -1;
        p->t->n_headers++;
    }
    return 0;
}

// -- query ----------------------------------------------------------------------------------------

// Appends text, percent-encoded, at *n of out; 0, or -1 where it does not fit.
static int encode(char out[MAX_URL + 1], size_t *n, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool plain = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
                     strchr("-._~", *c);
        if (*n + 3 > MAX_URL) return -1;
        if (!plain) out[(*n)++] = '%', out[(*n)++] = hex[*c >> 4];
        out[(*n)++] = plain ? (char)*c : hex[*c & 15];
    }
    return 0;
}

// A string, number or boolean as it stands in a URL; NULL: another kind of value.
static const char *scalar(yyjson_val *value, char text[64])
{
    if (yyjson_is_str(value)) return yyjson_get_str(value);
    if (yyjson_is_bool(value)) return yyjson_get_bool(value) ? "true" : "false";
    if (yyjson_is_uint(value))
        return snprintf(text, 64, "%llu", (unsigned long long)yyjson_get_uint(value)), text;
    if (yyjson_is_int(value)) return snprintf(text, 64, "%lld", (long long)yyjson_get_sint(value)), text;
    if (yyjson_is_real(value)) return snprintf(text, 64, "%.15g", yyjson_get_real(value)), text;
    return NULL;
}

static int add_pair(parse_t *p, const char *path, char out[MAX_URL + 1], size_t *n, const char *name,
                    yyjson_val *value)
{
    char text[64];
    const char *plain = scalar(value, text);
    if (!plain || strlen(plain) != (yyjson_is_str(value) ? yyjson_get_len(value) : strlen(plain)))
        return template_fail(p->error, path, "must be a string, a number, true or false, or a list of these");
    if (*n) out[(*n)++] = '&';
    bool fits = encode(out, n, name) == 0 && *n < MAX_URL;
    if (fits) out[(*n)++] = '=';
    if (fits && encode(out, n, plain) == 0) return 0;
    return template_fail(p->error, path, "makes the URL longer than %d bytes", MAX_URL);
}

int member_query(parse_t *p, yyjson_val *value, const char *path)
{
    char out[MAX_URL + 8];
    size_t n = 0, index, all, i, many;
    yyjson_val *key, *val, *one;
    if (!yyjson_is_obj(value)) return template_fail(p->error, path, "must be an object: {\"page\": 1, ...}");
    if (yyjson_obj_size(value) > MAX_QUERY)
        return template_fail(p->error, path, "has more than %d members", MAX_QUERY);
    yyjson_obj_foreach(value, index, all, key, val)
    {
        char where[MAX_PATH];
        path_member(where, path, yyjson_get_str(key));
        if (!yyjson_is_arr(val)) {
            if (add_pair(p, where, out, &n, yyjson_get_str(key), val) != 0) return -1;
            continue;
        }
        yyjson_arr_foreach(val, i, many,
                           one) if (add_pair(p, where, out, &n, yyjson_get_str(key), one) != 0) return -1;
    }
    p->t->request.query = n ? arena_strndup(p->arena, out, n) : NULL;
    return !n || p->t->request.query ? 0 : template_fail(p->error, path, "the template is too big");
}

// -- body -----------------------------------------------------------------------------------------

int member_body(parse_t *p, yyjson_val *value, const char *path)
{
    template_request_t *r = &p->t->request;
    if (yyjson_is_str(value)) {
        r->body_type = "application/x-www-form-urlencoded";
        if (read_text(p, value, path, MAX_BODY, &r->body) != 0) return -1;
    } else if (yyjson_is_obj(value) || yyjson_is_arr(value)) {
        size_t len = 0;
        char *json = yyjson_val_write(value, 0, &len);
        r->body_type = "application/json";
        r->body = json && len <= MAX_BODY ? arena_strndup(p->arena, json, len) : NULL;
        free(json);
        if (!r->body) return template_fail(p->error, path, "has more than %d bytes", MAX_BODY);
    } else {
        return template_fail(p->error, path, "must be a text, or JSON: an object or a list");
    }
    r->body_len = strlen(r->body);
    return 0;
}

// -- what the miner adds --------------------------------------------------------------------------

// The name of a file in the miner's folder of secrets.
static int read_secret(parse_t *p, yyjson_val *value, const char *path, const char **out)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (read_text(p, value, path, MAX_NAME, out) != 0) return -1;
    if (**out != '.' && !(*out)[strspn(*out, allowed)]) return 0;
    return template_fail(p->error, path,
                         "is the name of a file in the miner's folder of secrets, never the secret itself: "
                         "letters, digits, \".\", \"_\" and \"-\"");
}

static int auth_basic(parse_t *p, yyjson_val *value, const char *path)
{
    return read_secret(p, value, path, &p->t->request.secret);
}

static int auth_bearer(parse_t *p, yyjson_val *value, const char *path)
{
    p->t->request.bearer = true;
    return read_secret(p, value, path, &p->t->request.secret);
}

int member_auth(parse_t *p, yyjson_val *value, const char *path)
{
    static const member_t rows[] = {{"basic", auth_basic}, {"bearer", auth_bearer}};
    if (read_members(p, value, path, rows, ROWS(rows)) != 0) return -1;
    if (yyjson_obj_size(value) == 1) return 0;
    return template_fail(p->error, path, "has one member: {\"basic\": \"NAME\"} or {\"bearer\": \"NAME\"}");
}

int member_cookies(parse_t *p, yyjson_val *value, const char *path)
{
    return read_bool(p, value, path, &p->t->request.cookies);
}

static int tls_insecure(parse_t *p, yyjson_val *value, const char *path)
{
    return read_bool(p, value, path, &p->t->request.insecure);
}

static int tls_ca(parse_t *p, yyjson_val *value, const char *path)
{
    return read_secret(p, value, path, &p->t->request.ca);
}

static int tls_min_version(parse_t *p, yyjson_val *value, const char *path)
{
    int version;
    if (read_word(p, value, path, versions, &version) != 0) return -1;
    p->t->request.tls13 = version == 1;
    return 0;
}

int member_tls(parse_t *p, yyjson_val *value, const char *path)
{
    static const member_t rows[] = {
        {"insecure", tls_insecure}, {"ca", tls_ca}, {"min_version", tls_min_version}};
    if (read_members(p, value, path, rows, ROWS(rows)) != 0) return -1;
    if (!p->t->request.insecure || !p->t->request.ca) return 0;
    return template_fail(p->error, path, "has either `insecure` or `ca`");
}

// -- the whole ------------------------------------------------------------------------------------

static bool has_header(const template_t *t, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < t->n_headers; i++)
        if (strncasecmp(t->headers[i], name, len) == 0 && t->headers[i][len] == ':') return true;
    return false;
}

int template_request(parse_t *p)
{
    const template_t *t = p->t;
    template_request_t *r = &p->t->request;
    if (r->body && r->method && strcmp(r->method, "GET") == 0)
        return template_fail(p->error, "body",
                             "does not go with method \"GET\"; leave `method` out for POST");
    if (r->secret && has_header(t, "Authorization"))
        return template_fail(p->error, "auth", "and the header `Authorization` say the same; keep `auth`");
    if (r->body && !r->method) r->method = "POST";
    if (r->method && strcmp(r->method, "GET") == 0) r->method = NULL;
    if (has_header(t, "Content-Type")) r->body_type = NULL;
    for (size_t i = 0; r->query && i < t->n_urls; i++)
        if (strlen(t->urls[i]) + strlen(r->query) + 1 > MAX_URL)
            return template_fail(p->error, "query", "makes the URL longer than %d bytes", MAX_URL);
    return 0;
}
