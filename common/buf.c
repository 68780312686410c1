// Buf: grows by doubling.
#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 256 }; // bytes

void buf_init(buf_t *b, size_t max)
{
    *b = (buf_t){.max = max};
}

void buf_free(buf_t *b)
{
    free(b->data);
    *b = (buf_t){.max = b->max};
}

void buf_reset(buf_t *b)
{
    b->len = 0;
}

int buf_grow(buf_t *b, size_t len)
{
    if (len > b->max || b->len > b->max - len) return -1;
    size_t need = b->len + len;
    size_t cap = b->cap ? b->cap : b->max < FIRST ? b->max : FIRST;
    while (cap < need) cap = cap > b->max / 2 ? b->max : cap * 2;
    char *data = realloc(b->data, cap);
    if (!data) return -1;
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_printf(buf_t *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0 || buf_reserve(b, (size_t)n + 1)) return -1;
    va_start(args, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
    return 0;
}

const char *buf_cstr(buf_t *b)
{
    if (buf_reserve(b, 1)) return NULL;
    b->data[b->len] = '\0';
    return b->data;
}
