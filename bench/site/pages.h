// Pages: what the world's posts look like as HTML, RSS, Atom and JSON. Pure; a page holds exactly what the
// world shows at the moment of rendering.
#ifndef RTM_SITE_PAGES_H
#define RTM_SITE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/site/world.h"
#include "common/buf.h"

#define PAGE_MAX    (4u << 20) // bytes; WORLD_ROWS_MAX rows fit
#define PAGE_PADDED 29000u     // what a padded HTML list has at least: about the Hacker News front page

// A source's list. points are the places of its four-digit numbers, which mean nothing and may be
// overwritten.
typedef struct {
    char *bytes;
    size_t len;
    size_t *points;
    size_t n_points;
} page_t;

typedef struct {
    char text[40];
} stamp_t;

// Renders into memory of its own. pad: see PAGE_PADDED. 0, or -1 when memory is out.
int page_list(page_t *page, const world_t *world, uint32_t source, bool pad);
void page_free(page_t *page);
// Writes other numbers into bytes, a copy of the page's.
void page_shuffle(const page_t *page, char *bytes, uint64_t salt);
// The detail page of one post, appended. 0 or -1.
int page_detail(buf_t *out, const world_item_t *item);
// The post as one line of ground truth, without the line's end, appended. 0 or -1.
int page_truth(buf_t *out, const world_t *world, const world_item_t *item);
const char *page_type(site_kind_t kind);
// The time as HTTP and RSS write it; returns out->text.
const char *page_date(stamp_t *out, int64_t t_ms);

#endif
