// Identity: XXH3 of long texts, for processors that have AVX2, as this file alone may expect (see Makefile).
#include "miner/read/identity.h"

#ifdef __AVX2__
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t identity_hash_avx2(const char *s, size_t len)
{
    return XXH3_64bits(s, len);
}
#endif
