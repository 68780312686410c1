// Term: UTF-8 is decoded by hand, strictly; widths come from the C library in its C.UTF-8 locale.
#include "ctl/term.h"

#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

term_t term_of(FILE *out)
{
    term_t term = {0};
    struct winsize size;
    const char *columns = getenv("COLUMNS"), *plain = getenv("NO_COLOR");
    if (columns && atoi(columns) > 0 && atoi(columns) <= 1000) term.columns = (size_t)atoi(columns);
    if (!isatty(fileno(out))) return term;
    if (!term.columns)
        term.columns = ioctl(fileno(out), TIOCGWINSZ, &size) || !size.ws_col ? 80 : size.ws_col;
    term.colour = !plain || !*plain;
    return term;
}

// -- characters -----------------------------------------------------------------------------------

// The code point at text and its length; -1 and length 1 where it is no UTF-8.
static int32_t decode(const unsigned char *s, size_t len, size_t *used)
{
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    *used = 1;
    if (s[0] < 0x80) return s[0];
    size_t n = s[0] >= 0xf0 ? 3 : s[0] >= 0xe0 ? 2 : 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n >= len) return -1;
    int32_t c = s[0] & (0x3f >> n);
    for (size_t i = 1; i <= n; i++) {
        if ((s[i] & 0xc0) != 0x80) return -1;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return -1;
    *used = n + 1;
    return c;
}

// Controls, and what turns the direction of a line or hides.
static bool unsafe(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff0 && c <= 0xfffb) || c >= 0xe0000;
}

static size_t width_of(int32_t c)
{
    static bool ready;
    if (!ready) ready = setlocale(LC_CTYPE, "C.UTF-8") || true;
    if (c < 0) return 1;
    int width = wcwidth((wchar_t)c);
    return width < 0 ? 1 : (size_t)width;
}

// The escaped form of the character at s: its length, and the bytes of s it stands for in *used.
static int escape(const unsigned char *s, size_t len, size_t *used, char out[16])
{
    int32_t c = decode(s, len, used);
    if (c < 0) return snprintf(out, 16, "\\x%02x", s[0]);
    if (!unsafe(c)) {
        memcpy(out, s, *used);
        return (int)*used;
    }
    if (c == '\n' || c == '\t') return snprintf(out, 16, "\\%c", c == '\n' ? 'n' : 't');
    return snprintf(out, 16, c < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)c);
}

int term_append(buf_t *out, const char *text, size_t len)
{
    char piece[16];
    for (size_t i = 0, used; i < len; i += used) {
        int n = escape((const unsigned char *)text + i, len - i, &used, piece);
        if (buf_append(out, piece, (size_t)n)) return -1;
    }
    return 0;
}

void term_print(FILE *out, const char *text, bool lines)
{
    char piece[16];
    size_t len = strlen(text);
    for (size_t i = 0, used; i < len; i += used) {
        int n = escape((const unsigned char *)text + i, len - i, &used, piece);
        bool pass = lines && (text[i] == '\n' || text[i] == '\t');
        fwrite(pass ? text + i : piece, 1, pass ? 1 : (size_t)n, out);
    }
}

void term_print_json(FILE *out, const char *json, size_t len)
{
    for (size_t i = 0, used; i < len; i += used) {
        int32_t c = decode((const unsigned char *)json + i, len - i, &used);
        if (c == '\n' || c == '\t' || (c >= 0 && !unsafe(c)))
            fwrite(json + i, 1, used, out);
        else if (c > 0xffff)
            fprintf(out, "\\u%04x\\u%04x", 0xd800 + (unsigned)((c - 0x10000) >> 10),
                    0xdc00 + (unsigned)(c & 0x3ff));
        else
            fprintf(out, "\\u%04x", c < 0 ? 0xfffdu : (unsigned)c);
    }
}

size_t term_width(const char *text, size_t len)
{
    size_t width = 0;
    for (size_t i = 0, used; i < len; i += used)
        width += width_of(decode((const unsigned char *)text + i, len - i, &used));
    return width;
}

size_t term_fit(const char *text, size_t len, size_t columns)
{
    size_t width = 0, i = 0;
    for (size_t used; i < len; i += used) {
        width += width_of(decode((const unsigned char *)text + i, len - i, &used));
        if (width > columns) break;
    }
    return i;
}

// -- numbers --------------------------------------------------------------------------------------

const char *term_span(int64_t ms, char out[TERM_SPAN_MAX])
{
    int64_t s = ms / 1000, min = s / 60, h = min / 60;
    if (ms < 1000)
        snprintf(out, TERM_SPAN_MAX, "%" PRId64 " ms", ms);
    else if (s < 10 && ms % 1000 >= 100)
        snprintf(out, TERM_SPAN_MAX, "%" PRId64 ".%" PRId64 " s", s, ms % 1000 / 100);
    else if (s < 120)
        snprintf(out, TERM_SPAN_MAX, "%" PRId64 " s", s);
    else if (min < 120)
        snprintf(out, TERM_SPAN_MAX, "%" PRId64 " min", min);
    else if (h < 48)
        snprintf(out, TERM_SPAN_MAX, "%" PRId64 " h", h);
    else
        snprintf(out, TERM_SPAN_MAX, "%" PRId64 " d", h / 24);
    return out;
}

const char *term_when(int64_t ms, int64_t now_ms, char out[TERM_SPAN_MAX])
{
    enum { DATE_BEYOND_S = 30 * 86400 };
    int64_t diff, s = __builtin_sub_overflow(now_ms, ms, &diff) ? INT64_MAX / 1000 : diff / 1000;
    char span[TERM_SPAN_MAX];
    if (s > DATE_BEYOND_S || s < -DATE_BEYOND_S) {
        time_t t = ms / 1000;
        struct tm tm;
        if (!gmtime_r(&t, &tm) || !strftime(out, TERM_SPAN_MAX, "%Y-%m-%d", &tm))
            snprintf(out, TERM_SPAN_MAX, "?");
    } else if (s == 0) {
        snprintf(out, TERM_SPAN_MAX, "now");
    } else if (s > 0) {
        snprintf(out, TERM_SPAN_MAX, "%.20s ago", term_span(s * 1000, span));
    } else {
        snprintf(out, TERM_SPAN_MAX, "in %.20s", term_span(-s * 1000, span));
    }
    return out;
}

const char *term_size(uint64_t bytes, char out[TERM_SPAN_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double n = (double)bytes;
    while (n >= 1024 && unit < 6) n /= 1024, unit++;
    snprintf(out, TERM_SPAN_MAX, n < 10 && unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
    return out;
}
