// Zone: a sorted table of the moments at which the offset changes.
#include "common/zone.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/civil.h"

#define FOLDER "/usr/share/zoneinfo"

enum {
    HEADER = 44,
    MAX_CHANGES = 4096, // of a file; the most that the system's have is some 240
    LAST_YEAR = 2200,   // that the footer's rule is written out for
    MAX_OFFSET = 26 * 3600,
    MAX_RULE_TIME = 167 * 3600,
    LATEST_YEAR = 9999, // of a change
};

typedef struct {
    int64_t at;
    int32_t offset; // seconds east of UTC, from then on
} change_t;

struct zone {
    int32_t first; // offset before all changes
    size_t n, cap;
    change_t *changes;
};

void zone_destroy(zone_t **zone)
{
    if (!*zone) return;
    free((*zone)->changes);
    free(*zone);
    *zone = NULL;
}

// Changes that change nothing are left out. -1: it does not follow the one before it.
static int add_change(zone_t *z, int64_t at, int32_t offset)
{
    const change_t *last = z->n ? &z->changes[z->n - 1] : NULL;
    int32_t before = last ? last->offset : z->first;
    if (offset == before) return 0;
    if (last) { // what the last change put back has passed again: no wall time is shown three times
        int32_t earlier = z->n > 1 ? last[-1].offset : z->first;
        if (at - last->at <= (earlier > before ? earlier - before : 0)) return -1;
    }
    if (!z->changes || z->n == z->cap) {
        z->cap = z->cap ? 2 * z->cap : 64;
        z->changes = xrealloc(z->changes, z->cap * sizeof *z->changes);
    }
    z->changes[z->n++] = (change_t){at, offset};
    return 0;
}

// -- the footer: a POSIX TZ string --------------------------------------------------------------------

typedef struct {
    enum { RULE_NONE, RULE_JULIAN, RULE_DAY, RULE_WEEKDAY } kind;
    int month, week, day;
    int32_t time; // of that day, s
} rule_t;

// Takes a number of at most max out of *text. -1: there is none.
static int32_t take_number(const char **text, int32_t max)
{
    int32_t n = 0;
    if (!isdigit((unsigned char)**text)) return -1;
    while (isdigit((unsigned char)**text)) {
        n = n * 10 + (*(*text)++ - '0');
        if (n > max) return -1;
    }
    return n;
}

// [+-]h[h][:mm[:ss]] in seconds. INT32_MIN: none.
static int32_t take_time(const char **text)
{
    int sign = **text == '-' ? -1 : 1;
    if (**text == '-' || **text == '+') ++*text;
    int32_t part = take_number(text, MAX_RULE_TIME / 3600), sum = part * 3600;
    for (int unit = 60; part >= 0 && unit > 0 && **text == ':'; unit /= 60) {
        ++*text;
        part = take_number(text, 59);
        sum += part * unit;
    }
    return part < 0 ? INT32_MIN : sign * sum;
}

static int take_name(const char **text)
{
    const char *start = *text;
    if (*start == '<') {
        size_t len = strcspn(start, ">");
        *text = start + len + 1;
        return start[len] ? 0 : -1;
    }
    while (isalpha((unsigned char)**text)) ++*text;
    return *text > start ? 0 : -1;
}

static int take_rule(const char **text, rule_t *r)
{
    *r = (rule_t){.kind = RULE_DAY, .time = 2 * 3600};
    if (*(*text)++ != ',') return -1;
    if (**text == 'M') {
        r->kind = RULE_WEEKDAY;
        ++*text;
        r->month = take_number(text, 12);
        if (r->month < 1 || *(*text)++ != '.') return -1;
        r->week = take_number(text, 5);
        if (r->week < 1 || *(*text)++ != '.') return -1;
        r->day = take_number(text, 6);
    } else {
        if (**text == 'J') {
            r->kind = RULE_JULIAN;
            ++*text;
        }
        r->day = take_number(text, 365);
        if (r->kind == RULE_JULIAN && r->day == 0) return -1;
    }
    if (r->day < 0) return -1;
    if (**text != '/') return 0;
    ++*text;
    r->time = take_time(text);
    return r->time == INT32_MIN ? -1 : 0;
}

// The wall time at which rule strikes in year.
static int64_t rule_wall(const rule_t *r, int64_t year)
{
    int64_t first = civil_days(year, 1, 1), days = first + r->day;
    if (r->kind == RULE_JULIAN) { // 29 February has no number
        days--;
        if (r->day >= 60 && civil_month_length(year, 2) == 29) days++;
    } else if (r->kind == RULE_WEEKDAY) {
        days = civil_days(year, r->month, 1);
        int64_t end = days + civil_month_length(year, r->month);
        days += (r->day - civil_weekday(days) + 7) % 7 + 7 * (r->week - 1);
        if (days >= end) days -= 7; // week 5 is the last there is
    }
    return days * CIVIL_DAY + r->time;
}

// Writes the rule's changes out, those after the table's last.
static int write_out(zone_t *z, int32_t standard, int32_t summer, const rule_t *start, const rule_t *end)
{
    int64_t after = z->n ? z->changes[z->n - 1].at : INT64_MIN;
    int64_t from = z->n ? civil_of(civil_floor(after, CIVIL_DAY)).year - 1 : 1970;
    for (int64_t year = from; year <= LAST_YEAR; year++) {
        change_t a = {rule_wall(start, year) - standard, summer};
        change_t b = {rule_wall(end, year) - summer, standard};
        const change_t both[] = {a.at < b.at ? a : b, a.at < b.at ? b : a};
        for (int i = 0; i < 2; i++)
            if (both[i].at > after && add_change(z, both[i].at, both[i].offset)) return -1;
    }
    return 0;
}

static int read_footer(zone_t *z, const char *text)
{
    rule_t start, end;
    if (!*text) return 0; // the last offset stays
    int32_t standard = take_name(&text) ? INT32_MIN : take_time(&text);
    if (standard < -MAX_OFFSET || standard > MAX_OFFSET) return -1;
    standard = -standard; // POSIX counts westwards
    if (!*text) {
        if (!z->n) z->first = standard;
        return 0; // the table has it already
    }
    if (take_name(&text)) return -1;
    int32_t summer = standard + 3600;
    if (*text && *text != ',') {
        summer = take_time(&text);
        if (summer < -MAX_OFFSET || summer > MAX_OFFSET) return -1;
        summer = -summer;
    }
    if (take_rule(&text, &start) || take_rule(&text, &end) || *text) return -1;
    return write_out(z, standard, summer, &start, &end);
}

// -- the file -----------------------------------------------------------------------------------------

typedef struct {
    uint32_t isut, isstd, leaps, times, types, chars;
} counts_t;

static int64_t big_endian(const uint8_t *p, int size)
{
    uint64_t v = p[0] & 0x80 ? UINT64_MAX : 0;
    for (int i = 0; i < size; i++) v = v << 8 | p[i];
    return (int64_t)v;
}

// Bytes of the block that follows a header, or 0: the header is none.
static size_t read_header(const uint8_t *p, size_t len, int size, counts_t *c)
{
    uint32_t n[6];
    if (len < HEADER || memcmp(p, "TZif", 4) != 0) return 0;
    for (int i = 0; i < 6; i++) n[i] = (uint32_t)big_endian(p + 20 + 4 * (size_t)i, 4);
    *c = (counts_t){n[0], n[1], n[2], n[3], n[4], n[5]};
    for (int i = 0; i < 6; i++)
        if (n[i] > MAX_CHANGES) return 0;
    if (!c->types || c->types > 256) return 0;
    size_t each = (size_t)size, bytes = c->times * (each + 1) + c->types * 6 + c->chars;
    return bytes + c->leaps * (each + 4) + c->isstd + c->isut;
}

static const char *read_block(zone_t *z, const uint8_t *p, int size, const counts_t *c)
{
    const uint8_t *index = p + c->times * (size_t)size, *types = index + c->times;
    int64_t latest = civil_days(LATEST_YEAR, 1, 1) * CIVIL_DAY;
    for (uint32_t i = 0; i < c->types; i++) {
        int64_t offset = big_endian(types + 6 * (size_t)i, 4);
        if (offset < -MAX_OFFSET || offset > MAX_OFFSET) return "an offset is more than 26 hours";
    }
    z->first = (int32_t)big_endian(types, 4);
    for (uint32_t i = 0; i < c->times; i++) {
        int64_t at = big_endian(p + i * (size_t)size, size);
        if (index[i] >= c->types) return "a type is missing";
        if (at > latest || at < -latest) {
            if (at < 0 && i == 0) continue; // "since ever", as some files begin
            return "a change is too far away";
        }
        if (add_change(z, at, (int32_t)big_endian(types + 6 * (size_t)index[i], 4)))
            return "its changes are not in order";
    }
    return NULL;
}

static const char *read_file(zone_t *z, const uint8_t *p, size_t len)
{
    counts_t counts;
    size_t block = read_header(p, len, 4, &counts);
    int size = 4;
    if (!block || block > len - HEADER) return "it is no TZif file";
    if (p[4] >= '2') { // the first block is for old readers
        p += HEADER + block;
        len -= HEADER + block;
        size = 8;
        block = read_header(p, len, size, &counts);
        if (!block || block > len - HEADER) return "its second block is cut off";
    }
    if (counts.leaps) return "it counts leap seconds";
    const char *error = read_block(z, p + HEADER, size, &counts);
    if (error || size == 4) return error;
    p += HEADER + block;
    len -= HEADER + block;
    const uint8_t *end = len > 1 && *p == '\n' ? memchr(p + 1, '\n', len - 1) : NULL;
    if (!end) return "its footer is missing";
    char *text = xstrndup((const char *)p + 1, (size_t)(end - p - 1));
    bool bad = read_footer(z, text) != 0;
    free(text);
    return bad ? "its footer cannot be read" : NULL;
}

zone_t *zone_parse(const void *bytes, size_t len, const char **error)
{
    zone_t *z = xcalloc(1, sizeof *z);
    *error = len > ZONE_MAX_BYTES ? "it is too big" : read_file(z, bytes, len);
    if (*error) zone_destroy(&z);
    return z;
}

// -- the system's files -------------------------------------------------------------------------------

bool zone_name_is_sound(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    size_t len = strlen(name);
    if (len == 0 || len > ZONE_MAX_NAME || name[strspn(name, allowed)]) return false; // no dots at all
    return name[0] != '/' && name[len - 1] != '/' && !strstr(name, "//");
}

zone_t *zone_load(const char *name, const char **error)
{
    char path[sizeof FOLDER + ZONE_MAX_NAME + 2];
    static const char *const unknown = "this system knows no such time zone";
    *error = unknown;
    if (!zone_name_is_sound(name)) return NULL;
    snprintf(path, sizeof path, FOLDER "/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT && access(FOLDER, F_OK) != 0)
        *error = "this system has no time zones; install the package tzdata";
    if (fd < 0) return NULL;
    struct stat st;
    zone_t *z = NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= ZONE_MAX_BYTES) {
        uint8_t *bytes = xmalloc((size_t)st.st_size);
        ssize_t n = read(fd, bytes, (size_t)st.st_size);
        if (n == st.st_size) z = zone_parse(bytes, (size_t)n, error);
        free(bytes);
    }
    close(fd);
    return z;
}

// There are no more of them than files on the system.
typedef struct shared {
    struct shared *next;
    zone_t *zone;
    char name[ZONE_MAX_NAME + 1];
} shared_t;

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static shared_t *all_shared;

static const zone_t *find_or_load(const char *name, const char **error)
{
    for (const shared_t *s = all_shared; s; s = s->next)
        if (strcmp(s->name, name) == 0) return s->zone;
    zone_t *zone = zone_load(name, error);
    if (!zone) return NULL;
    shared_t *s = xcalloc(1, sizeof *s);
    snprintf(s->name, sizeof s->name, "%s", name);
    s->zone = zone;
    s->next = all_shared;
    all_shared = s;
    return zone;
}

int zone_shared(const char *name, const zone_t **zone, const char **error)
{
    *zone = NULL;
    if (strcmp(name, "UTC") == 0) return 0;
    CHECK(pthread_mutex_lock(&shared_lock) == 0);
    *zone = find_or_load(name, error);
    CHECK(pthread_mutex_unlock(&shared_lock) == 0);
    return *zone ? 0 : -1;
}

// -- conversion ---------------------------------------------------------------------------------------

// How many changes are at or before instant.
static size_t passed(const zone_t *z, int64_t instant)
{
    size_t low = 0, high = z->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (z->changes[middle].at <= instant)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Offset after n changes.
static int32_t offset_after(const zone_t *z, size_t n)
{
    return n ? z->changes[n - 1].offset : z->first;
}

// What the wall would show at the change that ends the time after n changes, had it not changed.
static int64_t wall_end(const zone_t *z, size_t n)
{
    return z->changes[n].at + offset_after(z, n);
}

int64_t zone_local(const zone_t *z, int64_t instant)
{
    return z ? instant + offset_after(z, passed(z, instant)) : instant;
}

int64_t zone_instant(const zone_t *z, int64_t wall)
{
    if (!z) return wall;
    size_t low = 0, high = z->n;
    while (low < high) { // the first stretch that ends after wall
        size_t middle = (low + high) / 2;
        if (wall_end(z, middle) <= wall)
            low = middle + 1;
        else
            high = middle;
    }
    int64_t instant = wall - offset_after(z, low);
    return low && instant < z->changes[low - 1].at ? z->changes[low - 1].at : instant;
}

int64_t zone_shown(const zone_t *z, int64_t instant)
{
    if (!z) return instant;
    size_t n = passed(z, instant);
    int64_t local = instant + offset_after(z, n);
    int64_t seen = n ? wall_end(z, n - 1) - 1 : local; // all before it was shown before the change
    return local > seen ? local : seen;
}

int64_t zone_next_change(const zone_t *z, int64_t instant)
{
    size_t n = z ? passed(z, instant) : 0;
    return z && n < z->n ? z->changes[n].at : ZONE_NEVER;
}

int64_t zone_last_change(const zone_t *z, int64_t instant)
{
    size_t n = z ? passed(z, instant) : 0;
    return n ? z->changes[n - 1].at : -ZONE_NEVER;
}
