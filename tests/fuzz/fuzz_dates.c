// needs: miner/read proto common
// Any bytes as a date: a moment from year 0 to 10000, or none, however it is meant. A zone moves it by hours.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "miner/read/date_relative.h"
#include "miner/read/dates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t parse(const uint8_t *data, size_t size, const date_sense_t *sense)
{
    int64_t ms = date_parse((const char *)data, size, sense);
    if (ms != TIME_NONE && (ms < INT64_C(-62200000000000) || ms > INT64_C(253410000000000))) abort();
    return ms;
}

// Counted back from now it lies behind, by some two hundred years at most.
static void parse_relative(const uint8_t *data, size_t size, const date_sense_t *sense)
{
    static const int64_t now = INT64_C(1784885445678);
    char text[400];
    if (size >= sizeof text) return;
    memcpy(text, data, size);
    text[size] = '\0';
    int64_t ms = date_relative(text, sense, now);
    if (ms != TIME_NONE && (ms > now || ms < now - INT64_C(210) * 366 * 86400000)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why;
    date_sense_t zoned = {.zoned = true};
    (void)parse(data, size, NULL);
    for (date_order_t order = DATE_ORDER_USUAL; order <= DATE_ORDER_YMD; order++) {
        zoned.order = order;
        zoned.zone = NULL;
        int64_t utc = parse(data, size, &zoned);
        if (zone_shared("America/New_York", &zoned.zone, &why)) abort();
        int64_t there = parse(data, size, &zoned);
        if ((utc == TIME_NONE) != (there == TIME_NONE) || there < utc || there - utc > 5 * 3600000) abort();
    }
    parse_relative(data, size, &zoned);
    return 0;
}
