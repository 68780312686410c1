// Rot: whether a list that was read without an error looks like one whose site has changed, or whose place
// something else (a login page, an error page with status 200) has taken: nothing is listed where many items
// were, or a field is gone from all of them.
#ifndef RTM_MINER_ROT_H
#define RTM_MINER_ROT_H

#include <stdbool.h>

#include "miner/memory.h"
#include "miner/read/read.h"

enum {
    ROT_MANY = 3,           // items that a list usually has at least before their absence says something
    ROT_BELIEVE_H = 24,     // hours after which a valid empty document is believed
    ROT_SAMPLE = 100,       // items of one list whose fields are looked at
    ROT_FILLED_PERCENT = 75 // of the items that usually have a field before its absence says something
};

// What was read, and where.
typedef struct {
    const items_t *items;
    const char *elsewhere; // the final URL, if a redirect led there that is not permanent; or NULL
    int64_t since_ok;      // ms since the last success
} rot_look_t;

// true: it is rotted; why: in words.
bool rot_judge(const memory_t *usual, const template_t *template, const rot_look_t *look, char *why,
               size_t size);
// Whether a detail page that was read lacks what it should have: a required field, or all of them.
bool rot_page_is_bare(const template_t *template, const item_t *page);
// The same for the detail pages of a poll, of which so many had what they should have, or had not.
bool rot_judge_pages(const memory_t *usual, uint32_t good, uint32_t bare, char *why, size_t size);
void rot_learn_pages(memory_t *memory, uint32_t good, uint32_t bare);
// Takes what a list that is not rotted looks like into memory.
void rot_learn(memory_t *memory, const template_t *template, const items_t *items);

#endif
