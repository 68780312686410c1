// Cron: expressions of five fields as in Vixie cron (minute, hour, day of the month, month, day of the week),
// of six with seconds in front, and @daily and its like. If both days are restricted, either will do.
//
// Clock changes: a job whose hours are all 24 goes by the clock on the wall and so on in real time. Any other
// fires once for each of its times: right after the change where the clock skips the time, the first time
// where the clock shows it twice.
#ifndef RTM_PROTO_CRON_H
#define RTM_PROTO_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/zone.h"

typedef struct {
    uint64_t seconds, minutes; // bit n: n matches
    uint32_t hours, days, months, weekdays;
    bool any_day, any_weekday; // the field begins with a star
} cron_t;

enum { CRON_MAX = 256, CRON_YEARS = 9 }; // bytes of a text; how far a next fire is looked for
#define CRON_NEVER INT64_MAX

// 0, or -1: why says what is wrong and what would be right.
int cron_parse(cron_t *cron, const char *text, char *why, size_t size);

// Fires are instants in seconds. The first after `after`, or CRON_NEVER.
int64_t cron_next(const cron_t *cron, const zone_t *zone, int64_t after);
// The last at or before upto, or -CRON_NEVER.
int64_t cron_last(const cron_t *cron, const zone_t *zone, int64_t upto);
// How many are in (after, upto].
uint64_t cron_count(const cron_t *cron, const zone_t *zone, int64_t after, int64_t upto);
// Seconds between two fires, on the average of a year.
int64_t cron_mean(const cron_t *cron);

#endif
