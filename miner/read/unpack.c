// Unpack: zlib does it, within the bound that documents have anyway.
#include "miner/read/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/buf.h"
#include "common/check.h"
#include "miner/read/effort.h"
#include "proto/limits.h"

enum { CHUNK = 16 << 10, GZIP = 16 + MAX_WBITS };

static bool is_packed(const document_t *d)
{
    return d->len > 18 && memcmp(d->bytes, "\x1F\x8B\x08", 3) == 0;
}

// A file may hold several packed parts, one behind the other.
static read_status_t inflate_all(z_stream *z, buf_t *out)
{
    unsigned char chunk[CHUNK];
    for (int rc = Z_OK; rc != Z_STREAM_END || (z->avail_in && *z->next_in == 0x1F);) {
        if (effort_over()) return READ_TOO_COMPLEX;
        if (rc == Z_STREAM_END && inflateReset(z) != Z_OK) return READ_PARSE;
        z->next_out = chunk;
        z->avail_out = CHUNK;
        rc = inflate(z, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END) return READ_PARSE;
        if (buf_append(out, chunk, CHUNK - z->avail_out) != 0) return READ_TOO_BIG;
    }
    return READ_OK;
}

read_status_t unpack(arena_t *arena, document_t *d, char detail[200])
{
    if (!is_packed(d)) return READ_OK;
    buf_t out;
    buf_init(&out, MAX_DOCUMENT);
    z_stream z = {.next_in = (unsigned char *)d->bytes, .avail_in = (unsigned)d->len};
    CHECK(inflateInit2(&z, GZIP) == Z_OK);
    read_status_t status = inflate_all(&z, &out);
    inflateEnd(&z);
    if (status == READ_OK && arena_defer(arena, free, out.data) != 0) status = READ_TOO_BIG;
    if (status == READ_OK) {
        d->bytes = out.data ? out.data : "";
        d->len = out.len;
        return READ_OK;
    }
    buf_free(&out);
    if (status == READ_PARSE) snprintf(detail, 200, "the file is damaged: it cannot be unpacked");
    if (status == READ_TOO_BIG)
        snprintf(detail, 200, "unpacked it is larger than %d MiB", MAX_DOCUMENT >> 20);
    return status;
}
