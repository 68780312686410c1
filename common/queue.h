// Queue: messages from thread to thread (mutex + eventfd), which sanitizers can see. Any number of pushers,
// one popper. The eventfd is readable while messages may be there.
#ifndef RTM_COMMON_QUEUE_H
#define RTM_COMMON_QUEUE_H

#include <stddef.h>

typedef struct queue queue_t;

// A queue of at most max messages.
queue_t *queue_new(size_t max);
// The messages left in it are handed to free_message (if not NULL).
void queue_destroy(queue_t **queue, void (*free_message)(void *));
// Takes over message (not NULL). -1: full, the message is still the caller's.
__attribute__((warn_unused_result)) int queue_push(queue_t *queue, void *message);
// Several at once: whoever waits is woken once. How many it took over, from the first on.
__attribute__((warn_unused_result)) size_t queue_push_all(queue_t *queue, void **messages, size_t n);
// The oldest message, now the caller's, or NULL.
void *queue_pop(queue_t *queue);
size_t queue_length(queue_t *queue);
// To wait on for reading; call queue_clear before popping until NULL.
int queue_fd(const queue_t *queue);
void queue_clear(queue_t *queue);

#endif
