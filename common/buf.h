// Buf: a byte buffer that grows up to a stated maximum. After a failed append it holds what it held before.
#ifndef RTM_COMMON_BUF_H
#define RTM_COMMON_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    char *data; // NULL while nothing was appended; not NUL-terminated
    size_t len, cap;
    size_t max; // bytes
} buf_t;

void buf_init(buf_t *buf, size_t max);
void buf_free(buf_t *buf);
// Empties it, keeps its memory.
void buf_reset(buf_t *buf);
// 0, or -1 when max would be passed or memory is out.
__attribute__((warn_unused_result)) static inline int buf_append(buf_t *buf, const void *bytes, size_t len);
__attribute__((warn_unused_result)) static inline int buf_puts(buf_t *buf, const char *s);
__attribute__((warn_unused_result, format(printf, 2, 3))) int buf_printf(buf_t *buf, const char *fmt, ...);
// Makes room for len more bytes; they can then be written at data + len. 0 or -1.
__attribute__((warn_unused_result)) static inline int buf_reserve(buf_t *buf, size_t len);
// The text with a NUL behind it (not counted in len), or NULL as above. Owned by the buffer.
const char *buf_cstr(buf_t *buf);

// buf_reserve where memory is needed.
int buf_grow(buf_t *buf, size_t len);

static inline int buf_reserve(buf_t *buf, size_t len)
{
    return len <= buf->cap - buf->len ? 0 : buf_grow(buf, len);
}

static inline int buf_append(buf_t *buf, const void *bytes, size_t len)
{
    if (len == 0) return 0;
    if (buf_reserve(buf, len)) return -1;
    memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    return 0;
}

static inline int buf_puts(buf_t *buf, const char *s)
{
    return buf_append(buf, s, strlen(s));
}

#endif
