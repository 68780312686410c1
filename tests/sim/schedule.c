// Schedule: every second is looked at.
#include "tests/sim/schedule.h"

#include <stdio.h>

enum {
    HOUR = 3600,
    DAY = 24 * HOUR,
    WINDOWS = 16,
    OPEN = 3,
    CYCLE = 5,
    SECONDS_MAX = 3 * HOUR,
    GOES_ON_MS = 6000
};

static const int64_t spring = 1711846800,
                     autumn = 1729990800; // 2024: 02:00 becomes 03:00, 03:00 becomes 02:00

static int64_t berlin_offset(int64_t t)
{
    return t >= spring && t < autumn ? 2 * HOUR : HOUR;
}

// When Berlin's clock first shows wall, or right after the change where it never does.
static int64_t berlin_instant(int64_t wall)
{
    for (int64_t t = wall - 3 * HOUR; t < wall; t += HOUR / 60)
        if (t + berlin_offset(t) >= wall - wall % 60) return t + wall % 60;
    return wall;
}

int64_t schedule_base(uint64_t random, int64_t span)
{
    int64_t since = (int64_t)(random / 3 % (uint64_t)span);
    if (random % 3 == 0) return 1700000000000;
    return (random % 3 == 1 ? spring : autumn) * 1000 - since;
}

when_t schedule_make(uint64_t random, int64_t base)
{
    static const int steps[] = {5, 10, 15, 20, 30};
    when_t w = {.kind = random % 8 < WHEN_KINDS ? (when_kind_t)(random % 8) : WHEN_PERIOD};
    int64_t local = base / 1000 + berlin_offset(base / 1000);
    w.step = steps[random / 8 % 5];
    w.all_hours = random / 40 % 2;
    w.gap = 2000 + (int64_t)(random / 80 % 9) * 1000;
    w.first_minute = (int)(local % DAY / 60);
    return w;
}

void schedule_json(const when_t *w, int64_t every, char *out, size_t size)
{
    int n = 0;
    out[0] = '\0';
    switch (w->kind) {
    case WHEN_CRON:
        snprintf(out, size, "\"cron\": \"*/%d * %s * * *\", \"timezone\": \"Europe/Berlin\", ", w->step,
                 w->all_hours ? "*" : "0-22");
        return;
    case WHEN_CONTINUOUS:
        snprintf(out, size, "\"mode\": \"continuous\", \"min_gap\": \"%lldms\", ", (long long)w->gap);
        return;
    case WHEN_TRIGGERED: snprintf(out, size, "\"mode\": \"triggered\", "); return;
    default: break;
    }
    n = snprintf(out, size, "\"every\": \"%lldms\", ", (long long)every);
    if (w->kind != WHEN_WINDOWS) return;
    n += snprintf(out + n, size - (size_t)n, "\"timezone\": \"Europe/Berlin\", \"windows\": [");
    for (int i = 0; i < WINDOWS; i++) {
        int from = (w->first_minute + i * CYCLE) % 1440, to = (from + OPEN) % 1440;
        n += snprintf(out + n, size - (size_t)n, "%s{\"from\": \"%02d:%02d\", \"to\": \"%02d:%02d\"}",
                      i ? ", " : "", from / 60, from % 60, to / 60, to % 60);
    }
    snprintf(out + n, size - (size_t)n, "], ");
}

// The window that t (s) is in: true, with its bounds.
static bool window_of(const when_t *w, int64_t t, int64_t *start, int64_t *end)
{
    int64_t day = (t + berlin_offset(t)) / DAY * DAY;
    for (int d = -1; d <= 0; d++)
        for (int i = 0; i < WINDOWS; i++) {
            int64_t from = day + d * DAY + (w->first_minute + i * CYCLE) % 1440 * 60;
            *start = berlin_instant(from);
            *end = berlin_instant(from + OPEN * 60);
            if (t >= *start && t < *end) return true;
        }
    return false;
}

static bool cron_fires(const when_t *w, int64_t t)
{
    if (t % w->step) return false;
    if (w->all_hours) return true;
    if (t >= autumn && t < autumn + HOUR) return false; // the clock shows these a second time
    return (t + berlin_offset(t)) / HOUR % 24 != 23;
}

bool schedule_is_due(const when_t *w, int64_t t)
{
    int64_t start, end;
    if (w->kind == WHEN_CRON) return t % 1000 == 0 && cron_fires(w, t / 1000);
    if (w->kind == WHEN_WINDOWS) return window_of(w, t / 1000, &start, &end);
    return w->kind != WHEN_TRIGGERED;
}

// Any window between two moments, s.
static bool opens_between(const when_t *w, int64_t from, int64_t to)
{
    int64_t start, end;
    for (int64_t t = from; t < to && t < from + SECONDS_MAX; t++)
        if (window_of(w, t, &start, &end)) return true;
    return false;
}

static bool window_follows(const when_t *w, int64_t every, int64_t before, int64_t due)
{
    int64_t start, end, next_start, next_end;
    if (!window_of(w, before / 1000, &start, &end) || !window_of(w, due / 1000, &next_start, &next_end))
        return false;
    if (start == next_start) return due == before + every;
    return before + every >= end * 1000 && due < next_start * 1000 + every &&
           !opens_between(w, end, next_start);
}

bool schedule_follows(const when_t *w, int64_t every, int64_t before, int64_t due)
{
    switch (w->kind) {
    case WHEN_PERIOD: return due == before + every;
    case WHEN_CRON:
        for (int64_t t = before / 1000 + 1; t < due / 1000; t++)
            if (cron_fires(w, t)) return false;
        return schedule_is_due(w, due);
    case WHEN_WINDOWS: return window_follows(w, every, before, due);
    case WHEN_CONTINUOUS: return due >= before + w->gap * 97 / 100 && due <= before + w->gap + GOES_ON_MS;
    default: return false;
    }
}

bool schedule_overdue(const when_t *w, int64_t every, int64_t before, int64_t now)
{
    int64_t start, end, open = 0;
    switch (w->kind) {
    case WHEN_PERIOD: return now > before + every;
    case WHEN_CRON:
        for (int64_t t = before / 1000 + 1; t <= now / 1000; t++)
            if (cron_fires(w, t)) return true;
        return false;
    case WHEN_WINDOWS: // a whole period of one
        for (int64_t t = before / 1000 + 1; t <= now / 1000; t++) {
            open = window_of(w, t, &start, &end) ? open + 1 : 0;
            if (open > every / 1000 + 1) return true;
        }
        return false;
    case WHEN_CONTINUOUS: return now > before + w->gap + GOES_ON_MS;
    default: return false;
    }
}
