#include "common/line.h"

#include <stdbool.h>

// Length of the UTF-8 character at p (NUL-terminated), 0: it is none.
static size_t character(const unsigned char *p)
{
    if (*p < 0x80) return 1;
    size_t n = *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (*p == 0xe0 && p[1] < 0xa0) return 0; // overlong
    if (*p == 0xed && p[1] > 0x9f) return 0; // surrogates
    if (*p == 0xf0 && p[1] < 0x90) return 0;
    if (*p == 0xf4 && p[1] > 0x8f) return 0; // beyond U+10FFFF
    return n;
}

char *line_copy(char *out, size_t size, const char *text)
{
    const unsigned char *p = (const unsigned char *)(text ? text : "");
    size_t len = 0;
    bool space = false;
    while (*p) {
        if (*p <= ' ' || *p == 0x7f) {
            space = len > 0;
            p++;
            continue;
        }
        size_t n = character(p), take = n ? n : 1;
        if (len + space + take >= size) break;
        if (space) out[len++] = ' ';
        space = false;
        if (!n) out[len++] = '?';
        for (size_t i = 0; i < n; i++) out[len++] = (char)p[i];
        p += take;
    }
    out[len] = '\0';
    return out;
}
