// Body: see body.h.
#include "bench/site/body.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/check.h"

#define BLOCK 32768 // bytes asked of a callback at a time

response_t *body_text(const char *text)
{
    return MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
}

// -- cut off --------------------------------------------------------------------------------------

typedef struct {
    const char *bytes;
    size_t stop;
    int fd;
    bool reset;
    void (*release)(void *owner);
    void *owner;
} cut_t;

// Linux sends a reset at once when a TCP socket is connected to nothing; a later close would send FIN first,
// because the library shuts the socket down before.
static void reset_connection(int fd)
{
    struct sockaddr nothing = {.sa_family = AF_UNSPEC};
    (void)!connect(fd, &nothing, sizeof nothing);
}

static ssize_t read_cut(void *arg, uint64_t pos, char *out, size_t max)
{
    cut_t *cut = arg;
    if (pos >= cut->stop) {
        if (cut->reset) reset_connection(cut->fd);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = cut->stop - pos < max ? cut->stop - (size_t)pos : max;
    memcpy(out, cut->bytes + pos, n);
    return (ssize_t)n;
}

static void free_cut(void *arg)
{
    cut_t *cut = arg;
    if (cut->release) cut->release(cut->owner);
    free(cut);
}

response_t *body_cut(struct MHD_Connection *connection, const char *bytes, size_t len, uint64_t announced,
                     bool reset, void (*release)(void *owner), void *owner)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    cut_t *cut = xmalloc(sizeof *cut);
    *cut = (cut_t){.bytes = bytes, .stop = len / 2, .fd = info->connect_fd, .reset = reset};
    cut->release = release;
    cut->owner = owner;
    response_t *response = MHD_create_response_from_callback(announced, BLOCK, read_cut, cut, free_cut);
    if (!response) free_cut(cut);
    return response;
}

// -- repeated parts -------------------------------------------------------------------------------

typedef struct {
    body_part_t parts[BODY_PARTS_MAX];
    size_t n;
    bool endless;
} parts_t;

// The part in which pos lies; pos becomes the place in it.
static const body_part_t *part_at(const parts_t *parts, uint64_t *pos)
{
    for (size_t i = 0; i < parts->n; i++) {
        uint64_t len = strlen(parts->parts[i].unit) * parts->parts[i].times;
        if (*pos < len || (parts->endless && i + 1 == parts->n)) return &parts->parts[i];
        *pos -= len;
    }
    return NULL;
}

static ssize_t read_parts(void *arg, uint64_t pos, char *out, size_t max)
{
    const parts_t *parts = arg;
    size_t n = 0;
    while (n < max) {
        uint64_t at = pos + n;
        const body_part_t *part = part_at(parts, &at);
        if (!part) break;
        size_t unit = strlen(part->unit), from = (size_t)(at % unit);
        size_t take = unit - from < max - n ? unit - from : max - n;
        memcpy(out + n, part->unit + from, take);
        n += take;
    }
    return n > 0 ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

response_t *body_parts(const body_part_t *from, size_t n, bool endless)
{
    CHECK(n <= BODY_PARTS_MAX);
    parts_t *parts = xcalloc(1, sizeof *parts);
    uint64_t len = 0;
    for (size_t i = 0; i < n; i++) {
        parts->parts[i] = from[i];
        len += strlen(from[i].unit) * from[i].times;
    }
    parts->n = n;
    parts->endless = endless;
    response_t *response =
        MHD_create_response_from_callback(endless ? MHD_SIZE_UNKNOWN : len, BLOCK, read_parts, parts, free);
    if (!response) free(parts);
    return response;
}

// -- bomb -----------------------------------------------------------------------------------------

typedef struct {
    unsigned char *bytes;
    size_t at; // in bits
} bits_t;

static void put_bit(bits_t *bits, unsigned bit)
{
    if (bit) bits->bytes[bits->at / 8] |= (unsigned char)(1u << bits->at % 8);
    bits->at++;
}

// Huffman codes go out from their highest bit.
static void put_code(bits_t *bits, unsigned code, int len)
{
    while (len-- > 0) put_bit(bits, code >> len & 1);
}

// RFC 1950 and 1951: one block of fixed codes: a literal 0, then copies of 258 bytes from one byte back (code
// 285 = 11000101, distance code 0), then the end of block; Adler-32 of n zeros is n mod 65521 and 1.
char *body_bomb(unsigned mib, size_t *len)
{
    uint64_t copies = ((uint64_t)mib << 20) / 258 + 1, zeros = 1 + copies * 258;
    bits_t bits = {.bytes = calloc(1, copies * 13 / 8 + 32)};
    if (!bits.bytes) return NULL;
    bits.bytes[0] = 0x78;
    bits.bytes[1] = 0x01;
    bits.at = 16;
    put_code(&bits, 6, 3); // last block, type 1
    put_code(&bits, 0x30, 8);
    for (uint64_t i = 0; i < copies; i++) put_code(&bits, 0xc5u << 5, 13);
    put_code(&bits, 0, 7);
    size_t end = (bits.at + 7) / 8;
    unsigned sum = (unsigned)(zeros % 65521);
    unsigned char adler[4] = {(unsigned char)(sum >> 8), (unsigned char)sum, 0, 1};
    memcpy(bits.bytes + end, adler, sizeof adler);
    *len = end + sizeof adler;
    return (char *)bits.bytes;
}
