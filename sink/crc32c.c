// CRC-32C: by the processor's own instruction where there is one, else by eight tables, eight bytes a step
// ("slicing by 8").
#include "sink/crc32c.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

enum { SLICES = 8 };
static const uint32_t polynomial = 0x82f63b78; // reflected

static uint32_t tables[SLICES][256];
static bool made;

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ polynomial : c >> 1;
        tables[0][i] = c;
    }
    for (int s = 1; s < SLICES; s++)
        for (int i = 0; i < 256; i++)
            tables[s][i] = tables[s - 1][i] >> 8 ^ tables[0][tables[s - 1][i] & 0xff];
    made = true;
}

uint32_t crc32c_by_tables(uint32_t crc, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    if (!made) make_tables();
    crc = ~crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        v = le64toh(v) ^ crc;
        crc = 0;
        for (int s = 0; s < SLICES; s++) crc ^= tables[SLICES - 1 - s][v >> (8 * s) & 0xff];
    }
    while (len--) crc = crc >> 8 ^ tables[0][(crc ^ *p++) & 0xff];
    return ~crc;
}

#ifdef __x86_64__

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint64_t sum = (uint32_t)~crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        sum = __builtin_ia32_crc32di(sum, v);
    }
    while (len--) sum = __builtin_ia32_crc32qi((uint32_t)sum, *p++);
    return ~(uint32_t)sum;
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
    return __builtin_cpu_supports("sse4.2") ? by_instruction(crc, bytes, len)
                                            : crc32c_by_tables(crc, bytes, len);
}

#else

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
    return crc32c_by_tables(crc, bytes, len);
}

#endif
