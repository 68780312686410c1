// needs: proto common
// Any bytes as a TZif file: refused with a reason, or a zone that keeps its promises, for cron too.
#include <stdint.h>
#include <stdlib.h>

#include "common/check.h"
#include "proto/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_cron(const zone_t *zone, int64_t at)
{
    static const char *const texts[] = {"*/20 * * * *", "*/20 2 * * *", "0 0 31 * fri"};
    char why[200];
    cron_t cron;
    for (int i = 0; i < 3; i++) {
        CHECK(cron_parse(&cron, texts[i], why, sizeof why) == 0);
        int64_t next = cron_next(&cron, zone, at), last = cron_last(&cron, zone, at);
        CHECK(next > at && last <= at);
        if (next == CRON_NEVER) continue;
        CHECK(cron_last(&cron, zone, next) == next && cron_count(&cron, zone, at, next) == 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *error = NULL;
    zone_t *zone = zone_parse(data, size, &error);
    if (!zone) {
        CHECK(error != NULL);
        return 0;
    }
    int64_t at = 1000000000;
    for (int i = 0; i < 5; i++) {
        CHECK(zone_instant(zone, zone_shown(zone, at)) <= at);
        CHECK(zone_instant(zone, zone_shown(zone, at) + 1) > at);
        try_cron(zone, at);
        int64_t change = zone_next_change(zone, at);
        if (change == ZONE_NEVER) break;
        at = change - i % 2;
    }
    zone_destroy(&zone);
    return 0;
}
