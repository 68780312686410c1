// Admission: shares of what a miner can do.
#include "broker/admission.h"

#include "broker/state.h"

static const double weight[ADMISSION_CLASSES] = {1, 2, 4, 8};

priority_t source_urgency(const source_t *s)
{
    int urgency = (int)s->listing->urgency - (s->failures >= 2) - (s->failures >= 8);
    if (urgency < PRIORITY_LOW) urgency = PRIORITY_LOW;
    if (urgency < PRIORITY_HIGH && s->put_off >= ADMISSION_PATIENCE) urgency = PRIORITY_HIGH;
    return (priority_t)urgency;
}

void admission_init(admission_t *a)
{
    *a = (admission_t){0};
    for (int c = 0; c < ADMISSION_CLASSES; c++) a->part[c] = 1;
}

// Max-min fairness by weights: a class that wants less than its share leaves the rest to the others.
static void divide(admission_t *a, double capacity)
{
    bool open[ADMISSION_CLASSES];
    double weights = 0;
    for (int c = 0; c < ADMISSION_CLASSES; c++) {
        open[c] = a->wanted[c] > 0;
        weights += open[c] ? weight[c] : 0;
        a->part[c] = 1;
    }
    for (bool again = true; again;) {
        again = false;
        for (int c = 0; c < ADMISSION_CLASSES; c++) {
            if (!open[c] || (double)a->wanted[c] > capacity * weight[c] / weights) continue;
            open[c] = false;
            capacity -= (double)a->wanted[c];
            weights -= weight[c];
            again = weights > 0;
        }
    }
    for (int c = 0; c < ADMISSION_CLASSES; c++)
        if (open[c]) a->part[c] = capacity * weight[c] / weights / (double)a->wanted[c];
}

void admission_close(admission_t *a, uint64_t capacity)
{
    uint64_t all = 0;
    for (int c = 0; c < ADMISSION_CLASSES; c++) all += a->wanted[c];
    a->scarce = capacity && all > capacity;
    if (a->scarce)
        divide(a, (double)capacity);
    else
        for (int c = 0; c < ADMISSION_CLASSES; c++) a->part[c] = 1;
    for (int c = 0; c < ADMISSION_CLASSES; c++) a->wanted[c] = 0;
}

static bool admit(admission_t *a, priority_t class, bool aged)
{
    if (!a->scarce) return true;
    a->credit[class] += a->part[class];
    if (a->credit[class] < 1 && !aged) return false;
    a->credit[class] -= 1;
    if (a->credit[class] < -1) a->credit[class] = -1; // what age took is not held against the class for long
    return true;
}

bool admission_admits(broker_t *b, source_t *s)
{
    miner_t *m = s->lane->owner;
    if (!m) return true;
    priority_t urgency = source_urgency(s);
    bool aged = s->put_off >= ADMISSION_PATIENCE;
    uint64_t polls = s->listing->template->every_ms < b->config.slot_ms
                         ? (uint64_t)(b->config.slot_ms / s->listing->template->every_ms)
                         : 1;
    m->admission.wanted[urgency] += polls * s->cost_ms;
    bool lazy = m->beat.state == MINER_overloaded && urgency < PRIORITY_HIGH;
    if (!lazy && admit(&m->admission, urgency, aged)) return true;
    s->put_off += s->put_off < UINT8_MAX;
    s->late_cause = CAUSE_overloaded;
    return false;
}
