// Civil: days of the Gregorian calendar, proleptic (Hinnant, "chrono-compatible low-level date algorithms").
#ifndef RTM_COMMON_CIVIL_H
#define RTM_COMMON_CIVIL_H

#include <stdint.h>

enum { CIVIL_DAY = 86400 }; // seconds

typedef struct {
    int64_t year;
    int month, day; // 1-based
} civil_t;

// Days from 1970-01-01. month 1..12; day may lie outside of its month.
int64_t civil_days(int64_t year, int month, int day);
civil_t civil_of(int64_t days);
// 0 is Sunday.
int civil_weekday(int64_t days);
int civil_month_length(int64_t year, int month);
// a / b, rounded down; b > 0.
int64_t civil_floor(int64_t a, int64_t b);

#endif
