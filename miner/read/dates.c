// Dates: date_scan.h finds what stands in the folded text; here the numbers are given their parts in the date
// by form and place. What the two do not account for makes it no date.
#include "miner/read/dates.h"

#include <stdbool.h>

#include "common/civil.h"
#include "miner/read/date_plain.h"
#include "miner/read/date_scan.h"
#include "miner/read/date_words.h"

enum { MAX_TEXT = 200 };

// -- which number is what -------------------------------------------------------------------------

static bool set_date(date_t *d, int year_at, int month_at, int day_at)
{
    if (year_at >= 0) d->year = date_full_year(d->numbers[year_at].value, d->numbers[year_at].digits);
    if (month_at >= 0) d->month = d->numbers[month_at].value;
    if (day_at >= 0) d->day = d->numbers[day_at].value;
    return true;
}

static bool is_year(const date_t *d, int i)
{
    return d->numbers[i].digits >= 3 || d->numbers[i].value > 31;
}

// The month has a name.
static bool assign_with_month(date_t *d)
{
    if (d->year >= 0) return d->n_numbers == 0 || (d->n_numbers == 1 && set_date(d, -1, -1, 0));
    if (d->n_numbers == 1) {
        d->day = 1;
        return d->numbers[0].digits == 4 && set_date(d, 0, -1, -1);
    }
    if (d->n_numbers != 2) return false;
    return is_year(d, 0) ? set_date(d, 0, -1, 1) : set_date(d, 1, -1, 0);
}

static bool assign_three(date_t *d, date_order_t order)
{
    char separator = d->numbers[1].before;
    int a = d->numbers[0].value, b = d->numbers[1].value, c = d->numbers[2].value;
    if (is_year(d, 0)) return set_date(d, 0, 1, 2);
    switch (order) {
    case DATE_ORDER_DMY: return set_date(d, 2, 1, 0);
    case DATE_ORDER_MDY: return set_date(d, 2, 0, 1);
    case DATE_ORDER_YMD: return set_date(d, 0, 1, 2);
    case DATE_ORDER_USUAL: break;
    }
    if (!is_year(d, 2) && d->numbers[0].digits == 2 && d->numbers[2].digits == 2 && separator == '-' &&
        b <= 12 && c > 0)
        return set_date(d, 0, 1, 2); // YY-MM-DD, as ISO 8601 once had it
    bool month_first = separator == '/' ? a <= 12 : b > 12;
    return month_first ? set_date(d, 2, 0, 1) : set_date(d, 2, 1, 0);
}

static bool assign_two(date_t *d)
{
    if (d->numbers[0].digits == 4 && d->numbers[1].digits == 3) {
        d->day_of_year = d->numbers[1].value;
        return set_date(d, 0, -1, -1);
    }
    d->day = 1;
    if (d->numbers[0].digits == 4) return set_date(d, 0, 1, -1);
    return d->numbers[1].digits == 4 && set_date(d, 1, 0, -1);
}

static bool assign(date_t *d, date_order_t order)
{
    if (d->year >= 0 && d->month > 0 && d->day > 0) return d->n_numbers == 0;
    if (d->week > 0) return d->n_numbers == 1 && d->day_of_year <= 0 && d->year < 0 && set_date(d, 0, -1, -1);
    if (d->year >= 0 && d->day_of_year > 0) return d->n_numbers == 0;
    if (d->month > 0) {
        if (d->day <= 0 && d->year >= 0 && d->n_numbers == 0) d->day = 1;
        return assign_with_month(d);
    }
    switch (d->n_numbers) {
    case 3: return assign_three(d, order);
    case 2: return assign_two(d);
    case 1: d->month = d->day = 1; return d->hour < 0 && d->numbers[0].digits == 4 && set_date(d, 0, -1, -1);
    }
    return false;
}

// -- the moment -----------------------------------------------------------------------------------

// Days since 1970, or false where there is no such day.
static bool day_of_date(const date_t *d, int64_t *days)
{
    if (d->day_of_year > 0) {
        *days = civil_days(d->year, 1, d->day_of_year);
        return *days < civil_days(d->year + 1, 1, 1);
    }
    if (d->month < 1 || d->month > 12 || d->day < 1 || d->day > civil_month_length(d->year, d->month))
        return false;
    *days = civil_days(d->year, d->month, d->day);
    return true;
}

static bool days_of(date_t *d, int64_t *days)
{
    if (d->year < 1 || d->year > 9999) return false;
    if (d->year >= 1300 && d->year < 1500) return false; // of Persian and Islamic calendars
    if (d->buddhist && d->year > 2400) d->year -= 543;
    if (d->week <= 0) return day_of_date(d, days);
    int64_t fourth = civil_days(d->year, 1, 4),
            monday = fourth - (civil_weekday(fourth) + 6) % 7; // of week 1
    *days = monday + (d->week - 1) * 7 + d->weekday - 1;
    return d->week <= 53;
}

static bool check_time(date_t *d)
{
    if (d->hour < 0) d->hour = d->minute = d->second = d->ms = 0;
    if (d->pm && d->hour < 12) d->hour += 12;
    if (d->am && d->hour == 12) d->hour = 0;
    bool midnight = d->hour == 24 && d->minute == 0 && d->second == 0;
    return (d->hour < 24 || midnight) && d->minute < 60 && d->second <= 60;
}

static int64_t moment(date_t *d, const date_sense_t *sense)
{
    int64_t days;
    if (!days_of(d, &days) || !check_time(d)) return TIME_NONE;
    int64_t wall = days * 86400 + d->hour * 3600 + d->minute * 60 + d->second;
    if (d->has_area && !d->has_offset) return zone_instant(d->area, wall) * 1000 + d->ms;
    if (!d->has_zone && sense->zoned) return zone_instant(sense->zone, wall) * 1000 + d->ms;
    if (!d->has_zone && d->korean) d->zone = 540; // nobody else writes these, and they leave the zone out
    return (wall - d->zone * 60) * 1000 + d->ms;
}

// No year is written without a digit, but in other scripts.
static bool may_be_date(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((text[i] >= '0' && text[i] <= '9') || (unsigned char)text[i] >= 0x80) return true;
    return false;
}

// Folds text; what of it may be a date, at *start of folded. Its length.
static size_t fold(const char *text, size_t len, char folded[MAX_TEXT + 4], size_t *start)
{
    size_t n = date_fold(text, len, folded, MAX_TEXT + 4);
    for (*start = 0; *start < n && folded[*start] == ' ';) ++*start;
    while (n > *start && folded[n - 1] == ' ') n--;
    return n - *start;
}

int64_t date_parse(const char *text, size_t len, const date_sense_t *sense)
{
    static const date_sense_t usual;
    int64_t ms = date_plain(text, len);
    if (ms == TIME_NONE) ms = date_unix(text, len);
    if (ms != TIME_NONE) return ms;
    if (!may_be_date(text, len)) return TIME_NONE;
    char folded[MAX_TEXT + 4];
    size_t start, n = fold(text, len, folded, &start);
    if (!n || folded[start] == '-') return TIME_NONE; // a year before Christ, or without its century
    if (n > 1 && folded[start] == '@') start++, n--;
    ms = date_unix(folded + start, n);
    if (ms != TIME_NONE) return ms;
    date_t d;
    if (!sense) sense = &usual;
    return date_scan(folded + start, n, &d) && assign(&d, sense->order) ? moment(&d, sense) : TIME_NONE;
}

// The month and day of a date that has no year.
static bool assign_day(date_t *d, date_order_t order)
{
    if (d->year >= 0 || d->era || d->week > 0 || d->day_of_year > 0) return false;
    for (int i = 0; i < d->n_numbers; i++)
        if (d->numbers[i].digits > 2) return false;
    if (d->month > 0 && d->day > 0) return d->n_numbers == 0;
    if (d->month > 0) return d->n_numbers == 1 && set_date(d, -1, -1, 0);
    if (d->n_numbers != 2 || d->day > 0) return false;
    bool dots = d->numbers[1].before == '.' && d->separator == '.';
    if (order == DATE_ORDER_USUAL && !dots) return false;
    bool day_first = order == DATE_ORDER_USUAL || order == DATE_ORDER_DMY;
    return day_first ? set_date(d, -1, 1, 0) : set_date(d, -1, 0, 1);
}

int64_t date_without_year(const char *text, size_t len, const date_sense_t *sense, int64_t now)
{
    char folded[MAX_TEXT + 4];
    date_t d;
    size_t start, n = fold(text, len, folded, &start);
    if (!n || !date_scan(folded + start, n, &d) || !assign_day(&d, sense->order)) return TIME_NONE;
    int64_t today = civil_floor(zone_local(sense->zone, now / 1000), 86400);
    for (int back = 0; back < 2; back++) {
        date_t that = d;
        that.year = civil_of(today).year - back;
        int64_t ms = moment(&that, sense);
        if (ms != TIME_NONE && ms <= now) return ms;
    }
    return TIME_NONE;
}
