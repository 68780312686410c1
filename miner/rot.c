// Rot: see the header.
#include "miner/rot.h"

#include <stdio.h>
#include <string.h>

#include "miner/read/item.h"

// Items as the site listed them: where filters may drop all of them, those before the filters.
static size_t count(const template_t *t, const items_t *items)
{
    return t->n_filters || t->n_url_drops ? items->matched : items->n_items;
}

static bool in_fields(const item_t *item, const char *name)
{
    char member[MAX_NAME + 4];
    int len = snprintf(member, sizeof member, "\"%s\":", name);
    return item->fields && memmem(item->fields, strlen(item->fields), member, (size_t)len);
}

static bool has(const item_t *item, const char *column, const char *name)
{
    if (!column) return in_fields(item, name);
    if (!strcmp(column, "title")) return item->title;
    if (!strcmp(column, "url")) return item->url;
    if (!strcmp(column, "author")) return item->author;
    if (!strcmp(column, "summary")) return item->summary;
    if (!strcmp(column, "content")) return item->content;
    if (!strcmp(column, "image")) return item->image;
    return item->published_ms != TIME_NONE ||
           in_fields(item, name); // a date that cannot be read is kept there
}

static uint8_t fill(const field_t *field, const items_t *items)
{
    size_t n = items->n_items < ROT_SAMPLE ? items->n_items : ROT_SAMPLE, filled = 0;
    const char *column = item_column(field);
    for (size_t i = 0; i < n; i++) filled += has(&items->items[i], column, field->name);
    return n ? (uint8_t)(filled * 100 / n) : FILL_UNKNOWN;
}

static bool nothing_left(const memory_t *usual, const template_t *t, const rot_look_t *look, char *why,
                         size_t size)
{
    size_t n = count(t, look->items);
    if (usual->items < ROT_MANY || t->may_be_empty) return false;
    if (n == 0 && look->since_ok < (int64_t)ROT_BELIEVE_H * 3600000) {
        snprintf(why, size, "lists nothing, where %u items are usual", usual->items);
        return true;
    }
    if (!look->elsewhere || n * 10 >= usual->items) return false;
    snprintf(why, size, "redirected to %.100s, which lists %zu items where %u are usual", look->elsewhere, n,
             usual->items);
    return true;
}

bool rot_judge(const memory_t *usual, const template_t *t, const rot_look_t *look, char *why, size_t size)
{
    if (nothing_left(usual, t, look, why, size)) return true;
    if (look->items->n_items < ROT_MANY || usual->n_fills != t->n_fields) return false;
    for (size_t i = 0; i < t->n_fields; i++) {
        unsigned before = usual->fills[i];
        if (before == FILL_UNKNOWN || before < ROT_FILLED_PERCENT) continue;
        unsigned now = fill(&t->fields[i], look->items);
        if (now * 10 >= before) continue;
        snprintf(why, size, "`%.60s` is in %u %% of %zu items, where %u %% are usual", t->fields[i].name, now,
                 look->items->n_items, before);
        return true;
    }
    return false;
}

// A list that grew is believed at once, one that shrank by and by.
static uint32_t learn_items(uint32_t usual, size_t now)
{
    if (now == 0) return 0; // it was believed
    if (now >= usual) return now > UINT32_MAX ? UINT32_MAX : (uint32_t)now;
    return usual - (usual - (uint32_t)now + 3) / 4;
}

void rot_learn(memory_t *m, const template_t *t, const items_t *items)
{
    m->items = learn_items(m->items, count(t, items));
    if (m->n_fills != t->n_fields) memset(m->fills, FILL_UNKNOWN, sizeof m->fills);
    m->n_fills = (uint32_t)t->n_fields;
    for (size_t i = 0; i < t->n_fields && items->n_items >= ROT_MANY; i++) {
        unsigned before = m->fills[i], now = fill(&t->fields[i], items);
        m->fills[i] = (uint8_t)(before == FILL_UNKNOWN ? now : (3 * before + now + 2) / 4);
    }
}

// -- detail pages -----------------------------------------------------------------------------------

bool rot_page_is_bare(const template_t *t, const item_t *page)
{
    bool any = false;
    for (size_t i = 0; i < t->n_detail_fields; i++) {
        const field_t *field = &t->detail_fields[i];
        bool there = has(page, item_column(field), field->name);
        if (field->required && !there) return true;
        any |= there;
    }
    return !any;
}

bool rot_judge_pages(const memory_t *usual, uint32_t good, uint32_t bare, char *why, size_t size)
{
    uint32_t in_a_row = usual->bare + bare;
    if (good || !bare || usual->details < ROT_FILLED_PERCENT || in_a_row < ROT_MANY) return false;
    snprintf(why, size, "%u detail pages in a row have none of their fields, which %u %% of them had",
             in_a_row, usual->details);
    return true;
}

void rot_learn_pages(memory_t *m, uint32_t good, uint32_t bare)
{
    if (good + bare == 0) return;
    uint32_t now = good * 100 / (good + bare);
    m->details = m->details ? (3 * m->details + now + 2) / 4 : now;
    m->bare = good ? 0 : m->bare + bare;
}
