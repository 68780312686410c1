// Text: one writer folds white space and line breaks; a walk over a parsed tree and a scan of raw markup feed
// it.
#include "miner/read/text.h"

#include <lexbor/core/sbst.h>
#include <lexbor/dom/dom.h>
#include <lexbor/html/tokenizer/res.h>
#include <lexbor/tag/tag.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "miner/read/blocks.h"
#include "miner/read/charset.h"

// How an element is shown.
typedef enum { SHOW_INLINE, SHOW_SPACE, SHOW_BREAK, SHOW_BLOCK, SHOW_PARAGRAPH, SHOW_PRE, SHOW_NOT } show_t;

// Sorted by name; elements that are not here are inline.
static const struct shown {
    char name[12];
    show_t show;
} shown_as[] = {
    {"address", SHOW_BLOCK},
    {"article", SHOW_BLOCK},
    {"aside", SHOW_BLOCK},
    {"audio", SHOW_NOT},
    {"blockquote", SHOW_PARAGRAPH},
    {"body", SHOW_BLOCK},
    {"br", SHOW_BREAK},
    {"canvas", SHOW_NOT},
    {"caption", SHOW_BLOCK},
    {"center", SHOW_BLOCK},
    {"datalist", SHOW_NOT},
    {"dd", SHOW_BLOCK},
    {"details", SHOW_BLOCK},
    {"dialog", SHOW_NOT},
    {"dir", SHOW_BLOCK},
    {"div", SHOW_BLOCK},
    {"dl", SHOW_PARAGRAPH},
    {"dt", SHOW_BLOCK},
    {"fieldset", SHOW_BLOCK},
    {"figcaption", SHOW_BLOCK},
    {"figure", SHOW_BLOCK},
    {"footer", SHOW_BLOCK},
    {"form", SHOW_BLOCK},
    {"h1", SHOW_PARAGRAPH},
    {"h2", SHOW_PARAGRAPH},
    {"h3", SHOW_PARAGRAPH},
    {"h4", SHOW_PARAGRAPH},
    {"h5", SHOW_PARAGRAPH},
    {"h6", SHOW_PARAGRAPH},
    {"head", SHOW_NOT},
    {"header", SHOW_BLOCK},
    {"hgroup", SHOW_BLOCK},
    {"hr", SHOW_BLOCK},
    {"html", SHOW_BLOCK},
    {"iframe", SHOW_NOT},
    {"legend", SHOW_BLOCK},
    {"li", SHOW_BLOCK},
    {"listing", SHOW_PRE},
    {"main", SHOW_BLOCK},
    {"menu", SHOW_BLOCK},
    {"nav", SHOW_BLOCK},
    {"noembed", SHOW_NOT},
    {"noframes", SHOW_NOT},
    {"noscript", SHOW_NOT},
    {"object", SHOW_NOT},
    {"ol", SHOW_PARAGRAPH},
    {"optgroup", SHOW_BLOCK},
    {"option", SHOW_BLOCK},
    {"p", SHOW_PARAGRAPH},
    {"pre", SHOW_PRE},
    {"rp", SHOW_NOT},
    {"script", SHOW_NOT},
    {"search", SHOW_BLOCK},
    {"section", SHOW_BLOCK},
    {"style", SHOW_NOT},
    {"summary", SHOW_BLOCK},
    {"table", SHOW_BLOCK},
    {"tbody", SHOW_BLOCK},
    {"td", SHOW_SPACE},
    {"template", SHOW_NOT},
    {"textarea", SHOW_PRE},
    {"tfoot", SHOW_BLOCK},
    {"th", SHOW_SPACE},
    {"thead", SHOW_BLOCK},
    {"title", SHOW_NOT},
    {"tr", SHOW_BLOCK},
    {"ul", SHOW_PARAGRAPH},
    {"video", SHOW_NOT},
    {"xmp", SHOW_PRE},
};

static int by_name(const void *key, const void *row)
{
    return strcmp(key, ((const struct shown *)row)->name);
}

// name in lower case, with a NUL.
static show_t show_of(const char *name)
{
    const struct shown *row =
        bsearch(name, shown_as, sizeof shown_as / sizeof *shown_as, sizeof *shown_as, by_name);
    return row ? row->show : SHOW_INLINE;
}

// -- the writer -----------------------------------------------------------------------------------

enum { GAP_NONE, GAP_SPACE, GAP_LINE, GAP_EMPTY_LINE }; // what stands between the last character and the next

typedef struct {
    char *out; // of cap + 1 bytes
    size_t len, cap;
    unsigned gap;
    bool one_line;
    bool full;     // cap was met
    unsigned pre;  // depth of preformatted elements
    bool unclosed; // a hidden element had no end tag: looking for more would cost the square of the length
} writer_t;

size_t text_cut(const char *s, size_t len, size_t max)
{
    if (len <= max) return len;
    while (max > 0 && ((unsigned char)s[max] & 0xC0) == 0x80) max--;
    return max;
}

static void want_gap(writer_t *w, unsigned gap)
{
    if (gap > w->gap) w->gap = gap;
}

// <br>: a second one makes an empty line.
static void want_break(writer_t *w)
{
    w->gap = w->gap >= GAP_LINE ? GAP_EMPTY_LINE : GAP_LINE;
}

static void put(writer_t *w, const char *s, size_t n)
{
    static const char gaps[][3] = {"", " ", "\n", "\n\n"};
    static const size_t lengths[] = {0, 1, 1, 2};
    if (w->full) return;
    unsigned kind = w->len == 0 ? GAP_NONE : w->one_line && w->gap ? GAP_SPACE : w->gap;
    const char *gap = gaps[kind];
    size_t g = lengths[kind], fits = w->cap - w->len;
    w->gap = GAP_NONE;
    if (g >= fits) {
        w->full = true;
        return;
    }
    memcpy(w->out + w->len, gap, g);
    w->len += g;
    size_t take = text_cut(s, n, fits - g);
    w->full = take < n;
    memcpy(w->out + w->len, s, take);
    w->len += take;
    while (w->full && w->len && w->out[w->len - 1] == ' ') w->len--;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// Bytes at s that are not to be kept as they are: C0 and DEL (1), C1 (2), a no-break space (2, as a space);
// else 0.
static size_t special(const unsigned char *s, size_t n, bool *space)
{
    *space = is_space(*s);
    if (*s < 0x20 || *s == ' ' || *s == 0x7F) return 1;
    if (*s != 0xC2 || n < 2 || s[1] > 0xA0) return 0;
    *space = s[1] == 0xA0;
    return 2;
}

static bool ends_run(unsigned char c)
{
    return c <= ' ' || c == 0x7F || c == 0xC2;
}

// Bytes that folding would not simply copy, given those one and two places before them. Of two white spaces
// the greater one is a space, unless both are line feeds.
static inline __attribute__((always_inline)) block_t folding(block_t now, block_t before, block_t second,
                                                             bool lines)
{
    block_t pair = block_max(now, before), bad = (block_t)(now < ' ');
    if (lines) bad = (bad & ~(block_t)(now == '\n')) | (block_t)(block_max(pair, second) == '\n');
    return bad | (block_t)(now == 0x7F) | (block_t)(now == 0xC2) | (block_t)(pair == ' ');
}

// Bytes at s that folding would simply copy, many at a time; s[-1] is there.
static size_t plain_prefix(const unsigned char *s, const unsigned char *end)
{
    const unsigned char *p = s;
    block_t none = {0};
    while ((size_t)(end - p) >= sizeof none &&
           !block_any(folding(block_load((const char *)p), block_load((const char *)p - 1), none, false)))
        p += sizeof none;
    return (size_t)(p - s);
}

// Length of what s starts with and can be copied as it is, lone spaces between characters included.
static size_t run_length(const unsigned char *s, const unsigned char *end)
{
    const unsigned char *p = s;
    if (p < end && !ends_run(*p)) p += 1 + plain_prefix(p + 1, end);
    if (p > s && p[-1] == ' ') p--;
    for (; p < end; p++) {
        if (!ends_run(*p)) continue;
        bool lone = *p == ' ' && p > s && p + 1 < end && !ends_run(p[1]);
        bool letter = *p == 0xC2 && p + 1 < end && p[1] > 0xA0;
        if (!lone && !letter) break;
    }
    return (size_t)(p - s);
}

static void put_c1(writer_t *w, unsigned char c)
{
    char meant[4];
    if (charset_meant(c) != c) put(w, meant, charset_put_utf8(meant, charset_meant(c)));
}

// Text in which white space folds.
static void put_folded(writer_t *w, const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + n;
    while (s < end && !w->full) {
        bool space = false;
        size_t run = run_length(s, end);
        if (run) put(w, (const char *)s, run);
        s += run;
        if (s == end) break;
        size_t skip = special(s, (size_t)(end - s), &space);
        if (space) want_gap(w, GAP_SPACE);
        if (!skip) put(w, (const char *)s, skip = 1); // a lead byte with nothing behind it
        if (skip == 2 && !space) put_c1(w, s[1]);
        s += skip;
    }
}

// Text whose line breaks are meant, as in <pre>.
static void put_lines(writer_t *w, const char *text, size_t n)
{
    for (const char *end = text + n; text < end;) {
        const char *feed = memchr(text, '\n', (size_t)(end - text));
        size_t line = (size_t)((feed ? feed : end) - text);
        put_folded(w, text, line);
        text += line;
        if (text < end) text++, want_break(w);
    }
}

static void put_text(writer_t *w, const char *text, size_t n)
{
    if (w->pre && !w->one_line) return put_lines(w, text, n);
    put_folded(w, text, n);
}

static void edge(writer_t *w, show_t show)
{
    switch (show) {
    case SHOW_SPACE: want_gap(w, GAP_SPACE); break;
    case SHOW_BLOCK: want_gap(w, GAP_LINE); break;
    case SHOW_PARAGRAPH:
    case SHOW_PRE: want_gap(w, GAP_EMPTY_LINE); break;
    default: break;
    }
}

static const char *finish(writer_t *w)
{
    w->out[w->len] = '\0';
    return w->out;
}

// An upper bound of what plain text becomes: C1 controls take two bytes, what they mean three.
static size_t most_of(const char *s, size_t len)
{
    return len + (charset_find_c1(s, len) ? len / 2 : 0);
}

// most: an upper bound of the text's length.
static bool writer_init(writer_t *w, arena_t *arena, text_mode_t mode, size_t most, size_t max)
{
    *w = (writer_t){.cap = most < max ? most : max, .one_line = mode == TEXT_LINE};
    w->out = arena_alloc(arena, w->cap + 1);
    return w->out != NULL;
}

// -- plain text -----------------------------------------------------------------------------------

// s as valid UTF-8: itself, or a repaired copy. NULL: the arena is full.
static const char *valid_utf8(arena_t *arena, const char *s, size_t len, size_t *out_len)
{
    *out_len = len;
    if (charset_valid_prefix(s, len) == len) return s;
    return charset_to_utf8(arena, s, len, "text/plain; charset=utf-8", CHARSET_JSON, &s, out_len, NULL) ? NULL
                                                                                                        : s;
}

const char *text_clean(arena_t *arena, const char *s, size_t len, text_mode_t mode, size_t max)
{
    writer_t w;
    if (!(s = valid_utf8(arena, s, len, &len)) || !writer_init(&w, arena, mode, most_of(s, len), max))
        return NULL;
    w.pre = 1;
    put_text(&w, s, len);
    return finish(&w);
}

static bool is_short_folded(const unsigned char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (ends_run(s[i]) && (s[i] != ' ' || s[i - 1] == ' ')) return false;
    return true;
}

// is_folded of texts that are not short and begin with no white space.
static inline __attribute__((always_inline)) bool are_folded(const char *s, size_t len, bool lines)
{
    block_t bad = {0};
    if (ends_run((unsigned char)s[0]) || (ends_run((unsigned char)s[1]) && s[1] != ' ')) return false;
    for (size_t i = 2; i + sizeof bad <= len; i += sizeof bad)
        bad |= folding(block_load(s + i), block_load(s + i - 1), block_load(s + i - 2), lines);
    s += len - sizeof bad; // what is left, and some again
    return !block_any(bad | folding(block_load(s), block_load(s - 1), block_load(s - 2), lines));
}

// Would folding leave s as it is? Says no to some texts of which it is true.
static bool is_folded(const char *s, size_t len, bool lines)
{
    if (len == 0) return true;
    if ((unsigned char)s[0] <= ' ' || (unsigned char)s[len - 1] <= ' ') return false;
    if (len < 2 + sizeof(block_t)) return is_short_folded((const unsigned char *)s, len);
    return lines ? are_folded(s, len, true) : are_folded(s, len, false);
}

const char *text_clean_kept(arena_t *arena, const char *s, size_t len, text_mode_t mode, size_t max)
{
    return len <= max && is_folded(s, len, mode == TEXT_LINES) ? s : text_clean(arena, s, len, mode, max);
}

static bool is_kept(char c)
{
    return (unsigned char)c >= 0x20 || c == '\n' || c == '\t';
}

bool text_is_clean(const char *s, size_t len)
{
    // what is not kept, 0 to 8 and 11 to 31, comes to lie at one end of all bytes, which takes no comparison
    unsigned char least = 0xFF, most = 0;
#pragma GCC unroll 4
    for (size_t i = 0; i < len; i++) {
        unsigned char from_11 = (unsigned char)(s[i] - 11), from_9 = (unsigned char)(s[i] - 9);
        least = from_11 < least ? from_11 : least;
        most = from_9 > most ? from_9 : most;
    }
    return least > 31 - 11 && most < 0x100 - 9;
}

const char *text_verbatim(arena_t *arena, const char *s, size_t len, size_t max)
{
    if (!(s = valid_utf8(arena, s, len, &len))) return NULL;
    len = text_cut(s, len, max);
    if (text_is_clean(s, len)) return arena_strndup(arena, s, len);
    char *out = arena_alloc(arena, len + 1), *p = out;
    if (!out) return NULL;
    for (size_t i = 0; i < len; i++) {
        if (is_kept(s[i]))
            *p++ = s[i];
        else if (s[i] == '\r' && (i + 1 == len || s[i + 1] != '\n'))
            *p++ = '\n';
    }
    *p = '\0';
    return out;
}

const char *text_verbatim_kept(arena_t *arena, const char *s, size_t len, size_t max)
{
    return len <= max && text_is_clean(s, len) ? s : text_verbatim(arena, s, len, max);
}

// -- a parsed tree --------------------------------------------------------------------------------

static bool style_hides(const char *style, size_t len)
{
    char plain[256];
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < sizeof plain; i++)
        if (!is_space((unsigned char)style[i])) plain[n++] = (char)(style[i] | 0x20);
    plain[n] = '\0';
    return strstr(plain, "display:none") || strstr(plain, "visibility:hidden");
}

static bool attributes_hide(const lxb_dom_node_t *node)
{
    for (const lxb_dom_attr_t *a = lxb_dom_interface_element(node)->first_attr; a; a = a->next) {
        size_t n = 0;
        const char *name = (const char *)lxb_dom_attr_local_name((lxb_dom_attr_t *)a, &n);
        if (n == 6 && memcmp(name, "hidden", 6) == 0) return true;
        if (a->node.local_name == LXB_DOM_ATTR_STYLE && a->value &&
            style_hides((const char *)a->value->data, a->value->length))
            return true;
    }
    return false;
}

static show_t show_of_node(const lxb_dom_node_t *node)
{
    // drawings have texts of their own (title, desc) that no browser shows in the flow
    if (node->ns != LXB_NS_HTML)
        return node->ns == LXB_NS_SVG && node->local_name == LXB_TAG_SVG ? SHOW_NOT : SHOW_INLINE;
    if (attributes_hide(node)) return SHOW_NOT;
    if (node->local_name >= LXB_TAG__LAST_ENTRY) return SHOW_INLINE;
    return show_of((const char *)lxb_tag_name_by_id(node->local_name, NULL));
}

static const lexbor_str_t *characters(const lxb_dom_node_t *node)
{
    if (node->type != LXB_DOM_NODE_TYPE_TEXT && node->type != LXB_DOM_NODE_TYPE_CDATA_SECTION) return NULL;
    return &((const lxb_dom_character_data_t *)node)->data;
}

// The node after node in document order, below root; its children are passed over unless enter.
static const lxb_dom_node_t *following(const lxb_dom_node_t *node, const lxb_dom_node_t *root, bool enter,
                                       writer_t *w)
{
    if (enter && node->first_child) return node->first_child;
    while (node != root && !node->next) {
        node = node->parent;
        if (!w || node == root || node->type != LXB_DOM_NODE_TYPE_ELEMENT) continue;
        show_t show = show_of_node(node);
        w->pre -= show == SHOW_PRE;
        edge(w, show);
    }
    return node == root ? NULL : node->next;
}

static size_t length_below(const lxb_dom_node_t *root)
{
    size_t sum = 0;
    for (const lxb_dom_node_t *n = root; n; n = following(n, root, true, NULL)) {
        const lexbor_str_t *s = characters(n);
        sum += (s ? most_of((const char *)s->data, s->length) : 0) + 2; // a node can add an empty line
    }
    return sum;
}

// Whether node's children are to be walked.
static bool open_node(writer_t *w, const lxb_dom_node_t *node)
{
    if (node->type != LXB_DOM_NODE_TYPE_ELEMENT) return false;
    show_t show = show_of_node(node);
    if (show == SHOW_NOT) return false;
    if (show == SHOW_BREAK) want_break(w);
    edge(w, show);
    w->pre += show == SHOW_PRE && node->first_child;
    return true;
}

// A lone text node, or one that is only wrapped, needs no walk. Most titles are like this.
static const lexbor_str_t *only_text(const lxb_dom_node_t *root)
{
    const lxb_dom_node_t *child = root->first_child;
    return child && !child->next ? characters(child) : NULL;
}

const char *text_of_node(arena_t *arena, const lxb_dom_node_t *root, text_mode_t mode, size_t max)
{
    writer_t w;
    const lexbor_str_t *only = only_text(root);
    if (!writer_init(&w, arena, mode,
                     only ? most_of((const char *)only->data, only->length) : length_below(root), max))
        return NULL;
    if (root->type == LXB_DOM_NODE_TYPE_ELEMENT && root->ns == LXB_NS_HTML)
        w.pre = root->local_name == LXB_TAG_PRE || root->local_name == LXB_TAG_TEXTAREA;
    if (only) {
        put_text(&w, (const char *)only->data, only->length);
        return finish(&w);
    }
    bool enter = true;
    for (const lxb_dom_node_t *n = following(root, root, true, &w); n && !w.full;
         n = following(n, root, enter, &w)) {
        const lexbor_str_t *s = characters(n);
        if (s) put_text(&w, (const char *)s->data, s->length);
        enter = open_node(&w, n);
    }
    return finish(&w);
}

// -- raw markup -----------------------------------------------------------------------------------

// &#...; at s (behind the ampersand). Returns its length, 0 for none.
static size_t numeric_reference(const char *s, const char *end, char *out, size_t *out_len)
{
    const char *p = s + 1;
    bool hex = p < end && (*p == 'x' || *p == 'X');
    if (hex) p++;
    unsigned long cp = 0;
    const char *digits = p;
    for (; p < end; p++) {
        int v = *p >= '0' && *p <= '9'                                ? *p - '0'
                : hex && ((*p | 0x20) >= 'a') && ((*p | 0x20) <= 'f') ? (*p | 0x20) - 'a' + 10
                                                                      : -1;
        if (v < 0) break;
        if (cp <= 0x10FFFF) cp = cp * (hex ? 16 : 10) + (unsigned)v;
    }
    if (p == digits) return 0;
    cp = charset_meant((uint32_t)cp);
    *out_len = charset_put_utf8(out, cp ? (uint32_t)cp : 0xFFFD);
    return (size_t)(p - s) + (p < end && *p == ';');
}

// The character reference at s (behind the ampersand): the longest name that is known. Returns its length.
static size_t reference(const char *s, const char *end, char *out, size_t *out_len)
{
    if (s < end && *s == '#') return numeric_reference(s, end, out, out_len);
    const lexbor_sbst_entry_static_t *table = lxb_html_tokenizer_res_entities_sbst, *at = table + 1;
    size_t found = 0;
    for (const char *p = s; p < end; p++) {
        at = lexbor_sbst_entry_static_find(table, at, (lxb_char_t)*p);
        if (!at) break;
        if (at->value) {
            found = (size_t)(p - s) + 1;
            *out_len = at->value_len;
            memcpy(out, at->value, at->value_len);
        }
        at = table + at->next;
    }
    return found;
}

enum { REFERENCE_MAX = 8 }; // bytes that one reference gives

// Hands text with its references decoded to the writer.
static void put_markup_text(writer_t *w, const char *s, const char *end)
{
    while (s < end) {
        const char *amp = memchr(s, '&', (size_t)(end - s));
        put_text(w, s, (size_t)((amp ? amp : end) - s));
        if (!amp) return;
        char out[REFERENCE_MAX];
        size_t n = 0, used = reference(amp + 1, end, out, &n);
        if (used)
            put_text(w, out, n);
        else
            put(w, "&", 1);
        s = amp + 1 + used;
    }
}

// The end of the tag that starts at s ('<'): behind its '>', attributes in quotes may hold one.
static const char *tag_end(const char *s, const char *end)
{
    for (char quote = 0; s < end; s++) {
        if (quote)
            quote = *s == quote ? 0 : quote;
        else if (*s == '>')
            return s + 1;
        else if ((*s == '"' || *s == '\'') && s[-1] == '=')
            quote = *s;
    }
    return end;
}

static const char *behind(const char *s, const char *end, const char *what, size_t len)
{
    const char *found = memmem(s, (size_t)(end - s), what, len);
    return found ? found + len : end;
}

// Behind the end tag of name, or NULL where there is none.
static const char *skip_element(const char *s, const char *end, const char *name)
{
    size_t len = strlen(name);
    while (s < end && (s = memchr(s, '<', (size_t)(end - s)))) {
        if ((size_t)(end - s) > len + 1 && s[1] == '/' && strncasecmp(s + 2, name, len) == 0)
            return tag_end(s, end);
        s++;
    }
    return NULL;
}

// The tag, comment or declaration at s ('<'). Returns what follows it; s itself where it is only a '<'.
static const char *take_tag(writer_t *w, const char *s, const char *end)
{
    size_t left = (size_t)(end - s);
    if (left >= 4 && memcmp(s, "<!--", 4) == 0) return behind(s + 4, end, "-->", 3);
    if (left >= 9 && memcmp(s, "<![CDATA[", 9) == 0) return s + 9;
    if (left >= 2 && (s[1] == '!' || s[1] == '?')) return tag_end(s, end);
    bool closes = left >= 2 && s[1] == '/';
    const char *p = s + 1 + closes;
    if (p >= end || (*p | 0x20) < 'a' || (*p | 0x20) > 'z') return s;
    char name[12];
    size_t n = 0;
    for (; p < end && !strchr(" \t\r\n\f/>", *p) && *p; p++)
        if (n + 1 < sizeof name) name[n++] = (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
    name[n] = '\0';
    show_t show = show_of(name);
    const char *next = tag_end(s, end);
    bool hides = (show == SHOW_NOT && strcmp(name, "head") != 0) || strcmp(name, "svg") == 0;
    if (hides && !closes && !w->unclosed) {
        const char *skipped = skip_element(next, end, name);
        if (skipped) return skipped;
        w->unclosed = true;
    }
    if (show == SHOW_BREAK) want_break(w);
    if (show == SHOW_PRE && closes && w->pre) w->pre--;
    if (show == SHOW_PRE && !closes) w->pre++;
    edge(w, show);
    return next;
}

const char *text_from_html(arena_t *arena, const char *html, size_t len, text_mode_t mode, size_t max)
{
    writer_t w;
    // some references of two characters are longer than their name: &nGt; takes 5 bytes and gives 6
    if (!(html = valid_utf8(arena, html, len, &len)) ||
        !writer_init(&w, arena, mode, most_of(html, len) + len / 4 + 1, max))
        return NULL;
    for (const char *s = html, *end = html + len; s < end && !w.full;) {
        const char *tag = memchr(s, '<', (size_t)(end - s));
        put_markup_text(&w, s, tag ? tag : end);
        if (!tag) break;
        s = take_tag(&w, tag, end);
        if (s != tag) continue;
        put(&w, "<", 1);
        s++;
    }
    return finish(&w);
}
