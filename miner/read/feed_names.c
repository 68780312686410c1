// Feed names: tables.
#include "miner/read/feed_names.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

// Matched by the beginning: versions and stray ends differ.
static const struct {
    const char *uri, *prefix;
} namespaces[] = {
    {"http://www.w3.org/2005/Atom", ""},
    {"https://www.w3.org/2005/Atom", ""},
    {"http://purl.org/atom/ns#", ""},
    {"http://purl.org/rss/1.0/modules/content", "content"},
    {"http://purl.org/rss/1.0/modules/slash", "slash"},
    {"http://purl.org/rss/1.0/modules/syndication", "sy"},
    {"http://purl.org/rss/1.0/modules/taxonomy", "taxo"},
    {"http://purl.org/rss/1.0/modules/event", "ev"},
    {"http://purl.org/rss/1.0/modules/link", "l"},
    {"http://purl.org/rss/1.0/modules/prism", "prism"},
    {"http://prismstandard.org/namespaces", "prism"},
    {"http://purl.org/rss/1.0/", ""},
    {"http://purl.org/net/rss1.1", ""},
    {"http://my.netscape.com/", ""},
    {"http://channel.netscape.com/", ""},
    {"http://my.netscape.com/rdf/simple/0.9/", ""},
    {"http://backend.userland.com/creativeCommonsRssModule", "creativeCommons"},
    {"http://backend.userland.com/", ""},
    {"http://blogs.law.harvard.edu/tech/rss", ""},
    {"http://cyber.law.harvard.edu/rss", ""},
    {"http://purl.org/rss/2.0", ""},
    {"http://purl.org/dc/elements/", "dc"},
    {"http://purl.org/dc/terms", "dcterms"},
    {"http://search.yahoo.com/mrss", "media"},
    {"https://search.yahoo.com/mrss", "media"},
    {"http://www.itunes.com/dtds/podcast", "itunes"},
    {"http://example.com/DTDs/PodCast", "itunes"},
    {"http://www.georss.org/georss", "georss"},
    {"http://www.w3.org/2003/01/geo/wgs84_pos", "geo"},
    {"http://www.opengis.net/gml", "gml"},
    {"http://wellformedweb.org/CommentAPI", "wfw"},
    {"http://purl.org/syndication/thread/1.0", "thr"},
    {"http://rssnamespace.org/feedburner", "feedburner"},
    {"http://www.youtube.com/xml/schemas", "yt"},
    {"http://gdata.youtube.com/schemas", "yt"},
    {"http://schemas.google.com/g/2005", "gd"},
    {"http://purl.oclc.org/net/rss_2.0/enc", "enc"},
    {"http://www.w3.org/1999/02/22-rdf-syntax-ns", "rdf"},
    {"http://www.w3.org/1999/xhtml", "xhtml"},
    {"http://creativecommons.org/ns", "cc"},
    {"http://web.resource.org/cc/", "cc"},
    {"https://podcastindex.org/namespace", "podcast"},
    {"http://webns.net/mvcb", "admin"},
    {"http://www.google.com/schemas/sitemap-news", "news"},
    {"http://www.google.com/schemas/sitemap-image", "image"},
    {"http://www.google.com/schemas/sitemap-video", "video"},
    {"http://www.sitemaps.org/schemas/sitemap", ""},
    {"http://www.google.com/schemas/sitemap/", ""},
};

static const struct {
    const char *prefix, *local;
    element_kind_t kind;
    int rank;
} elements[] = {
    {"", "item", EL_ITEM, 0},
    {"", "entry", EL_ITEM, 0},
    {"", "rss", EL_ROOT, 0},
    {"", "feed", EL_ROOT, 0},
    {"", "channel", EL_ROOT, 0},
    {"", "rdf", EL_ROOT, 0},
    {"rdf", "rdf", EL_ROOT, 0},
    {"", "source", EL_SOURCE, 0},
    {"media", "group", EL_GROUP, 0},

    {"", "title", EL_TITLE, 0},
    {"dc", "title", EL_TITLE, 1},
    {"media", "title", EL_TITLE, 2},
    {"itunes", "title", EL_TITLE, 3},

    {"", "link", EL_LINK, 0},

    {"", "guid", EL_GUID, 0},
    {"", "id", EL_GUID, 0},
    {"dc", "identifier", EL_GUID, 2},

    {"", "author", EL_AUTHOR, 1},
    {"dc", "creator", EL_AUTHOR, 0},
    {"dc", "author", EL_AUTHOR, 2},
    {"itunes", "author", EL_AUTHOR, 3},

    {"", "contributor", EL_CONTRIBUTOR, 0},

    {"", "summary", EL_SUMMARY, 0},
    {"", "description", EL_SUMMARY, 1},
    {"dc", "description", EL_SUMMARY, 2},
    {"dcterms", "abstract", EL_SUMMARY, 3},
    {"itunes", "summary", EL_SUMMARY, 4},
    {"media", "description", EL_SUMMARY, 5},
    {"itunes", "subtitle", EL_SUMMARY, 6},

    {"content", "encoded", EL_CONTENT, 0},
    {"", "content", EL_CONTENT, 1},
    {"xhtml", "body", EL_CONTENT, 2},
    {"", "body", EL_CONTENT, 2},
    {"xhtml", "div", EL_CONTENT, 3},
    {"", "fullitem", EL_CONTENT, 4},

    {"", "pubdate", EL_DATE, 0},
    {"", "published", EL_DATE, 0},
    {"", "issued", EL_DATE, 0},
    {"dcterms", "issued", EL_DATE, 1},
    {"dc", "date", EL_DATE, 2},
    {"dcterms", "created", EL_DATE, 3},
    {"", "created", EL_DATE, 4},
    {"", "date", EL_DATE, 5},
    {"dcterms", "available", EL_DATE, 6},
    {"", "updated", EL_DATE, 7},
    {"", "modified", EL_DATE, 8},
    {"dcterms", "modified", EL_DATE, 9},
    {"", "lastbuilddate", EL_DATE, 10},

    {"", "category", EL_CATEGORY, 0},
    {"", "enclosure", EL_ENCLOSURE, 0},
    {"enc", "enclosure", EL_ENCLOSURE, 0},

    {"media", "content", EL_MEDIA_CONTENT, 0},
    {"media", "thumbnail", EL_THUMBNAIL, 0},
    {"itunes", "image", EL_IMAGE, 3},
    {"", "image", EL_IMAGE, 4},
    {"", "thumbnail", EL_IMAGE, 5},
    {"", "thumb", EL_IMAGE, 5},

    {"sy", "updateperiod", EL_IGNORE, 0},
    {"", "items", EL_IGNORE, 0},
};

const char *feed_prefix(const char *uri)
{
    for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
        if (strncasecmp(uri, namespaces[i].uri, strlen(namespaces[i].uri)) == 0) return namespaces[i].prefix;
    }
    return NULL;
}

element_t feed_element(const char *prefix, const char *local)
{
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
        if ((*local | 0x20) == *elements[i].local && strcasecmp(local, elements[i].local) == 0 &&
            strcmp(prefix, elements[i].prefix) == 0)
            return (element_t){elements[i].kind, elements[i].rank};
    }
    return (element_t){EL_OTHER, 0};
}
