// Date scan: see date_scan.h.
#include "miner/read/date_scan.h"

#include <stdint.h>
#include <string.h>

#include "miner/read/date_digits.h"
#include "miner/read/date_words.h"

// -- numbers --------------------------------------------------------------------------------------

static char peek(const date_t *d, size_t i)
{
    return (size_t)(d->end - d->p) > i ? d->p[i] : '\0';
}

// Reads digits, at most 18 of them.
static int64_t take_digits(date_t *d, int *n)
{
    int64_t value = 0;
    for (*n = 0; is_digit(peek(d, 0)) && *n < 18; d->p++, ++*n) value = value * 10 + (*d->p - '0');
    return value;
}

// A number of more digits than any part of a date has stays one that is none.
static int clipped(int64_t value)
{
    return value > 10000 ? 10000 : (int)value;
}

static bool at_text(const date_t *d, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(d->end - d->p) >= len && memcmp(d->p, text, len) == 0;
}

static bool take_text(date_t *d, const char *text)
{
    if (d->p == d->end || *d->p != *text || !at_text(d, text)) return false;
    d->p += strlen(text);
    return true;
}

static void skip_spaces(date_t *d)
{
    while (peek(d, 0) == ' ') d->p++;
}

// A fraction of a second behind the seconds.
static void take_fraction(date_t *d)
{
    if ((peek(d, 0) != '.' && peek(d, 0) != ',') || !is_digit(peek(d, 1))) return;
    const char *digits = ++d->p;
    while (is_digit(peek(d, 0))) d->p++;
    d->ms = fraction_ms(digits, (size_t)(d->p - digits));
}

// h is read; at the separator c: minutes, and seconds if there are any.
static bool take_clock(date_t *d, int64_t h, char c)
{
    int n;
    if (d->hour >= 0) return false;
    d->hour = clipped(h);
    d->p++;
    skip_spaces(d);
    d->minute = clipped(take_digits(d, &n));
    if (n < 1 || n > 2) return false;
    d->second = 0;
    if (peek(d, 0) == c && is_digit(peek(d, 1))) {
        d->p++;
        d->second = clipped(take_digits(d, &n));
        if (n > 2) return false;
        take_fraction(d);
    }
    d->last = LAST_CLOCK;
    return true;
}

static bool compact_time(date_t *d, const char *s, int n)
{
    if (d->hour >= 0 || n % 2 || n > 6) return false;
    d->hour = two(s);
    d->minute = n > 2 ? two(s + 2) : 0;
    d->second = n > 4 ? two(s + 4) : 0;
    take_fraction(d);
    d->last = LAST_CLOCK;
    return true;
}

int date_full_year(int value, int digits)
{
    if (digits == 3 && value < 200) return value + 1900; // RFC 5322, 4.3
    if (digits > 2) return value;
    return value + (value < 50 ? 2000 : 1900);
}

// Dates without separators: 20240105, 2024005, 240105, 24005, also with the time behind.
static bool compact_date(date_t *d, const char *s, int n)
{
    if (d->year >= 0 || d->n_numbers) return false;
    if (n == 5 || n == 6) {
        d->year = date_full_year(two(s), 2);
        s += 2;
    } else {
        d->year = two(s) * 100 + two(s + 2);
        s += 4;
    }
    if (n == 5 || n == 7) {
        d->day_of_year = (s[0] - '0') * 100 + two(s + 1);
    } else {
        d->month = two(s);
        d->day = two(s + 2);
    }
    d->last = LAST_NUMBER;
    return n > 8 ? compact_time(d, s + 4, n - 8) : true;
}

static bool at_cjk(const date_t *d)
{
    return (unsigned char)peek(d, 0) >= 0xE3 && (unsigned char)peek(d, 0) <= 0xED;
}

// The parts of Chinese, Japanese and Korean dates and times name themselves behind the number.
static bool take_cjk_unit(date_t *d, int64_t value)
{
    static const struct {
        const char *unit;
        char part;
    } units[] = {{"年", 'y'}, {"년", 'k'}, {"月", 'm'}, {"월", 'm'}, {"日", 'd'}, {"号", 'd'},
                 {"號", 'd'}, {"일", 'd'}, {"时", 'H'}, {"時", 'H'}, {"点", 'H'}, {"點", 'H'},
                 {"시", 'H'}, {"分", 'M'}, {"분", 'M'}, {"秒", 'S'}, {"초", 'S'}};
    const char *start = d->p;
    skip_spaces(d);
    for (size_t i = 0; at_cjk(d) && i < sizeof units / sizeof *units; i++) {
        if (!take_text(d, units[i].unit)) continue;
        int v = clipped(value);
        d->last = strchr("HMS", units[i].part) ? LAST_CLOCK : LAST_OTHER;
        switch (units[i].part) {
        case 'k': d->korean = true; /* fall through */
        case 'y': d->year = d->era ? d->era + v : v < 100 ? v + 2000 : v; break;
        case 'm': d->month = v; break;
        case 'd': d->day = v; break;
        case 'H': d->hour = v; break;
        case 'M': d->minute = v; break;
        case 'S': d->second = v; break;
        }
        return true;
    }
    d->p = start;
    return false;
}

static bool date_complete(const date_t *d)
{
    return d->n_numbers + (d->month > 0) >= 3 || (d->year >= 0 && (d->day > 0 || d->day_of_year > 0));
}

static bool push_number(date_t *d, int64_t value, int n)
{
    if (d->month_next && n <= 2) {
        d->month_next = false;
        d->month = clipped(value);
        d->last = LAST_OTHER;
        return true;
    }
    if (d->n_numbers == DATE_NUMBERS || n > 4) return false;
    d->numbers[d->n_numbers].value = (int)value; // of four digits
    d->numbers[d->n_numbers].digits = n;
    d->numbers[d->n_numbers++].before = d->separator;
    d->separator = '\0';
    d->last = LAST_NUMBER;
    return true;
}

// "15h30", "15 h 30", "15h".
static bool at_hour_letter(const date_t *d)
{
    size_t i = peek(d, 0) == ' ' ? 1 : 0;
    char behind = peek(d, i + 1);
    return peek(d, i) == 'h' && (behind == ' ' || is_digit(behind) || behind == '\0');
}

static bool take_hour_letter(date_t *d, int64_t hour)
{
    int n = 0;
    skip_spaces(d);
    d->p++;
    skip_spaces(d);
    d->hour = clipped(hour);
    if (is_digit(peek(d, 0))) d->minute = clipped(take_digits(d, &n));
    skip_spaces(d);
    (void)take_text(d, "min");
    d->last = LAST_CLOCK;
    return n <= 2;
}

// "2012:08:03", as cameras write the day.
static bool take_colon_date(date_t *d, int64_t year)
{
    const char *s = d->p;
    if (d->n_numbers || d->end - s < 6 || s[0] != ':' || s[3] != ':') return false;
    if (!is_digit(s[1]) || !is_digit(s[2]) || !is_digit(s[4]) || !is_digit(s[5])) return false;
    d->year = clipped(year);
    d->month = two(s + 1);
    d->day = two(s + 4);
    d->p += 6;
    d->last = LAST_NUMBER;
    return peek(d, 0) == ' ' || peek(d, 0) == '\0';
}

static bool take_number(date_t *d)
{
    int n;
    const char *s = d->p;
    last_t last = d->last;
    int64_t value = take_digits(d, &n);
    if (n <= 2 && peek(d, 0) == ':' && d->hour < 0) return take_clock(d, value, ':');
    if (last == LAST_T && d->hour < 0) return compact_time(d, s, n);
    if (n == 4 && take_colon_date(d, value)) return true;
    if (take_cjk_unit(d, value)) return true;
    if (n <= 2 && d->hour < 0 && at_hour_letter(d)) return take_hour_letter(d, value);
    if (n <= 2 && d->hour < 0 && date_complete(d) && peek(d, 0) == '.' && is_digit(peek(d, 1)) &&
        is_digit(peek(d, 2)))
        return take_clock(d, value, '.');
    if ((n >= 5 && n <= 8) || n == 12 || n == 14) return compact_date(d, s, n);
    return push_number(d, value, n);
}

// -- words ----------------------------------------------------------------------------------------

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

// after: the word stands behind its hour, which may have come as a plain number.
static bool set_half(date_t *d, bool pm, bool after)
{
    if (d->hour < 0 && d->last == LAST_NUMBER && d->n_numbers && after)
        d->hour = d->numbers[--d->n_numbers].value;
    d->pm = pm;
    d->am = !pm;
    d->last = LAST_CLOCK;
    return true;
}

// "5:45", spaces before it.
static bool at_clock(const date_t *d)
{
    size_t i = 0, n = 0;
    while (peek(d, i) == ' ') i++;
    while (is_digit(peek(d, i + n)) && n < 3) n++;
    return n && n < 3 && peek(d, i + n) == ':';
}

static bool take_half(date_t *d)
{
    const char *start = d->p;
    date_half_t half = date_word_half(start, (size_t)(d->end - start));
    if (!half.len || (half.strict && d->last != LAST_CLOCK)) return false;
    d->p += half.len;
    bool before = half.before || (d->hour < 0 && at_clock(d));
    if (half.weak && !before && d->last != LAST_CLOCK && d->last != LAST_NUMBER) {
        d->p = start;
        return false;
    }
    d->korean = d->korean || half.korean;
    return set_half(d, half.pm, !before);
}

// The era before a Japanese year, or that of Taiwan; its first year may be called 元年.
static bool take_era(date_t *d)
{
    static const struct {
        const char *name;
        int before;
    } eras[] = {{"令和", 2018}, {"平成", 1988}, {"昭和", 1925}, {"民國", 1911}, {"民国", 1911}};
    for (size_t i = 0; at_cjk(d) && i < sizeof eras / sizeof *eras; i++) {
        if (!take_text(d, eras[i].name)) continue;
        d->era = eras[i].before;
        if (take_text(d, "元年")) d->year = d->era + 1;
        return true;
    }
    return false;
}

static bool take_whole_month(date_t *d)
{
    int month;
    size_t len = date_word_whole_month(d->p, (size_t)(d->end - d->p), &month);
    if (!len) return false;
    d->buddhist = d->buddhist || !at_cjk(d);
    d->p += len;
    d->month = month;
    d->last = LAST_OTHER;
    return true;
}

static bool set_zone(date_t *d, int minutes)
{
    if (!d->has_offset) d->zone = minutes;
    d->has_zone = true;
    d->last = LAST_ZONE_NAME;
    return true;
}

// The time of a place: "et", "Europe/Brussels". Where the system does not know it, what minutes say is taken.
static bool set_area(date_t *d, const char *name, int minutes)
{
    const char *error;
    d->has_area = zone_shared(name, &d->area, &error) == 0;
    return set_zone(d, minutes);
}

// "Europe/Brussels", of which the first part is at name.
static bool take_area(date_t *d, const char *name)
{
    char file[ZONE_MAX_NAME + 1];
    d->p = name + date_area_name(name, (size_t)(d->end - name), file, sizeof file);
    if (strcmp(file, "Etc/Utc") == 0 || strcmp(file, "Etc/Gmt") == 0) return set_zone(d, 0);
    return set_area(d, file, 0) && d->has_area;
}

static bool set_month(date_t *d, int month, bool weak)
{
    if (d->month > 0 && !d->month_weak) return false;
    d->month = month;
    d->month_weak = weak;
    d->last = LAST_OTHER;
    return true;
}

// Words of two parts: the months of the Levant.
static int arabic_pair(date_t *d, const char *word, size_t len)
{
    bool tishrin = len == strlen("تشرين") && memcmp(word, "تشرين", len) == 0;
    bool kanun = len == strlen("كانون") && memcmp(word, "كانون", len) == 0;
    if (!tishrin && !kanun) return 0;
    skip_spaces(d);
    if (take_text(d, "الأول") || take_text(d, "الاول")) return tishrin ? 10 : 12;
    if (take_text(d, "الثاني")) return tishrin ? 11 : 1;
    return 0;
}

// An ISO week: "w01", "w01-5", "w015".
static bool take_week(date_t *d)
{
    if (peek(d, 0) != 'w' || !is_digit(peek(d, 1)) || !is_digit(peek(d, 2))) return false;
    size_t i = peek(d, 3) == '-' ? 4 : 3;
    bool has_day = peek(d, i) >= '1' && peek(d, i) <= '7';
    d->week = two(d->p + 1);
    d->weekday = has_day ? peek(d, i) - '0' : 1;
    d->p += has_day ? i + 1 : 3;
    d->last = LAST_NUMBER;
    return true;
}

static bool is_word(const char *word, size_t len, const char *other)
{
    return len == strlen(other) && memcmp(word, other, len) == 0;
}

// A word nobody knows: a zone behind the time, a weekday or label before all else.
static bool unknown_word(date_t *d, size_t len)
{
    bool zone_like = d->last == LAST_CLOCK && len <= 5;
    bool leading = d->n_numbers == 0 && d->month < 0 && d->hour < 0;
    d->last = LAST_OTHER;
    return (zone_like || leading) && ++d->unknown_words <= 2;
}

static bool known_word(date_t *d, const char *word, size_t len)
{
    int minutes, month = arabic_pair(d, word, len);
    if (month) return set_month(d, month, false);
    bool behind_clock = d->last == LAST_CLOCK || d->last == LAST_ZONE_NAME;
    if (behind_clock && date_word_zone(word, len, &minutes))
        return date_word_area(word, len) ? set_area(d, date_word_area(word, len), minutes)
                                         : set_zone(d, minutes);
    if (behind_clock && d->p == d->end && is_word(word, len, "at")) return set_zone(d, -240); // Atlantic
    if (date_word_weekday(word, len) || date_word_filler(word, len)) return true;
    if (is_word(word, len, "thang") || is_word(word, len, "thg")) return d->month_next = true;
    bool prefixed = len > 2 && memcmp(word, "ב", 2) == 0; // Hebrew: "in"
    month = date_word_month(word + 2 * prefixed, len - 2 * (size_t)prefixed);
    if (month && memcmp(word, "\xE0\xB8", 2) == 0) d->buddhist = true;
    if (month && !(d->month > 0 && is_word(word, len, "mar")))
        return set_month(d, month, is_word(word, len, "mar"));
    if (month) return true;
    if (d->hour >= 0 && date_word_zone(word, len, &minutes)) return set_zone(d, minutes);
    bool utc = is_word(word, len, "z") ||
               (date_complete(d) && (is_word(word, len, "gmt") || is_word(word, len, "utc")));
    return (utc && set_zone(d, 0)) || unknown_word(d, len);
}

static bool take_word(date_t *d)
{
    if (take_half(d) || take_era(d) || take_whole_month(d)) return true;
    if (at_cjk(d)) { // other signs, as those of weekdays
        d->p += 3;
        return d->p <= d->end;
    }
    if (peek(d, 0) == 't' && (d->last == LAST_NUMBER || d->last == LAST_OTHER) && is_digit(peek(d, 1))) {
        d->p++;
        d->last = LAST_T;
        return true;
    }
    if (take_week(d)) return true;
    const char *word = d->p;
    while (is_letter(peek(d, 0)) && !at_cjk(d)) d->p++;
    size_t len = (size_t)(d->p - word);
    if (peek(d, 0) == '/' && d->last == LAST_CLOCK) return take_area(d, word);
    return known_word(d, word, len);
}

// -- the rest -------------------------------------------------------------------------------------

// "+0530", "-5", "+05:30"; at the sign.
static bool take_offset(date_t *d)
{
    int n;
    int direction = *d->p++ == '-' ? -1 : 1;
    const char *s = d->p;
    int64_t h = take_digits(d, &n), m = 0;
    if (n > 4) {
        m = n == 6 ? two(s + 2) : 60;
        h = two(s);
    } else if (n > 2) {
        m = h % 100;
        h /= 100;
    } else if ((peek(d, 0) == ':' || peek(d, 0) == '.') && is_digit(peek(d, 1))) {
        d->p++;
        m = take_digits(d, &n);
        if (peek(d, 0) == ':' && is_digit(peek(d, 1))) {
            d->p++;
            (void)take_digits(d, &n);
        }
    }
    if (m >= 60 || h > 15) return false;
    d->zone = direction * (int)(h * 60 + m);
    d->has_zone = d->has_offset = true;
    d->last = LAST_OTHER;
    return true;
}

// Comments in parentheses mean nothing, but for a zone where none was given.
static bool take_comment(date_t *d)
{
    const char *start = ++d->p;
    int minutes;
    while (peek(d, 0) && peek(d, 0) != ')') d->p++;
    if (!d->has_zone && d->last == LAST_CLOCK && date_word_zone(start, (size_t)(d->p - start), &minutes))
        set_zone(d, minutes);
    if (peek(d, 0)) d->p++;
    return true;
}

// "[Europe/Berlin]" behind an offset (RFC 9557), which says it already.
static bool take_annotation(date_t *d)
{
    while (peek(d, 0) && peek(d, 0) != ']') d->p++;
    return peek(d, 0) && d->p++;
}

// Is the sign at hand that of an offset? It stands behind the time or the zone's name; behind a whole date
// where the time came before ("Tue Sep 23 20:10:55 2001 +0100") or none does ("2001-09-23+01:00").
static bool at_offset(const date_t *d)
{
    if (!is_digit(peek(d, 1))) return false;
    if (d->last == LAST_CLOCK || d->last == LAST_ZONE_NAME) return true;
    if (d->has_zone || d->last != LAST_NUMBER || !date_complete(d)) return false;
    return d->hour >= 0 ? d->p[-1] == ' ' : *d->p == '+';
}

// The offset once more, as Go prints it: "+0300 +03".
static bool take_echo(date_t *d)
{
    int zone = d->zone;
    return take_offset(d) && d->zone == zone;
}

static bool take_punctuation(date_t *d)
{
    char c = *d->p;
    bool sign = c == '+' || c == '-';
    if (sign && at_offset(d)) return take_offset(d);
    if (sign && d->has_offset && d->last == LAST_OTHER && is_digit(peek(d, 1))) return take_echo(d);
    if (c == '(') return take_comment(d);
    if (c == '[' && d->has_zone) return take_annotation(d);
    d->p++;
    if (c == ' ') return true;
    d->separator = c;
    return c && strchr(",.-/:;|'_`\"@", c) != NULL;
}

bool date_scan(const char *s, size_t len, date_t *d)
{
    *d = (date_t){.p = s, .end = s + len, .year = -1, .month = -1, .day = -1, .hour = -1};
    while (d->p < d->end) {
        char c = *d->p;
        bool ok = is_digit(c) ? take_number(d) : is_letter(c) ? take_word(d) : take_punctuation(d);
        if (!ok) return false;
    }
    return true;
}
