// I-Regexp: the regular expressions of JSONPath (RFC 9485), checked by their grammar, run by PCRE2 within
// limits.
#ifndef RTM_MINER_IREGEXP_H
#define RTM_MINER_IREGEXP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IREGEXP_MAX = 1024 }; // bytes of a pattern; longer ones match nothing

typedef struct iregexp {
    struct iregexp *next; // for the owner's use
    char *text;           // as written
    size_t len;
    bool whole; // match() rather than search()
    void *code; // pcre2_code; NULL where text is no I-Regexp: it matches nothing
} iregexp_t;

// Compiles text (UTF-8). whole: it must match all of the subject. Never NULL.
iregexp_t *iregexp_new(const char *text, size_t len, bool whole);
void iregexp_destroy(iregexp_t **regexp);

// 1 matches, 0 does not, -1: more than *work steps were needed. Takes what it may have used from *work.
int iregexp_match(const iregexp_t *regexp, const char *subject, size_t len, int64_t *work);

#endif
