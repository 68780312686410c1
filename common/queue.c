// Queue: a ring that doubles up to its maximum.
#include "common/queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/check.h"

struct queue {
    pthread_mutex_t lock;
    void **ring;
    size_t head, count, cap, max;
    int fd;
};

queue_t *queue_new(size_t max)
{
    queue_t *q = xcalloc(1, sizeof *q);
    q->max = max;
    q->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(q->fd >= 0);
    pthread_mutex_init(&q->lock, NULL);
    return q;
}

void queue_destroy(queue_t **queue, void (*free_message)(void *))
{
    if (!*queue) return;
    for (void *m; (m = queue_pop(*queue));)
        if (free_message) free_message(m);
    close((*queue)->fd);
    pthread_mutex_destroy(&(*queue)->lock);
    free((*queue)->ring);
    free(*queue);
    *queue = NULL;
}

static void grow(queue_t *q)
{
    size_t cap = q->cap ? q->cap * 2 : 64;
    void **ring = xcalloc(cap, sizeof *ring);
    for (size_t i = 0; i < q->count; i++) ring[i] = q->ring[(q->head + i) % q->cap];
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->head = 0;
}

size_t queue_push_all(queue_t *q, void **messages, size_t n)
{
    size_t taken = 0;
    pthread_mutex_lock(&q->lock);
    bool was_empty = q->count == 0;
    for (; taken < n && q->count < q->max; taken++) {
        CHECK(messages[taken] != NULL);
        if (q->count == q->cap) grow(q);
        q->ring[(q->head + q->count++) % q->cap] = messages[taken];
    }
    pthread_mutex_unlock(&q->lock);
    if (!was_empty || !taken) return taken; // whoever pops until NULL comes to them without being woken again
    uint64_t one = 1;
    if (write(q->fd, &one, sizeof one) < 0) return taken; // the counter is full: it is readable anyway
    return taken;
}

int queue_push(queue_t *q, void *message)
{
    return queue_push_all(q, &message, 1) ? 0 : -1;
}

void *queue_pop(queue_t *q)
{
    pthread_mutex_lock(&q->lock);
    void *m = NULL;
    if (q->count) {
        m = q->ring[q->head];
        q->head = (q->head + 1) % q->cap;
        q->count--;
    }
    pthread_mutex_unlock(&q->lock);
    return m;
}

size_t queue_length(queue_t *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->count;
    pthread_mutex_unlock(&q->lock);
    return n;
}

int queue_fd(const queue_t *q)
{
    return q->fd;
}

void queue_clear(queue_t *q)
{
    uint64_t n;
    if (read(q->fd, &n, sizeof n) < 0) return; // it was not readable
}
