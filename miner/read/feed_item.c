// Feed item: see feed_item.h.
#include "miner/read/feed_item.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "miner/read/date_relative.h"
#include "miner/read/dates.h"
#include "miner/read/effort.h"
#include "miner/read/feed_links.h"
#include "miner/read/json_text.h"
#include "miner/read/text.h"
#include "proto/limits.h"

enum {
    MAX_PAIRS = 200,
    UNSET = RANK_INHERITED + 1,
    MAX_VALUE = 16 << 10,
    LOOK_EVERY = 16, // items: they take as long as their bytes are many
};

void feed_list_init(feed_list_t *l, const template_t *template, arena_t *arena, const char *base)
{
    *l = (feed_list_t){.template = template, .arena = arena, .urls = urls_of_thread()};
    l->tail = &l->first;
    buf_init(&l->json, MAX_FIELDS_JSON);
    (void)urls_set_base(l->urls, base, base ? strlen(base) : 0);
}

void feed_list_free(feed_list_t *l)
{
    buf_free(&l->json);
}

static void too_big(feed_list_t *l)
{
    if (l->status == READ_OK) l->status = READ_TOO_BIG;
}

feed_item_t *feed_item_new(feed_list_t *l)
{
    feed_item_t *item = l->n < MAX_ITEMS ? arena_calloc(l->arena, 1, sizeof *item) : NULL;
    if (!item) {
        too_big(l);
        return NULL;
    }
    for (size_t i = 0; i < N_SLOTS; i++) item->ranks[i] = UNSET;
    item->date_rank = UNSET;
    item->published_ms = TIME_NONE;
    item->pairs_tail = &item->pairs;
    *l->tail = item;
    l->tail = &item->next;
    l->n++;
    return item;
}

// -- is it markup? --------------------------------------------------------------------------------

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_reference(const char *s, size_t len)
{
    size_t i = 1;
    if (i < len && s[i] == '#') i++;
    size_t start = i;
    while (i < len && i < 34 && is_alnum(s[i])) i++;
    return i > start && i < len && s[i] == ';';
}

// Only tags that are HTML's count: "std::vector<int>" is text.
static bool is_html_tag(const char *s, size_t len)
{
    static const char *const names[] = {
        "a",    "abbr", "b",      "bdo",   "big",    "blockquote", "br",    "center",  "cite",   "code",
        "dd",   "del",  "div",    "dl",    "dt",     "em",         "font",  "h1",      "h2",     "h3",
        "h4",   "h5",   "h6",     "hr",    "i",      "img",        "ins",   "kbd",     "li",     "mark",
        "nobr", "ol",   "p",      "pre",   "q",      "s",          "small", "span",    "strike", "strong",
        "sub",  "sup",  "table",  "tbody", "td",     "th",         "tr",    "tt",      "u",      "ul",
        "var",  "wbr",  "script", "style", "iframe", "video",      "audio", "section", "article"};
    size_t i = 1, n = 0;
    char name[12];
    if (i < len && s[i] == '/') i++;
    while (i < len && n < sizeof name - 1 && is_alnum(s[i]))
        name[n++] = (char)(s[i++] | 0x20); // digits have that bit set
    name[n] = '\0';
    if (i == len || !strchr(" \t\r\n/>", s[i]) || !memchr(s + i, '>', len - i)) return false;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        if (strcmp(names[k], name) == 0) return true;
    }
    return false;
}

bool feed_looks_like_html(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '&' && is_reference(text + i, len - i)) return true;
        if (text[i] == '<' && is_html_tag(text + i, len - i)) return true;
    }
    return false;
}

static bool is_special(char c)
{
    return c == '&' || c == '<' || c == '>';
}

void feed_escape_plain(feed_list_t *l, const char **text, size_t *len)
{
    buf_t out;
    int rc = 0;
    if (!feed_looks_like_html(*text, *len)) return;
    buf_init(&out, 5 * (size_t)MAX_CONTENT);
    for (size_t i = 0, n; i < *len && rc == 0; i += n + 1) {
        for (n = 0; i + n < *len && !is_special((*text)[i + n]);) n++;
        rc = buf_append(&out, *text + i, n);
        if (rc == 0 && i + n < *len)
            rc = buf_puts(&out, (*text)[i + n] == '&' ? "&amp;" : (*text)[i + n] == '<' ? "&lt;" : "&gt;");
    }
    // beyond the bound it is cut as any text is
    const char *escaped = arena_strndup(l->arena, out.data ? out.data : "", out.len);
    if (escaped) *text = escaped, *len = out.len;
    if (!escaped) too_big(l);
    buf_free(&out);
}

// -- slots ----------------------------------------------------------------------------------------

// Can text be used as it is, where there is nothing to clean? A kept text is ours alone, so its end may be
// cut off.
static bool is_kept(const feed_list_t *l, const char *text, size_t len)
{
    if (l->kept && text[len] != '\0') ((char *)text)[len] = '\0';
    return l->kept;
}

static const char *clean_text(feed_list_t *l, const char *text, size_t len, size_t max)
{
    return is_kept(l, text, len) ? text_clean_kept(l->arena, text, len, TEXT_LINE, max)
                                 : text_clean(l->arena, text, len, TEXT_LINE, max);
}

static const char *clean_line(feed_list_t *l, const char *text, size_t len, bool markup)
{
    if (markup && feed_looks_like_html(text, len))
        return text_from_html(l->arena, text, len, TEXT_LINE, MAX_TITLE);
    return clean_text(l, text, len, MAX_TITLE);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// NUL bytes at the end, too: there a kept text may have been cut before.
static void trim(const char **text, size_t *len)
{
    while (*len && is_space(**text)) ++*text, --*len;
    while (*len && (is_space((*text)[*len - 1]) || !(*text)[*len - 1])) --*len;
}

// text_verbatim, faster for what the parser has checked already.
static const char *copy_verbatim(feed_list_t *l, const char *text, size_t len, size_t max)
{
    if (is_kept(l, text, len)) return text_verbatim_kept(l->arena, text, len, max);
    if (!text_is_clean(text, len)) return text_verbatim(l->arena, text, len, max);
    return arena_strndup(l->arena, text, text_cut(text, len, max));
}

// Its relative links become absolute: whoever reads the item does not know the feed's place.
static const char *clean_markup(feed_list_t *l, const char *text, size_t len, size_t max)
{
    feed_links_resolve(l->urls, l->arena, &text, &len);
    return copy_verbatim(l, text, len, max);
}

// NULL: nothing of worth.
static const char *clean_slot(feed_list_t *l, feed_slot_t slot, const char *text, size_t len, bool markup)
{
    const char *clean = NULL;
    switch (slot) {
    case SLOT_TITLE:
    case SLOT_AUTHOR: clean = clean_line(l, text, len, markup); break;
    case SLOT_GUID: clean = clean_text(l, text, len, MAX_URL); break;
    case SLOT_URL:
    case SLOT_IMAGE: return urls_resolve(l->urls, l->arena, text, len);
    case SLOT_SUMMARY: clean = clean_markup(l, text, len, MAX_SUMMARY); break;
    case SLOT_CONTENT: clean = clean_markup(l, text, len, MAX_CONTENT); break;
    case N_SLOTS: break;
    }
    if (!clean) too_big(l);
    return clean && *clean ? clean : NULL;
}

void feed_item_take(feed_item_t *item, feed_slot_t slot, const char *text, size_t len)
{
    item->texts[slot] = text;
    item->lens[slot] = len;
}

static bool add_author(feed_list_t *l, feed_item_t *item, const char *text, size_t len)
{
    const char *more = clean_line(l, text, len, true), *old = item->texts[SLOT_AUTHOR];
    if (!more || !*more || strstr(old, more) || strlen(old) + strlen(more) + 2 > MAX_TITLE) return false;
    const char *both = arena_printf(l->arena, "%s, %s", old, more);
    if (both) feed_item_take(item, SLOT_AUTHOR, both, strlen(both));
    return both != NULL;
}

bool feed_item_set(feed_list_t *l, feed_item_t *item, feed_slot_t slot, int rank, const char *text,
                   size_t len, bool markup)
{
    trim(&text, &len);
    if (len == 0 || rank > item->ranks[slot]) return false;
    if (rank == item->ranks[slot]) return slot == SLOT_AUTHOR && add_author(l, item, text, len);
    const char *clean = clean_slot(l, slot, text, len, markup);
    if (!clean) return false;
    feed_item_take(item, slot, clean, clean == text ? len : strlen(clean));
    item->ranks[slot] = rank;
    return true;
}

void feed_item_date(feed_list_t *l, feed_item_t *item, int rank, const char *text, size_t len)
{
    trim(&text, &len);
    if (len == 0 || rank >= item->date_rank) return;
    int64_t ms = date_parse(text, len, &l->template->dates);
    if (ms != TIME_NONE) {
        item->published_ms = ms;
        item->date_rank = rank;
    } else if (!item->unread_date) {
        item->unread_date = text_clean(l->arena, text, len, TEXT_LINE, 200);
    }
}

// -- `fields` -------------------------------------------------------------------------------------

void feed_item_pair(feed_list_t *l, feed_item_t *item, const char *name, const char *json, size_t len)
{
    if (item->n_pairs == MAX_PAIRS || len == 0) return;
    feed_pair_t *pair = arena_alloc(l->arena, sizeof *pair);
    const char *text = arena_strndup(l->arena, json, len);
    const char *copy = l->kept ? name : arena_strdup(l->arena, name);
    if (!pair || !text || !copy) {
        too_big(l);
        return;
    }
    *pair = (feed_pair_t){.name = copy, .json = text, .len = len};
    *item->pairs_tail = pair;
    item->pairs_tail = &pair->next;
    item->n_pairs++;
}

void feed_item_json(feed_list_t *l, feed_item_t *item, const char *name)
{
    feed_item_pair(l, item, name, l->json.data, l->json.len);
    buf_reset(&l->json);
}

void feed_item_text(feed_list_t *l, feed_item_t *item, const char *name, const char *text, size_t len)
{
    trim(&text, &len);
    len = text_cut(text, len, MAX_VALUE);
    buf_reset(&l->json);
    if (len && json_text(&l->json, text, len) == 0) feed_item_json(l, item, name);
}

static void keep_other(feed_list_t *l, feed_item_t *item, feed_name_t name, const char *text, size_t len,
                       const char *taken)
{
    if (!name.local || len == 0 || (strlen(taken) == len && memcmp(taken, text, len) == 0)) return;
    const char *full = *name.prefix ? arena_printf(l->arena, "%s:%s", name.prefix, name.local) : name.local;
    if (full) feed_item_text(l, item, full, text, len);
}

void feed_item_offer(feed_list_t *l, feed_item_t *item, feed_slot_t slot, int rank, feed_name_t name,
                     const char *text, size_t len, bool markup)
{
    const char *old = item->texts[slot];
    feed_name_t old_name = item->names[slot];
    bool better = rank < item->ranks[slot];
    trim(&text, &len);
    bool taken = feed_item_set(l, item, slot, rank, text, len, markup);
    if (taken && better) item->names[slot] = name;
    if (taken && better && old)
        keep_other(l, item, old_name, old, strlen(old), item->texts[slot]);
    else if (!taken && old)
        keep_other(l, item, name, text, len, old);
}

static int put_member(buf_t *out, const feed_pair_t *pair, bool list)
{
    if (buf_append(out, out->len ? "," : "{", 1) != 0 ||
        json_text(out, pair->name, strlen(pair->name)) != 0 || buf_puts(out, list ? ":[" : ":") != 0 ||
        buf_append(out, pair->json, pair->len) != 0)
        return -1;
    for (const feed_pair_t *p = pair->next; list && p; p = p->next) {
        if (strcmp(p->name, pair->name) != 0) continue;
        if (buf_append(out, ",", 1) != 0 || buf_append(out, p->json, p->len) != 0) return -1;
    }
    return list ? buf_append(out, "]", 1) : 0;
}

static bool name_in(const feed_pair_t *from, const feed_pair_t *to, const char *name)
{
    for (const feed_pair_t *p = from; p != to; p = p->next) {
        if (strcmp(p->name, name) == 0) return true;
    }
    return false;
}

// A member for which there is no room is left out, the others stay.
static bool write_fields(feed_list_t *l, feed_item_t *item, const char **fields)
{
    buf_t *out = &l->json;
    buf_reset(out);
    for (const feed_pair_t *p = item->pairs; p; p = p->next) {
        if (name_in(item->pairs, p, p->name)) continue;
        size_t before = out->len;
        if (put_member(out, p, name_in(p->next, NULL, p->name)) != 0) out->len = before;
    }
    if (out->len == 0) return true;
    if (buf_append(out, "}", 1) != 0) return false;
    *fields = arena_strndup(l->arena, out->data, out->len);
    return *fields != NULL;
}

// -- the list -------------------------------------------------------------------------------------

static bool has_anything(const feed_item_t *item)
{
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (item->texts[i] && item->ranks[i] < RANK_INHERITED) return true;
    }
    return item->published_ms != TIME_NONE;
}

static bool fill(feed_list_t *l, feed_item_t *from, item_t *item)
{
    *item = (item_t){.url = from->texts[SLOT_URL],
                     .title = from->texts[SLOT_TITLE],
                     .author = from->texts[SLOT_AUTHOR],
                     .summary = from->texts[SLOT_SUMMARY],
                     .content = from->texts[SLOT_CONTENT],
                     .image = from->texts[SLOT_IMAGE],
                     .published_ms = from->published_ms};
    if (from->published_ms == TIME_NONE && from->unread_date) {
        item->undated = from->unread_date;
        feed_item_text(l, from, "published", from->unread_date, strlen(from->unread_date));
    }
    return write_fields(l, from, &item->fields);
}

// Whether a change of the value is a change of the post: texts are; counters and times, which may change with
// each poll, are not, and neither are elements of attributes alone, as those of statistics.
static bool is_telling(const template_t *t, const char *json, size_t len)
{
    char text[48];
    if (*json != '"' || len <= 2) return false;
    if (strncmp(json + 1, "http", 4) == 0) return true; // no date begins like this
    if (strspn(json + 1, "0123456789.,:+-% ") + 2 >= len) return false;
    if (len > 42) return true;
    if (t->dates.relative) {
        snprintf(text, sizeof text, "%.*s", (int)len - 2, json + 1);
        if (date_is_relative(text, &t->dates)) return false;
    }
    return date_parse(json + 1, len - 2, NULL) == TIME_NONE;
}

static uint64_t hash_fields(const template_t *t, const feed_item_t *from)
{
    uint64_t hash = 0;
    for (const feed_pair_t *p = from->pairs; p; p = p->next)
        if (is_telling(t, p->json, p->len))
            hash = identity_mix(identity_mix(hash, p->name, strlen(p->name)), p->json, p->len);
    return hash;
}

static bool is_tracked(const template_t *t, const char *name, bool by_default)
{
    if (t->n_track == 0) return by_default;
    for (size_t i = 0; i < t->n_track; i++)
        if (strcmp(t->track[i], name) == 0) return true;
    return false;
}

// Over the texts and the members of `fields` that tell of a change, or over what `track` names.
static uint64_t hash_content(const template_t *t, const feed_item_t *from, const item_t *item)
{
    static const struct {
        const char *name;
        feed_slot_t slot;
    } parts[] = {{"title", SLOT_TITLE},     {"url", SLOT_URL},         {"author", SLOT_AUTHOR},
                 {"summary", SLOT_SUMMARY}, {"content", SLOT_CONTENT}, {"image", SLOT_IMAGE}};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (is_tracked(t, parts[i].name, true))
            hash = identity_mix(hash, from->texts[parts[i].slot], from->lens[parts[i].slot]);
    if (is_tracked(t, "fields", false))
        hash = identity_mix(hash, item->fields, item->fields ? strlen(item->fields) : 0);
    if (t->n_track == 0) hash = identity_mix(hash ^ hash_fields(t, from), NULL, 0);
    if (is_tracked(t, "published", false)) hash = identity_mix(hash ^ (uint64_t)item->published_ms, NULL, 0);
    return hash;
}

// What the template wants to identify an item, in place of its guid; NULL: nothing else.
static const char *wanted_key(const feed_list_t *l, const feed_item_t *from)
{
    const field_t *key = l->template->key;
    for (size_t i = 0; key && i < key->n_selectors; i++) {
        const char *name = key->selectors[i];
        feed_slot_t slot = *name == 'g' ? SLOT_GUID : *name == 'u' ? SLOT_URL : SLOT_TITLE;
        if (from->texts[slot]) return from->texts[slot];
    }
    return NULL;
}

static read_status_t finish_items(feed_list_t *l, identity_t *identity, items_t *out)
{
    for (feed_item_t *from = l->first; from; from = from->next) {
        if (!from->done || !has_anything(from)) continue;
        if (out->matched % LOOK_EVERY == LOOK_EVERY - 1 && effort_over()) return READ_TOO_COMPLEX;
        item_t *item = &out->items[out->n_items];
        out->matched++;
        if (!fill(l, from, item)) return READ_TOO_BIG;
        item->content_hash = hash_content(l->template, from, item);
        int rc = identity_assign(identity, item, wanted_key(l, from), from->texts[SLOT_GUID]);
        if (rc < 0) return READ_TOO_BIG;
        out->n_items += rc == 0;
    }
    return READ_OK;
}

read_status_t feed_list_finish(feed_list_t *l, items_t *out)
{
    identity_t identity;
    if (l->status != READ_OK) return l->status;
    out->items = arena_calloc(l->arena, l->n + 1, sizeof *out->items);
    if (!out->items) return READ_TOO_BIG;
    identity_init(&identity, l->arena, l->n);
    read_status_t status = finish_items(l, &identity, out);
    identity_free(&identity);
    return status != READ_OK ? status : l->status;
}
