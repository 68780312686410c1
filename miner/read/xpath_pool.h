// XPath pool: a thread's memory for one evaluation at a time. What is in it goes all at once, so an
// evaluation can be broken off anywhere. Its address range tells its pointers from others.
#ifndef RTM_MINER_XPATH_POOL_H
#define RTM_MINER_XPATH_POOL_H

#include <stdbool.h>
#include <stddef.h>

// Empties it.
void xpath_pool_reset(void);
// NULL: it is full.
void *xpath_pool_alloc(size_t size);
// p is of the pool; the old block stays where NULL is returned.
void *xpath_pool_realloc(void *p, size_t size);
void xpath_pool_free(void *p);
bool xpath_pool_has(const void *p);

#endif
