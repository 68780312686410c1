// Fingerprint: which errors are the same one over and over: those of a template with the same class, status
// and words, once what differs from time to time is folded away.
#ifndef RTM_BROKER_FINGERPRINT_H
#define RTM_BROKER_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"

enum { PATTERN_SIZE = MAX_DETAIL + 1 };

// The words of an error without what differs: URLs become URL, host (the source's own, may be NULL) HOST,
// numbers # and hexadecimal numbers of 8 digits and more too. out has PATTERN_SIZE bytes. Returns out.
char *fingerprint_pattern(char *out, const char *detail, const char *host);
// Never 0.
uint64_t fingerprint_of(const char *template_name, const char *error, uint64_t status, const char *pattern);

#endif
