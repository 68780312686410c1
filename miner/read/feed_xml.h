// Feed XML: the state of a feed that is being read. feed_xml.c takes the parser's events and makes items of
// them; feed_capture.c collects the text of one element at a time.
#ifndef RTM_MINER_FEED_XML_H
#define RTM_MINER_FEED_XML_H

#include <stdbool.h>

#include "miner/read/feed_attributes.h"
#include "miner/read/feed_item.h"
#include "miner/read/feed_names.h"
#include "miner/read/read.h"
#include "miner/read/xml_repair.h"
#include "miner/read/xml_sax.h"

enum { NAME_CACHE = 64, URI_CACHE = 16, MAX_BASES = 16, NAME_MAX_LEN = 80 };

// Ranks of what may become an item's url.
enum {
    URL_LINK,
    URL_OTHER_TYPE,
    URL_GUID,
    URL_ABOUT,
    URL_CONTENT,
    URL_RELATED,
    URL_ENCLOSURE,
    URL_ID,
    URL_SELF
};
// Ranks of what may become its image; feed_names.c has those of plain elements.
enum { IMAGE_MEDIA, IMAGE_ENCLOSURE, IMAGE_THUMBNAIL };

enum { AUTHOR_OF_SOURCE = 10 }; // a rank behind those of feed_names.c

// How the text of an element is written.
typedef enum { TYPE_OF_RSS, TYPE_PLAIN, TYPE_MARKUP, TYPE_XHTML } text_type_t;

typedef struct {
    feed_list_t list;
    xml_sax_t *sax;
    const document_t *document;
    int depth; // of open elements
    bool is_feed;
    char root[NAME_MAX_LEN]; // name of the document's first element

    feed_item_t *item; // the innermost open one
    int item_depths[XML_MAX_DEPTH + 60];
    int n_open_items;

    // the element whose text is being collected
    int capture_depth; // 0: none
    element_t capture;
    const char *prefix, *local; // its name; both live as long as the parser
    buf_t text;
    bool markup;   // text is markup: elements inside are written out as tags
    bool has_part; // of an author or image: an inner element gave the value
    char part[16]; // name of the element right in it
    text_type_t type;
    bool no_permalink, no_text, base64, atom, said_plain;
    const char *attributes; // JSON, or NULL

    struct {
        int depth;
        const char *outer; // base to go back to
    } bases[MAX_BASES];
    int n_bases;
    const char *base; // present one, or NULL

    const char *author; // of the whole feed (Atom)
    const char *next_url;

    struct {
        const xmlChar *uri; // interned
        const char *usual;
    } uris[URI_CACHE];
    struct {
        const xmlChar *local, *prefix, *uri; // interned by the parser: compared as pointers
        const char *usual;
        element_t element;
    } cache[NAME_CACHE];
} feed_t;

// A value for a slot of the innermost open item, if there is one.
static inline bool feed_set(feed_t *f, feed_slot_t slot, int rank, span_t text)
{
    return f->item && feed_item_set(&f->list, f->item, slot, rank, text.s, text.len, false);
}

// The attributes as a JSON object in list.json; false where there are none.
static inline bool feed_put_attributes(feed_t *f, const attributes_t *a)
{
    buf_reset(&f->list.json);
    return attributes_put_json(a, &f->list.json);
}

// Reads a feed that is XML (valid UTF-8): as feed_items.
read_status_t feed_xml_items(const template_t *template, arena_t *arena, const document_t *document,
                             const char *text, size_t len, items_t *out);

// -- feed_capture.c --------------------------------------------------------------------------------

// The text of the element that has just begun is collected from here on.
void feed_capture_begin(feed_t *f, element_t e, const attributes_t *a, bool atom);
void feed_capture_text(feed_t *f, const char *s, size_t len);
// An element within it begins. false: it turns out to be no value itself, so the capture is over, and the
// element stands for itself.
bool feed_capture_start(feed_t *f, const char *local, element_t e, const attributes_t *a);
void feed_capture_end_inside(feed_t *f, const char *local);
// The element itself ends: what was collected goes to the item.
void feed_capture_end(feed_t *f);

#endif
