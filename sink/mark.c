// Mark: one record of 32 bytes, written in place without a sync: a crash of the machine leaves an older
// number, which only notices less.
#include "sink/mark.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/check.h"
#include "common/log.h"
#include "sink/crc32c.h"

typedef struct {
    char magic[8];
    uint64_t sink, number; // little-endian, as the sum
    uint32_t sum, zero;
} record_t;

static const char magic[8] = "RTMMARK1";

static uint32_t sum_of(const record_t *r)
{
    return htole32(crc32c(0, r, offsetof(record_t, sum)));
}

static void write_record(mark_t *m)
{
    record_t r = {.sink = htole64(m->sink), .number = htole64(m->number)};
    memcpy(r.magic, magic, sizeof magic);
    r.sum = sum_of(&r);
    if (pwrite(m->fd, &r, sizeof r, 0) == (ssize_t)sizeof r) return;
    log_warn("mark", "reason=\"cannot be written: %s\"", strerror(errno));
    close(m->fd); // an older number is no harm
    m->fd = -1;
}

// False: the file is new, or not what this program wrote.
static bool read_record(mark_t *m)
{
    record_t r;
    ssize_t n = pread(m->fd, &r, sizeof r, 0);
    if (n == 0) return false;
    if (n != (ssize_t)sizeof r || memcmp(r.magic, magic, sizeof magic) != 0 || r.sum != sum_of(&r)) {
        log_warn("mark", "reason=\"damaged; a restored database will not be noticed this time\"");
        return false;
    }
    m->sink = le64toh(r.sink);
    m->number = le64toh(r.number);
    return true;
}

void mark_open(mark_t *m, const char *folder)
{
    char path[PATH_MAX];
    *m = (mark_t){.fd = -1};
    CHECK(getrandom(&m->sink, sizeof m->sink, 0) == (ssize_t)sizeof m->sink);
    if (!folder) return;
    snprintf(path, sizeof path, "%s/mark", folder);
    m->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (m->fd < 0)
        log_warn("mark", "reason=\"cannot be opened: %s\"", strerror(errno));
    else if (!read_record(m))
        write_record(m);
}

void mark_close(mark_t *m)
{
    if (m->fd >= 0) close(m->fd);
    m->fd = -1;
}

void mark_set(mark_t *m, uint64_t number)
{
    m->number = number;
    if (m->fd >= 0) write_record(m);
}
