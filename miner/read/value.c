// Value: clean the text, let `match` cut out its part, then convert by type.
#include "miner/read/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/civil.h"
#include "miner/read/date_plain.h"
#include "miner/read/dates.h"
#include "miner/read/pattern.h"
#include "miner/read/text.h"
#include "proto/limits.h"

enum { MAX_DIGITS = 60 }; // of a number

static const int64_t DAY_MS = 86400000;

struct value_rule {
    const field_t *field;
    pattern_t *match; // or NULL
};

value_rule_t *value_rule_new(const field_t *field, const char *path, template_error_t *error)
{
    value_rule_t *r = xcalloc(1, sizeof *r);
    char where[MAX_NAME + 60];
    snprintf(where, sizeof where, "%s.match", path);
    r->field = field;
    if (field->match && !(r->match = pattern_new(field->match, where, error))) value_rule_destroy(&r);
    return r;
}

void value_rule_destroy(value_rule_t **rule)
{
    if (!*rule) return;
    pattern_destroy(&(*rule)->match);
    free(*rule);
    *rule = NULL;
}

// The text becomes its part that `match` names.
static value_status_t cut_match(value_rule_t *r, arena_t *arena, value_t *value)
{
    const char *part;
    switch (pattern_find(r->match, value->text, &part, &value->len)) {
    case PATTERN_NONE: return VALUE_NONE;
    case PATTERN_EFFORT: return VALUE_EFFORT;
    case PATTERN_FOUND: break;
    }
    value->text = arena_strndup(arena, part, value->len);
    return value->text ? VALUE_OK : VALUE_NO_SPACE;
}

// -- numbers --------------------------------------------------------------------------------------

typedef struct {
    char whole[MAX_DIGITS + 1], fraction[MAX_DIGITS + 1];
    int exponent;
    bool negative;
} decimal_t;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(const char *s)
{
    size_t n = 0;
    while (is_digit(s[n])) n++;
    return n;
}

// Length of the group separator at s, behind which exactly three digits follow; 0 for none. kind: the one
// used so far.
static size_t group_separator(const char *s, char kind, bool points_are_decimal)
{
    size_t n = *s && strchr(",.' _", *s)            ? 1
               : strncmp(s, "\xE2\x80\xAF", 3) == 0 ? 3 // narrow no-break space
               : strncmp(s, "\xE2\x80\x99", 3) == 0 ? 3 // apostrophe
                                                    : 0;
    if (!n || digits(s + n) != 3 || (kind && kind != *s)) return 0;
    if (*s != '.' || kind || !points_are_decimal) return n;
    // 1.234 is a fraction, 1.234.567 and 1.234,5 are not
    const char *next = s + 4;
    return (*next == '.' && digits(next + 1) == 3) || (*next == ',' && is_digit(next[1])) ? n : 0;
}

static bool append_digits(char *out, const char *s, size_t n)
{
    size_t len = strlen(out);
    if (len + n > MAX_DIGITS) return false;
    memcpy(out + len, s, n);
    out[len + n] = '\0';
    return true;
}

// Reads the digits at s, with group separators unless plain says that a dot is a decimal point; returns
// behind them.
static const char *read_digits(const char *s, bool points_are_decimal, decimal_t *d)
{
    size_t n = digits(s);
    bool fits = append_digits(d->whole, s, n);
    s += n;
    char kind = 0;
    // 1,234,567: groups of three behind one to three digits
    for (size_t sep; n <= 3 && fits && (sep = group_separator(s, kind, points_are_decimal));) {
        kind = *s;
        fits = append_digits(d->whole, s + sep, 3);
        s += sep + 3;
    }
    if ((*s == '.' || *s == ',') && *s != kind && is_digit(s[1])) {
        n = digits(s + 1);
        fits = fits && append_digits(d->fraction, s + 1, n);
        s += 1 + n;
    }
    return fits ? s : NULL;
}

// k, m, b behind a number, if no word goes on there.
static int magnitude(const char *s)
{
    static const struct {
        char letter;
        int exponent;
    } letters[] = {{'k', 3}, {'m', 6}, {'b', 9}};
    char next = s[0] ? (char)(s[1] | 0x20) : 0;
    if (next >= 'a' && next <= 'z') return 0;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if ((s[0] | 0x20) == letters[i].letter) return letters[i].exponent;
    return 0;
}

// The first number in s. -1: none.
static int read_decimal(const char *s, bool points_are_decimal, decimal_t *d)
{
    *d = (decimal_t){.exponent = 0};
    const char *start = s;
    while (*s && !is_digit(*s)) s++;
    if (!*s) return -1;
    if (s > start && s[-1] == '-') d->negative = s - 1 == start || !is_digit(s[-2]);
    if (s - start >= 3 && memcmp(s - 3, "\xE2\x88\x92", 3) == 0) d->negative = true; // minus sign
    if (!(s = read_digits(s, points_are_decimal, d))) return -1;
    char sign = s[0] ? s[1] : 0;
    if ((*s | 0x20) == 'e' && (is_digit(sign) || ((sign == '-' || sign == '+') && is_digit(s[2])))) {
        long e = strtol(s + 1, NULL, 10);
        d->exponent = e < -999 ? -999 : e > 999 ? 999 : (int)e;
    } else {
        d->exponent = magnitude(s);
    }
    return 0;
}

// Moves digits over the decimal point until the exponent is used up, as far as it is small.
static void apply_exponent(decimal_t *d)
{
    for (; d->exponent > 0 && strlen(d->whole) < MAX_DIGITS; d->exponent--) {
        char next[2] = {d->fraction[0] ? d->fraction[0] : '0', '\0'};
        append_digits(d->whole, next, 1);
        if (d->fraction[0]) memmove(d->fraction, d->fraction + 1, strlen(d->fraction));
    }
}

static const char *without_zeros(const char *whole)
{
    while (whole[0] == '0' && whole[1]) whole++;
    return whole;
}

// Is text an integer as JSON writes it, and so its own canonical form?
static bool is_canonical(const char *text)
{
    const char *s = text + (*text == '-');
    size_t n = digits(s);
    return n > 0 && n < MAX_DIGITS && !s[n] && (*s != '0' || (n == 1 && s == text));
}

static value_status_t read_integer(arena_t *arena, const char **text)
{
    decimal_t d;
    if (is_canonical(*text)) return VALUE_OK;
    if (read_decimal(*text, false, &d) != 0) return VALUE_NONE;
    apply_exponent(&d);
    const char *whole = without_zeros(d.whole);
    if (d.exponent) return VALUE_NONE;
    *text = arena_printf(arena, "%s%s", d.negative && strcmp(whole, "0") != 0 ? "-" : "", whole);
    return *text ? VALUE_OK : VALUE_NO_SPACE;
}

static value_status_t read_number(arena_t *arena, const char **text)
{
    decimal_t d;
    if (is_canonical(*text)) return VALUE_OK;
    if (read_decimal(*text, true, &d) != 0) return VALUE_NONE;
    if (d.exponent <= 9) apply_exponent(&d);
    char exponent[8] = "";
    if (d.exponent) snprintf(exponent, sizeof exponent, "e%d", d.exponent);
    *text = arena_printf(arena, "%s%s%s%s%s", d.negative ? "-" : "", without_zeros(d.whole),
                         d.fraction[0] ? "." : "", d.fraction, exponent);
    return *text ? VALUE_OK : VALUE_NO_SPACE;
}

// -- the other types ------------------------------------------------------------------------------

static char *put_digits(char *out, int64_t value, int n)
{
    for (int i = n; i-- > 0; value /= 10) out[i] = (char)('0' + value % 10);
    return out + n;
}

static bool is_written_time(int64_t ms)
{
    static const int64_t year_0 = -62167219200000, year_10000 = 253402300800000;
    return ms != TIME_NONE && ms >= year_0 && ms < year_10000;
}

static value_status_t read_time(const date_sense_t *dates, value_t *value)
{
    value->ms = date_parse(value->text, value->len, dates);
    return is_written_time(value->ms) ? VALUE_OK : VALUE_NONE;
}

const char *value_time_text(arena_t *arena, int64_t time)
{
    int64_t days = civil_floor(time, DAY_MS), ms = time - days * DAY_MS;
    civil_t date = civil_of(days);
    char *out = arena_alloc(arena, sizeof "0000-00-00T00:00:00.000Z"), *at = out;
    if (!out) return NULL;
    const struct {
        int64_t part;
        int digits;
        char after;
    } parts[] = {{date.year, 4, '-'},    {date.month, 2, '-'},      {date.day, 2, 'T'},
                 {ms / 3600000, 2, ':'}, {ms / 60000 % 60, 2, ':'}, {ms / 1000 % 60, 2, '.'},
                 {ms % 1000, 3, '\0'}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        at = put_digits(at, parts[i].part, parts[i].digits);
        *at++ = parts[i].after;
    }
    memcpy(ms % 1000 ? at - 1 : at - 5, "Z", 2);
    return out;
}

static value_status_t convert(const field_t *field, urls_t *urls, arena_t *arena, value_t *value)
{
    switch (field->type) {
    case TYPE_INTEGER: return read_integer(arena, &value->text);
    case TYPE_NUMBER: return read_number(arena, &value->text);
    case TYPE_TIME: return read_time(field->dates, value);
    case TYPE_URL:
        value->text = urls_resolve(urls, arena, value->text, value->len);
        return value->text ? VALUE_OK : VALUE_NONE;
    case TYPE_TEXT:
    case TYPE_HTML:
    case TYPE_LIST: break;
    }
    return VALUE_OK;
}

value_status_t value_convert(const field_t *field, urls_t *urls, arena_t *arena, value_t *value)
{
    const char *before = value->text;
    value->ms = TIME_NONE;
    if (!value->len) return VALUE_NONE;
    value_status_t status = convert(field, urls, arena, value);
    if (status == VALUE_OK && value->text != before) value->len = strlen(value->text);
    return status;
}

// The clean text of a match.
static const char *clean(const value_rule_t *r, arena_t *arena, const char *raw, size_t len, bool kept,
                         bool one_line, size_t max)
{
    // short forms are read from one line; only texts and markup keep theirs
    text_mode_t mode = r->field->type == TYPE_TEXT && !one_line ? TEXT_LINES : TEXT_LINE;
    if (r->field->markup) return text_from_html(arena, raw, len, mode, max);
    if (r->field->type == TYPE_HTML)
        return kept ? text_verbatim_kept(arena, raw, len, max) : text_verbatim(arena, raw, len, max);
    return kept ? text_clean_kept(arena, raw, len, mode, max) : text_clean(arena, raw, len, mode, max);
}

value_status_t value_read(value_rule_t *r, urls_t *urls, arena_t *arena, const char *raw, size_t len,
                          bool kept, bool one_line, size_t max, value_t *out)
{
    bool as_is = kept && len <= max && r->field->type == TYPE_TIME && !r->match;
    if (as_is && is_written_time(out->ms = date_plain(raw, len))) { // it needs no cleaning
        out->text = raw;
        out->len = len;
        return VALUE_OK;
    }
    out->text = clean(r, arena, raw, len, kept, one_line, max);
    if (!out->text) return VALUE_NO_SPACE;
    out->len = out->text == raw ? len : strlen(out->text);
    value_status_t status = !out->len ? VALUE_NONE : r->match ? cut_match(r, arena, out) : VALUE_OK;
    return status == VALUE_OK ? value_convert(r->field, urls, arena, out) : status;
}
