// Request: see the header.
#include "miner/request.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "proto/limits.h"

const char *request_url(const template_t *t, const char *url, char out[MAX_URL + 1])
{
    const char *query = t->request.query;
    if (!query) return url;
    int path = (int)strcspn(url, "#");
    bool has_query = memchr(url, '?', (size_t)path) != NULL;
    snprintf(out, MAX_URL + 1, "%.*s%c%s", path, url, has_query ? '&' : '?', query);
    return out;
}

static void base64(char *out, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = (const uint8_t *)text;
    for (size_t left = strlen(text); left > 0; p += 3, left = left < 3 ? 0 : left - 3) {
        uint32_t bits = (uint32_t)p[0] << 16;
        if (left > 1) bits |= (uint32_t)p[1] << 8;
        if (left > 2) bits |= p[2];
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[bits & 63] : '=';
    }
    *out = '\0';
}

static error_class_t missing(request_texts_t *texts, const char *name, const char *why)
{
    snprintf(texts->why, sizeof texts->why, "secret \"%s\": %s", name, why);
    return ERR_no_secret;
}

static error_class_t authorize(fetch_request_t *r, const template_request_t *t, const char *secrets,
                               request_texts_t *texts)
{
    char secret[MAX_SECRET + 1];
    const char *why;
    if (secrets_read(secrets, t->secret, secret, &why) != 0) return missing(texts, t->secret, why);
    int n = snprintf(texts->authorization, sizeof texts->authorization, t->bearer ? "Bearer %s" : "Basic ",
                     secret);
    if (!t->bearer) base64(texts->authorization + n, secret);
    explicit_bzero(secret, sizeof secret);
    r->authorization = texts->authorization;
    return ERR_none;
}

error_class_t request_fill(fetch_request_t *r, const template_t *t, bool list, const char *secrets,
                           request_texts_t *texts)
{
    const template_request_t *own = &t->request;
    const char *why;
    r->headers = t->headers;
    r->n_headers = t->n_headers;
    r->timeout_ms = t->timeout_ms;
    r->insecure = own->insecure && !r->foreign;
    r->tls13 = own->tls13;
    if (list) {
        r->method = own->method;
        r->body = own->body;
        r->body_len = own->body_len;
        r->body_type = own->body_type;
    }
    if (own->ca && !r->foreign) {
        if (secrets_path(secrets, own->ca, texts->ca, sizeof texts->ca, &why) != 0)
            return missing(texts, own->ca, why);
        r->ca = texts->ca;
    }
    return own->secret && !r->foreign ? authorize(r, own, secrets, texts) : ERR_none;
}
