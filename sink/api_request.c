// Api request: one table of parameters; each knows its route and how it is read.
#include "sink/api_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

enum { ROWS_DEFAULT = 100, PAGE_BYTES = 1 << 20, MAX_Q = 200, MAX_SINCE = 40 };

typedef bool read_fn(api_request_t *r, const char *name, const char *value);

static bool refuse(api_request_t *r, const char *name, const char *why)
{
    snprintf(r->error, sizeof r->error, "%.40s: %s", name, why);
    return false;
}

// A text that is not empty and not too long.
static bool read_text(api_request_t *r, const char *name, const char *value, size_t max, const char **to)
{
    if (!*value) return refuse(r, name, "it is empty; leave it out instead");
    if (strlen(value) > max) return refuse(r, name, "it is too long");
    *to = value;
    return true;
}

static bool read_template(api_request_t *r, const char *name, const char *value)
{
    return read_text(r, name, value, MAX_NAME, &r->query.template_name);
}

static bool read_source(api_request_t *r, const char *name, const char *value)
{
    return read_text(r, name, value, MAX_URL, &r->query.source);
}

static bool read_since(api_request_t *r, const char *name, const char *value)
{
    return read_text(r, name, value, MAX_SINCE, &r->query.since);
}

static bool read_q(api_request_t *r, const char *name, const char *value)
{
    return read_text(r, name, value, MAX_Q, &r->query.words);
}

static bool read_cursor(api_request_t *r, const char *name, const char *value)
{
    if (position_parse(&r->position, value)) return refuse(r, name, "it is none that this API gave");
    r->query.from = &r->position;
    return true;
}

static bool read_limit(api_request_t *r, const char *name, const char *value)
{
    size_t n = strspn(value, "0123456789");
    r->query.rows = n && n < 6 && !value[n] ? atoi(value) : 0;
    if (r->query.rows >= 1 && r->query.rows <= PAGE_ROWS) return true;
    return refuse(r, name, "it is a number from 1 to 1000");
}

static bool read_order(api_request_t *r, const char *name, const char *value)
{
    r->query.newest = !strcmp(value, "newest");
    if (r->query.newest || !strcmp(value, "oldest")) return true;
    return refuse(r, name, "it is oldest or newest");
}

enum { ITEMS = 1 << ROUTE_ITEMS, STREAM = 1 << ROUTE_STREAM };

static const struct {
    const char *name;
    int routes;
    read_fn *read;
} parameters[] = {
    {"template", ITEMS | STREAM, read_template},
    {"source", ITEMS | STREAM, read_source},
    {"since", ITEMS, read_since},
    {"q", ITEMS, read_q},
    {"cursor", ITEMS | STREAM, read_cursor},
    {"limit", ITEMS, read_limit},
    {"order", ITEMS, read_order},
};
enum { N_PARAMETERS = sizeof parameters / sizeof *parameters };

route_t api_route(const char *path)
{
    return !strcmp(path, "/v1/items") ? ROUTE_ITEMS : !strcmp(path, "/v1/stream") ? ROUTE_STREAM : ROUTE_NONE;
}

static bool no_such(api_request_t *r, const char *name)
{
    int n = snprintf(r->error, sizeof r->error, "%.40s: there is no such parameter here, but:", name);
    for (size_t i = 0; i < N_PARAMETERS; i++)
        if (parameters[i].routes & 1 << r->route)
            n += snprintf(r->error + n, sizeof r->error - (size_t)n, " %s", parameters[i].name);
    return false;
}

typedef struct {
    api_request_t *request;
    unsigned seen; // bits, by the parameters' order
} reading_t;

// MHD's iterator. MHD_NO ends it.
static enum MHD_Result read_one(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    reading_t *reading = context;
    api_request_t *r = reading->request;
    bool good;
    (void)kind;
    size_t i = 0;
    while (i < N_PARAMETERS && !(parameters[i].routes & 1 << r->route && !strcmp(parameters[i].name, name)))
        i++;
    if (i == N_PARAMETERS)
        good = no_such(r, name);
    else if (reading->seen & 1u << i)
        good = refuse(r, name, "it is given twice");
    else
        good = parameters[i].read(r, name, value ? value : "");
    if (i < N_PARAMETERS) reading->seen |= 1u << i;
    return good ? MHD_YES : MHD_NO;
}

bool api_request_read(api_request_t *r, struct MHD_Connection *connection, route_t route)
{
    *r = (api_request_t){.route = route, .query = {.rows = ROWS_DEFAULT, .bytes = PAGE_BYTES}};
    reading_t reading = {r, 0};
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, read_one, &reading);
    if (r->error[0] || route != ROUTE_STREAM) return !r->error[0];
    // what a client that comes back has seen last weighs more than where it once began
    const char *last = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Last-Event-ID");
    return !last || !*last || read_cursor(r, "Last-Event-ID", last);
}
