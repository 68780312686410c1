// Date scan: what stands in a date, one piece after the other: numbers, names, a clock time, an offset. For
// dates.c only, which says what they mean together.
#ifndef RTM_MINER_DATE_SCAN_H
#define RTM_MINER_DATE_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/zone.h"

enum { DATE_NUMBERS = 4 };

// What stood last, for what may follow it.
typedef enum { LAST_NONE, LAST_NUMBER, LAST_T, LAST_CLOCK, LAST_ZONE_NAME, LAST_OTHER } last_t;

typedef struct {
    const char *p, *end;
    last_t last;
    char separator; // the last punctuation since the last number

    struct {
        int value, digits;
        char before; // separator before it
    } numbers[DATE_NUMBERS];
    int n_numbers;

    int year, month, day; // known for sure; -1
    bool month_weak;      // "mar" may be mardi
    int week, weekday, day_of_year;
    int hour, minute, second, ms; // hour -1: no time
    bool pm, am;
    bool has_zone, has_offset, korean;
    bool buddhist;   // years of Thailand
    bool month_next; // the next number is a month: Vietnamese "thang 1"
    int era;         // the year before the first of a Japanese era, or 0
    bool has_area;   // the zone is that of a place
    const zone_t *area;
    int zone; // minutes
    int unknown_words;
} date_t;

// Reads the folded text s (see date_words.h). false: something stands there that no date has.
bool date_scan(const char *s, size_t len, date_t *d);
// The year that a number of so many digits means.
int date_full_year(int value, int digits);

#endif
