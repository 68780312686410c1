// Feed names: the elements of feeds that mean something to rtm, whatever prefix or namespace version they
// come under.
#ifndef RTM_MINER_FEED_NAMES_H
#define RTM_MINER_FEED_NAMES_H

typedef enum {
    EL_OTHER, // goes to `fields`
    EL_IGNORE,
    // structure
    EL_ITEM,
    EL_ROOT,  // rss, RDF, feed, channel
    EL_GROUP, // holds more of the same: media:group
    EL_SOURCE,
    // slots
    EL_TITLE,
    EL_LINK,
    EL_GUID,
    EL_AUTHOR,
    EL_CONTRIBUTOR,
    EL_SUMMARY,
    EL_CONTENT,
    EL_DATE,
    EL_CATEGORY,
    EL_ENCLOSURE,
    EL_IMAGE,
    EL_MEDIA_CONTENT,
    EL_THUMBNAIL,
} element_kind_t;

typedef struct {
    element_kind_t kind;
    int rank; // among those that compete for one slot
} element_t;

// The usual prefix of a namespace ("" for that of feeds themselves), or NULL: not known.
const char *feed_prefix(const char *uri);
// What an element means. prefix: the usual one where the namespace is known, else the document's own, or "".
element_t feed_element(const char *prefix, const char *local);

#endif
