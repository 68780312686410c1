// Date, relative: "3 hours ago", "yesterday 10:30", "Thu 11:02", "24 Jul" and their like in some thirty
// languages. Pure: now is an argument.
#ifndef RTM_MINER_DATE_RELATIVE_H
#define RTM_MINER_DATE_RELATIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"
#include "proto/template.h"

// The moment that text means at now (both ms since 1970), rounded down to the minute; or TIME_NONE. Days are
// those of sense's zone; a day without a time is its midnight; of a weekday, a day without its year and a
// time without a day the latest is meant. What lies ahead ("in 3 hours") is no date.
int64_t date_relative(const char *text, const date_sense_t *sense, int64_t now);

// Would it be such a date, whenever it was fetched?
bool date_is_relative(const char *text, const date_sense_t *sense);

#endif
