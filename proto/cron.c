// Cron, arithmetic: first on wall times, where every day is alike, then on instants.
#include "proto/cron.h"

#include "common/civil.h"

enum { HOUR = 3600, ALL_HOURS = (1 << 24) - 1, YEAR_DAYS = 366 };

// -- the time of a day ----------------------------------------------------------------------------------

// The first bit >= from, or -1; the last <= from, or -1.
static int bit_from(uint64_t bits, int from)
{
    if (from > 63) return -1;
    bits = bits >> from << from;
    return bits ? __builtin_ctzll(bits) : -1;
}

static int bit_upto(uint64_t bits, int upto)
{
    if (upto < 0) return -1;
    bits = upto >= 63 ? bits : bits & ((2ULL << upto) - 1);
    return bits ? 63 - __builtin_clzll(bits) : -1;
}

static int bits_below(uint64_t bits, int n)
{
    return __builtin_popcountll(bits & ((1ULL << n) - 1));
}

// The first time of a day at or after time, or -1. All masks have a bit.
static int time_from(const cron_t *c, int time)
{
    int h = time / HOUR, m = time / 60 % 60, s = bit_from(c->seconds, time % 60);
    if (s < 0) m++; // past the last second: the next minute, from its start
    int hour = bit_from(c->hours, h), minute = hour == h ? bit_from(c->minutes, m) : -1;
    if (hour == h && minute < 0) hour = bit_from(c->hours, h + 1);
    if (hour < 0) return -1;
    if (hour != h) minute = bit_from(c->minutes, 0);
    bool same = hour == h && minute == m && s >= 0;
    return hour * HOUR + minute * 60 + (same ? s : bit_from(c->seconds, 0));
}

// The last time of a day at or before time, or -1.
static int time_upto(const cron_t *c, int time)
{
    int h = time / HOUR, m = time / 60 % 60, s = bit_upto(c->seconds, time % 60);
    if (s < 0) m--;
    int hour = bit_upto(c->hours, h), minute = hour == h ? bit_upto(c->minutes, m) : -1;
    if (hour == h && minute < 0) hour = bit_upto(c->hours, h - 1);
    if (hour < 0) return -1;
    if (hour != h) minute = bit_upto(c->minutes, 59);
    bool same = hour == h && minute == m && s >= 0;
    return hour * HOUR + minute * 60 + (same ? s : bit_upto(c->seconds, 59));
}

// How many times of a day are before time (0 to a whole day).
static int64_t times_before(const cron_t *c, int time)
{
    int h = time / HOUR, m = time / 60 % 60, s = time % 60;
    int64_t seconds = __builtin_popcountll(c->seconds), minutes = __builtin_popcountll(c->minutes);
    int64_t n = bits_below(c->hours, h) * minutes * seconds;
    if (!(c->hours >> h & 1)) return n;
    n += bits_below(c->minutes, m) * seconds;
    return c->minutes >> m & 1 ? n + bits_below(c->seconds, s) : n;
}

// -- wall times -----------------------------------------------------------------------------------------

static bool day_matches(const cron_t *c, int64_t day)
{
    civil_t d = civil_of(day);
    if (!(c->months >> d.month & 1)) return false;
    bool by_day = c->days >> d.day & 1, by_weekday = c->weekdays >> civil_weekday(day) & 1;
    return c->any_day || c->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

// The first match after wall; none within CRON_YEARS: CRON_NEVER.
static int64_t wall_next(const cron_t *c, int64_t wall)
{
    int64_t day = civil_floor(wall + 1, CIVIL_DAY), end = day + CRON_YEARS * YEAR_DAYS;
    int time = (int)(wall + 1 - day * CIVIL_DAY);
    for (; day < end; day++, time = 0) {
        int found = day_matches(c, day) ? time_from(c, time) : -1;
        if (found >= 0) return day * CIVIL_DAY + found;
    }
    return CRON_NEVER;
}

// The last match at or before wall.
static int64_t wall_last(const cron_t *c, int64_t wall)
{
    int64_t day = civil_floor(wall, CIVIL_DAY), end = day - CRON_YEARS * YEAR_DAYS;
    int time = (int)(wall - day * CIVIL_DAY);
    for (; day > end; day--, time = CIVIL_DAY - 1) {
        int found = day_matches(c, day) ? time_upto(c, time) : -1;
        if (found >= 0) return day * CIVIL_DAY + found;
    }
    return -CRON_NEVER;
}

// How many matches are in (after, upto]; what is longer ago than CRON_YEARS does not count.
static int64_t wall_count(const cron_t *c, int64_t after, int64_t upto)
{
    int64_t day = civil_floor(after + 1, CIVIL_DAY), end = civil_floor(upto + 1, CIVIL_DAY);
    if (upto <= after) return 0;
    int64_t n = day_matches(c, day) ? -times_before(c, (int)(after + 1 - day * CIVIL_DAY)) : 0;
    if (day < end - CRON_YEARS * YEAR_DAYS) {
        day = end - CRON_YEARS * YEAR_DAYS;
        n = 0;
    }
    for (; day < end; day++)
        if (day_matches(c, day)) n += times_before(c, CIVIL_DAY);
    return day_matches(c, end) ? n + times_before(c, (int)(upto + 1 - end * CIVIL_DAY)) : n;
}

// -- instants -------------------------------------------------------------------------------------------

static bool by_the_wall(const cron_t *c)
{
    return c->hours == ALL_HOURS;
}

static int64_t wall_job_next(const cron_t *c, const zone_t *z, int64_t after)
{
    int64_t end = after + (int64_t)CRON_YEARS * YEAR_DAYS * CIVIL_DAY;
    while (after < end) {
        int64_t offset = zone_local(z, after) - after, change = zone_next_change(z, after);
        int64_t wall = wall_next(c, after + offset);
        if (wall != CRON_NEVER && wall - offset < change) return wall - offset;
        if (change == ZONE_NEVER) break;
        if (wall_next(c, zone_local(z, change) - 1) == zone_local(z, change)) return change;
        after = change;
    }
    return CRON_NEVER;
}

static int64_t wall_job_last(const cron_t *c, const zone_t *z, int64_t upto)
{
    int64_t end = upto - (int64_t)CRON_YEARS * YEAR_DAYS * CIVIL_DAY;
    while (upto > end) {
        int64_t offset = zone_local(z, upto) - upto, change = zone_last_change(z, upto);
        int64_t wall = wall_last(c, upto + offset);
        if (wall != -CRON_NEVER && wall - offset >= change) return wall - offset;
        if (change == -ZONE_NEVER) break;
        upto = change - 1;
    }
    return -CRON_NEVER;
}

int64_t cron_next(const cron_t *c, const zone_t *z, int64_t after)
{
    if (by_the_wall(c)) return wall_job_next(c, z, after);
    int64_t wall = wall_next(c, zone_shown(z, after));
    return wall == CRON_NEVER ? CRON_NEVER : zone_instant(z, wall);
}

int64_t cron_last(const cron_t *c, const zone_t *z, int64_t upto)
{
    if (by_the_wall(c)) return wall_job_last(c, z, upto);
    int64_t wall = wall_last(c, zone_shown(z, upto));
    return wall == -CRON_NEVER ? -CRON_NEVER : zone_instant(z, wall);
}

// The times that a change at `at` skipped, and the one it leads to, fire together: how many more than one
// there are.
static int64_t doubled(const cron_t *c, const zone_t *z, int64_t at)
{
    int64_t before = zone_shown(z, at - 1), now = zone_shown(z, at);
    int64_t n = now > before ? wall_count(c, before, now) : 0;
    return n > 1 ? n - 1 : 0;
}

uint64_t cron_count(const cron_t *c, const zone_t *z, int64_t after, int64_t upto)
{
    int64_t n = 0, oldest = upto - (int64_t)CRON_YEARS * YEAR_DAYS * CIVIL_DAY;
    if (after < oldest) after = oldest;
    if (!by_the_wall(c)) n = wall_count(c, zone_shown(z, after), zone_shown(z, upto));
    while (after < upto) { // from change to change
        int64_t change = zone_next_change(z, after), end = change <= upto ? change : upto + 1;
        int64_t offset = zone_local(z, after) - after;
        if (by_the_wall(c))
            n += wall_count(c, after + offset, end - 1 + offset);
        else if (change <= upto)
            n -= doubled(c, z, change);
        if (by_the_wall(c) && change <= upto) { // the change itself
            int64_t wall = zone_local(z, change);
            n += wall_count(c, wall - 1, wall);
        }
        after = change <= upto ? change : upto;
    }
    return n > 0 ? (uint64_t)n : 0;
}

int64_t cron_mean(const cron_t *c)
{
    int64_t from = civil_days(2024, 1, 1) * CIVIL_DAY, to = civil_days(2032, 1, 1) * CIVIL_DAY;
    int64_t n = wall_count(c, from - 1, to - 1);
    return (to - from) / (n > 0 ? n : 1);
}
