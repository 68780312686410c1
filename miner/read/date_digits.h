// Date digits: what date_plain and date_scan read alike.
#ifndef RTM_MINER_DATE_DIGITS_H
#define RTM_MINER_DATE_DIGITS_H

#include <stdbool.h>
#include <stddef.h>

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline int two(const char *s)
{
    return (s[0] - '0') * 10 + s[1] - '0';
}

// Scales a fraction of n digits to ms.
static inline int fraction_ms(const char *digits, size_t n)
{
    int ms = 0;
    for (size_t i = 0; i < 3; i++) ms = ms * 10 + (i < n ? digits[i] - '0' : 0);
    return ms;
}

#endif
