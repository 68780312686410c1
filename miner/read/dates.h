// Dates: text as publishers write it -> a moment. Pure: no locale, no clock, no allocation.
#ifndef RTM_MINER_DATES_H
#define RTM_MINER_DATES_H

#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "proto/template.h"

// text as ms since 1970 UTC, or TIME_NONE where it is no date that can be trusted: unreadable, a day that no
// month has, an offset beyond 15:59, a year outside 1 to 9999. Reads RFC 822/2822/5322, 850, 3339, ISO 8601
// (calendar, week and ordinal dates), asctime, W3CDTF, the layouts in use beside them, unix seconds, ms, us
// and ns. A date without zone is in that of sense, else UTC (of two such moments, as clocks are put back, the
// earlier), without time midnight; two-digit years are 1950 to 2049 (RFC 5322, 4.3). The weekday is not
// checked: publishers err in it more often than in the date. Month names in the large languages are known.
// sense may be NULL.
int64_t date_parse(const char *text, size_t len, const date_sense_t *sense);

// "24 Jul", "11月27日 15:20", "24.11.": the latest such moment that is not after now (ms); or TIME_NONE. Of
// two bare numbers the order must be sense's, unless both end with a dot.
int64_t date_without_year(const char *text, size_t len, const date_sense_t *sense, int64_t now);

#endif
