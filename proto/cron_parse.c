// Cron, parsing: each field becomes a set of bits.
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/cron.h"

typedef struct {
    const char *name;
    int least, most;
    const char *const *words; // for least and what follows, or NULL
    const char *example;
} field_kind_t;

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                     "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };
static const field_kind_t kinds[FIELDS] = {
    [SECOND] = {"second", 0, 59, NULL, "0 or */10"},
    [MINUTE] = {"minute", 0, 59, NULL, "0 or */5"},
    [HOUR] = {"hour", 0, 23, NULL, "8 or 8-18"},
    [DAY] = {"day of the month", 1, 31, NULL, "1 or 1,15"},
    [MONTH] = {"month", 1, 12, months, "1 or jan"},
    [WEEKDAY] = {"day of the week", 0, 7, weekdays, "mon-fri or 1-5"},
};

typedef struct {
    const field_kind_t *kind;
    const char *at, *end;
    char *why;
    size_t size;
} cursor_t;

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, size, fmt, args);
    va_end(args);
    return -1;
}

static int refuse_field(const cursor_t *c, const char *start)
{
    size_t len = strcspn(start, " \t");
    if (len && strcspn(start, "lLwW#") < len && !isalpha((unsigned char)start[1]))
        return refuse(c->why, c->size, "\"%.*s\": L, W and # are not known here", (int)(len > 40 ? 40 : len),
                      start);
    return refuse(c->why, c->size, "\"%.*s\" is no %s; right would be %s (%d to %d)",
                  (int)(len > 40 ? 40 : len), start, c->kind->name, c->kind->example, c->kind->least,
                  c->kind->most);
}

// A number or a word at the cursor; -1: neither, or out of bounds.
static int take_value(cursor_t *c)
{
    int n = 0;
    const char *start = c->at;
    while (c->at < c->end && isdigit((unsigned char)*c->at) && n < 1000) n = n * 10 + (*c->at++ - '0');
    if (c->at > start) return n >= c->kind->least && n <= c->kind->most ? n : -1;
    for (int i = 0; c->kind->words && c->kind->words[i]; i++) {
        if (c->end - c->at < 3 || strncasecmp(c->at, c->kind->words[i], 3) != 0) continue;
        c->at += 3;
        return c->kind->least + i;
    }
    return -1;
}

static bool take(cursor_t *c, char wanted)
{
    if (c->at >= c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

// One of a list: *, a, a-b, each with /n behind it perhaps.
static int read_range(cursor_t *c, uint64_t *bits)
{
    const char *start = c->at;
    int from = c->kind->least, to = c->kind->most, step = 1;
    bool all = take(c, '*') || take(c, '?');
    if (!all) {
        from = to = take_value(c);
        if (from < 0) return refuse_field(c, start);
        if (take(c, '-') && (to = take_value(c)) < 0) return refuse_field(c, start);
        if (to == 0 && from > 0 && c->kind == &kinds[WEEKDAY]) to = 7; // mon-sun
        if (to < from)
            return refuse(c->why, c->size, "%s: a range rises, and %d is after %d", c->kind->name, from, to);
    }
    if (take(c, '/')) {
        const char *digits = c->at;
        for (step = 0; c->at < c->end && isdigit((unsigned char)*c->at) && step < 1000;)
            step = step * 10 + (*c->at++ - '0');
        if (c->at == digits || step < 1 || step > c->kind->most)
            return refuse(c->why, c->size, "%s: a step is a number from 1 to %d, as in */5", c->kind->name,
                          c->kind->most);
        if (!all && to == from) to = c->kind->most;
    }
    for (int n = from; n <= to; n += step) *bits |= 1ULL << n;
    return 0;
}

static int read_field(cursor_t *c, uint64_t *bits)
{
    const char *start = c->at;
    *bits = 0;
    do {
        if (read_range(c, bits)) return -1;
    } while (take(c, ','));
    return c->at == c->end ? 0 : refuse_field(c, start);
}

static const char *spelled_out(const char *text)
{
    static const struct {
        const char *name, *text;
    } known[] = {{"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
                 {"@weekly", "0 0 * * 0"},  {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
                 {"@annually", "0 0 1 1 *"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(known[i].name, text)) return known[i].text;
    return *text == '@' ? NULL : text;
}

// Whether there is such a day at all: 30 February is none.
static bool can_fire(const cron_t *c)
{
    static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!c->any_day && !c->any_weekday) return true; // a day of the week comes in each month
    for (int m = 0; m < 12; m++)
        if (c->months >> (m + 1) & 1 && c->days & ((2ULL << lengths[m]) - 2)) return true;
    return false;
}

int cron_parse(cron_t *cron, const char *text, char *why, size_t size)
{
    const char *starts[FIELDS + 1], *ends[FIELDS + 1], *at = spelled_out(text);
    size_t n = 0;
    if (!at)
        return refuse(why, size,
                      "there is no \"%.20s\"; known are @hourly, @daily, @weekly, @monthly, @yearly", text);
    while (*(at += strspn(at, " \t")) && n <= FIELDS) {
        starts[n] = at;
        ends[n++] = at += strcspn(at, " \t");
    }
    if (n != 5 && n != 6)
        return refuse(
            why, size,
            "has %s fields; right would be five (minute, hour, day, month, weekday) as in \"*/15 8-18 "
            "* * mon-fri\", or six with seconds in front",
            n > FIELDS ? "too many"
            : n < 5    ? "too few"
                       : "");
    uint64_t bits[FIELDS] = {[SECOND] = 1};
    for (size_t i = 0; i < n; i++) {
        size_t f = i + FIELDS - n;
        cursor_t c = {&kinds[f], starts[i], ends[i], why, size};
        if (read_field(&c, &bits[f])) return -1;
    }
    const char *day = starts[n - 3], *weekday = starts[n - 1];
    *cron = (cron_t){.seconds = bits[SECOND],
                     .minutes = bits[MINUTE],
                     .hours = (uint32_t)bits[HOUR],
                     .days = (uint32_t)bits[DAY],
                     .months = (uint32_t)bits[MONTH],
                     .weekdays = (uint32_t)((bits[WEEKDAY] | bits[WEEKDAY] >> 7) & 0x7f),
                     .any_day = *day == '*' || *day == '?',
                     .any_weekday = *weekday == '*' || *weekday == '?'};
    if (can_fire(cron)) return 0;
    return refuse(why, size, "never fires: no month of it has such a day");
}
