// Grid: arithmetic on a source's dues.
#include "broker/grid.h"

// 2^64 divided by the golden ratio: multiples of it, taken modulo 2^64, are spread evenly (Knuth, TAOCP
// 3, 6.4).
#define GOLDEN 0x9e3779b97f4a7c15ULL

enum { OPENING_MS = 60000 }; // in which a dropped due is made up

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

grid_t grid_of(uint64_t host_hash, uint32_t ordinal, int64_t every)
{
    uint64_t turn = host_hash + ordinal * GOLDEN; // a fraction of the period, in 2^-64
    return (grid_t){.phase = (int64_t)(((turn >> 32) * (uint64_t)every) >> 32), .every = every};
}

// -- the period ---------------------------------------------------------------------------------------

static int64_t period_last(grid_t g, int64_t upto)
{
    int64_t since = (upto - g.phase) % g.every;
    if (since < 0) since += g.every;
    return upto - since;
}

static int64_t period_next(grid_t g, int64_t after)
{
    return period_last(g, after) + g.every;
}

static uint64_t period_count(grid_t g, int64_t after, int64_t upto)
{
    if (upto <= after) return 0;
    return (uint64_t)((period_last(g, upto) - period_last(g, after)) / g.every);
}

// -- the period in active hours -----------------------------------------------------------------------

// The due that is made up when w begins, or GRID_NONE.
static int64_t made_up(grid_t g, window_t w)
{
    int64_t span = earlier(w.end - w.start, OPENING_MS);
    if (period_count(g, w.start - 1, w.start + span - 1)) return GRID_NONE;
    int64_t closed = schedule_window_before(g.schedule, w.start - 1).end;
    return period_count(g, closed - 1, w.start - 1) ? w.start + g.phase % span : GRID_NONE;
}

static int64_t active_next(grid_t g, int64_t after)
{
    window_t w = schedule_window(g.schedule, after + 1);
    if (w.start == GRID_NEVER) return GRID_NEVER;
    int64_t extra = made_up(g, w), due = period_next(g, later(after, w.start - 1));
    if (extra > after) return extra;
    if (due < w.end) return due;
    w = schedule_window(g.schedule, due);
    if (w.start <= due || w.start == GRID_NEVER) return w.start <= due ? due : GRID_NEVER;
    extra = made_up(g, w);
    return extra == GRID_NONE ? period_next(g, w.start - 1) : extra;
}

static int64_t active_last(grid_t g, int64_t upto)
{
    for (window_t w = schedule_window_before(g.schedule, upto); w.start != GRID_NONE;) {
        int64_t due = period_last(g, earlier(upto, w.end - 1)), extra = made_up(g, w);
        if (due >= w.start) return due;
        if (extra != GRID_NONE && extra <= upto) return extra;
        window_t held = schedule_window(g.schedule, due); // of the last due before w, or where it is made up
        if (held.start < w.start) return held.start <= due ? due : made_up(g, held);
        w = schedule_window_before(g.schedule, w.start - 1);
        upto = w.end - 1;
    }
    return GRID_NONE;
}

static uint64_t active_count(grid_t g, int64_t after, int64_t upto)
{
    uint64_t n = 0;
    for (window_t w; after < upto; after = w.end - 1) {
        w = schedule_window(g.schedule, after + 1);
        if (w.start > upto) break;
        int64_t extra = made_up(g, w);
        n += extra > after && extra <= upto;
        n += period_count(g, later(after, w.start - 1), earlier(upto, w.end - 1));
    }
    return n;
}

// -- by kind --------------------------------------------------------------------------------------------

int64_t grid_next(grid_t g, int64_t after)
{
    if (!g.schedule) return period_next(g, after);
    const template_t *t = g.schedule->template;
    if (t->mode == MODE_TRIGGERED) return GRID_NEVER;
    if (t->mode == MODE_CONTINUOUS) return g.turn > after ? g.turn : GRID_NEVER;
    return t->cron ? schedule_next(g.schedule, after) : active_next(g, after);
}

int64_t grid_last(grid_t g, int64_t upto)
{
    if (!g.schedule) return period_last(g, upto);
    const template_t *t = g.schedule->template;
    if (t->mode == MODE_TRIGGERED) return GRID_NONE;
    if (t->mode == MODE_CONTINUOUS) return g.turn && g.turn <= upto ? g.turn : GRID_NONE;
    return t->cron ? schedule_last(g.schedule, upto) : active_last(g, upto);
}

uint64_t grid_count(grid_t g, int64_t after, int64_t upto)
{
    if (!g.schedule) return period_count(g, after, upto);
    const template_t *t = g.schedule->template;
    if (t->mode == MODE_TRIGGERED) return 0;
    if (t->mode == MODE_CONTINUOUS) return g.turn > after && g.turn <= upto;
    return t->cron ? schedule_count(g.schedule, after, upto) : active_count(g, after, upto);
}
