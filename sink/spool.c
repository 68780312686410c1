// Spool: the writing end is the last segment, the reading end is in the first. A run of the process always
// starts a segment of its own, so a torn record can only stand at the end of a segment that has no seal.
#include "sink/spool.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/check.h"
#include "common/log.h"
#include "proto/limits.h"
#include "sink/crc32c.h"

enum {
    VERSION = 1,
    HEADER = 16,
    RECORD_HEAD = 12,
    PAYLOAD_HEAD = 8,
    MAX_PAYLOAD = PAYLOAD_HEAD + MAX_BATCH_MESSAGE,
    SCAN = 64 << 10,      // bytes looked at once for the next record behind damage
    RECORDS_AT_ONCE = 64, // written by one call
};

static const char magic[8] = "RTMSPOOL";
static const uint32_t record_mark = 0x724d5452; // "RTMr"

typedef struct {
    uint64_t number;
    off_t size; // bytes that count
} segment_t;

struct spool {
    char folder[PATH_MAX - 64];
    int folder_fd; // locked
    uint64_t max, bytes, next_number;
    segment_t *segments; // oldest first
    size_t n, cap;
    int write_fd; // of the last segment, -1: none is open for writing
    int read_fd;  // of the first segment, -1: not open
    // in the first segment: the next record to read, the last one read; what is before done_at is in Postgres
    off_t read_at, last_at, done_at;
    bool damaged; // damage was found in it
};

// -- files --------------------------------------------------------------------------------------------

static int open_segment(const spool_t *s, uint64_t number, int flags)
{
    char name[64];
    snprintf(name, sizeof name, "%016" PRIx64 ".spool", number);
    return openat(s->folder_fd, name, flags | O_CLOEXEC, 0600);
}

static void remove_segment(const spool_t *s, uint64_t number, bool keep)
{
    char name[64], aside[80];
    snprintf(name, sizeof name, "%016" PRIx64 ".spool", number);
    snprintf(aside, sizeof aside, "%016" PRIx64 ".damaged", number);
    if (keep ? renameat(s->folder_fd, name, s->folder_fd, aside) : unlinkat(s->folder_fd, name, 0))
        log_error("spool", "segment=%s reason=\"cannot be %s: %s\"", name, keep ? "set aside" : "deleted",
                  strerror(errno));
    else if (keep)
        log_error("spool", "segment=%s reason=\"damaged; kept as %s\"", name, aside);
}

static segment_t *add_segment(spool_t *s, uint64_t number, off_t size)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 16;
        s->segments = xrealloc(s->segments, s->cap * sizeof *s->segments);
    }
    s->segments[s->n] = (segment_t){number, size};
    s->bytes += (uint64_t)size;
    if (number >= s->next_number) s->next_number = number + 1;
    return &s->segments[s->n++];
}

// -- records --------------------------------------------------------------------------------------------

typedef struct {
    uint32_t mark, length, crc;
} record_head_t;

static record_head_t make_head(const void *payload_head, size_t head_len, const void *frame, size_t len)
{
    record_head_t h = {htole32(record_mark), htole32((uint32_t)(head_len + len)), 0};
    uint32_t crc = crc32c(0, &h.length, sizeof h.length);
    crc = crc32c(crc, payload_head, head_len);
    h.crc = htole32(crc32c(crc, frame, len));
    return h;
}

typedef enum { RECORD_OK, RECORD_SEAL, RECORD_END, RECORD_BAD } record_t;

// Reads the record at `at` of a file of `size` bytes. *payload is malloc'ed if RECORD_OK.
static record_t read_record(int fd, off_t at, off_t size, char **payload, size_t *len)
{
    record_head_t h;
    if (at == size) return RECORD_END;
    if (pread(fd, &h, sizeof h, at) != (ssize_t)sizeof h || le32toh(h.mark) != record_mark) return RECORD_BAD;
    *len = le32toh(h.length);
    if (*len > MAX_PAYLOAD || at + RECORD_HEAD + (off_t)*len > size) return RECORD_BAD;
    *payload = xmalloc(*len);
    ssize_t got = pread(fd, *payload, *len, at + RECORD_HEAD);
    uint32_t crc = crc32c(crc32c(0, &h.length, sizeof h.length), *payload, *len);
    if (got == (ssize_t)*len && crc == le32toh(h.crc) && (*len == 0 || *len > PAYLOAD_HEAD))
        return *len ? RECORD_OK : (free(*payload), RECORD_SEAL);
    free(*payload);
    return RECORD_BAD;
}

// Whether a record or seal stands at `at`.
static bool is_record(int fd, off_t at, off_t size)
{
    char *payload;
    size_t len;
    record_t r = read_record(fd, at, size, &payload, &len);
    if (r == RECORD_OK) free(payload);
    return r == RECORD_OK || r == RECORD_SEAL;
}

// The place of the first record behind the damage at `at`; size: there is none.
static off_t find_record(int fd, off_t at, off_t size)
{
    static char buf[SCAN];
    uint32_t mark = htole32(record_mark);
    while (++at < size) {
        ssize_t n = pread(fd, buf, sizeof buf, at);
        if (n < (ssize_t)sizeof mark) return size;
        char *hit = memmem(buf, (size_t)n, &mark, sizeof mark);
        at += hit ? hit - buf : n - (ssize_t)sizeof mark;
        if (hit && is_record(fd, at, size)) return at;
    }
    return size;
}

// -- opening ------------------------------------------------------------------------------------------

static bool has_header(int fd)
{
    char header[HEADER];
    uint32_t version;
    if (pread(fd, header, sizeof header, 0) != HEADER || memcmp(header, magic, sizeof magic) != 0)
        return false;
    memcpy(&version, header + sizeof magic, sizeof version);
    return le32toh(version) == VERSION;
}

// Where the segment's good records end, if what follows is a record that a crash cut off; size if not.
static off_t without_torn_tail(int fd, off_t size)
{
    off_t at = HEADER;
    for (;;) {
        char *payload;
        size_t len;
        record_t r = read_record(fd, at, size, &payload, &len);
        if (r == RECORD_OK) free(payload), at += RECORD_HEAD + (off_t)len;
        if (r == RECORD_SEAL || r == RECORD_END) return size;
        if (r != RECORD_BAD) continue;
        off_t next = find_record(fd, at, size);
        if (next == size) return at;
        at = next; // damage in the middle: the reader will say so
    }
}

static void inspect(spool_t *s, uint64_t number)
{
    struct stat st;
    int fd = open_segment(s, number, O_RDWR);
    if (fd < 0 || fstat(fd, &st)) {
        log_error("spool", "segment=%016" PRIx64 " reason=\"cannot be read: %s\"", number, strerror(errno));
        if (fd >= 0) close(fd);
        return;
    }
    if (st.st_size >= HEADER && !has_header(fd)) {
        remove_segment(s, number, true);
    } else if (st.st_size <= HEADER) {
        remove_segment(s, number, false); // made, and nothing written
    } else {
        off_t good = without_torn_tail(fd, st.st_size);
        if (good < st.st_size) {
            log_warn("spool",
                     "segment=%016" PRIx64
                     " torn_bytes=%jd reason=\"cut off by a crash, never acknowledged\"",
                     number, (intmax_t)(st.st_size - good));
            if (ftruncate(fd, good)) log_error("spool", "reason=\"cannot cut: %s\"", strerror(errno));
        }
        add_segment(s, number, good);
    }
    close(fd);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void find_segments(spool_t *s)
{
    uint64_t *numbers = xcalloc(SPOOL_SEGMENTS, sizeof *numbers);
    size_t n = 0;
    DIR *dir = fdopendir(dup(s->folder_fd));
    CHECK(dir != NULL);
    for (struct dirent *e; (e = readdir(dir)) && n < SPOOL_SEGMENTS;) {
        char *end;
        uint64_t number = strtoull(e->d_name, &end, 16);
        if (end == e->d_name + 16 && (!strcmp(end, ".spool") || !strcmp(end, ".damaged"))) {
            if (number >= s->next_number) s->next_number = number + 1;
            if (end[1] == 's') numbers[n++] = number;
        }
    }
    closedir(dir);
    qsort(numbers, n, sizeof *numbers, by_number);
    for (size_t i = 0; i < n; i++) inspect(s, numbers[i]);
    free(numbers);
}

spool_t *spool_open(const char *folder, uint64_t max, char *err, size_t err_size)
{
    spool_t *s = xcalloc(1, sizeof *s);
    s->max = max;
    s->write_fd = s->read_fd = -1;
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    if (mkdir(folder, 0700) && errno != EEXIST) {
        snprintf(err, err_size, "%s: %s", folder, strerror(errno));
        return free(s), NULL;
    }
    s->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->folder_fd < 0 || flock(s->folder_fd, LOCK_EX | LOCK_NB)) {
        snprintf(err, err_size, "%s: %s", folder,
                 errno == EWOULDBLOCK ? "another sink has it open" : strerror(errno));
        if (s->folder_fd >= 0) close(s->folder_fd);
        return free(s), NULL;
    }
    find_segments(s);
    s->read_at = s->done_at = HEADER;
    return s;
}

// -- writing ------------------------------------------------------------------------------------------

// Seals and closes the segment being written. What fails here loses nothing: the records are synced.
static void seal(spool_t *s)
{
    if (s->write_fd < 0) return;
    segment_t *last = &s->segments[s->n - 1];
    record_head_t h = make_head(NULL, 0, NULL, 0);
    if (pwrite(s->write_fd, &h, sizeof h, last->size) == (ssize_t)sizeof h) {
        last->size += RECORD_HEAD;
        s->bytes += RECORD_HEAD;
    }
    close(s->write_fd);
    s->write_fd = -1;
}

static int begin_segment(spool_t *s)
{
    char header[HEADER] = {0};
    uint32_t version = htole32(VERSION);
    memcpy(header, magic, sizeof magic);
    memcpy(header + sizeof magic, &version, sizeof version);
    int fd = open_segment(s, s->next_number, O_RDWR | O_CREAT | O_EXCL);
    if (fd < 0) return -1;
    if (pwrite(fd, header, HEADER, 0) != HEADER || fsync(s->folder_fd)) {
        close(fd);
        remove_segment(s, s->next_number, false);
        return -1;
    }
    add_segment(s, s->next_number, HEADER);
    s->write_fd = fd;
    return 0;
}

// Writes records at `at`; their size, or -1. n: up to RECORDS_AT_ONCE.
static ssize_t write_records(int fd, off_t at, const job_t *const *jobs, size_t n)
{
    record_head_t heads[RECORDS_AT_ONCE];
    uint64_t offsets[RECORDS_AT_ONCE];
    struct iovec parts[3 * RECORDS_AT_ONCE];
    ssize_t size = 0;
    for (size_t i = 0; i < n; i++) {
        offsets[i] = htole64((uint64_t)jobs[i]->broker_offset);
        heads[i] = make_head(&offsets[i], sizeof offsets[i], jobs[i]->frame, jobs[i]->len);
        parts[3 * i] = (struct iovec){&heads[i], sizeof heads[i]};
        parts[3 * i + 1] = (struct iovec){&offsets[i], sizeof offsets[i]};
        parts[3 * i + 2] = (struct iovec){(void *)(uintptr_t)jobs[i]->frame, jobs[i]->len};
        size += (ssize_t)(sizeof heads[i] + sizeof offsets[i] + jobs[i]->len);
    }
    ssize_t wrote = pwritev(fd, parts, (int)(3 * n), at);
    if (wrote >= 0 && wrote < size) errno = ENOSPC;
    return wrote == size ? size : -1;
}

static int write_all(spool_t *s, const job_t *const *jobs, size_t n, off_t *end)
{
    for (size_t i = 0; i < n; i += RECORDS_AT_ONCE) {
        size_t some = n - i < RECORDS_AT_ONCE ? n - i : RECORDS_AT_ONCE;
        ssize_t size = write_records(s->write_fd, *end, jobs + i, some);
        if (size < 0) return -1;
        *end += size;
    }
    return fdatasync(s->write_fd);
}

int spool_append(spool_t *s, const job_t *const *jobs, size_t n, const char **why)
{
    uint64_t need = 0;
    for (size_t i = 0; i < n; i++) need += RECORD_HEAD + PAYLOAD_HEAD + jobs[i]->len;
    *why = "the spool is full";
    if (s->bytes + need + HEADER > s->max || (s->write_fd < 0 && s->n >= SPOOL_SEGMENTS)) return -1;
    if (s->write_fd >= 0 && s->segments[s->n - 1].size >= SPOOL_SEGMENT) seal(s);
    if (s->write_fd < 0 && begin_segment(s)) return *why = strerror(errno), -1;
    segment_t *last = &s->segments[s->n - 1];
    off_t end = last->size;
    if (write_all(s, jobs, n, &end)) {
        *why = strerror(errno);
        // after a failed sync nobody knows what is on disk: never append behind it again
        if (ftruncate(s->write_fd, last->size))
            log_error("spool", "reason=\"cannot cut: %s\"", strerror(errno));
        close(s->write_fd);
        s->write_fd = -1;
        return -1;
    }
    s->bytes += (uint64_t)(end - last->size);
    last->size = end;
    return 0;
}

// -- reading ------------------------------------------------------------------------------------------

bool spool_is_empty(const spool_t *s)
{
    return s->n == 0;
}

uint64_t spool_bytes(const spool_t *s)
{
    return s->bytes;
}

static job_t *make_job(char *payload, size_t len)
{
    uint64_t offset;
    memcpy(&offset, payload, sizeof offset);
    job_t *job = xmalloc(sizeof *job + len - PAYLOAD_HEAD);
    *job = (job_t){.broker_offset = (int64_t)le64toh(offset), .len = len - PAYLOAD_HEAD};
    memcpy(job->frame, payload + PAYLOAD_HEAD, job->len);
    free(payload);
    return job;
}

// Goes on behind damage.
static void skip_damage(spool_t *s, const segment_t *seg)
{
    off_t next = find_record(s->read_fd, s->read_at, seg->size);
    log_error("spool", "segment=%016" PRIx64 " offset=%jd unreadable_bytes=%jd reason=\"damaged\"",
              seg->number, (intmax_t)s->read_at, (intmax_t)(next - s->read_at));
    s->damaged = true;
    s->read_at = next;
}

// Takes the first segment off the list; its file is deleted, or set aside if it is damaged.
static void finish_first(spool_t *s)
{
    if (s->read_fd >= 0) close(s->read_fd);
    if (s->n == 1 && s->write_fd >= 0) {
        close(s->write_fd);
        s->write_fd = -1;
    }
    remove_segment(s, s->segments[0].number, s->damaged);
    s->bytes -= (uint64_t)s->segments[0].size;
    memmove(s->segments, s->segments + 1, --s->n * sizeof *s->segments);
    s->read_fd = -1;
    s->read_at = s->done_at = HEADER;
    s->damaged = false;
}

static bool open_reader(spool_t *s)
{
    if (s->read_fd < 0) s->read_fd = open_segment(s, s->segments[0].number, O_RDONLY);
    if (s->read_fd >= 0) return true;
    log_error("spool", "segment=%016" PRIx64 " reason=\"cannot be read: %s\"", s->segments[0].number,
              strerror(errno));
    s->damaged = true;
    s->read_at = s->segments[0].size;
    return false;
}

job_t *spool_read(spool_t *s)
{
    while (s->n > 0 && s->read_at < s->segments[0].size && open_reader(s)) {
        const segment_t *seg = &s->segments[0];
        char *payload;
        size_t len;
        record_t r = read_record(s->read_fd, s->read_at, seg->size, &payload, &len);
        if (r == RECORD_OK) {
            s->last_at = s->read_at;
            s->read_at += RECORD_HEAD + (off_t)len;
            return make_job(payload, len);
        }
        if (r == RECORD_BAD)
            skip_damage(s, seg);
        else
            s->read_at = seg->size;
    }
    return NULL;
}

void spool_unread(spool_t *s)
{
    s->read_at = s->last_at;
}

void spool_keep(spool_t *s)
{
    s->damaged = true;
}

void spool_done(spool_t *s)
{
    s->done_at = s->read_at;
    if (s->n > 0 && s->done_at >= s->segments[0].size) finish_first(s);
}

void spool_rewind(spool_t *s)
{
    s->read_at = s->done_at;
}

void spool_close(spool_t **spool)
{
    spool_t *s = *spool;
    if (!s) return;
    seal(s);
    if (s->read_fd >= 0) close(s->read_fd);
    close(s->folder_fd);
    free(s->segments);
    free(s);
    *spool = NULL;
}
