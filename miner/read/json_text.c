// JSON text: see json_text.h.
#include "miner/read/json_text.h"

#include <stdbool.h>
#include <string.h>

#include "miner/read/blocks.h"

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

// Copies blocks without anything to escape; how many bytes that was.
static size_t copy_plain(char *out, const char *s, size_t len)
{
    size_t i = 0;
    for (block_t b; i + sizeof b <= len; i += sizeof b) {
        b = block_load(s + i);
        if (block_any((block_t)(b < 0x20) | (block_t)(b == '"') | (block_t)(b == '\\'))) break;
        memcpy(out + i, &b, sizeof b);
    }
    return i;
}

static int escape(buf_t *out, unsigned char c)
{
    if (c >= 0x20) return buf_append(out, (char[]){'\\', (char)c}, 2);
    if (c == '\n') return buf_append(out, "\\n", 2);
    return c ? buf_printf(out, "\\u%04x", c) : 0;
}

int json_text(buf_t *out, const char *s, size_t len)
{
    if (buf_reserve(out, len + 2) != 0) return -1;
    char *p = out->data + out->len;
    *p++ = '"';
    size_t i = copy_plain(p, s, len);
    p += i;
    while (i < len && is_plain((unsigned char)s[i])) *p++ = s[i++];
    out->len = (size_t)(p - out->data);
    int rc = 0;
    while (i < len && rc == 0) {
        size_t n = i;
        while (n < len && is_plain((unsigned char)s[n])) n++;
        rc = buf_append(out, s + i, n - i);
        if (rc == 0 && n < len) rc = escape(out, (unsigned char)s[n++]);
        i = n;
    }
    return rc == 0 ? buf_append(out, "\"", 1) : -1;
}
