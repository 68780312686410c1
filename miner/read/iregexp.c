// I-Regexp: a recursive-descent check of the grammar that writes the same expression for PCRE2 as it goes.
// Only
// `.` differs (it is [^\n\r]); all else that the grammar admits means the same there.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "miner/read/iregexp.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"

enum { MAX_NESTING = 50, MAX_REPEAT = 1000, MAX_STEPS = 10000000, MAX_HEAP_KIB = 8192 };

typedef struct {
    const char *p, *end;
    buf_t out;
    int depth;
} translator_t;

static bool put(translator_t *t, const char *s, size_t len)
{
    return buf_append(&t->out, s, len) == 0;
}

static bool copy(translator_t *t, size_t len)
{
    bool ok = put(t, t->p, len);
    t->p += len;
    return ok;
}

static bool more(const translator_t *t)
{
    return t->p < t->end;
}

// Copies one character with all of its bytes.
static bool character(translator_t *t)
{
    size_t len = 1;
    while (t->p + len < t->end && ((unsigned char)t->p[len] & 0xC0) == 0x80) len++;
    return copy(t, len);
}

// \p{Lu} and its like: the categories of Unicode, of one or two letters.
static bool category(translator_t *t)
{
    static const char *const minors[][2] = {{"L", "lmotu"}, {"M", "cen"},  {"N", "dlo"}, {"P", "cdefios"},
                                            {"Z", "lps"},   {"S", "ckmo"}, {"C", "cfno"}};
    const char *p = t->p + 2;
    if (t->end - p < 3 || *p++ != '{') return false;
    for (size_t i = 0; i < sizeof minors / sizeof *minors; i++) {
        if (*p != *minors[i][0]) continue;
        p++;
        if (p < t->end && *p && strchr(minors[i][1], *p)) p++;
        return p < t->end && *p == '}' && copy(t, (size_t)(p + 1 - t->p));
    }
    return false;
}

static bool is_single_escape(char c)
{
    return c && strchr("()*+-.?[\\]^nrt{|}", c);
}

// *set tells whether it was a set of characters, which can be no end of a range.
static bool escape(translator_t *t, bool *set)
{
    if (t->end - t->p < 2) return false;
    *set = t->p[1] == 'p' || t->p[1] == 'P';
    if (*set) return category(t);
    return is_single_escape(t->p[1]) && copy(t, 2);
}

static bool class_char(translator_t *t, bool *set)
{
    *set = false;
    if (!more(t) || *t->p == '-' || *t->p == '[' || *t->p == ']') return false;
    if (*t->p == '\\') return escape(t, set);
    // PCRE2 may give these a meaning inside a class that they do not have here
    if ((*t->p == '^' || *t->p == ':') && !put(t, "\\", 1)) return false;
    return character(t);
}

// One character of a class, or a range of them.
static bool class_item(translator_t *t)
{
    bool set;
    if (!class_char(t, &set)) return false;
    if (set || t->end - t->p < 2 || *t->p != '-' || t->p[1] == ']') return true;
    return copy(t, 1) && class_char(t, &set) && !set;
}

static bool class_expr(translator_t *t)
{
    if (!copy(t, 1)) return false;
    if (more(t) && *t->p == '^' && !copy(t, 1)) return false;
    bool first = true;
    for (; more(t) && *t->p != ']'; first = false) {
        if (*t->p == '-') {
            bool last = t->end - t->p > 1 && t->p[1] == ']';
            if (!(first || last) || !put(t, "\\", 1) || !copy(t, 1)) return false;
        } else if (!class_item(t)) {
            return false;
        }
    }
    return more(t) && !first && copy(t, 1);
}

static bool number(translator_t *t, long *value)
{
    *value = 0;
    const char *start = t->p;
    for (; more(t) && *t->p >= '0' && *t->p <= '9'; t->p++) {
        *value = *value * 10 + (*t->p - '0');
        if (*value > MAX_REPEAT) return false;
    }
    return t->p > start;
}

static bool range_quantifier(translator_t *t)
{
    long low, high;
    char text[32];
    t->p++;
    if (!number(t, &low)) return false;
    int n = snprintf(text, sizeof text, "{%ld}", low);
    if (more(t) && *t->p == ',') {
        t->p++;
        n = snprintf(text, sizeof text, "{%ld,}", low);
        if (more(t) && *t->p != '}') {
            if (!number(t, &high) || high < low) return false;
            n = snprintf(text, sizeof text, "{%ld,%ld}", low, high);
        }
    }
    if (!more(t) || *t->p++ != '}') return false;
    return put(t, text, (size_t)n);
}

static bool quantifier(translator_t *t)
{
    if (!more(t)) return true;
    if (*t->p == '{') return range_quantifier(t);
    return *t->p == '*' || *t->p == '+' || *t->p == '?' ? copy(t, 1) : true;
}

static bool alternatives(translator_t *t);

static bool group(translator_t *t)
{
    if (++t->depth > MAX_NESTING || !put(t, "(?:", 3)) return false;
    t->p++;
    if (!alternatives(t) || !more(t) || *t->p != ')') return false;
    t->depth--;
    return copy(t, 1);
}

static bool atom(translator_t *t)
{
    bool set;
    switch (*t->p) {
    case '(': return group(t);
    case '[': return class_expr(t);
    case '\\': return escape(t, &set);
    case '.': return t->p++, put(t, "[^\\n\\r]", 7);
    case '*':
    case '+':
    case '?':
    case '{':
    case '}':
    case ']': return false;
    }
    return character(t);
}

static bool alternatives(translator_t *t)
{
    while (more(t) && *t->p != ')') {
        bool ok = *t->p == '|' ? copy(t, 1) : atom(t) && quantifier(t);
        if (!ok) return false;
    }
    return true;
}

static void *compile(const char *text, size_t len, bool whole)
{
    translator_t t = {.p = text, .end = text + len};
    buf_init(&t.out, 16 * IREGEXP_MAX);
    pcre2_code *code = NULL;
    // A search is anchored too, behind a lazy prefix: PCRE2 counts its limit anew at each start it tries
    // itself.
    bool ok = whole ? put(&t, "(?:", 3) : put(&t, "(?s:.*?)(?:", 11);
    if (ok && alternatives(&t) && !more(&t) && put(&t, ")", 1)) {
        uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE | PCRE2_ANCHORED;
        if (whole) options |= PCRE2_ENDANCHORED;
        int error;
        PCRE2_SIZE offset;
        code = pcre2_compile((PCRE2_SPTR)t.out.data, t.out.len, options, &error, &offset, NULL);
    }
    buf_free(&t.out);
    return code;
}

iregexp_t *iregexp_new(const char *text, size_t len, bool whole)
{
    iregexp_t *r = xcalloc(1, sizeof *r);
    r->text = xstrndup("", 0);
    r->whole = whole;
    if (len > IREGEXP_MAX) return r;
    r->text = xrealloc(r->text, len + 1);
    memcpy(r->text, text, len);
    r->len = len;
    r->code = compile(r->text, len, whole);
    return r;
}

void iregexp_destroy(iregexp_t **regexp)
{
    if (!*regexp) return;
    if ((*regexp)->code) pcre2_code_free((*regexp)->code);
    free((*regexp)->text);
    free(*regexp);
    *regexp = NULL;
}

int iregexp_match(const iregexp_t *r, const char *subject, size_t len, int64_t *work)
{
    if (!r->code) return 0;
    // PCRE2 does not tell how much it did. So each try is charged its whole limit, and begins with a small
    // one.
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    CHECK(limits && data);
    pcre2_set_heap_limit(limits, MAX_HEAP_KIB);
    int rc = PCRE2_ERROR_MATCHLIMIT;
    for (size_t limit = len + 50; rc == PCRE2_ERROR_MATCHLIMIT && *work >= 0; limit *= 30) {
        *work -= (int64_t)limit * 2;
        if (*work < 0 || limit > MAX_STEPS) break;
        pcre2_set_match_limit(limits, (uint32_t)limit);
        rc = pcre2_match(r->code, (PCRE2_SPTR)subject, len, 0, 0, data, limits);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
    if (rc >= 0) return 1;
    return rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT ? -1 : 0;
}
