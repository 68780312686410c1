// Sim: runs seeded worlds and says how often each fault struck. A failing seed prints itself; `--seed N`
// replays it, and `--trace` shows every event. A run's hash is that of all its events: the first world of
// each process and every one that fails are run again, and must come to the same.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/check.h"
#include "common/conf.h"
#include "common/log.h"
#include "tests/sim/world.h"

enum { JOBS_MAX = 16 };

static int64_t seeds, first, one, slots, jobs, failures;
static bool trace;

static const conf_option_t options[] = {
    {"seeds", CONF_INT, "N", "2000", "how many worlds", &seeds, 1, 1000000000},
    {"first", CONF_INT, "N", "1", "the first seed", &first, 0, 0},
    {"seed", CONF_INT, "N", NULL, "replay just this one", &one, 0, 0},
    {"slots", CONF_INT, "N", "20", "slots with faults per world", &slots, 1, 100000},
    {"jobs", CONF_INT, "N", "2", "processes that share the work", &jobs, 1, JOBS_MAX},
    {"failures", CONF_INT, "N", "5", "failed worlds that end the run", &failures, 1, 1000000},
    {"trace", CONF_FLAG, NULL, NULL, "print every event, and the broker's log", &trace, 0, 0},
};
static const conf_t conf = {"sim", "[OPTIONS]", "Simulates rtm's broker in seeded worlds full of faults.",
                            options, sizeof options / sizeof *options};

// What one process found.
typedef struct {
    uint64_t struck[FAULT_COUNT], worlds, events, failed;
} tally_t;

static uint64_t hash_of(world_t *w, int64_t seed)
{
    world_run(w, (uint64_t)seed, (int)slots, false);
    uint64_t hash = w->hash;
    world_free(w);
    return hash;
}

static void run_one(world_t *w, int64_t seed, tally_t *t)
{
    bool failed = world_run(w, (uint64_t)seed, (int)slots, trace) != 0;
    char failure[sizeof w->failure];
    uint64_t hash = w->hash;
    memcpy(failure, w->failure, sizeof failure);
    for (int f = 0; f < FAULT_COUNT; f++) t->struck[f] += w->struck[f];
    t->events += w->order;
    world_free(w);
    if (one && !failed)
        printf("seed %lld is fine (trace %016llx)\n", (long long)seed, (unsigned long long)hash);
    if ((failed || t->worlds == 0) && !trace && hash_of(w, seed) != hash) {
        snprintf(failure, sizeof failure, "and does not replay: its trace is another the second time");
        failed = true;
    }
    t->worlds++;
    t->failed += failed;
    if (failed)
        printf("seed %lld failed %s (trace %016llx)\n", (long long)seed, failure, (unsigned long long)hash);
    fflush(stdout);
}

// The seeds that are job's, until all jobs together have failed too often.
static void run_job(int64_t job, tally_t *tallies)
{
    world_t *w = xcalloc(1, sizeof *w);
    for (int64_t s = first + job; s < first + seeds; s += jobs) {
        uint64_t failed = 0;
        for (int64_t j = 0; j < jobs; j++) failed += tallies[j].failed;
        if (failed >= (uint64_t)failures) break;
        run_one(w, s, &tallies[job]);
    }
    free(w);
}

static int report(const tally_t *tallies)
{
    tally_t all = {0};
    for (int64_t j = 0; j < jobs; j++) {
        for (int f = 0; f < FAULT_COUNT; f++) all.struck[f] += tallies[j].struck[f];
        all.worlds += tallies[j].worlds;
        all.events += tallies[j].events;
        all.failed += tallies[j].failed;
    }
    printf("faults:");
    for (int f = 0; f < FAULT_COUNT; f++)
        printf(" %s=%llu", fault_name((fault_t)f), (unsigned long long)all.struck[f]);
    printf("\n%llu worlds, %llu events, %llu failed\n", (unsigned long long)all.worlds,
           (unsigned long long)all.events, (unsigned long long)all.failed);
    return all.failed || !all.worlds ? 1 : 0;
}

int main(int argc, char **argv)
{
    conf_parse(&conf, argc, argv);
    log_set_level(trace ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
    if (one) first = one, seeds = jobs = 1;
    tally_t *tallies =
        mmap(NULL, JOBS_MAX * sizeof *tallies, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(tallies != MAP_FAILED);
    pid_t children[JOBS_MAX] = {0};
    for (int64_t j = 1; j < jobs; j++) {
        children[j] = fork();
        CHECK(children[j] >= 0);
        if (children[j]) continue;
        run_job(j, tallies);
        return 0;
    }
    run_job(0, tallies);
    int crashed = 0, status;
    for (int64_t j = 1; j < jobs; j++) crashed |= waitpid(children[j], &status, 0) < 0 || status != 0;
    return report(tallies) || crashed;
}
