// Copy: Postgres' binary COPY format, written straight into memory that the caller has reserved. Each put
// writes one cell and returns the place behind it; integers are big-endian with a length in front. Reference:
// PostgreSQL documentation, "COPY", section "Binary Format".
#ifndef RTM_SINK_COPY_H
#define RTM_SINK_COPY_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    COPY_CELL_MAX = 4 + 8, // bytes of a number's or time's cell; a text takes 4 + its length, jsonb 5 + it
    COPY_HEADER = 19,
    COPY_TRAILER = 2,
};

// ms since 1970 of 0001-01-01 and of 9999-12-31T23:59:59.999: the times that rows may hold.
#define COPY_TIME_MIN INT64_C(-62135596800000)
#define COPY_TIME_MAX INT64_C(253402300799999)

static inline char *copy_raw16(char *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, 2);
    return p + 2;
}

static inline char *copy_raw32(char *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, 4);
    return p + 4;
}

static inline char *copy_raw64(char *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, 8);
    return p + 8;
}

static inline char *copy_header(char *p)
{
    memcpy(p, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", COPY_HEADER);
    return p + COPY_HEADER;
}

static inline char *copy_trailer(char *p)
{
    return copy_raw16(p, UINT16_MAX);
}

static inline char *copy_row(char *p, uint16_t cells)
{
    return copy_raw16(p, cells);
}

static inline char *copy_null(char *p)
{
    return copy_raw32(p, UINT32_MAX);
}

static inline char *copy_bool(char *p, bool v)
{
    p = copy_raw32(p, 1);
    *p = v;
    return p + 1;
}

static inline char *copy_i16(char *p, int16_t v)
{
    return copy_raw16(copy_raw32(p, 2), (uint16_t)v);
}

static inline char *copy_i32(char *p, int32_t v)
{
    return copy_raw32(copy_raw32(p, 4), (uint32_t)v);
}

static inline char *copy_i64(char *p, int64_t v)
{
    return copy_raw64(copy_raw32(p, 8), (uint64_t)v);
}

// Microseconds since 2000-01-01, as timestamptz is in binary; ms within COPY_TIME_MIN .. COPY_TIME_MAX.
static inline int64_t copy_timestamp(int64_t ms)
{
    return (ms - INT64_C(946684800000)) * 1000;
}

// The way back.
static inline int64_t copy_ms(int64_t timestamp)
{
    return timestamp / 1000 + INT64_C(946684800000);
}

// A timestamptz.
static inline char *copy_time(char *p, int64_t ms)
{
    return copy_i64(p, copy_timestamp(ms));
}

static inline char *copy_text(char *p, const char *s, size_t len)
{
    p = copy_raw32(p, (uint32_t)len);
    memcpy(p, s, len);
    return p + len;
}

// jsonb: a version byte, then JSON text.
static inline char *copy_jsonb(char *p, const char *json, size_t len)
{
    p = copy_raw32(p, (uint32_t)len + 1);
    *p++ = 1;
    memcpy(p, json, len);
    return p + len;
}

#endif
