// Schedule: when a template's sources may be polled, in its time zone: active hours, cron, and the words for
// both. grid.h puts a source's own phase on it. Times are broker ms.
#ifndef RTM_BROKER_SCHEDULE_H
#define RTM_BROKER_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/zone.h"
#include "proto/template.h"

typedef struct {
    const template_t *template;
    const zone_t *zone; // NULL: UTC
} schedule_t;

// Active hours: start <= t < end.
typedef struct {
    int64_t start, end;
} window_t;

#define SCHEDULE_NEVER (INT64_MAX / 4)

// Whether dues follow from the template's period alone.
bool schedule_is_plain(const template_t *template);
// The window that t is in, or else the next one. Without `windows` one that never ends.
window_t schedule_window(const schedule_t *schedule, int64_t t);
// The last window that begins at or before t.
window_t schedule_window_before(const schedule_t *schedule, int64_t t);
// The first active moment at or after t.
int64_t schedule_opens(const schedule_t *schedule, int64_t t);

// Cron within the windows. The first fire after `after`, or SCHEDULE_NEVER; the last at or before upto, or
// -SCHEDULE_NEVER; how many are in (after, upto].
int64_t schedule_next(const schedule_t *schedule, int64_t after);
int64_t schedule_last(const schedule_t *schedule, int64_t upto);
uint64_t schedule_count(const schedule_t *schedule, int64_t after, int64_t upto);

// 0, or -1 with *error set: nothing would ever be due.
int schedule_check(const schedule_t *schedule, int64_t now, template_error_t *error);
// Why the next due is when it is: "cron \"0 3 * * *\" (Europe/Berlin)", "outside of its active hours until
// 2026-11-26 08:00 (Europe/Berlin)", "every 30 s". Returns out.
const char *schedule_words(const schedule_t *schedule, int64_t now, char *out, size_t size);

#endif
