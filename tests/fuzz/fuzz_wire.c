// needs: proto common
// Any bytes as a frame. What is understood is encoded again, and must then be understood just so.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_t *arena = arena_new(16 << 20);
    wire_type_t type, again;
    void *message, *second;
    const char *why;
    buf_t first, out;
    buf_init(&first, 64 << 20);
    buf_init(&out, 64 << 20);
    if (wire_decode(arena, data, size, &type, &message, &why) == 0) {
        if (wire_encode(&first, type, message)) abort();
        int code = wire_decode(arena, first.data, first.len, &again, &second, &why);
        if (code == 413) goto out; // the arena holds both only if they are small
        if (code || again != type || wire_encode(&out, again, second)) abort();
        if (out.len != first.len || memcmp(out.data, first.data, out.len)) abort();
    } else if (!*why) {
        abort();
    }
out:
    buf_free(&first);
    buf_free(&out);
    arena_destroy(&arena);
    return 0;
}
