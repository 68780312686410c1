// When: a strict little grammar; what it does not cover is refused, not guessed.
#include "ctl/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/civil.h"
#include "common/zone.h"

static const char *const EXPECTED =
    "is no time; use +90s, 2026-11-25T10:00Z, 2026-11-25T10:00+01:00 or \"2026-11-25 10:00 Europe/Berlin\"";

static int parse_span(const char *text, when_t *out)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
    char *unit;
    double n = strtod(text, &unit);
    if (unit == text || !(n >= 0 && n < 1e6)) return -1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(unit, units[i].unit)) {
            *out = (when_t){.relative = true, .ms = (int64_t)(n * (double)units[i].ms)};
            return 0;
        }
    return -1;
}

// Seconds of the wall clock since 1970; what follows is left at *rest.
static int parse_wall(const char *text, int64_t *wall, const char **rest)
{
    int year, month, day, hour, minute, second = 0, n = 0;
    char between;
    if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d%n", &year, &month, &day, &between, &hour, &minute, &n) < 6 || !n ||
        (between != 'T' && between != ' '))
        return -1;
    text += n;
    if (*text == ':') {
        if (sscanf(text, ":%2d%n", &second, &n) < 1) return -1;
        text += n;
    }
    if (year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 ||
        day > civil_month_length(year, month) || hour > 23 || minute > 59 || second > 59 || hour < 0 ||
        minute < 0 || second < 0)
        return -1;
    *wall = civil_days(year, month, day) * CIVIL_DAY + hour * 3600 + minute * 60 + second;
    *rest = text;
    return 0;
}

// The instant of a wall time in the machine's own zone.
static int64_t here(int64_t wall)
{
    struct tm tm;
    time_t as_utc = (time_t)wall;
    gmtime_r(&as_utc, &tm);
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm);
}

static int parse_zone(const char *text, int64_t wall, int64_t *instant, const char **error)
{
    int hours, minutes, n = 0;
    while (*text == ' ') text++;
    if (!*text) return *instant = here(wall), 0;
    if (!strcmp(text, "Z")) return *instant = wall, 0;
    if (*text == '+' || *text == '-') {
        if (sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &n) < 2 || text[1 + n] || hours > 15 ||
            minutes > 59)
            return -1;
        *instant = wall - (*text == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
        return 0;
    }
    const zone_t *zone;
    if (zone_shared(text, &zone, error) != 0) return -1;
    *instant = zone_instant(zone, wall);
    return 0;
}

int when_parse(const char *text, when_t *out, const char **error)
{
    int64_t wall, instant;
    const char *rest;
    *error = EXPECTED;
    if (*text == '+') return parse_span(text + 1, out);
    if (parse_wall(text, &wall, &rest) || parse_zone(rest, wall, &instant, error)) return -1;
    *out = (when_t){.ms = instant * 1000};
    return 0;
}
