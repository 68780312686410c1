// needs: miner/read proto common
// Any bytes as a date: a moment from year 0 to 10000, or none.
#include <stdint.h>
#include <stdlib.h>

#include "miner/read/dates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t ms = date_parse((const char *)data, size);
    if (ms != TIME_NONE && (ms < INT64_C(-62200000000000) || ms > INT64_C(253410000000000))) abort();
    return 0;
}
