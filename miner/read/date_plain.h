// Date plain: the few layouts that most documents use, read without a search, for dates.c only.
#ifndef RTM_MINER_DATE_PLAIN_H
#define RTM_MINER_DATE_PLAIN_H

#include <stddef.h>
#include <stdint.h>

// 2003-06-03T09:39:21Z (RFC 3339), Tue, 03 Jun 2003 09:39:21 GMT (RFC 5322): ms since 1970 UTC; TIME_NONE:
// something else, or no such moment.
int64_t date_plain(const char *text, size_t len);

// A count since 1970: seconds of 9 or 10 digits, with or without a fraction, ms of 13, us of 16, ns of
// 19; also /Date(1700000000123)/, in lower case. TIME_NONE as above.
int64_t date_unix(const char *text, size_t len);

#endif
