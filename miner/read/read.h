// Read: bytes of a document -> items. Pure: no network, no clock, no files, so it is easy to test and to
// fuzz. A reader is a template's compiled selectors. It belongs to one thread (lexbor's objects are not
// shared); compiling the same template once per thread is meant.
#ifndef RTM_MINER_READ_H
#define RTM_MINER_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "miner/read/events.h"
#include "proto/template.h"

// What was fetched.
typedef struct {
    const char *bytes; // decoded (no gzip), as the server sent it otherwise
    size_t len;
    const char *content_type; // the header's value, or NULL
    const char *url;          // final URL, the base of relative ones
    int64_t fetched;          // when, ms since 1970; 0: unknown, and "3 hours ago" says nothing
} document_t;

// One post. Texts are NUL-terminated valid UTF-8 without NUL inside, in the arena; NULL where there is none.
typedef struct {
    const char *key;
    const char *url; // absolute
    const char *title;
    const char *author;
    const char *summary;
    const char *content;
    const char *image;     // absolute URL
    int64_t published_ms;  // the publisher's claim, ms since 1970 UTC; TIME_NONE
    const char *undated;   // what should have been it, and is no date; or NULL
    const char *fields;    // JSON object of all other fields; NULL: none
    uint64_t content_hash; // over the tracked fields: another hash is another revision
} item_t;

// Why a document gave nothing. The names are what users see (error_class_name).
typedef enum {
    READ_OK,
    READ_EMPTY_BODY,    // no bytes, or only white space
    READ_NOT_THIS_KIND, // e.g. HTML where a feed was expected
    READ_PARSE,         // not well-formed beyond recovery
    READ_TOO_BIG,       // nodes, depth, items or arena past their bound
    READ_TOO_COMPLEX,   // a selector or pattern passed its step limit
    READ_ROTTED,        // nothing matched, although the document was read
} read_status_t;

typedef struct {
    item_t *items; // in document order
    size_t n_items;
    bool unordered; // kind auto found a sitemap, which is in no order of time
    size_t matched; // items before filters and without-key drops
    // for `rtm-ctl try`: how many items each selector of `items` found, then of how many each one of the
    // fields gave the value, in the template's order; may be NULL
    size_t *selector_matches;
    const char *script; // the JSON within the page that was read, of script_len bytes; NULL: the document was
    size_t script_len;
    const char *next_url; // where to go on, or NULL: see reader_items
    char detail[200];     // for a status other than READ_OK: what was found where
} items_t;

typedef struct reader reader_t;

// Compiles template's selectors. NULL: *error names the field. template must outlive the reader.
reader_t *reader_new(const template_t *template, template_error_t *error);
void reader_destroy(reader_t **reader);

// Reads a list page, feed or JSON document. All results live in arena.
// out->next_url, with READ_OK: the next page of this list. The caller reads it as part of the same poll, by
// the same rules, while it has read fewer than template->pages pages, the page gave an item that was not
// known, and the URL is none that this poll has read already. With READ_NOT_THIS_KIND (kinds feed and auto):
// a page came that names its feed. The caller reads that URL instead, once per poll and not again from there;
// when it parsed, it may go there directly from then on, as after a permanent redirect. Without next_url the
// status is the outcome.
read_status_t reader_items(reader_t *reader, arena_t *arena, const document_t *document, items_t *out);
// The URL of page number `page` of a list whose `next` counts ({page} or {offset}); url: of its first page;
// offset: items on the pages before. NULL: it does not count, or the URL is none.
const char *reader_page_url(const reader_t *reader, arena_t *arena, const char *url, uint32_t page,
                            size_t offset);
// Reads one event of a stream (kind stream): see stream_event.
read_status_t reader_event(reader_t *reader, arena_t *arena, const char *url, const event_t *event,
                           items_t *out, const char **position);
// Reads a detail page: fills *out (key left NULL) from the detail fields, also where *drop is set, which
// is when a filter or a missing required field says that the item is not wanted.
read_status_t reader_detail(reader_t *reader, arena_t *arena, const document_t *document, item_t *out,
                            bool *drop);

// The same for people: with n_items at most 1, how often the selectors of `detail` gave a value, and the
// reason.
read_status_t reader_detail_page(reader_t *reader, arena_t *arena, const document_t *document, items_t *out,
                                 bool *drop);

const char *read_status_name(read_status_t status); // "rotted", "parse", ...

#endif
