// Schedule: windows of a week are laid onto the calendar where they are asked for; cron fires that no window
// holds are passed over from window to window.
#include "broker/schedule.h"

#include <stdio.h>

#include "common/civil.h"

enum {
    SECOND = 1000,
    MINUTE = 60, // s
    WEEK = 7 * CIVIL_DAY,
    WEEK_MINUTES = WEEK / MINUTE,
    TRIED = 1000,           // windows in a row that a change of the clock may have swallowed
    MONDAY = 4 * CIVIL_DAY, // the first of them was on 1970-01-05
};
#define HORIZON (CRON_YEARS * 366LL * CIVIL_DAY * SECOND)

bool schedule_is_plain(const template_t *t)
{
    return t->mode == MODE_SCHEDULED && !t->cron && !t->n_windows;
}

// -- windows ------------------------------------------------------------------------------------------

static const window_t always = {-SCHEDULE_NEVER, SCHEDULE_NEVER};

// How far the wall has come at t: the Monday of its week (s) and the minute since then. A window has begun,
// or ended, when the wall has come there: see zone_shown.
typedef struct {
    int64_t week;
    int32_t minute;
} wall_t;

static wall_t wall_at(const schedule_t *when, int64_t t)
{
    int64_t shown = zone_shown(when->zone, civil_floor(t, SECOND));
    int64_t week = civil_floor(shown - MONDAY, WEEK) * WEEK + MONDAY;
    return (wall_t){week, (int32_t)((shown - week) / MINUTE)};
}

static window_t window(const schedule_t *when, int64_t week, const week_span_t *span)
{
    return (window_t){zone_instant(when->zone, week + (int64_t)span->from * MINUTE) * SECOND,
                      zone_instant(when->zone, week + (int64_t)span->to * MINUTE) * SECOND};
}

// How many of the week's spans end at or before minute; how many begin at or before it.
static size_t ended(const template_t *t, int32_t minute)
{
    size_t low = 0, high = t->n_windows;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (t->windows[middle].to <= minute)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t begun(const template_t *t, int32_t minute)
{
    size_t n = ended(t, minute);
    return n < t->n_windows && t->windows[n].from <= minute ? n + 1 : n;
}

window_t schedule_window(const schedule_t *when, int64_t t)
{
    const template_t *template = when->template;
    size_t n = template->n_windows;
    if (!n) return always;
    wall_t wall = wall_at(when, t);
    size_t k = ended(template, wall.minute);
    if (template->windows[n - 1].to > wall.minute + WEEK_MINUTES) { // it began in the week before
        wall.week -= WEEK;
        k = n - 1;
    }
    for (size_t i = 0; i < TRIED; i++, k++) {
        if (k == n) wall.week += WEEK, k = 0;
        window_t w = window(when, wall.week, &template->windows[k]);
        if (w.end > w.start) return w; // else a change of the clock has swallowed it
    }
    return (window_t){SCHEDULE_NEVER, SCHEDULE_NEVER};
}

window_t schedule_window_before(const schedule_t *when, int64_t t)
{
    const template_t *template = when->template;
    if (!template->n_windows) return always;
    wall_t wall = wall_at(when, t);
    size_t k = begun(template, wall.minute);
    for (size_t i = 0; i < TRIED; i++, k--) {
        if (k == 0) wall.week -= WEEK, k = template->n_windows;
        window_t w = window(when, wall.week, &template->windows[k - 1]);
        if (w.end > w.start) return w;
    }
    return (window_t){-SCHEDULE_NEVER, -SCHEDULE_NEVER};
}

int64_t schedule_opens(const schedule_t *when, int64_t t)
{
    window_t w = schedule_window(when, t);
    return w.start > t ? w.start : t;
}

// -- cron ---------------------------------------------------------------------------------------------

static int64_t fire_after(const schedule_t *when, int64_t after)
{
    int64_t t = cron_next(when->template->cron, when->zone, civil_floor(after, SECOND));
    return t == CRON_NEVER ? SCHEDULE_NEVER : t * SECOND;
}

static int64_t fire_upto(const schedule_t *when, int64_t upto)
{
    int64_t t = cron_last(when->template->cron, when->zone, civil_floor(upto, SECOND));
    return t == -CRON_NEVER ? -SCHEDULE_NEVER : t * SECOND;
}

int64_t schedule_next(const schedule_t *when, int64_t after)
{
    int64_t t = fire_after(when, after);
    while (t < after + HORIZON) {
        window_t w = schedule_window(when, t);
        if (w.start <= t) return t;
        t = fire_after(when, w.start - 1);
    }
    return SCHEDULE_NEVER;
}

int64_t schedule_last(const schedule_t *when, int64_t upto)
{
    int64_t t = fire_upto(when, upto);
    while (t > upto - HORIZON) {
        window_t w = schedule_window_before(when, t);
        if (w.end > t) return t;
        t = fire_upto(when, w.end - 1);
    }
    return -SCHEDULE_NEVER;
}

uint64_t schedule_count(const schedule_t *when, int64_t after, int64_t upto)
{
    uint64_t n = 0;
    if (after < upto - HORIZON) after = upto - HORIZON;
    for (window_t w; after < upto; after = w.end - 1) {
        w = schedule_window(when, after + 1);
        if (w.start > upto) break;
        int64_t from = w.start - 1 > after ? w.start - 1 : after, to = w.end - 1 < upto ? w.end - 1 : upto;
        n += cron_count(when->template->cron, when->zone, civil_floor(from, SECOND), civil_floor(to, SECOND));
    }
    return n;
}

// -- words --------------------------------------------------------------------------------------------

int schedule_check(const schedule_t *when, int64_t now, template_error_t *error)
{
    const template_t *t = when->template;
    if (!t->cron || schedule_next(when, now) != SCHEDULE_NEVER) return 0;
    if (!t->n_windows)
        return template_fail(error, "cron", "\"%.60s\" does not fire in the next %d years", t->cron_text,
                             CRON_YEARS);
    return template_fail(error, "windows",
                         "cron \"%.60s\" never fires within them; widen them, or leave them out",
                         t->cron_text);
}

// ms in the largest unit of which it is a whole number.
static void duration(char out[32], int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (ms % units[i].ms) i++;
    snprintf(out, 32, "%lld %s", (long long)(ms / units[i].ms), units[i].unit);
}

const char *schedule_words(const schedule_t *when, int64_t now, char *out, size_t size)
{
    const template_t *t = when->template;
    char text[32];
    int64_t opens = t->mode == MODE_TRIGGERED ? now : schedule_opens(when, now);
    if (opens > now) {
        int64_t local = zone_local(when->zone, civil_floor(opens, SECOND)),
                day = civil_floor(local, CIVIL_DAY);
        civil_t c = civil_of(day);
        int minute = (int)(local - day * CIVIL_DAY) / MINUTE;
        snprintf(out, size, "outside of its active hours until %04lld-%02d-%02d %02d:%02d (%s)",
                 (long long)c.year, c.month, c.day, minute / 60, minute % 60, t->timezone);
    } else if (t->mode == MODE_TRIGGERED) {
        snprintf(out, size, "polled only when it is triggered");
    } else if (t->mode == MODE_CONTINUOUS) {
        duration(text, t->min_gap_ms);
        snprintf(out, size, "again %s after its last poll has ended", text);
    } else if (t->cron) {
        snprintf(out, size, "cron \"%s\" (%s)", t->cron_text, t->timezone);
    } else {
        duration(text, t->every_ms);
        snprintf(out, size, "every %s%s", text, t->n_windows ? " in its active hours" : "");
    }
    return out;
}
