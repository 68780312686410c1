// Edge: where the state machine meets the world: a ROUTER socket, signals, the store, the clocks. It carries
// events in and actions out, holds back what must wait for a commit, and decides nothing.
#ifndef RTM_BROKER_EDGE_H
#define RTM_BROKER_EDGE_H

#include "broker/broker.h"

typedef struct {
    const char *listen;  // endpoint to bind
    const char *health;  // host:port for /healthz and /metrics, or NULL
    const char *folder;  // of the store
    const char *restore; // a copy to make the store of first, or NULL
    int64_t history_keep_ms, history_rows;
    broker_config_t broker;
} edge_config_t;

// Runs until SIGTERM or SIGINT. The process's exit code.
int edge_run(const edge_config_t *config);

#endif
