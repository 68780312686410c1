#include "broker/fingerprint.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

enum { HEX_LEAST = 8 };

// Bytes of a URL at p, 0: there is none.
static size_t url_at(const char *p)
{
    size_t scheme = !strncmp(p, "http://", 7) ? 7 : !strncmp(p, "https://", 8) ? 8 : 0;
    return scheme ? scheme + strcspn(p + scheme, " \"'<>`") : 0;
}

static size_t host_at(const char *p, const char *host)
{
    size_t n = host ? strlen(host) : 0;
    return n && !strncmp(p, host, n) && !isalnum((unsigned char)p[n]) ? n : 0;
}

// Bytes of a number at p, which a letter before it makes none.
static size_t number_at(const char *p)
{
    size_t digits = strspn(p, "0123456789"), hex = strspn(p, "0123456789abcdefABCDEF-");
    bool has_digit = strcspn(p, "0123456789") < hex;
    return hex >= HEX_LEAST && has_digit && !isalnum((unsigned char)p[hex]) ? hex : digits;
}

char *fingerprint_pattern(char *out, const char *detail, const char *host)
{
    size_t len = 0;
    const char *p = detail;
    bool word = false; // the character before is part of a word
    while (*p && len + 8 < PATTERN_SIZE) {
        const char *put = NULL;
        size_t n = word ? 0 : url_at(p);
        if (n) put = "URL";
        if (!n && !word && (n = host_at(p, host))) put = "HOST";
        if (!n && (n = word ? strspn(p, "0123456789") : number_at(p))) put = "#";
        word = !put && isalnum((unsigned char)*p);
        if (put) {
            len += (size_t)snprintf(out + len, PATTERN_SIZE - len, "%s", put);
            p += n;
        } else {
            out[len++] = *p++;
        }
    }
    out[len] = '\0';
    return out;
}

uint64_t fingerprint_of(const char *template_name, const char *error, uint64_t status, const char *pattern)
{
    char text[MAX_NAME + MAX_DETAIL + 128];
    int n = snprintf(text, sizeof text, "%.100s\n%.50s\n%llu\n%s", template_name, error,
                     (unsigned long long)status, pattern);
    uint64_t hash = XXH3_64bits(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    return hash ? hash : 1;
}
