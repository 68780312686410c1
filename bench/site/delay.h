// Delay: a thread that resumes suspended connections when their time has come, so that a slow answer costs no
// thread of its own, and calls a function at every tick.
#ifndef RTM_SITE_DELAY_H
#define RTM_SITE_DELAY_H

#include <microhttpd.h>

#include "common/heap.h"

typedef struct {
    heap_node_t due;
    struct MHD_Connection *connection;
} delayed_t;

typedef struct delay delay_t;

delay_t *delay_new(unsigned tick_ms, void (*tick)(void *arg), void *arg);
// Resumes what waits, and from now on resumes at once; to be called before the server is stopped.
void delay_close(delay_t *delay);
void delay_destroy(delay_t **delay);
// Suspends the connection (in its access handler) until delay_ms from now. delayed must live until then.
void delay_suspend(delay_t *delay, delayed_t *delayed, struct MHD_Connection *connection, unsigned delay_ms);

#endif
