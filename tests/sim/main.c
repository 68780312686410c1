// Sim: runs seeded worlds and says how often each fault struck. A failing seed prints itself; `--seed N`
// replays it, and
// `--trace` shows every event.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/log.h"
#include "tests/sim/world.h"

static int64_t seeds, first, one, slots;
static bool trace;

static const conf_option_t options[] = {
    {"seeds", CONF_INT, "N", "2000", "how many worlds", &seeds, 1, 1000000000},
    {"first", CONF_INT, "N", "1", "the first seed", &first, 0, 0},
    {"seed", CONF_INT, "N", NULL, "replay just this one", &one, 0, 0},
    {"slots", CONF_INT, "N", "20", "slots with faults per world", &slots, 1, 100000},
    {"trace", CONF_FLAG, NULL, NULL, "print every event, and the broker's log", &trace, 0, 0},
};
static const conf_t conf = {"sim", "[OPTIONS]", "Simulates rtm's broker in seeded worlds full of faults.",
                            options, sizeof options / sizeof *options};

int main(int argc, char **argv)
{
    conf_parse(&conf, argc, argv);
    log_set_level(trace ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    setvbuf(stdout, NULL, trace ? _IOLBF : _IOFBF, 1 << 16);
    if (one) first = one, seeds = 1;
    uint64_t struck[FAULT_COUNT] = {0}, events = 0;
    int failed = 0;
    world_t *w = malloc(sizeof *w);
    for (int64_t s = first; w && s < first + seeds && failed < 20; s++) {
        if (world_run(w, (uint64_t)s, (int)slots, trace)) {
            failed++;
            printf("seed %lld failed %s (trace %016llx)\n", (long long)s, w->failure,
                   (unsigned long long)w->hash);
        } else if (one) {
            printf("seed %lld is fine (trace %016llx)\n", (long long)s, (unsigned long long)w->hash);
        }
        for (int f = 0; f < FAULT_COUNT; f++) struck[f] += w->struck[f];
        events += w->order;
        world_free(w);
    }
    free(w);
    printf("faults:");
    for (int f = 0; f < FAULT_COUNT; f++)
        printf(" %s=%llu", fault_name((fault_t)f), (unsigned long long)struck[f]);
    printf("\n%lld worlds, %llu events, %d failed\n", (long long)seeds, (unsigned long long)events, failed);
    return failed ? 1 : 0;
}
