// Clean: most texts are valid, so each check first runs over the whole text and copies only when it must.
#include "sink/clean.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <yyjson.h>

#define REPLACEMENT "\xef\xbf\xbd"

// Bytes of the valid sequence at s, 0 if there is none. Table 3-7 of the Unicode Standard.
static size_t sequence(const unsigned char *s, size_t left)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t more;
    if (s[0] < 0x80) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    if (s[0] < 0xe0) {
        more = 1;
    } else if (s[0] < 0xf0) {
        more = 2;
        if (s[0] == 0xe0) low = 0xa0;
        if (s[0] == 0xed) high = 0x9f;
    } else {
        more = 3;
        if (s[0] == 0xf0) low = 0x90;
        if (s[0] == 0xf4) high = 0x8f;
    }
    if (left <= more || s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i <= more; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return more + 1;
}

size_t clean_utf8_prefix(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t i = 0;
    while (i < len) {
        uint64_t eight;
        if (len - i >= 8 && (memcpy(&eight, s + i, 8), !(eight & UINT64_C(0x8080808080808080)))) {
            i += 8;
            continue;
        }
        size_t n = sequence(s + i, len - i);
        if (!n) break;
        i += n;
    }
    return i;
}

static size_t invalid_bytes(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; (i += clean_utf8_prefix(text + i, len - i)) < len; i++) n++;
    return n;
}

const char *clean_text(arena_t *arena, const char *text, size_t *len)
{
    size_t good = clean_utf8_prefix(text, *len);
    if (good == *len) return text;
    char *copy = arena_alloc(arena, *len + 2 * invalid_bytes(text, *len) + 1);
    if (!copy) return NULL;
    size_t n = 0;
    for (size_t i = 0; i < *len;) {
        good = clean_utf8_prefix(text + i, *len - i);
        memcpy(copy + n, text + i, good);
        n += good;
        i += good;
        if (i == *len) break;
        memcpy(copy + n, REPLACEMENT, 3);
        n += 3;
        i++;
    }
    copy[n] = '\0';
    *len = n;
    return copy;
}

// -- JSON -------------------------------------------------------------------------------------------

// The four hex digits at s as a number; -1: there are none.
static int hex4(const char *s, size_t left)
{
    int v = 0;
    if (left < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int digit = c >= '0' && c <= '9'                 ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0) return -1;
        v = v << 4 | digit;
    }
    return v;
}

static bool is_high(int unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(int unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

// Bytes of the escape at json[i] (a backslash); *bad: jsonb would refuse what it stands for.
static size_t escape(const char *json, size_t left, bool *bad)
{
    *bad = false;
    if (left < 2 || json[1] != 'u') return left < 2 ? left : 2;
    int unit = hex4(json + 2, left - 2);
    if (unit < 0) return 2; // no JSON: the parser will say so
    if (is_high(unit) && left >= 12 && json[6] == '\\' && json[7] == 'u' && is_low(hex4(json + 8, 4)))
        return 12;
    *bad = unit == 0 || is_high(unit) || is_low(unit);
    return 6;
}

// Replaces bad escapes by \ufffd, which is as long as they are, in place.
static void mend_escapes(char *json, size_t len)
{
    for (size_t i = 0; i < len;) {
        char *at = memchr(json + i, '\\', len - i);
        bool bad;
        if (!at) return;
        i = (size_t)(at - json);
        size_t n = escape(at, len - i, &bad);
        for (size_t k = 0; bad && k < n; k++) at[k] = "\\ufffd"[k];
        i += n;
    }
}

static bool is_object(const char *json, size_t len)
{
    yyjson_doc *doc = yyjson_read(json, len, 0);
    bool object = doc && yyjson_is_obj(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return object;
}

// json with a member more; json ends with its closing brace, blanks apart.
static const char *with_far(arena_t *arena, const char *json, size_t *len, int64_t far)
{
    size_t end = *len;
    while (end > 0 && json[end - 1] != '}') end--;
    size_t last = end > 0 ? end - 1 : 0; // of the closing brace
    size_t before = last;
    while (before > 0 && strchr(" \t\r\n", json[before - 1])) before--;
    const char *comma = before > 0 && json[before - 1] == '{' ? "" : ",";
    char *out = arena_printf(arena, "%.*s%s\"published_ms\":%" PRId64 "}", (int)before, json, comma, far);
    if (out) *len = strlen(out);
    return out;
}

const char *clean_fields(arena_t *arena, const char *json, size_t *len, const int64_t *far, bool *lost)
{
    *lost = false;
    if (*len == 0) {
        json = "{}";
        *len = 2;
    } else {
        json = clean_text(arena, json, len);
        if (json && memchr(json, '\\', *len)) {
            char *copy = arena_strndup(arena, json, *len);
            if (copy) mend_escapes(copy, *len);
            json = copy;
        }
        if (!json) return NULL;
        *lost = !is_object(json, *len);
        if (*lost) json = "{}", *len = 2;
    }
    return far ? with_far(arena, json, len, *far) : json;
}
