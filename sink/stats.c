// Stats: counters, and the commit times themselves, which are few enough to sort.
#include "sink/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"

void stats_batch(stats_t *s, const done_t *d)
{
    s->now.batches++;
    s->now.items += d->n;
    for (size_t i = 0; i < d->n; i++)
        if (d->verdicts[i] < VERDICT_COUNT) s->now.verdicts[d->verdicts[i]]++;
    if (d->commit_us) s->commit_us[s->commits++ % STATS_COMMITS] = d->commit_us;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static counters_t since_logged(const stats_t *s)
{
    counters_t c = s->now;
    c.batches -= s->logged.batches;
    c.items -= s->logged.items;
    c.refused -= s->logged.refused;
    for (int v = 0; v < VERDICT_COUNT; v++) c.verdicts[v] -= s->logged.verdicts[v];
    return c;
}

// Of the n sorted commit times; 0 if there are none.
static double quantile_ms(const stats_t *s, size_t n, size_t percent)
{
    size_t i = n * percent / 100;
    return n ? (double)s->commit_us[i] / 1000 : 0;
}

void stats_log(stats_t *s)
{
    counters_t c = since_logged(s);
    size_t n = s->commits < STATS_COMMITS ? s->commits : STATS_COMMITS;
    qsort(s->commit_us, n, sizeof s->commit_us[0], by_value);
    double p50 = quantile_ms(s, n, 50), p95 = quantile_ms(s, n, 95);
    log_info("sink",
             "sessions=%zu batches=%" PRIu64 " items=%" PRIu64 " new=%" PRIu64 " changed=%" PRIu64
             " known=%" PRIu64 " lacks_detail=%" PRIu64 " older=%" PRIu64 " rejected=%" PRIu64
             " refused=%" PRIu64 " waiting=%zu spool=%" PRIu64 " commit_p50_ms=%.1f commit_p95_ms=%.1f",
             s->sessions, c.batches, c.items, c.verdicts[VERDICT_new], c.verdicts[VERDICT_changed],
             c.verdicts[VERDICT_known], c.verdicts[VERDICT_lacks_detail], c.verdicts[VERDICT_older],
             c.verdicts[VERDICT_rejected], c.refused, s->waiting, s->spool_bytes, p50, p95);
    s->logged = s->now;
    s->commits = 0;
}

void stats_metrics(const stats_t *s, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size,
                                "# TYPE rtm_sink_sessions gauge\nrtm_sink_sessions %zu\n"
                                "# TYPE rtm_sink_waiting_bytes gauge\nrtm_sink_waiting_bytes %zu\n"
                                "# TYPE rtm_sink_spool_bytes gauge\nrtm_sink_spool_bytes %" PRIu64 "\n"
                                "# TYPE rtm_sink_postgres_up gauge\nrtm_sink_postgres_up %d\n"
                                "# TYPE rtm_sink_database_restored gauge\nrtm_sink_database_restored %d\n"
                                "# TYPE rtm_sink_batches_total counter\nrtm_sink_batches_total %" PRIu64 "\n"
                                "# TYPE rtm_sink_refused_total counter\nrtm_sink_refused_total %" PRIu64 "\n"
                                "# TYPE rtm_sink_items_total counter\n",
                                s->sessions, s->waiting, s->spool_bytes, s->postgres_up, s->restored,
                                s->now.batches, s->now.refused);
    for (uint64_t v = 0; v < VERDICT_COUNT && n < size; v++)
        n += (size_t)snprintf(out + n, size - n, "rtm_sink_items_total{verdict=\"%s\"} %" PRIu64 "\n",
                              wire_verdict_name(v), s->now.verdicts[v]);
}
