// Body: responses that are not a plain block of memory: cut off in the middle, endless, very large,
// compressed to almost nothing. Each returns a new MHD response, or NULL when memory is out.
#ifndef RTM_SITE_BODY_H
#define RTM_SITE_BODY_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct MHD_Response response_t;

// A copy of text.
response_t *body_text(const char *text);
// Announces `announced` bytes, sends the first half of len bytes, then ends the connection: with a reset, or
// in order. release(owner) is called when bytes are no longer needed; release may be NULL.
response_t *body_cut(struct MHD_Connection *connection, const char *bytes, size_t len, uint64_t announced,
                     bool reset, void (*release)(void *owner), void *owner);

#define BODY_PARTS_MAX 4

// A unit repeated so many times, then the next one. Units must outlive the response.
typedef struct {
    const char *unit;
    uint64_t times;
} body_part_t;

// In chunks, without Content-Length, if endless; the last part then never ends.
response_t *body_parts(const body_part_t *parts, size_t n, bool endless);

// A zlib stream ("Content-Encoding: deflate") of about mib MiB of zeros in 1/159 of that. Malloced; NULL as
// above.
char *body_bomb(unsigned mib, size_t *len);

#endif
