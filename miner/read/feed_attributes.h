// Feed attributes: those of one element, as libxml2's SAX hands them over, for feed.c.
#ifndef RTM_MINER_FEED_ATTRIBUTES_H
#define RTM_MINER_FEED_ATTRIBUTES_H

#include <libxml/xmlstring.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

// Text that does not end with NUL; s is NULL where there is none.
typedef struct {
    const char *s;
    size_t len;
} span_t;

// Without regard to case.
bool span_is(span_t s, const char *word);
bool span_begins(span_t s, const char *word);
bool span_contains(span_t s, const char *word); // with regard to it

typedef struct {
    const xmlChar **list; // five cells each: name, prefix, URI, value, its end
    int n;
} attributes_t;

// By local name, without regard to case.
span_t attributes_get(const attributes_t *a, const char *name);

// Adds a member to the JSON object that begins in out; nothing where value.s is NULL or no room is left.
void span_put_json(buf_t *out, const char *name, span_t value);
// All attributes as a JSON object in out, which is empty; false where there are none.
bool attributes_put_json(const attributes_t *a, buf_t *out);

#endif
