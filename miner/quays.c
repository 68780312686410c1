// Quays: a batch's token holds the number of its sink, too.
#include "miner/quays.h"

#include <stdlib.h>

#include "common/check.h"

typedef struct {
    quays_t *quays;
    ship_t *ship;
} quay_t;

struct quays {
    const homes_t *homes;
    quays_send_fn *send;
    void *context;
    quay_t quays[MAX_PEERS];
};

static void on_ship(void *context, uint64_t token, char *frame, size_t len)
{
    const quay_t *quay = context;
    quays_t *qs = quay->quays;
    unsigned sink = (unsigned)(quay - qs->quays);
    qs->send(qs->context, sink, token * MAX_PEERS + sink, frame, len);
}

quays_t *quays_new(const homes_t *homes, quays_send_fn *send, void *context)
{
    quays_t *qs = xcalloc(1, sizeof *qs);
    qs->homes = homes;
    qs->send = send;
    qs->context = context;
    for (unsigned i = 0; i < homes->n; i++) qs->quays[i] = (quay_t){qs, ship_new(on_ship, &qs->quays[i])};
    return qs;
}

void quays_destroy(quays_t **quays)
{
    if (!*quays) return;
    for (unsigned i = 0; i < (*quays)->homes->n; i++) ship_destroy(&(*quays)->quays[i].ship);
    free(*quays);
    *quays = NULL;
}

ship_t *quays_of(const quays_t *qs, uint64_t source)
{
    return qs->quays[homes_of(qs->homes, source)].ship;
}

void quays_tick(quays_t *qs, int64_t now)
{
    for (unsigned i = 0; i < qs->homes->n; i++) ship_tick(qs->quays[i].ship, now);
}

int64_t quays_deadline(const quays_t *qs)
{
    int64_t first = INT64_MAX;
    for (unsigned i = 0; i < qs->homes->n; i++) {
        int64_t at = ship_deadline(qs->quays[i].ship);
        if (at < first) first = at;
    }
    return first;
}

void quays_verdicts(quays_t *qs, uint64_t token, const uint8_t *verdicts, size_t n, ship_verdict_fn *tell)
{
    ship_verdicts(qs->quays[token % MAX_PEERS].ship, token / MAX_PEERS, verdicts, n, tell);
}
