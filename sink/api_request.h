// Api request: what a request's parameters say, checked. Its texts are the connection's, and live as long as
// the request.
#ifndef RTM_SINK_API_REQUEST_H
#define RTM_SINK_API_REQUEST_H

#include <microhttpd.h>
#include <stdbool.h>

#include "sink/page.h"

// What is offered.
typedef enum { ROUTE_NONE, ROUTE_ITEMS, ROUTE_STREAM } route_t;

typedef struct {
    route_t route;
    page_query_t query; // rows, bytes, filters and order; `from` points to:
    position_t position;
    char error[256]; // why it is refused; "" if it is not
} api_request_t;

route_t api_route(const char *path);
// Fills *request. false: request->error says what is wrong with which parameter.
bool api_request_read(api_request_t *request, struct MHD_Connection *connection, route_t route);

#endif
