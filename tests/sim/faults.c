// Faults: see the header.
#include "tests/sim/faults.h"

#include "tests/sim/control.h"
#include "tests/sim/edge.h"

#define FAULT_NAME(name) #name,
const char *fault_name(fault_t fault)
{
    static const char *const names[] = {SIM_FAULTS(FAULT_NAME)};
    return names[fault];
}

static sim_miner_t *any_miner(world_t *w)
{
    sim_miner_t *m = &w->miners[sim_random(w, MAX_MINERS)];
    return m->alive ? m : NULL;
}

static int alive(const world_t *w)
{
    int n = 0;
    for (int i = 0; i < MAX_MINERS; i++) n += w->miners[i].alive && !w->miners[i].draining;
    return n;
}

// The connection breaks: what is under way either way is lost, the socket connects again with another routing
// id.
static void disconnect(world_t *w, sim_miner_t *m)
{
    for (size_t i = 0; i < w->n_events; i++) {
        event_t *e = w->queue[i];
        if ((e->type == EV_TO_BROKER || e->type == EV_TO_MINER) && e->peer == m->peer) e->peer = 0;
    }
    if (w->broker && sim_random(w, 2)) broker_unreachable(w->broker, sim_instant(w), m->peer);
    m->peer = w->next_peer++;
}

// Faults of a kind add up: what waits for the end of one must not be overtaken by what comes later.
static void prolong(int64_t *until, int64_t to)
{
    if (*until < to) *until = to;
}

bool fault_strike(world_t *w, fault_t fault)
{
    int64_t span = 500 + (int64_t)sim_random(w, 12000);
    sim_miner_t *m = any_miner(w);
    uint64_t host = sim_random(w, (uint64_t)w->n_hosts);
    switch (fault) {
    case FAULT_disconnect:
        if (m) disconnect(w, m);
        return m != NULL;
    case FAULT_delay: w->extra_delay_until = w->now + span; return true;
    case FAULT_kill_miner:
        if (!m || alive(w) < 2) return false;
        miner_lost(w, m);
        miner_free(m);
        if (sim_random(w, 2)) miner_start(w, m); // at once, under the same name
        return true;
    case FAULT_freeze_miner:
        if (m) miner_lost(w, m); // as it may seem
        if (m) prolong(&m->frozen_until, w->now + span);
        return m != NULL;
    case FAULT_drain_miner:
        if (!m || m->draining || alive(w) < 2) return false;
        miner_drain(w, m);
        return true;
    case FAULT_add_miner:
        m = &w->miners[sim_random(w, MAX_MINERS)];
        if (m->alive) return false;
        miner_start(w, m);
        return true;
    case FAULT_kill_broker:
        if (!w->broker) return false;
        (sim_random(w, 4) ? sim_kill_broker : sim_stop_broker)(w, 100 + (int64_t)sim_random(w, 8000));
        return true;
    case FAULT_stall_broker: prolong(&w->broker_away_until, w->now + span); return true;
    case FAULT_clock_jump: w->wall_error += (int64_t)sim_random(w, 7200000) - 3600000; return true;
    case FAULT_failing_host: w->host_fails_until[host] = w->now + 2 * span; return true;
    case FAULT_slow_host: w->host_slow_until[host] = w->now + 2 * span; return true;
    case FAULT_slow_disk: w->slow_disk_until = w->now + span; return true;
    case FAULT_sick_miner:
        if (m) m->sick_until = w->now + 2 * span;
        return m != NULL;
    case FAULT_overload:
        if (m) m->overloaded_until = w->now + span;
        return m != NULL;
    case FAULT_sink_away: w->sink_away_until = w->now + span; return true;
    case FAULT_change_template: control_change(w); return true;
    case FAULT_replay: return control_replay(w);
    case FAULT_trigger: control_trigger(w); return true;
    case FAULT_deal: return control_deal(w);
    case FAULT_broken_page:
        w->pages[sim_random(w, (uint64_t)w->n_pages)].broken_until = w->now + 3 * span;
        return true;
    case FAULT_limited_host: w->host_limits_until[host] = w->now + span; return true;
    case FAULT_COUNT: break;
    }
    return false;
}
