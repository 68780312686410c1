// XML repair: one pass over the text with a stack of open elements.
#include "miner/read/xml_repair.h"

#include <libxml/HTMLparser.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "miner/read/charset.h"
#include "miner/read/effort.h"

enum { MAX_ATTRIBUTES = 64, MAX_ENTITIES = 64, MAX_ENTITY_VALUE = 1024, MAX_REFERENCE = 40, LONG_TAG = 4096 };

typedef struct {
    const char *s;
    size_t len;
} span_t;

typedef struct {
    const char *p, *end;
    buf_t *out;
    bool full;
    span_t open[XML_MAX_DEPTH];
    size_t n_open;
    struct {
        span_t name, value;
    } entities[MAX_ENTITIES];
    size_t n_entities;
} repair_t;

static void put(repair_t *r, const char *s, size_t len)
{
    if (!r->full && buf_append(r->out, s, len) != 0) r->full = true;
}

static void puts_(repair_t *r, const char *s)
{
    put(r, s, strlen(s));
}

static bool same(span_t a, span_t b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

static bool at(const repair_t *r, const char *s)
{
    size_t len = strlen(s);
    return (size_t)(r->end - r->p) >= len && memcmp(r->p, s, len) == 0;
}

static bool at_nocase(const repair_t *r, const char *s)
{
    size_t len = strlen(s);
    return (size_t)(r->end - r->p) >= len && strncasecmp(r->p, s, len) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':';
}

static void skip_spaces(repair_t *r)
{
    while (r->p < r->end && is_space(*r->p)) r->p++;
}

// Skips behind the next s; to the end where there is none.
static void skip_behind(repair_t *r, const char *s)
{
    const char *found = memmem(r->p, (size_t)(r->end - r->p), s, strlen(s));
    r->p = found ? found + strlen(s) : r->end;
}

// -- references -----------------------------------------------------------------------------------

static bool is_xml_char(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0xD7FF) ||
           (c >= 0xE000 && c <= 0xFFFD) || (c >= 0x10000 && c <= 0x10FFFF);
}

static void put_char(repair_t *r, uint32_t c)
{
    char text[16];
    c = charset_meant(c);
    if (!is_xml_char(c)) return;
    int n = snprintf(text, sizeof text, "&#%u;", (unsigned)c);
    put(r, text, (size_t)n);
}

static void put_escaped(repair_t *r, span_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.s[i] == '&')
            puts_(r, "&amp;");
        else if (text.s[i] == '<')
            puts_(r, "&lt;");
        else
            put(r, &text.s[i], 1);
    }
}

static bool put_numeric(repair_t *r, const char *name, size_t len)
{
    bool hex = len > 1 && (name[1] == 'x' || name[1] == 'X');
    char digits[MAX_REFERENCE];
    char *end;
    size_t skip = hex ? 2 : 1;
    if (len <= skip) return false;
    memcpy(digits, name + skip, len - skip);
    digits[len - skip] = '\0';
    unsigned long c = strtoul(digits, &end, hex ? 16 : 10);
    if (*end || end == digits || *digits == '-' || *digits == '+') return false;
    put_char(r, c > 0x10FFFF ? 0 : (uint32_t)c);
    return true;
}

static bool put_named(repair_t *r, span_t name)
{
    static const char *const xml[] = {"amp", "lt", "gt", "quot", "apos"};
    char text[MAX_REFERENCE];
    memcpy(text, name.s, name.len);
    text[name.len] = '\0';
    for (size_t i = 0; i < 5; i++) {
        if (strcmp(text, xml[i]) == 0) return put(r, name.s - 1, name.len + 2), true;
    }
    for (size_t i = 0; i < r->n_entities; i++) {
        if (same(r->entities[i].name, name)) return put_escaped(r, r->entities[i].value), true;
    }
    const htmlEntityDesc *html = htmlEntityLookup((const xmlChar *)text);
    if (html) put_char(r, html->value);
    return html != NULL;
}

// At `&`.
static void take_reference(repair_t *r)
{
    const char *name = r->p + 1;
    size_t len = 0, room = (size_t)(r->end - name);
    while (len < room && len < MAX_REFERENCE - 1 && (is_name(name[len]) || (len == 0 && *name == '#'))) len++;
    bool closed = len > 0 && len < room && name[len] == ';';
    bool known = closed && (*name == '#' ? put_numeric(r, name, len) : put_named(r, (span_t){name, len}));
    if (!known) puts_(r, "&amp;");
    r->p = known ? name + len + 1 : name;
}

// One character of text or of an attribute's value.
static void take_char(repair_t *r)
{
    unsigned char c = (unsigned char)*r->p;
    if (c == '&') {
        take_reference(r);
        return;
    }
    const char *start = r->p;
    do {
        r->p++;
    } while (r->p < r->end && (unsigned char)*r->p >= 0x20 && !strchr("&<>\"'\xEF", *r->p));
    if (c == '<' || c == '>') {
        puts_(r, c == '<' ? "&lt;" : "&gt;");
        put(r, start + 1, (size_t)(r->p - start - 1));
    } else if (c == 0xEF && r->end - start >= 3 && (unsigned char)start[1] == 0xBF &&
               (unsigned char)start[2] >= 0xBE) {
        r->p = start + 3; // U+FFFE, U+FFFF
    } else if (c >= 0x20 || c == '\t' || c == '\n' || c == '\r') {
        put(r, start, (size_t)(r->p - start));
    } else {
        put(r, start + 1, (size_t)(r->p - start - 1));
    }
}

// -- tags -----------------------------------------------------------------------------------------

static span_t take_name(repair_t *r)
{
    span_t name = {r->p, 0};
    while (r->p < r->end && is_name(*r->p)) r->p++;
    name.len = (size_t)(r->p - name.s);
    return name;
}

// A name may hold one colon, inside.
static span_t clean_name(span_t name)
{
    const char *colon = memchr(name.s, ':', name.len);
    if (!colon) return name;
    size_t behind = name.len - (size_t)(colon + 1 - name.s);
    bool good = colon > name.s && behind > 0 && is_name_start(colon[1]) && !memchr(colon + 1, ':', behind);
    return good ? name : (span_t){name.s, (size_t)(colon - name.s)};
}

static void put_close(repair_t *r)
{
    span_t name = r->open[--r->n_open];
    puts_(r, "</");
    put(r, name.s, name.len);
    puts_(r, ">");
}

static void take_value(repair_t *r)
{
    char quote = r->p < r->end && (*r->p == '"' || *r->p == '\'') ? *r->p++ : '\0';
    puts_(r, "\"");
    while (r->p < r->end && (quote ? *r->p != quote : !is_space(*r->p) && *r->p != '>')) {
        if (*r->p == '"') {
            puts_(r, "&quot;");
            r->p++;
        } else if (is_space(*r->p)) {
            puts_(r, " ");
            r->p++;
        } else if (quote || *r->p == '&' || *r->p == '<') {
            take_char(r);
        } else {
            put(r, r->p++, 1);
        }
    }
    puts_(r, "\"");
    if (quote && r->p < r->end) r->p++;
}

static bool is_new(span_t *names, size_t *n, span_t name)
{
    for (size_t i = 0; i < *n; i++) {
        if (same(names[i], name)) return false;
    }
    if (*n == MAX_ATTRIBUTES) return false;
    names[(*n)++] = name;
    return true;
}

// One attribute; it is written unless it stood there before.
static void take_attribute(repair_t *r, span_t *names, size_t *n)
{
    size_t before = r->out->len;
    span_t name = take_name(r);
    bool wanted = clean_name(name).len == name.len && is_new(names, n, name);
    puts_(r, " ");
    put(r, name.s, name.len);
    puts_(r, "=");
    skip_spaces(r);
    if (r->p < r->end && *r->p == '=') {
        r->p++;
        skip_spaces(r);
        take_value(r);
    } else {
        puts_(r, "\"\"");
    }
    if (!wanted && !r->full) r->out->len = before;
}

// At `<` of a start tag.
static void take_start(repair_t *r)
{
    span_t names[MAX_ATTRIBUTES];
    size_t n = 0, before = r->out->len;
    r->p++;
    span_t name = clean_name(take_name(r));
    puts_(r, "<");
    put(r, name.s, name.len);
    bool empty = false;
    while (r->p < r->end && *r->p != '>' && *r->p != '<') {
        empty = *r->p == '/';
        if (is_name_start(*r->p))
            take_attribute(r, names, &n);
        else
            r->p++;
    }
    if (r->p < r->end && *r->p == '>') r->p++;
    puts_(r, empty ? "/>" : ">");
    if (empty) return;
    if (r->n_open == XML_MAX_DEPTH) {
        if (!r->full) r->out->len = before;
        return;
    }
    r->open[r->n_open++] = name;
}

// At `</`: closes the innermost element of that name with all inside it.
static void take_end(repair_t *r)
{
    r->p += 2;
    span_t name = clean_name(take_name(r));
    while (r->p < r->end && *r->p != '>' && *r->p != '<') r->p++;
    if (r->p < r->end && *r->p == '>') r->p++;
    size_t i = r->n_open;
    while (i > 0 && !same(r->open[i - 1], name)) i--;
    if (i == 0) return;
    while (r->n_open >= i) put_close(r);
}

// -- what is no element ---------------------------------------------------------------------------

static void take_cdata(repair_t *r)
{
    r->p += strlen("<![CDATA[");
    const char *stop = memmem(r->p, (size_t)(r->end - r->p), "]]>", 3), *end = r->end;
    if (stop) r->end = stop;
    while (r->p < r->end) {
        if (*r->p == '&') {
            puts_(r, "&amp;");
            r->p++;
        } else {
            take_char(r);
        }
    }
    r->end = end;
    if (stop) r->p = stop + 3;
}

static void take_entity_declaration(repair_t *r)
{
    r->p += strlen("<!ENTITY");
    skip_spaces(r);
    span_t name = take_name(r);
    skip_spaces(r);
    if (name.len == 0 || r->p == r->end || (*r->p != '"' && *r->p != '\'')) return;
    char quote = *r->p++;
    const char *stop = memchr(r->p, quote, (size_t)(r->end - r->p));
    if (!stop) return;
    span_t value = {r->p, (size_t)(stop - r->p)};
    r->p = stop + 1;
    if (value.len > MAX_ENTITY_VALUE || r->n_entities == MAX_ENTITIES) return;
    r->entities[r->n_entities].name = name;
    r->entities[r->n_entities++].value = value;
}

// <!DOCTYPE ...>, with an internal subset or without.
static void take_doctype(repair_t *r)
{
    for (bool inside = false; r->p < r->end; r->p++) {
        if (at(r, "<!ENTITY")) {
            take_entity_declaration(r);
            if (r->p == r->end) return;
        }
        if (at(r, "<!--")) skip_behind(r, "-->");
        if (r->p == r->end) return;
        if (*r->p == '[') inside = true;
        if (*r->p == ']') inside = false;
        if (*r->p == '>' && !inside) break;
    }
    if (r->p < r->end) r->p++;
}

static void take_markup(repair_t *r)
{
    char next = r->end - r->p > 1 ? r->p[1] : '\0';
    if (is_name_start(next))
        take_start(r);
    else if (next == '/' && r->end - r->p > 2 && is_name_start(r->p[2]))
        take_end(r);
    else if (at(r, "<![CDATA["))
        take_cdata(r);
    else if (at(r, "<!--"))
        skip_behind(r, "-->");
    else if (at_nocase(r, "<!DOCTYPE"))
        take_doctype(r);
    else if (next == '?' || next == '!')
        skip_behind(r, ">");
    else
        take_char(r);
}

int xml_repair(const char *text, size_t len, buf_t *out)
{
    repair_t *r = calloc(1, sizeof *r);
    if (!r) return -1;
    *r = (repair_t){.p = text, .end = text + len, .out = out};
    puts_(r, "<repaired>");
    for (unsigned turns = 1; r->p < r->end && !r->full; turns++) {
        if (turns % 256 == 0 && effort_over()) r->full = true;
        if (*r->p == '<')
            take_markup(r);
        else
            take_char(r);
    }
    while (r->n_open) put_close(r);
    puts_(r, "</repaired>");
    int rc = r->full ? -1 : 0;
    free(r);
    return rc;
}

size_t xml_skip_dtd(const char *text, size_t len)
{
    for (size_t i = 0; i + 1 < len;) {
        const char *p = memchr(text + i, '<', len - i);
        if (!p || p + 2 >= text + len || is_name_start(p[1])) return 0; // the root
        i = (size_t)(p - text) + 1;
        if (p[1] != '!' || p[2] == '-') continue;
        const char *end = memchr(p, '>', len - i);
        return end && !memchr(p, '[', (size_t)(end - p)) ? (size_t)(end + 1 - text) : SIZE_MAX;
    }
    return 0;
}

// The length of the start tag at s; `>` within quotes does not end it.
static size_t tag_length(const char *s, size_t len)
{
    char quote = '\0';
    for (size_t i = 1; i < len; i++) {
        if (quote ? s[i] == quote : s[i] == '"' || s[i] == '\'')
            quote = quote ? '\0' : s[i];
        else if (!quote && s[i] == '>')
            return i;
    }
    return len;
}

bool xml_has_long_tag(const char *text, size_t len)
{
    const char *end = text + len, *next;
    // no tag goes beyond the next `<`, which is allowed in no attribute: where there is one near, the tag is
    // short
    for (const char *p = memchr(text, '<', len); p; p = next) {
        size_t room = (size_t)(end - p - 1);
        next = memrchr(p + 1, '<', room < LONG_TAG ? room : LONG_TAG);
        if (next) continue;
        next = memchr(p + 1, '<', room);
        room = (size_t)((next ? next : end) - p);
        if (room > LONG_TAG && is_name_start(p[1]) && tag_length(p, room) > LONG_TAG) return true;
    }
    return false;
}
