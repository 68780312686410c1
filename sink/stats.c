// Stats: counters, and the commit times themselves, which are few enough to sort.
#include "sink/stats.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/log.h"

void stats_batch(stats_t *s, const done_t *d)
{
    s->batches++;
    s->items += d->n;
    for (size_t i = 0; i < d->n; i++)
        if (d->verdicts[i] < VERDICT_COUNT) s->verdicts[d->verdicts[i]]++;
    if (d->commit_us) s->commit_us[s->commits++ % STATS_COMMITS] = d->commit_us;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

void stats_log(stats_t *s, size_t sessions, size_t waiting)
{
    size_t n = s->commits < STATS_COMMITS ? s->commits : STATS_COMMITS;
    qsort(s->commit_us, n, sizeof s->commit_us[0], by_value);
    double p50 = n ? (double)s->commit_us[n / 2] / 1000 : 0,
           p95 = n ? (double)s->commit_us[n * 95 / 100] / 1000 : 0;
    log_info("sink",
             "sessions=%zu batches=%" PRIu64 " items=%" PRIu64 " new=%" PRIu64 " changed=%" PRIu64
             " known=%" PRIu64 " lacks_detail=%" PRIu64 " older=%" PRIu64 " rejected=%" PRIu64
             " refused=%" PRIu64 " waiting=%zu commit_p50_ms=%.1f commit_p95_ms=%.1f",
             sessions, s->batches, s->items, s->verdicts[VERDICT_new], s->verdicts[VERDICT_changed],
             s->verdicts[VERDICT_known], s->verdicts[VERDICT_lacks_detail], s->verdicts[VERDICT_older],
             s->verdicts[VERDICT_rejected], s->refused, waiting, p50, p95);
    *s = (stats_t){0};
}
