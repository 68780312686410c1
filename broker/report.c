// Report: the broker's log lines that are worth watching.
#include <stdio.h>
#include <string.h>

#include "broker/state.h"
#include "common/log.h"

enum { MINERS_SHOWN = 24 };

static void put_age(char *out, size_t size, int64_t ms)
{
    if (ms < 10000)
        snprintf(out, size, "%.1fs", (double)ms / 1000);
    else
        snprintf(out, size, "%llds", (long long)(ms / 1000));
}

static size_t put_miner(const broker_t *b, const miner_t *m, char *out, size_t size)
{
    char age[32] = "never";
    if (m->last_outcome) put_age(age, sizeof age, b->now - m->last_outcome);
    const char *phase = m->phase == MINER_LIVE      ? wire_miner_state_name(m->beat.state)
                        : m->phase == MINER_LEAVING ? "leaving"
                                                    : "joining";
    int n = snprintf(out, size, "%s:%s,load=%.2f,running=%llu,last=%s/%s ", m->name, phase, miner_load(m),
                     (unsigned long long)m->beat.running, age,
                     m->last_outcome
                         ? m->last_error ? error_class_name(m->last_error) : wire_result_name(m->last_result)
                         : "none");
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

void report_heartbeat(broker_t *b)
{
    char miners[3500] = "";
    size_t n = 0, len = 0, pos = 0, shown = 0, more = 0;
    for (miner_t *m; (m = registry_next(&b->registry, &pos)); n++) {
        size_t put = shown < MINERS_SHOWN ? put_miner(b, m, miners + len, sizeof miners - len) : 0;
        len += put;
        shown += put > 0;
        more += put == 0;
    }
    if (len) miners[len - 1] = '\0';
    log_info("heartbeat", "live=%zu slot=%lld sources=%zu miners=[%s]%s", registry_live(&b->registry),
             (long long)slots_number(&b->slots, b->now), b->catalog.sources.count, miners,
             more ? " ..." : "");
}

void report_slot(const slot_account_t *a)
{
    char reasons[512] = "";
    size_t len = 0;
    for (int r = 1; r < ERR_COUNT; r++) {
        if (!a->reasons[r] || len + 48 > sizeof reasons) continue;
        len += (size_t)snprintf(reasons + len, sizeof reasons - len, " skipped.%s=%llu",
                                error_class_name((uint64_t)r), (unsigned long long)a->reasons[r]);
    }
    uint64_t settled = a->stored + a->failed + a->skipped;
    log_info("slot", "number=%lld due=%llu polled=%llu stored=%llu failed=%llu skipped=%llu open=%llu%s",
             (long long)a->slot, (unsigned long long)a->due, (unsigned long long)(a->polled + a->failed),
             (unsigned long long)a->stored, (unsigned long long)a->failed, (unsigned long long)a->skipped,
             (unsigned long long)(a->due > settled ? a->due - settled : 0), reasons);
}
