// Template, schedule: when sources are due, and what is promised.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/zone.h"
#include "proto/template_json.h"

#define ROWS(array) (sizeof(array) / sizeof *(array))

enum {
    SECOND = 1000,
    DAY = 86400 * SECOND,
    MAX_WINDOWS = 32,
    MAX_DAYS_TEXT = 100,
    DAY_MINUTES = 1440,
    WEEK_MINUTES = 7 * DAY_MINUTES,
};

static const char *const priorities[] = {"low", "normal", "high", "critical", NULL};
static const char *const modes[] = {"scheduled", "triggered", "continuous", NULL};
static const char *const catch_ups[] = {"latest", "skip", NULL};
static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun", NULL};

// -- members --------------------------------------------------------------------------------------

int member_every(parse_t *p, yyjson_val *value, const char *path)
{
    return read_duration(p, value, path, SECOND, 366LL * DAY, &p->t->every_ms);
}

int member_fresh_within(parse_t *p, yyjson_val *value, const char *path)
{
    return read_duration(p, value, path, SECOND, 366LL * DAY, &p->t->fresh_within_ms);
}

int member_timeout(parse_t *p, yyjson_val *value, const char *path)
{
    return read_duration(p, value, path, SECOND, 300 * SECOND, &p->t->timeout_ms);
}

int member_priority(parse_t *p, yyjson_val *value, const char *path)
{
    int priority;
    if (read_word(p, value, path, priorities, &priority) != 0) return -1;
    p->t->priority = (priority_t)priority;
    return 0;
}

int member_mode(parse_t *p, yyjson_val *value, const char *path)
{
    int mode;
    if (read_word(p, value, path, modes, &mode) != 0) return -1;
    p->t->mode = (template_mode_t)mode;
    return 0;
}

int member_min_gap(parse_t *p, yyjson_val *value, const char *path)
{
    return read_duration(p, value, path, SECOND, DAY, &p->t->min_gap_ms);
}

int member_catch_up(parse_t *p, yyjson_val *value, const char *path)
{
    int word;
    if (read_word(p, value, path, catch_ups, &word) != 0) return -1;
    p->t->catch_up = (catch_up_t)word;
    p->catch_up_given = true;
    return 0;
}

int member_cron(parse_t *p, yyjson_val *value, const char *path)
{
    char why[200];
    if (read_text(p, value, path, CRON_MAX, &p->t->cron_text) != 0) return -1;
    if (!(p->t->cron = arena_calloc(p->arena, 1, sizeof *p->t->cron)))
        return template_fail(p->error, path, "the template is too big");
    if (cron_parse(p->t->cron, p->t->cron_text, why, sizeof why) == 0) return 0;
    return template_fail(p->error, path, "%s", why);
}

int member_timezone(parse_t *p, yyjson_val *value, const char *path)
{
    if (read_text(p, value, path, ZONE_MAX_NAME, &p->t->timezone) != 0) return -1;
    if (zone_name_is_sound(p->t->timezone)) return 0;
    return template_fail(p->error, path,
                         "\"%.40s\" is no name of a time zone; right would be \"Europe/Berlin\"",
                         p->t->timezone);
}

// -- windows ----------------------------------------------------------------------------------------

// One window as it is written: bits of its days from Monday on, minutes of the day.
typedef struct {
    unsigned days;
    int from, to;
} written_t;

static int day_of(const char *text, size_t len)
{
    for (int i = 0; len == 3 && days[i]; i++)
        if (strncasecmp(days[i], text, 3) == 0) return i;
    return -1;
}

// "mon-fri", "sat,sun", "fri-mon": around the week's end, too.
static int read_days(parse_t *p, yyjson_val *value, const char *path, unsigned *bits)
{
    const char *text;
    if (read_text(p, value, path, MAX_DAYS_TEXT, &text) != 0) return -1;
    *bits = 0;
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ","), dash = strcspn(at, "-,");
        int from = day_of(at, dash), to = dash < len ? day_of(at + dash + 1, len - dash - 1) : from;
        if (from < 0 || to < 0)
            return template_fail(p->error, path,
                                 "\"%.40s\" names no days; right would be \"mon-fri\" or \"sat,sun\"", text);
        for (int day = from;; day = (day + 1) % 7) {
            *bits |= 1U << day;
            if (day == to) break;
        }
        at += len;
        if (!*at) return 0;
    }
}

static int read_minute(parse_t *p, yyjson_val *value, const char *path, int *out)
{
    const char *t;
    if (read_text(p, value, path, 20, &t) != 0) return -1;
    bool shape = strlen(t) == 5 && isdigit((unsigned char)t[0]) && isdigit((unsigned char)t[1]) &&
                 t[2] == ':' && isdigit((unsigned char)t[3]) && isdigit((unsigned char)t[4]);
    int hour = shape ? atoi(t) : 99, minute = shape ? atoi(t + 3) : 99;
    *out = hour * 60 + minute;
    if (minute < 60 && *out <= DAY_MINUTES) return 0;
    return template_fail(p->error, path,
                         "\"%.20s\" is no time of day; right would be \"08:00\" (\"00:00\" to \"24:00\")", t);
}

static int read_window(parse_t *p, yyjson_val *window, const char *path, written_t *w)
{
    yyjson_val *key, *value;
    size_t i, n;
    *w = (written_t){.days = 0x7f, .from = -1, .to = -1};
    if (!yyjson_is_obj(window))
        return template_fail(
            p->error, path,
            "must be an object: {\"days\": \"mon-fri\", \"from\": \"08:00\", \"to\": \"18:00\"}");
    yyjson_obj_foreach(window, i, n, key, value)
    {
        char where[MAX_PATH];
        const char *name = yyjson_get_str(key);
        path_member(where, path, name);
        int rc = strcmp(name, "days") == 0   ? read_days(p, value, where, &w->days)
                 : strcmp(name, "from") == 0 ? read_minute(p, value, where, &w->from)
                 : strcmp(name, "to") == 0
                     ? read_minute(p, value, where, &w->to)
                     : template_fail(p->error, where, "is not known; a window has `days`, `from` and `to`");
        if (rc) return -1;
    }
    if (w->from < 0 || w->to < 0)
        return template_fail(p->error, path, "has no `%s`", w->from < 0 ? "from" : "to");
    if (w->from == w->to || w->from == DAY_MINUTES)
        return template_fail(p->error, path, "is empty; a whole day is \"00:00\" to \"24:00\"");
    return 0;
}

static int by_start(const void *a, const void *b)
{
    const week_span_t *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

// Sorts spans and joins those that meet. n of them are left.
static size_t join(week_span_t *spans, size_t n)
{
    size_t kept = 0;
    if (n) qsort(spans, n, sizeof *spans, by_start);
    for (size_t i = 0; i < n; i++) {
        if (kept && spans[i].from <= spans[kept - 1].to) {
            if (spans[i].to > spans[kept - 1].to) spans[kept - 1].to = spans[i].to;
        } else {
            spans[kept++] = spans[i];
        }
    }
    // what runs over the week's end is one with what begins it
    while (kept > 1 && spans[kept - 1].to >= WEEK_MINUTES + spans[0].from) {
        int32_t end = spans[0].to + WEEK_MINUTES;
        if (end > spans[kept - 1].to) spans[kept - 1].to = end;
        memmove(spans, spans + 1, --kept * sizeof *spans);
    }
    return kept;
}

int member_windows(parse_t *p, yyjson_val *value, const char *path)
{
    size_t count = yyjson_arr_size(value), n = 0, i, all;
    yyjson_val *entry;
    if (!yyjson_is_arr(value))
        return template_fail(
            p->error, path,
            "must be a list: [{\"days\": \"mon-fri\", \"from\": \"08:00\", \"to\": \"18:00\"}]");
    if (count == 0 || count > MAX_WINDOWS)
        return template_fail(p->error, path, "has %zu windows; right would be 1 to %d", count, MAX_WINDOWS);
    week_span_t *spans = arena_calloc(p->arena, count * 7, sizeof *spans);
    if (!spans) return template_fail(p->error, path, "the template is too big");
    yyjson_arr_foreach(value, i, all, entry)
    {
        char where[MAX_PATH];
        written_t w;
        path_index(where, path, i);
        if (read_window(p, entry, where, &w) != 0) return -1;
        int length = w.to > w.from ? w.to - w.from : w.to + DAY_MINUTES - w.from; // else over midnight
        for (int day = 0; day < 7; day++)
            if (w.days >> day & 1)
                spans[n++] = (week_span_t){day * DAY_MINUTES + w.from, day * DAY_MINUTES + w.from + length};
    }
    p->t->windows = spans;
    p->t->n_windows = join(spans, n);
    if (p->t->n_windows == 1 && spans[0].to - spans[0].from >= WEEK_MINUTES) p->t->n_windows = 0; // always
    return 0;
}

// -- the whole ------------------------------------------------------------------------------------

// Members that say nothing in the mode that is given.
static int check_mode(parse_t *p)
{
    const template_t *t = p->t;
    if (t->cron && t->every_ms)
        return template_fail(p->error, "every", "stands beside `cron`; keep one of them");
    if (t->mode != MODE_CONTINUOUS && t->min_gap_ms)
        return template_fail(p->error, "min_gap", "is for \"mode\": \"continuous\"; leave it out");
    if (t->mode == MODE_SCHEDULED) return 0;
    const char *mode = modes[t->mode];
    if (t->cron) return template_fail(p->error, "cron", "mode \"%s\" has no times; leave it out", mode);
    if (t->every_ms) return template_fail(p->error, "every", "mode \"%s\" has no period; leave it out", mode);
    if (p->catch_up_given)
        return template_fail(p->error, "catch_up", "mode \"%s\" misses nothing; leave it out", mode);
    if (t->mode == MODE_TRIGGERED && t->n_windows)
        return template_fail(p->error, "windows",
                             "mode \"triggered\" polls when it is told to; leave it out");
    if (t->mode == MODE_TRIGGERED && t->fresh_within_ms)
        return template_fail(p->error, "fresh_within", "mode \"triggered\" promises nothing; leave it out");
    return 0;
}

static void fill_period(template_t *t)
{
    if (t->cron) t->every_ms = cron_mean(t->cron) * SECOND;
    if (t->mode == MODE_TRIGGERED) t->every_ms = DAY; // a guess, for sharing work out
    if (t->mode == MODE_CONTINUOUS) {
        if (!t->min_gap_ms) t->min_gap_ms = SECOND;
        t->every_ms = t->min_gap_ms;
        if (!t->fresh_within_ms && t->min_gap_ms < 30 * SECOND) t->fresh_within_ms = 60 * SECOND;
    }
    if (t->fresh_within_ms == 0) t->fresh_within_ms = t->every_ms ? t->every_ms * 2 : 60 * SECOND;
    if (t->every_ms == 0) t->every_ms = t->fresh_within_ms / 2;
    if (t->every_ms < SECOND) t->every_ms = SECOND;
}

int template_schedule(parse_t *p)
{
    template_t *t = p->t;
    if (check_mode(p) != 0) return -1;
    fill_period(t);
    if (!t->timezone) t->timezone = "UTC";
    if (t->timeout_ms == 0) t->timeout_ms = (t->kind == KIND_STREAM ? 60 : 20) * SECOND;
    return 0;
}
