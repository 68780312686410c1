// Feed item: what a feed, in XML or JSON, says of one post, collected until the post ends; and the list of
// the finished ones. Used by feed.c, feed_json.c and sitemap.c.
#ifndef RTM_MINER_FEED_ITEM_H
#define RTM_MINER_FEED_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "miner/read/identity.h"
#include "miner/read/read.h"
#include "miner/read/url.h"

// Places that several elements compete for; the lowest rank wins, the first of equals.
typedef enum {
    SLOT_TITLE,
    SLOT_URL,
    SLOT_AUTHOR,
    SLOT_SUMMARY,
    SLOT_CONTENT,
    SLOT_IMAGE,
    SLOT_GUID,
    N_SLOTS
} feed_slot_t;

enum { RANK_INHERITED = 999 }; // of an author that is the feed's: no item is made of it

typedef struct feed_pair {
    const char *name, *json;
    size_t len; // of json
    struct feed_pair *next;
} feed_pair_t;

// Of an element or member: `dc` and `creator`, "" and `external_url`; local NULL: none. Both live as long as
// the list is filled.
typedef struct {
    const char *prefix, *local;
} feed_name_t;

typedef struct feed_item {
    struct feed_item *next, *outer; // the list; the item in which it stands, for nested ones
    const char *texts[N_SLOTS];
    size_t lens[N_SLOTS]; // of these texts
    int ranks[N_SLOTS];
    feed_name_t names[N_SLOTS]; // of what was offered
    int64_t published_ms;
    int date_rank;
    const char *unread_date; // text that was no date
    feed_pair_t *pairs, **pairs_tail;
    size_t n_pairs;
    bool done; // it has ended
} feed_item_t;

typedef struct {
    const template_t *template;
    arena_t *arena;
    urls_t *urls;               // the thread's
    feed_item_t *first, **tail; // in order of their beginnings
    size_t n;
    buf_t json;           // scratch
    bool kept;            // texts live as long as the arena's content and are read once: they need no copy
    read_status_t status; // the first that went wrong
} feed_list_t;

// base: of relative URLs. Free with feed_list_free.
void feed_list_init(feed_list_t *list, const template_t *template, arena_t *arena, const char *base);
void feed_list_free(feed_list_t *list);

// A new item at the list's end; NULL: no space, or too many (list->status).
feed_item_t *feed_item_new(feed_list_t *list);

// Sets a slot from text (valid UTF-8), cleaned as its kind asks. Empty texts are ignored. Returns whether it
// was taken (or equal in rank, for authors). markup: text may hold HTML that is to be stripped (titles).
bool feed_item_set(feed_list_t *list, feed_item_t *item, feed_slot_t slot, int rank, const char *text,
                   size_t len, bool markup);
// The same for one of several elements that mean nearly the same: what is not taken, or has to give way, goes
// to `fields` under its name, unless it says the same as what is taken.
void feed_item_offer(feed_list_t *list, feed_item_t *item, feed_slot_t slot, int rank, feed_name_t name,
                     const char *text, size_t len, bool markup);
// Sets a slot to a text of len bytes that needs nothing more; its rank is the caller's matter.
void feed_item_take(feed_item_t *item, feed_slot_t slot, const char *text, size_t len);
// A date: of the lowest rank that can be read.
void feed_item_date(feed_list_t *list, feed_item_t *item, int rank, const char *text, size_t len);
// Adds to `fields`: a text, a JSON value in list->json (which is reset), or one that stands elsewhere.
void feed_item_text(feed_list_t *list, feed_item_t *item, const char *name, const char *text, size_t len);
void feed_item_json(feed_list_t *list, feed_item_t *item, const char *name);
void feed_item_pair(feed_list_t *list, feed_item_t *item, const char *name, const char *json, size_t len);

// Is text markup rather than plain text: does it hold a tag or character reference of HTML?
bool feed_looks_like_html(const char *text, size_t len);

// Plain text that is to stand where markup does: if it would be read as markup, it is escaped (in the list's
// arena).
void feed_escape_plain(feed_list_t *list, const char **text, size_t *len);

// Turns the list into items: keys, hashes, filters. The items that are not `done` or empty are left out.
read_status_t feed_list_finish(feed_list_t *list, items_t *out);

#endif
