// Civil: eras of 400 years that begin in March, so that the leap day is the last of its year.
#include "common/civil.h"

enum { ERA_DAYS = 146097, EPOCH = 719468 }; // EPOCH: days from 0000-03-01 to 1970-01-01

int64_t civil_floor(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t civil_days(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = civil_floor(year, 400), of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH;
}

civil_t civil_of(int64_t days)
{
    days += EPOCH;
    int64_t era = civil_floor(days, ERA_DAYS), day = days - era * ERA_DAYS;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * of_year + 2) / 153); // from March
    civil_t c = {.year = year + era * 400, .day = (int)(of_year - (153 * month + 2) / 5 + 1)};
    c.month = month < 10 ? month + 3 : month - 9;
    c.year += c.month <= 2;
    return c;
}

int civil_weekday(int64_t days)
{
    int64_t since = (days + 4) % 7; // 1970-01-01 was a Thursday
    return (int)(since < 0 ? since + 7 : since);
}

int civil_month_length(int64_t year, int month)
{
    return (int)(civil_days(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1) -
                 civil_days(year, month, 1));
}
