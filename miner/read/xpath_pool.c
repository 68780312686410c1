// XPath pool: blocks of powers of two, with a list of free ones for each size, in a range of memory that is
// reserved once per thread and only used as far as it is needed.
#include "miner/read/xpath_pool.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "common/check.h"

enum {
    POOL = 128 << 20, // reserved, not used
    KEPT = 1 << 20,   // given back is what lies behind
    LEAST = 5,        // 32 bytes
    CLASSES = 27,     // up to POOL / 2
};

// Before what is handed out, which so is aligned for any type.
typedef union {
    size_t class;
    max_align_t align;
} block_t;

typedef struct free_block {
    struct free_block *next;
} free_block_t;

static _Thread_local struct {
    char *base;
    size_t used;
    free_block_t *free[CLASSES + 1];
} pool;

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void unmap(void *base)
{
    munmap(base, POOL);
}

static void make_key(void)
{
    CHECK(pthread_key_create(&key, unmap) == 0);
}

// Where the system gives no such range nothing can be evaluated.
static void map_pool(void)
{
    void *base = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return;
    pthread_once(&once, make_key);
    CHECK(pthread_setspecific(key, base) == 0);
    pool.base = base;
}

void xpath_pool_reset(void)
{
    if (!pool.base) map_pool();
    if (pool.used > KEPT) madvise(pool.base + KEPT, pool.used - KEPT, MADV_DONTNEED);
    pool.used = 0;
    memset(pool.free, 0, sizeof pool.free);
}

bool xpath_pool_has(const void *p)
{
    return (uintptr_t)p - (uintptr_t)pool.base < POOL && pool.base;
}

static block_t *block_of(void *p)
{
    return (block_t *)p - 1;
}

static size_t room(const block_t *b)
{
    return ((size_t)1 << b->class) - sizeof *b;
}

void *xpath_pool_alloc(size_t size)
{
    if (size > POOL / 2 - sizeof(block_t)) return NULL;
    size_t class = LEAST;
    while (((size_t)1 << class) < size + sizeof(block_t)) class ++;
    free_block_t *again = pool.free[class];
    if (again) {
        pool.free[class] = again->next;
        return again;
    }
    size_t taken = (size_t)1 << class;
    if (!pool.base || pool.used + taken > POOL) return NULL;
    block_t *b = (block_t *)(pool.base + pool.used);
    pool.used += taken;
    b->class = class;
    return b + 1;
}

void xpath_pool_free(void *p)
{
    free_block_t *b = p;
    size_t class = block_of(p)->class;
    b->next = pool.free[class];
    pool.free[class] = b;
}

void *xpath_pool_realloc(void *p, size_t size)
{
    size_t had = room(block_of(p));
    if (size <= had) return p;
    void *to = xpath_pool_alloc(size);
    if (!to) return NULL;
    memcpy(to, p, had);
    xpath_pool_free(p);
    return to;
}
