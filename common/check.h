// CHECK: an invariant that holds whatever the input; it is always on and ends the process.
// Bad input is never a CHECK. xmalloc and friends are for small allocations, which die loudly.
#ifndef RTM_COMMON_CHECK_H
#define RTM_COMMON_CHECK_H

#include <stddef.h>

#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))

_Noreturn void check_failed(const char *what, const char *file, int line);

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);

#endif
