// Date plain: see date_plain.h.
#include "miner/read/date_plain.h"

#include <stdbool.h>
#include <string.h>

#include "common/civil.h"
#include "miner/read/blocks.h"
#include "miner/read/date_digits.h"
#include "proto/limits.h"

typedef struct {
    int year, month, day, hour, minute, second, ms;
    int zone; // minutes
} plain_t;

static bool are_digits(const char *s)
{
    return is_digit(s[0]) && is_digit(s[1]);
}

// Does s look like form, of as many bytes as a block? There, 0 is a digit, and a letter (a) whatever it is.
static inline bool has_form(const char *s, const char *form)
{
    block_t now = block_load(s), like = block_load(form);
    block_t digit = (block_t)(like == '0') & (block_t)(now - '0' <= 9);
    return !block_any(~((block_t)(now == like) | (block_t)(like == 'a') | digit));
}

// "+00:00" or "+0000" at s, to the end.
static bool plain_offset(const char *s, size_t len, int *zone)
{
    bool colon = len == 6 && s[3] == ':';
    if ((len != 5 && !colon) || (*s != '+' && *s != '-') || !are_digits(s + 1) || !are_digits(s + len - 2))
        return false;
    int hours = two(s + 1), minutes = two(s + len - 2);
    *zone = (*s == '-' ? -1 : 1) * (hours * 60 + minutes);
    return hours <= 15 && minutes < 60;
}

static void take_clock(plain_t *d, const char *s)
{
    d->hour = two(s);
    d->minute = two(s + 3);
    d->second = two(s + 6);
}

static bool plain_rfc3339(const char *s, size_t len, plain_t *d)
{
    if (len < 20 || !has_form(s, "0000-00-00T00:00") || !has_form(s + 3, "0-00-00T00:00:00")) return false;
    d->year = two(s) * 100 + two(s + 2);
    d->month = two(s + 5);
    d->day = two(s + 8);
    take_clock(d, s + 11);
    size_t i = 19;
    if (s[i] == '.') {
        while (++i < len && is_digit(s[i])) {
        }
        if (i == 20) return false;
        d->ms = fraction_ms(s + 20, i - 20);
    }
    return (i + 1 == len && s[i] == 'Z') || plain_offset(s + i, len - i, &d->zone);
}

static int three_letters(const char *s, const char *names)
{
    for (int i = 0; *names; i++, names += 3)
        if (memcmp(s, names, 3) == 0) return i;
    return -1;
}

static bool plain_rfc822(const char *s, size_t len, plain_t *d)
{
    if (len < 28 || !has_form(s + 3, ", 00 aaa 0000 00") || !has_form(s + 10, "a 0000 00:00:00 "))
        return false;
    d->day = two(s + 5);
    d->month = three_letters(s + 8, "JanFebMarAprMayJunJulAugSepOctNovDec") + 1;
    d->year = two(s + 12) * 100 + two(s + 14);
    take_clock(d, s + 17);
    if (d->month == 0 || three_letters(s, "MonTueWedThuFriSatSun") < 0) return false;
    return (len == 29 && memcmp(s + 26, "GMT", 3) == 0) || plain_offset(s + 26, len - 26, &d->zone);
}

static int64_t moment(const plain_t *d)
{
    bool midnight = d->hour == 24 && d->minute == 0 && d->second == 0;
    if (d->year < 1 || d->month < 1 || d->month > 12 || d->day < 1 ||
        (d->day > 28 && d->day > civil_month_length(d->year, d->month)))
        return TIME_NONE;
    if ((d->hour >= 24 && !midnight) || d->minute >= 60 || d->second > 60) return TIME_NONE;
    int64_t s = civil_days(d->year, d->month, d->day) * CIVIL_DAY;
    s += d->hour * 3600 + (d->minute - d->zone) * 60 + d->second;
    return s * 1000 + d->ms;
}

int64_t date_plain(const char *text, size_t len)
{
    plain_t d = {.zone = 0};
    if (plain_rfc3339(text, len, &d)) return moment(&d);
    d = (plain_t){.zone = 0};
    return plain_rfc822(text, len, &d) ? moment(&d) : TIME_NONE;
}

int64_t date_unix(const char *s, size_t len)
{
    size_t n = 0;
    uint64_t value = 0; // of at most 19 digits
    if (len > 6 && memcmp(s, "/date(", 6) == 0) s += 6, len -= 6;
    for (; n < len && n < 19 && is_digit(s[n]); n++) value = value * 10 + (uint64_t)(s[n] - '0');
    bool whole = n == len || s[n] == ')';
    if (n == 9 || n == 10) {
        if (whole) return value * 1000;
        if (s[n] != '.' || n + 1 == len) return TIME_NONE;
        for (size_t i = n + 1; i < len; i++) {
            if (!is_digit(s[i])) return TIME_NONE;
        }
        return value * 1000 + fraction_ms(s + n + 1, len - n - 1);
    }
    if (n == 13 && (whole || s[n] == '+' || s[n] == '-')) return value;
    if (n == 19 && whole) return value / 1000000;
    return n == 16 && whole ? value / 1000 : TIME_NONE;
}
