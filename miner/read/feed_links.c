// Feed links: a scan from one `=` to the next, as most markup has no relative link; only what has one is read
// tag by tag and copied.
#include "miner/read/feed_links.h"

#include <string.h>

#include "common/buf.h"

enum { MAX_MARKUP = 8 << 20, MAX_LINK = 2048 };

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Is s name, which is in lower case? A letter's bit apart, no other character becomes a letter.
static bool is_name(const char *s, const char *name, size_t len)
{
    size_t i = 0;
    while (i < len && (s[i] | 0x20) == name[i]) i++;
    return i == len;
}

bool feed_link_name(const char *name, size_t len)
{
    return (len == 4 && is_name(name, "href", 4)) || (len == 3 && is_name(name, "src", 3));
}

// "http:", "mailto:", "data:"
static bool has_scheme(const char *s, size_t len)
{
    size_t i = len > 5 && memcmp(s, "http", 4) == 0 ? 4 : 0; // most do
    for (; i < len && s[i] != ':'; i++) {
        bool other = (s[i] >= '0' && s[i] <= '9') || s[i] == '+' || s[i] == '-' || s[i] == '.';
        if (!is_letter(s[i]) && !(i && other)) return false;
    }
    return i && i < len;
}

const char *feed_link_resolve(urls_t *urls, arena_t *arena, const char *link, size_t len)
{
    while (len && is_space(*link)) link++, len--;
    if (!len || len > MAX_LINK || *link == '#' || has_scheme(link, len)) return NULL;
    return urls_resolve(urls, arena, link, len);
}

// May the `=` at equals belong to a relative link? A look that is quick and rather says yes.
static bool may_be_link(const char *html, const char *equals, const char *end)
{
    const char *name_end = equals, *p = equals + 1;
    while (name_end > html && is_space(name_end[-1])) name_end--;
    size_t before = (size_t)(name_end - html);
    char last = before ? (char)(name_end[-1] | 0x20) : '\0';
    if (last != 'f' && last != 'c') return false; // no href, no src
    if (!(before > 4 && feed_link_name(name_end - 4, 4)) && !(before > 3 && feed_link_name(name_end - 3, 3)))
        return false;
    while (p < end && (is_space(*p) || *p == '"' || *p == '\'')) p++;
    return !has_scheme(p, (size_t)(end - p));
}

static bool has_relative_link(const char *html, const char *end)
{
    for (const char *p = html; (p = memchr(p, '=', (size_t)(end - p))); p++)
        if (may_be_link(html, p, end)) return true;
    return false;
}

typedef struct {
    const char *p, *end;
    const char *copied; // what stands before it is in out
    urls_t *urls;
    arena_t *arena;
    buf_t out;
} scan_t;

static int put_link(scan_t *s, const char *link, size_t len)
{
    const char *url = feed_link_resolve(s->urls, s->arena, link, len);
    if (!url) return 0;
    int rc = buf_append(&s->out, s->copied, (size_t)(link - s->copied));
    for (; *url && rc == 0; url++)
        rc = *url == '\'' ? buf_puts(&s->out, "%27") : buf_append(&s->out, url, 1); // it may be the quote
    s->copied = link + len;
    return rc;
}

static void skip_spaces(scan_t *s)
{
    while (s->p < s->end && is_space(*s->p)) s->p++;
}

// One attribute, or a character that is none's.
static int take_attribute(scan_t *s)
{
    const char *name = s->p;
    while (s->p < s->end && !is_space(*s->p) && !strchr("=>/", *s->p)) s->p++;
    size_t len = (size_t)(s->p - name);
    skip_spaces(s);
    if (s->p == s->end || *s->p != '=') {
        s->p += len == 0 && s->p < s->end;
        return 0;
    }
    s->p++;
    skip_spaces(s);
    char quote = s->p < s->end && (*s->p == '"' || *s->p == '\'') ? *s->p++ : '\0';
    const char *value = s->p;
    if (quote) {
        s->p = memchr(value, quote, (size_t)(s->end - value));
        if (!s->p) return s->p = s->end, 0; // it does not end
    } else {
        while (s->p < s->end && !is_space(*s->p) && *s->p != '>') s->p++;
    }
    const char *behind = s->p;
    s->p += quote != '\0';
    return feed_link_name(name, len) ? put_link(s, value, (size_t)(behind - value)) : 0;
}

// The tag at hand, behind its `<`.
static int take_tag(scan_t *s)
{
    while (s->p < s->end && !is_space(*s->p) && *s->p != '>' && *s->p != '/') s->p++;
    int rc = 0;
    while (rc == 0 && s->p < s->end && *s->p != '>') rc = is_space(*s->p) ? (s->p++, 0) : take_attribute(s);
    return rc;
}

void feed_links_resolve(urls_t *urls, arena_t *arena, const char **html, size_t *len)
{
    scan_t s = {.p = *html, .end = *html + *len, .copied = *html, .urls = urls, .arena = arena};
    if (!has_relative_link(*html, s.end)) return;
    buf_init(&s.out, MAX_MARKUP);
    int rc = 0;
    while (rc == 0 && (s.p = memchr(s.p, '<', (size_t)(s.end - s.p))))
        if (++s.p < s.end && is_letter(*s.p)) rc = take_tag(&s);
    if (rc == 0 && s.out.len && buf_append(&s.out, s.copied, (size_t)(s.end - s.copied)) == 0) {
        const char *copy = arena_strndup(arena, s.out.data, s.out.len);
        if (copy) *html = copy, *len = s.out.len;
    }
    buf_free(&s.out);
}
