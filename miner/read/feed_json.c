// Feed JSON: see feed_json.h.
#include "miner/read/feed_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/feed_item.h"
#include "miner/read/json.h"
#include "miner/read/json_text.h"
#include "proto/limits.h"

enum { KEPT_SCRATCH = 8 << 10 }; // bytes

typedef struct {
    const char *name;
    size_t len; // of name
    enum {
        AS_TEXT,
        AS_PLAIN,
        AS_OTHER,
        AS_MARKUP,
        AS_DATE,
        AS_AUTHOR,
        AS_ENCLOSURE,
        AS_SOURCE,
        AS_NOTHING
    } as;
    feed_slot_t slot;
    int rank;
} member_t;

#define NAME(text) (text), sizeof(text) - 1

static const member_t json_feed[] = {
    {NAME("id"), AS_TEXT, SLOT_GUID, 0},
    {NAME("url"), AS_OTHER, SLOT_URL, 0},
    {NAME("external_url"), AS_OTHER, SLOT_URL, 1},
    {NAME("title"), AS_TEXT, SLOT_TITLE, 0},
    {NAME("content_html"), AS_TEXT, SLOT_CONTENT, 0},
    {NAME("content_text"), AS_PLAIN, SLOT_CONTENT, 1},
    {NAME("summary"), AS_PLAIN, SLOT_SUMMARY, 0},
    {NAME("image"), AS_OTHER, SLOT_IMAGE, 0},
    {NAME("banner_image"), AS_OTHER, SLOT_IMAGE, 1},
    {NAME("date_published"), AS_DATE, 0, 0},
    {NAME("date_modified"), AS_DATE, 0, 1},
    {NAME("authors"), AS_AUTHOR, SLOT_AUTHOR, 0},
    {NAME("author"), AS_AUTHOR, SLOT_AUTHOR, 1},
};

static const member_t rss_in_json[] = {
    {NAME("title"), AS_MARKUP, SLOT_TITLE, 0},
    {NAME("link"), AS_TEXT, SLOT_URL, 0},
    {NAME("guid"), AS_TEXT, SLOT_GUID, 0},
    {NAME("description"), AS_TEXT, SLOT_SUMMARY, 0},
    {NAME("content:encoded"), AS_TEXT, SLOT_CONTENT, 0},
    {NAME("author"), AS_AUTHOR, SLOT_AUTHOR, 1},
    {NAME("dc:creator"), AS_AUTHOR, SLOT_AUTHOR, 0},
    {NAME("pubDate"), AS_DATE, 0, 0},
    {NAME("enclosure"), AS_ENCLOSURE, SLOT_IMAGE, 0},
};

// A string, a raw number, or the text of an object that has one ("#value" of RSS in JSON).
static const char *text_of(yyjson_val *v, size_t *len)
{
    if (yyjson_is_obj(v)) v = yyjson_obj_get(v, "#value");
    *len = yyjson_get_len(v);
    if (yyjson_is_str(v)) return yyjson_get_str(v);
    return yyjson_is_raw(v) ? yyjson_get_raw(v) : NULL;
}

static void take_author(feed_list_t *l, feed_item_t *item, int rank, yyjson_val *v)
{
    size_t i, n, len;
    yyjson_val *one;
    if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, i, n, one)
        {
            take_author(l, item, rank, one);
        }
        return;
    }
    yyjson_val *name = yyjson_is_obj(v) ? yyjson_obj_get(v, "name") : v;
    const char *text = text_of(name, &len);
    if (text) (void)feed_item_set(l, item, SLOT_AUTHOR, rank, text, len, true);
}

static void keep(feed_list_t *l, feed_item_t *item, const char *name, yyjson_val *v)
{
    size_t len;
    if (yyjson_is_str(v) ? yyjson_get_len(v) == 0 : yyjson_is_null(v)) return;
    if (yyjson_is_str(v)) {
        buf_reset(&l->json);
        if (json_text(&l->json, yyjson_get_str(v), yyjson_get_len(v)) == 0) feed_item_json(l, item, name);
        return;
    }
    char scratch[KEPT_SCRATCH], *large = NULL; // enough for most
    yyjson_alc pool;
    CHECK(yyjson_alc_pool_init(&pool, scratch, sizeof scratch));
    char *json = yyjson_val_write_opts(v, YYJSON_WRITE_ALLOW_INVALID_UNICODE, &pool, &len, NULL);
    if (!json) json = large = yyjson_val_write(v, YYJSON_WRITE_ALLOW_INVALID_UNICODE, &len);
    if (json && len <= MAX_FIELDS_JSON) feed_item_pair(l, item, name, json, len);
    free(large);
}

static void take_enclosure(feed_list_t *l, feed_item_t *item, yyjson_val *v)
{
    yyjson_val *url = yyjson_obj_get(v, "url"), *type = yyjson_obj_get(v, "type");
    keep(l, item, "enclosure", v); // first: what becomes of url may cut its end off
    if (yyjson_is_str(url) && yyjson_is_str(type) && strncmp(yyjson_get_str(type), "image/", 6) == 0)
        (void)feed_item_set(l, item, SLOT_IMAGE, 0, yyjson_get_str(url), yyjson_get_len(url), false);
}

static void take_member(feed_list_t *l, feed_item_t *item, const member_t *m, yyjson_val *v)
{
    size_t len;
    const char *text = text_of(v, &len);
    switch (m->as) {
    case AS_AUTHOR: take_author(l, item, m->rank, v); return;
    case AS_OTHER:
        if (text) feed_item_offer(l, item, m->slot, m->rank, (feed_name_t){"", m->name}, text, len, false);
        return;
    case AS_ENCLOSURE: take_enclosure(l, item, v); return;
    case AS_DATE:
        if (text) feed_item_date(l, item, m->rank, text, len);
        if (m->rank) keep(l, item, m->name, v); // when it was changed
        return;
    case AS_PLAIN:
        if (text) feed_escape_plain(l, &text, &len);
        if (text) (void)feed_item_set(l, item, m->slot, m->rank, text, len, false);
        return;
    default:
        if (text) (void)feed_item_set(l, item, m->slot, m->rank, text, len, m->as == AS_MARKUP);
    }
}

// The guid of RSS in JSON may be a permalink, as in XML.
static void take_permalink(feed_list_t *l, feed_item_t *item, yyjson_val *guid)
{
    size_t len;
    const char *text = text_of(guid, &len);
    yyjson_val *permalink = yyjson_obj_get(guid, "isPermaLink");
    bool no = yyjson_is_false(permalink) || yyjson_equals_str(permalink, "false");
    if (text && !no && strncmp(text, "http", 4) == 0)
        (void)feed_item_set(l, item, SLOT_URL, 2, text, len, false);
}

static const member_t *member_named(const member_t *members, size_t n, yyjson_val *key)
{
    const char *name = yyjson_get_str(key);
    size_t len = yyjson_get_len(key);
    for (size_t i = 0; i < n; i++)
        if (members[i].len == len && *members[i].name == *name && memcmp(members[i].name, name, len) == 0)
            return &members[i];
    return NULL;
}

static void take_item(feed_list_t *l, yyjson_val *v, const member_t *members, size_t n_members)
{
    size_t i, n;
    yyjson_val *key, *value;
    feed_item_t *item = yyjson_is_obj(v) ? feed_item_new(l) : NULL;
    if (!item) return;
    yyjson_obj_foreach(v, i, n, key, value)
    {
        const member_t *m = member_named(members, n_members, key);
        if (m)
            take_member(l, item, m, value);
        else
            keep(l, item, yyjson_get_str(key), value);
        if (m && m->slot == SLOT_GUID && members == rss_in_json) take_permalink(l, item, value);
    }
    if (members == json_feed && item->texts[SLOT_GUID] && strncmp(item->texts[SLOT_GUID], "http", 4) == 0)
        (void)feed_item_set(l, item, SLOT_URL, 2, item->texts[SLOT_GUID], strlen(item->texts[SLOT_GUID]),
                            false);
    item->done = true;
}

static void take_items(feed_list_t *l, yyjson_val *items, const member_t *members, size_t n_members)
{
    size_t i, n;
    yyjson_val *v;
    if (yyjson_is_obj(items)) take_item(l, items, members, n_members);
    yyjson_arr_foreach(items, i, n, v)
    {
        take_item(l, v, members, n_members);
        if (l->status != READ_OK) return;
    }
}

// JSON Feed lets items without an author have the feed's.
static void inherit_author(feed_list_t *l, yyjson_val *root)
{
    yyjson_val *authors = yyjson_obj_get(root, "authors");
    if (!authors) authors = yyjson_obj_get(root, "author");
    for (feed_item_t *item = l->first; authors && item; item = item->next) {
        if (!item->texts[SLOT_AUTHOR]) take_author(l, item, RANK_INHERITED, authors);
    }
}

static read_status_t read_root(feed_list_t *l, yyjson_val *root, items_t *out)
{
    yyjson_val *items = yyjson_obj_get(root, "items");
    yyjson_val *channel = yyjson_obj_get(yyjson_obj_get(root, "rss"), "channel");
    size_t len;
    if (yyjson_is_arr(items)) {
        take_items(l, items, json_feed, sizeof json_feed / sizeof *json_feed);
        inherit_author(l, root);
        const char *next = text_of(yyjson_obj_get(root, "next_url"), &len);
        if (next) out->next_url = urls_resolve(l->urls, l->arena, next, len);
    } else if (channel) {
        take_items(l, yyjson_obj_get(channel, "item"), rss_in_json, sizeof rss_in_json / sizeof *rss_in_json);
    } else {
        snprintf(out->detail, sizeof out->detail, "JSON, but neither `items` nor `rss.channel` in it");
        return READ_NOT_THIS_KIND;
    }
    return feed_list_finish(l, out);
}

read_status_t feed_json_items(const template_t *template, arena_t *arena, const document_t *document,
                              items_t *out)
{
    read_status_t status;
    feed_list_t list;
    yyjson_doc *doc = json_parse(arena, document, &status, out->detail);
    if (!doc) return status;
    feed_list_init(&list, template, arena, document->url);
    list.kept = true;
    status = read_root(&list, yyjson_doc_get_root(doc), out);
    feed_list_free(&list);
    return status;
}
