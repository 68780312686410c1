// Delay: see delay.h. Times are microseconds of the monotonic clock.
#include "bench/site/delay.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"

struct delay {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    heap_t waiting;
    bool closing;
    int64_t tick_us;
    void (*tick)(void *arg);
    void *arg;
};

static void resume_due(delay_t *delay, int64_t now_us)
{
    heap_node_t *node;
    while ((node = heap_min(&delay->waiting)) && (delay->closing || node->key <= now_us)) {
        heap_remove(&delay->waiting, node);
        MHD_resume_connection(HEAP_OWNER(node, delayed_t, due)->connection);
    }
}

static void wait_until(delay_t *delay, int64_t until_us)
{
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    pthread_cond_timedwait(&delay->wake, &delay->lock, &until);
}

static void *run(void *arg)
{
    delay_t *delay = arg;
    int64_t next_tick = 0;
    pthread_mutex_lock(&delay->lock);
    while (!delay->closing) {
        int64_t now = clock_mono_us();
        resume_due(delay, now);
        if (now >= next_tick) {
            next_tick = now + delay->tick_us;
            pthread_mutex_unlock(&delay->lock);
            delay->tick(delay->arg);
            pthread_mutex_lock(&delay->lock);
            continue;
        }
        heap_node_t *node = heap_min(&delay->waiting);
        wait_until(delay, node && node->key < next_tick ? node->key : next_tick);
    }
    pthread_mutex_unlock(&delay->lock);
    return NULL;
}

void delay_suspend(delay_t *delay, delayed_t *delayed, struct MHD_Connection *connection, unsigned delay_ms)
{
    int64_t due = clock_mono_us() + (int64_t)delay_ms * 1000;
    MHD_suspend_connection(connection);
    delayed->connection = connection;
    pthread_mutex_lock(&delay->lock);
    heap_set(&delay->waiting, &delayed->due, due);
    if (delay->closing) resume_due(delay, 0);
    if (heap_min(&delay->waiting) == &delayed->due) pthread_cond_signal(&delay->wake);
    pthread_mutex_unlock(&delay->lock);
}

delay_t *delay_new(unsigned tick_ms, void (*tick)(void *arg), void *arg)
{
    delay_t *delay = xcalloc(1, sizeof *delay);
    delay->tick_us = (int64_t)tick_ms * 1000;
    delay->tick = tick;
    delay->arg = arg;
    heap_init(&delay->waiting);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&delay->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&delay->lock, NULL);
    CHECK(pthread_create(&delay->thread, NULL, run, delay) == 0);
    return delay;
}

void delay_close(delay_t *delay)
{
    pthread_mutex_lock(&delay->lock);
    delay->closing = true;
    resume_due(delay, 0);
    pthread_cond_signal(&delay->wake);
    pthread_mutex_unlock(&delay->lock);
}

void delay_destroy(delay_t **delay)
{
    if (!*delay) return;
    delay_close(*delay);
    pthread_join((*delay)->thread, NULL);
    pthread_cond_destroy(&(*delay)->wake);
    pthread_mutex_destroy(&(*delay)->lock);
    heap_free(&(*delay)->waiting);
    free(*delay);
    *delay = NULL;
}
