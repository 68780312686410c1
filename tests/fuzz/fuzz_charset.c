// needs: miner/read proto common
// Any bytes in any encoding: what comes out is valid UTF-8. The first byte chooses kind and header.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "miner/read/charset.h"
#include "miner/read/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const headers[] = {NULL,
                                          "text/html; charset=iso-2022-jp",
                                          "text/html; charset=gb18030",
                                          "text/html; charset=big5",
                                          "text/html; charset=euc-jp",
                                          "text/html; charset=utf-16",
                                          "text/html; charset=shift_jis",
                                          "text/html; charset=windows-1251"};
    if (size == 0) return 0;
    arena_t *arena = arena_new(16 << 20);
    const char *out;
    size_t len;
    charset_kind_t kind = (charset_kind_t)(data[0] % 3);
    const char *header = headers[data[0] / 3 % 8];
    if (charset_to_utf8(arena, (const char *)data + 1, size - 1, header, kind, &out, &len, NULL) == 0) {
        if (charset_valid_prefix(out, len) != len) abort();
        const char *text = text_from_html(arena, out, len, TEXT_LINES, 1000);
        if (text && charset_valid_prefix(text, strlen(text)) != strlen(text)) abort();
    }
    arena_destroy(&arena);
    return 0;
}
