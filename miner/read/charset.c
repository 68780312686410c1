// Charset: see charset.h for the order of evidence. lexbor's decoders do the work; UTF-32, which they do not
// know but XML and JSON allow, is decoded here.
#include "miner/read/charset.h"

#include <lexbor/encoding/encoding.h>
#include <lexbor/encoding/multi.h>
#include <lexbor/html/encoding.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"

enum {
    META_WINDOW = 64 << 10, // <meta charset> may stand after byte 1024; it is looked for up to here
    XML_WINDOW = 1024,      // the XML declaration ends before this
    CHUNK = 4096,           // code points decoded at a time
    WORST_GROWTH = 4,       // output bytes per input byte, more than any encoding needs
};

size_t charset_put_utf8(char *out, uint32_t cp)
{
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) cp = 0xFFFD;
    if (cp < 0x80) return out[0] = (char)cp, 1;
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

uint32_t charset_meant(uint32_t cp)
{
    static const uint16_t windows_1252[32] = {0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                              0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,   0x017D, 0x8F,
                                              0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                              0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
    return cp >= 0x80 && cp < 0xA0 ? windows_1252[cp - 0x80] : cp;
}

const char *charset_find_c1(const char *s, size_t len)
{
    const char *end = s + len;
    while ((s = memchr(s, 0xC2, (size_t)(end - s)))) {
        if (end - s > 1 && (unsigned char)s[1] < 0xA0) return s;
        s++;
    }
    return NULL;
}

// -- UTF-8 ----------------------------------------------------------------------------------------

// The length of the sequence at s; 0 where there is none, and then *bad is the length of what to replace by
// one U+FFFD (the longest start of a sequence, as WHATWG has it).
static size_t sequence(const unsigned char *s, size_t len, size_t *bad)
{
    unsigned char lead = s[0], low = 0x80, high = 0xBF;
    size_t need = lead >= 0xC2 && lead <= 0xDF   ? 1
                  : lead >= 0xE0 && lead <= 0xEF ? 2
                  : lead >= 0xF0 && lead <= 0xF4 ? 3
                                                 : 0;
    if (lead < 0x80) return 1;
    *bad = 1;
    if (!need) return 0;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    for (size_t i = 1; i <= need; i++, low = 0x80, high = 0xBF) {
        if (i == len || s[i] < low || s[i] > high) return *bad = i, 0;
    }
    return need + 1;
}

// Bytes of ASCII that s starts with, many at a time.
static size_t ascii_prefix(const char *s, size_t len)
{
    size_t i = 0;
    for (uint64_t w[4]; i + sizeof w <= len; i += sizeof w) {
        memcpy(w, s + i, sizeof w);
        if ((w[0] | w[1] | w[2] | w[3]) & 0x8080808080808080u) break;
    }
    for (uint64_t word; i + 8 <= len; i += 8) {
        memcpy(&word, s + i, 8);
        if (word & 0x8080808080808080u) break;
    }
    while (i < len && (unsigned char)s[i] < 0x80) i++;
    return i;
}

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

// The length of the commonest sequences at s, those of two or three bytes that any tail bytes complete; 0 for
// all others, right or wrong.
static size_t usual_sequence(const char *s, size_t len)
{
    unsigned char lead = (unsigned char)s[0];
    if (len < 3 || lead < 0xC2 || !is_tail(s[1])) return 0;
    if (lead < 0xE0) return 2;
    return lead > 0xE0 && lead < 0xF0 && lead != 0xED && is_tail(s[2]) ? 3 : 0;
}

size_t charset_valid_prefix(const char *s, size_t len)
{
    size_t i = 0, bad;
    while (i < len) {
        if ((unsigned char)s[i] < 0x80) {
            i += ascii_prefix(s + i, len - i);
            continue;
        }
        size_t n = usual_sequence(s + i, len - i);
        if (!n) n = sequence((const unsigned char *)s + i, len - i, &bad);
        if (!n) return i;
        i += n;
    }
    return len;
}

// Bytes that are meant to be UTF-8, with U+FFFD for what is not.
static int repair(arena_t *arena, const char *s, size_t len, const char **out, size_t *out_len)
{
    size_t done = charset_valid_prefix(s, len), bad = 1;
    if (done == len) return *out = s, *out_len = len, 0;
    buf_t buf;
    buf_init(&buf, len * WORST_GROWTH);
    int rc = buf_append(&buf, s, done);
    while (rc == 0 && done < len) {
        if (!sequence((const unsigned char *)s + done, len - done, &bad)) {
            rc = buf_append(&buf, "\xEF\xBF\xBD", 3);
            done += bad;
        }
        size_t n = charset_valid_prefix(s + done, len - done);
        if (rc == 0) rc = buf_append(&buf, s + done, n);
        done += n;
    }
    *out = rc == 0 ? arena_strndup(arena, buf.data, buf.len) : NULL;
    *out_len = buf.len;
    buf_free(&buf);
    return *out ? 0 : -1;
}

// -- other encodings ------------------------------------------------------------------------------

static int append_points(buf_t *buf, const lxb_codepoint_t *points, size_t n)
{
    if (buf_reserve(buf, n * 4) != 0) return -1;
    for (size_t i = 0; i < n; i++) buf->len += charset_put_utf8(buf->data + buf->len, points[i]);
    return 0;
}

static int decode_chunks(const lxb_encoding_data_t *encoding, const char *s, size_t len, buf_t *buf)
{
    static const lxb_codepoint_t replacement = LXB_ENCODING_REPLACEMENT_CODEPOINT;
    lxb_codepoint_t points[CHUNK];
    lxb_encoding_decode_t ctx = {0};
    lxb_encoding_decode_init(&ctx, encoding, points, CHUNK);
    lxb_encoding_decode_replace_set(&ctx, &replacement, 1);
    const lxb_char_t *at = (const lxb_char_t *)s, *end = at + len;
    for (lxb_status_t status = LXB_STATUS_SMALL_BUFFER; status == LXB_STATUS_SMALL_BUFFER;) {
        const lxb_char_t *before = at;
        status = encoding->decode(&ctx, &at, end);
        size_t n = lxb_encoding_decode_buf_used(&ctx);
        if (append_points(buf, points, n) != 0) return -1;
        lxb_encoding_decode_buf_used_set(&ctx, 0);
        if (n == 0 && at == before) break;
    }
    lxb_encoding_decode_finish(&ctx);
    return append_points(buf, points, lxb_encoding_decode_buf_used(&ctx));
}

// The character of two bytes (WHATWG Encoding, 12.3.1), or U+FFFD.
static lxb_codepoint_t shift_jis_pair(unsigned char lead, unsigned char trail)
{
    enum { FIRST_PRIVATE = 8836, LAST_PRIVATE = 10715 };
    size_t pointer = (lead - (lead < 0xA0 ? 0x81u : 0xC1u)) * 188 + trail - (trail < 0x7F ? 0x40u : 0x41u);
    bool pair = (trail >= 0x40 && trail <= 0x7E) || (trail >= 0x80 && trail <= 0xFC);
    if (pair && pointer >= FIRST_PRIVATE && pointer <= LAST_PRIVATE)
        return 0xE000 + (lxb_codepoint_t)(pointer - FIRST_PRIVATE);
    bool listed = pair && pointer < sizeof lxb_encoding_multi_jis0208_map / sizeof(lxb_codepoint_t);
    lxb_codepoint_t cp = listed ? lxb_encoding_multi_jis0208_map[pointer] : LXB_ENCODING_ERROR_CODEPOINT;
    return cp == LXB_ENCODING_ERROR_CODEPOINT ? LXB_ENCODING_REPLACEMENT_CODEPOINT : cp;
}

// lexbor's own decoder (3.0.1) has nothing behind lead bytes from 0xE1 on, a quarter of all kanji.
static int decode_shift_jis(const char *s, size_t len, buf_t *buf)
{
    const unsigned char *p = (const unsigned char *)s, *end = p + len;
    while (p < end) {
        lxb_codepoint_t cp = *p++;
        if (cp >= 0xA1 && cp <= 0xDF) {
            cp += 0xFF61 - 0xA1; // katakana of half width
        } else if (cp == 0xA0 || cp > 0xFC || (cp > 0x80 && p == end)) {
            cp = LXB_ENCODING_REPLACEMENT_CODEPOINT;
        } else if (cp > 0x80) {
            cp = shift_jis_pair((unsigned char)cp, *p);
            p += cp != LXB_ENCODING_REPLACEMENT_CODEPOINT || *p >= 0x80; // else it is a character of its own
        }
        if (append_points(buf, &cp, 1) != 0) return -1;
    }
    return 0;
}

static int decode_utf32(const char *s, size_t len, bool big, buf_t *buf)
{
    for (size_t i = 0; i + 4 <= len; i += 4) {
        const unsigned char *p = (const unsigned char *)s + i;
        lxb_codepoint_t cp = big ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                                 : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
        if (append_points(buf, &cp, 1) != 0) return -1;
    }
    return 0;
}

// -- evidence -------------------------------------------------------------------------------------

typedef struct {
    lxb_encoding_t encoding;
    enum { WIDE_NO, WIDE_32LE, WIDE_32BE } utf32;
    size_t skip; // bytes of byte order mark
    bool valid;  // the bytes are known to be valid UTF-8
} verdict_t;

static bool starts(const char *s, size_t len, const char *prefix, size_t n)
{
    return len >= n && memcmp(s, prefix, n) == 0;
}

static bool by_mark(const char *s, size_t len, verdict_t *v)
{
    if (starts(s, len, "\xFF\xFE\0\0", 4)) return *v = (verdict_t){.utf32 = WIDE_32LE, .skip = 4}, true;
    if (starts(s, len, "\0\0\xFE\xFF", 4)) return *v = (verdict_t){.utf32 = WIDE_32BE, .skip = 4}, true;
    if (starts(s, len, "\xEF\xBB\xBF", 3))
        return *v = (verdict_t){.encoding = LXB_ENCODING_UTF_8, .skip = 3}, true;
    if (starts(s, len, "\xFF\xFE", 2))
        return *v = (verdict_t){.encoding = LXB_ENCODING_UTF_16LE, .skip = 2}, true;
    if (starts(s, len, "\xFE\xFF", 2))
        return *v = (verdict_t){.encoding = LXB_ENCODING_UTF_16BE, .skip = 2}, true;
    return false;
}

// Markup and JSON start with an ASCII character, so the NULs around it tell wide encodings without a mark.
static bool by_nuls(const char *s, size_t len, verdict_t *v)
{
    if (len < 4) return false;
    unsigned nuls = (unsigned)(!s[0] << 3 | !s[1] << 2 | !s[2] << 1 | !s[3]);
    switch (nuls) {
    case 0xE: return *v = (verdict_t){.utf32 = WIDE_32BE}, true;
    case 0x7: return *v = (verdict_t){.utf32 = WIDE_32LE}, true;
    case 0xA:
    case 0x8: return *v = (verdict_t){.encoding = LXB_ENCODING_UTF_16BE}, true;
    case 0x5:
    case 0x4: return *v = (verdict_t){.encoding = LXB_ENCODING_UTF_16LE}, true;
    default: return false;
    }
}

static lxb_encoding_t by_name(const lxb_char_t *name, size_t len)
{
    const lxb_encoding_data_t *data = lxb_encoding_data_by_pre_name(name, len);
    // the replacement encoding shows nothing at all: then guess instead
    if (!data || data->encoding == LXB_ENCODING_REPLACEMENT) return LXB_ENCODING_UNDEFINED;
    return data->encoding;
}

static lxb_encoding_t by_header(const char *content_type)
{
    if (!content_type) return LXB_ENCODING_UNDEFINED;
    const lxb_char_t *begin = (const lxb_char_t *)content_type, *name_end = NULL;
    const lxb_char_t *name = lxb_html_encoding_content(begin, begin + strlen(content_type), &name_end);
    return name ? by_name(name, (size_t)(name_end - name)) : LXB_ENCODING_UNDEFINED;
}

// What a document says of itself in ASCII can only be an encoding that contains ASCII.
static lxb_encoding_t readable_as_ascii(lxb_encoding_t encoding)
{
    if (encoding == LXB_ENCODING_UTF_16LE || encoding == LXB_ENCODING_UTF_16BE) return LXB_ENCODING_UTF_8;
    return encoding == LXB_ENCODING_X_USER_DEFINED ? LXB_ENCODING_WINDOWS_1252 : encoding;
}

static lxb_encoding_t by_meta(const char *s, size_t len)
{
    lxb_html_encoding_t prescan;
    if (lxb_html_encoding_init(&prescan) != LXB_STATUS_OK) return LXB_ENCODING_UNDEFINED;
    const lxb_char_t *begin = (const lxb_char_t *)s;
    const lxb_char_t *end = begin + (len < META_WINDOW ? len : META_WINDOW);
    lxb_encoding_t found = LXB_ENCODING_UNDEFINED;
    if (lxb_html_encoding_determine(&prescan, begin, end) == LXB_STATUS_OK) {
        for (size_t i = 0; i < lxb_html_encoding_meta_length(&prescan); i++) {
            lxb_html_encoding_entry_t *entry = lxb_html_encoding_meta_entry(&prescan, i);
            found = by_name(entry->name, (size_t)(entry->end - entry->name));
            if (found != LXB_ENCODING_UNDEFINED) break;
        }
    }
    lxb_html_encoding_destroy(&prescan, false);
    return readable_as_ascii(found);
}

// <?xml version="1.0" encoding="name"?>
static lxb_encoding_t by_xml_declaration(const char *s, size_t len)
{
    const char *end = s + (len < XML_WINDOW ? len : XML_WINDOW);
    while (s < end && strchr(" \t\r\n", *s) && *s) s++;
    if (!starts(s, (size_t)(end - s), "<?xml", 5)) return LXB_ENCODING_UNDEFINED;
    const char *stop = memchr(s, '>', (size_t)(end - s));
    if (stop) end = stop;
    const char *name = memmem(s, (size_t)(end - s), "encoding", 8);
    if (!name) return LXB_ENCODING_UNDEFINED;
    name += 8;
    while (name < end && strchr(" \t\r\n=\"'", *name) && *name) name++;
    const char *tail = name;
    while (tail < end && !strchr(" \t\r\n\"'?", *tail)) tail++;
    return readable_as_ascii(by_name((const lxb_char_t *)name, (size_t)(tail - name)));
}

static lxb_encoding_t by_document(const char *s, size_t len, charset_kind_t kind)
{
    switch (kind) {
    case CHARSET_HTML: return by_meta(s, len);
    case CHARSET_XML: return by_xml_declaration(s, len);
    default: return LXB_ENCODING_UNDEFINED;
    }
}

static bool is_wide(lxb_encoding_t encoding)
{
    return encoding == LXB_ENCODING_UTF_16LE || encoding == LXB_ENCODING_UTF_16BE;
}

static verdict_t judge(const char *s, size_t len, const char *content_type, charset_kind_t kind)
{
    verdict_t v = {.encoding = LXB_ENCODING_UNDEFINED};
    if (by_mark(s, len, &v)) return v;
    bool plain = !memchr(s, 0x1B, len) && !memchr(s, 0, len);
    bool valid = charset_valid_prefix(s, len) == len;
    // ASCII means the same in every encoding that can have written it
    if (plain && valid) return (verdict_t){.encoding = LXB_ENCODING_UTF_8, .valid = true};
    if (by_nuls(s, len, &v)) return v;
    v.encoding = by_header(content_type);
    // declared wide, but markup without a single NUL is not
    if (is_wide(v.encoding) && !memchr(s, 0, len)) v.encoding = LXB_ENCODING_UNDEFINED;
    if (v.encoding == LXB_ENCODING_UNDEFINED) v.encoding = by_document(s, len, kind);
    if (v.encoding != LXB_ENCODING_UNDEFINED) return v;
    v.encoding = valid || kind == CHARSET_JSON ? LXB_ENCODING_UTF_8 : LXB_ENCODING_WINDOWS_1252;
    return v;
}

int charset_to_utf8(arena_t *arena, const char *bytes, size_t len, const char *content_type,
                    charset_kind_t kind, const char **out, size_t *out_len, const char **name)
{
    verdict_t v = judge(bytes, len, content_type, kind);
    bytes += v.skip;
    len -= v.skip;
    const lxb_encoding_data_t *encoding = v.utf32 ? NULL : lxb_encoding_data(v.encoding);
    if (name)
        *name = encoding ? (const char *)encoding->name : v.utf32 == WIDE_32BE ? "UTF-32BE" : "UTF-32LE";
    if (v.valid) return *out = bytes, *out_len = len, 0;
    if (encoding && v.encoding == LXB_ENCODING_UTF_8) return repair(arena, bytes, len, out, out_len);
    buf_t buf;
    buf_init(&buf, len * WORST_GROWTH + 4 * CHUNK);
    int rc = !encoding                              ? decode_utf32(bytes, len, v.utf32 == WIDE_32BE, &buf)
             : v.encoding == LXB_ENCODING_SHIFT_JIS ? decode_shift_jis(bytes, len, &buf)
                                                    : decode_chunks(encoding, bytes, len, &buf);
    *out = rc == 0 ? arena_strndup(arena, buf.data, buf.len) : NULL;
    *out_len = buf.len;
    buf_free(&buf);
    return *out ? 0 : -1;
}
