// CSS source: one pass that copies, and knows strings, escapes, comments, brackets and pseudo-classes.
#include "miner/read/css_source.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct {
    const char *text, *p, *end;
    buf_t *out;
    bool *forgiving;
    char *why;
    size_t size;
} source_t;

static int refuse(source_t *s, const char *what)
{
    snprintf(s->why, s->size, "no valid CSS selector: %s", what);
    return -1;
}

static int put(source_t *s, const char *text, size_t len)
{
    return buf_append(s->out, text, len) == 0 ? 0 : refuse(s, "it is too long");
}

static int put_text(source_t *s, const char *text)
{
    return put(s, text, strlen(text));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || (c & 0x80);
}

static bool at_comment(const char *p, const char *end)
{
    return end - p >= 2 && p[0] == '/' && p[1] == '*';
}

// Behind the comment at p.
static const char *comment_end(const char *p, const char *end)
{
    const char *close = memmem(p + 2, (size_t)(end - p - 2), "*/", 2);
    return close ? close + 2 : end;
}

// Behind the string at p.
static const char *string_end(const char *p, const char *end)
{
    char quote = *p++;
    while (p < end && *p != quote) p += *p == '\\' && end - p > 1 ? 2 : 1;
    return p < end ? p + 1 : end;
}

static const char *skip_spaces(const char *p, const char *end)
{
    while (p < end && (is_space(*p) || at_comment(p, end))) p = is_space(*p) ? p + 1 : comment_end(p, end);
    return p;
}

// Behind the bracket that closes the one at p, or NULL.
static const char *group_end(const char *p, const char *end)
{
    size_t depth = 0;
    char open = *p;
    while (p < end) {
        if (*p == '"' || *p == '\'') {
            p = string_end(p, end);
            continue;
        }
        if (at_comment(p, end)) {
            p = comment_end(p, end);
            continue;
        }
        if (*p == '(' || *p == '[') depth++;
        if ((*p == ')' || *p == ']') && --depth == 0) return (*p == ')') == (open == '(') ? p + 1 : NULL;
        p += *p == '\\' && end - p > 1 ? 2 : 1;
    }
    return NULL;
}

// Letters beyond ASCII are no beginning of a name to lexbor; escaped they are.
static int put_letter(source_t *s)
{
    const unsigned char *u = (const unsigned char *)s->p;
    size_t left = (size_t)(s->end - s->p), n = *u < 0xC0 ? 1 : *u < 0xE0 ? 2 : *u < 0xF0 ? 3 : 4;
    uint32_t c = n == 1 ? 0xFFFD : *u & (0xFFu >> (n + 1));
    char escape[16];
    if (n > left) return refuse(s, "it is not UTF-8");
    for (size_t i = 1; i < n; i++) c = c << 6 | (u[i] & 0x3F);
    s->p += n;
    return put(s, escape, (size_t)snprintf(escape, sizeof escape, "\\%X ", (unsigned)c));
}

// Copies a name, or what stands in its place.
static int put_name(source_t *s, const char *p, const char *end)
{
    const char *behind = s->p;
    int rc = 0;
    for (s->p = p; s->p < end && rc == 0;) {
        if (*s->p & 0x80)
            rc = put_letter(s);
        else
            rc = put(s, s->p++, 1);
    }
    s->p = behind;
    return rc;
}

// -- attributes -----------------------------------------------------------------------------------

// Behind the value of an attribute selector stands nothing, or one of i and s in either case.
static int put_modifier(source_t *s, const char *p, const char *end)
{
    p = skip_spaces(p, end);
    while (end > p && is_space(end[-1])) end--;
    const char *rest = p < end && is_name(*p) ? skip_spaces(p + 1, end) : p;
    if (p == end) return 0;
    if (rest == end && strchr("iIsS", *p)) return put(s, *p == 'i' || *p == 'I' ? " i" : " s", 2);
    if (*p != '\\') return refuse(s, "behind an attribute's value stands i or s");
    return put_text(s, " ") || put(s, p, (size_t)(end - p));
}

// Behind the identifier at p; escapes belong to it, and the white space that ends one.
static const char *name_end(const char *p, const char *end)
{
    while (p < end && (is_name(*p) || *p == '\\')) {
        const char *start = p;
        if (*p++ != '\\') continue;
        while (p < end && p - start < 7 && strchr("0123456789abcdefABCDEF", *p) && *p) p++;
        if (p - start == 1 && p < end)
            p++;
        else if (p < end && is_space(*p))
            p++;
    }
    return p;
}

// "[name op value modifier]", at the bracket; end: behind the closing one.
static int put_attribute(source_t *s, const char *end)
{
    const char *close = end - 1, *p = skip_spaces(s->p + 1, close);
    s->p = end;
    if (close - p > 2 && p[0] == '*' && p[1] == '|' && p[2] != '=') p += 2; // of any namespace, or none
    const char *equals = p;
    while (equals < close && *equals != '=') equals += *equals == '\\' && close - equals > 1 ? 2 : 1;
    if (equals == close) return put_text(s, "[") || put_name(s, p, close) || put_text(s, "]") ? -1 : 0;
    const char *value = skip_spaces(equals + 1, close);
    if (value == close) return refuse(s, "an attribute's value is missing");
    bool quoted = *value == '"' || *value == '\'';
    const char *behind = quoted ? string_end(value, close) : name_end(value, close);
    if (behind == value) return refuse(s, "an attribute's value is a name or stands in quotes");
    if (put_text(s, "[") || put_name(s, p, equals + 1)) return -1;
    if (quoted ? put(s, value, (size_t)(behind - value)) : put_name(s, value, behind)) return -1;
    if (put_modifier(s, behind, close)) return -1;
    return put_text(s, "]");
}

// -- pseudo-classes -------------------------------------------------------------------------------

typedef struct {
    const char *s;
    size_t len;
} word_t;

static bool is_word(word_t w, const char *name)
{
    return strlen(name) == w.len && strncasecmp(w.s, name, w.len) == 0;
}

static bool is_one_of(word_t w, const char *const *names)
{
    for (; *names; names++)
        if (is_word(w, *names)) return true;
    return false;
}

// "en, 'fr'" as `[\20 lang="en,fr"]`.
static int put_argument(source_t *s, const char *name, const char *p, const char *end)
{
    if (put_text(s, "[\\20") || put_text(s, name) || put_text(s, "=\"")) return -1;
    for (bool first = true;; first = false) {
        p = skip_spaces(p, end);
        if (p == end) return refuse(s, "a pseudo-class without what it asks for");
        bool quoted = *p == '"' || *p == '\'';
        const char *behind = quoted ? string_end(p, end) : name_end(p, end), *from = p + quoted;
        bool broken = behind == p || memchr(from, '"', (size_t)(behind - quoted - from));
        if (broken || (!quoted && *p >= '0' && *p <= '9'))
            return refuse(s, "a language is a name or stands in quotes");
        if ((!first && put_text(s, ",")) || put(s, from, (size_t)(behind - quoted - from))) return -1;
        p = skip_spaces(behind, end);
        if (p == end) return put_text(s, "\"]");
        if (*p++ != ',') return refuse(s, "languages are separated by commas");
    }
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') p++;
    return p;
}

// Behind "an+b", or NULL where there is none (CSS Syntax, 6).
static const char *anb_end(const char *p, const char *end)
{
    for (size_t i = 0; i < 2; i++) {
        const char *word = i ? "even" : "odd";
        size_t n = strlen(word);
        if ((size_t)(end - p) >= n && strncasecmp(p, word, n) == 0) return p + n;
    }
    const char *start = p += p < end && (*p == '+' || *p == '-');
    p = skip_digits(p, end);
    if (p == end || (*p | 0x20) != 'n') return p > start ? p : NULL;
    const char *n = ++p;
    p = skip_spaces(p, end);
    if (p == end || (*p != '+' && *p != '-')) return n;
    p = skip_spaces(p + 1, end);
    const char *digits = skip_digits(p, end);
    return digits > p ? digits : NULL;
}

// Only "an+b" stands in the brackets, and `of` what counts, where that is known.
static int check_nth(source_t *s, word_t name, const char *p, const char *end)
{
    bool children = is_word(name, "nth-child") || is_word(name, "nth-last-child");
    p = anb_end(skip_spaces(p, end), end);
    const char *rest = p ? skip_spaces(p, end) : NULL;
    if (rest == end && rest) return 0;
    if (children && rest && rest > p && end - rest > 2 && strncasecmp(rest, "of", 2) == 0) return 0;
    return refuse(s, children ? "an+b, or an+b of a selector, is wanted" : "an+b is wanted");
}

static int put_function(source_t *s, word_t name, const char *open)
{
    static const char *const counts[] = {"nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type",
                                         NULL};
    static const char *const contains[] = {"contains", "-soup-contains", NULL};
    static const char *const lists[] = {"is", "where", NULL};
    const char *behind = group_end(open, s->end), *from = open + 1;
    if (!behind) return refuse(s, "a bracket is not closed");
    s->p = behind;
    if (is_word(name, "lang")) return put_argument(s, CSS_LANG, from, behind - 1);
    if (is_word(name, "dir")) return put_argument(s, CSS_DIR, from, behind - 1);
    if (is_one_of(name, lists)) {
        *s->forgiving = true;
        if (skip_spaces(from, behind - 1) == behind - 1) return put_text(s, "[\\20" CSS_NEVER "]");
    }
    if (is_one_of(name, counts) && check_nth(s, name, from, behind - 1)) return -1;
    s->p = from; // what is within is looked at as all else is
    if (is_one_of(name, contains)) return put_text(s, ":lexbor-contains(");
    return put_text(s, ":") || put(s, name.s, name.len) || put_text(s, "(");
}

// At a colon that no other is beside.
static int put_pseudo(source_t *s)
{
    // nobody looks at the document, moves a pointer over it or went to its links
    static const char *const never[] = {"hover",        "active",     "focus",         "focus-visible",
                                        "focus-within", "target",     "target-within", "visited",
                                        "user-invalid", "user-valid", "fullscreen",    NULL};
    word_t name = {s->p + 1, 0};
    const char *end = s->p + 1;
    while (end < s->end && is_name(*end) && !(*end & 0x80)) end++;
    name.len = (size_t)(end - name.s);
    if (end < s->end && *end == '(') return put_function(s, name, end);
    s->p = end;
    if (is_word(name, "scope")) return put_text(s, "[\\20" CSS_SCOPE "]");
    if (is_one_of(name, never)) return put_text(s, "[\\20" CSS_NEVER "]");
    return put_text(s, ":") || put(s, name.s, name.len);
}

// -- the pass -------------------------------------------------------------------------------------

static int copy_to(source_t *s, const char *end)
{
    const char *from = s->p;
    s->p = end;
    return put(s, from, (size_t)(end - from));
}

// "|a": an a of no namespace, of which HTML has none.
static bool is_without_namespace(const source_t *s)
{
    const char *p = s->p, *next = p + 1;
    bool led = p > s->text && (is_name(p[-1]) || p[-1] == '*' || p[-1] == '|');
    return *p == '|' && !led && next < s->end && (is_name(*next) || *next == '*' || *next == '\\');
}

static int put_never(source_t *s)
{
    const char *from = s->p + 1;
    s->p = *from == '*' ? from + 1 : name_end(from, s->end);
    return put_name(s, from, s->p) || put_text(s, "[\\20" CSS_NEVER "]");
}

static int put_next(source_t *s)
{
    const char *p = s->p;
    if (*p == '"' || *p == '\'') return copy_to(s, string_end(p, s->end));
    if (at_comment(p, s->end)) return copy_to(s, comment_end(p, s->end));
    if (*p == '\\') return copy_to(s, p + (s->end - p > 1 ? 2 : 1));
    if (*p & 0x80) return put_letter(s);
    if (*p == ':' && s->end - p > 1 && p[1] == ':') return copy_to(s, p + 2);
    if (*p == ':') return put_pseudo(s);
    if (is_without_namespace(s)) return put_never(s);
    const char *next = *p == ',' && !*s->forgiving ? skip_spaces(p + 1, s->end) : s->end;
    if (next < s->end && *next == ')') return refuse(s, "nothing stands behind a comma");
    const char *behind = *p == '[' ? group_end(p, s->end) : NULL;
    return behind ? put_attribute(s, behind) : copy_to(s, p + 1);
}

int css_source(const char *text, size_t len, buf_t *out, bool *forgiving, char *why, size_t size)
{
    source_t s = {.text = text,
                  .p = text,
                  .end = text + len,
                  .out = out,
                  .forgiving = forgiving,
                  .why = why,
                  .size = size};
    *forgiving = false;
    while (s.p < s.end)
        if (put_next(&s) != 0) return -1;
    return 0;
}
