// rtm-broker: options, then the edge runs the state machine.
#include <stdlib.h>
#include <unistd.h>

#include <sys/random.h>

#include "broker/edge.h"
#include "common/conf.h"
#include "common/log.h"
#include "miner/read/read.h"

static const char *listen_on, *health, *folder, *level;
static const char *restore;
static int64_t slot, heartbeat, liveness, report, max_concurrent, history_keep, history_rows;
static int64_t tasks_keep, tasks_rows, letters_rows, miners_keep;

static const conf_option_t options[] = {
    {"listen", CONF_STR, "ENDPOINT", "tcp://*:7440",
     "where miners and rtm-ctl connect; port 0 takes a free one", &listen_on, 0, 0},
    {"state", CONF_STR, "DIR", ".rtm/broker", "folder of the broker's own durable state", &folder, 0, 0},
    {"slot", CONF_DURATION, "DURATION", "60s", "length of a slot (shorter ones are for tests)", &slot, 500,
     3600000},
    {"heartbeat", CONF_DURATION, "DURATION", "1s", "between two heartbeats of a miner", &heartbeat, 50,
     60000},
    {"liveness", CONF_DURATION, "DURATION", "0ms",
     "a miner silent for so long is dead; 0: 3 heartbeats and 1 s", &liveness, 0, 600000},
    {"report", CONF_DURATION, "DURATION", "10s", "between two heartbeat lines in the log", &report, 100,
     3600000},
    {"max-concurrent", CONF_INT, "N", "0", "polls at once in the whole cluster; 0: as many as the miners can",
     &max_concurrent, 0, 1000000},
    {"health", CONF_STR, "HOST:PORT", NULL, "serve /healthz and /metrics there", &health, 0, 0},
    {"restore", CONF_STR, "FILE", NULL,
     "start from a copy that `rtm-ctl backup` made; --state must have no broker.db yet", &restore, 0, 0},
    {"history-keep", CONF_DURATION, "DURATION", "7d", "how long history is kept", &history_keep, 1000,
     366LL * 86400000},
    {"history-rows", CONF_INT, "N", "2000000", "rows of history kept at most, some 200 bytes each",
     &history_rows, 100, 1000000000},
    {"tasks-keep", CONF_DURATION, "DURATION", "7d", "how long tasks that ended are kept", &tasks_keep, 1000,
     366LL * 86400000},
    {"tasks-rows", CONF_INT, "N", "1000", "tasks that ended kept at most", &tasks_rows, 1, 100000},
    {"dlq-rows", CONF_INT, "N", "10000",
     "dead letters kept at most; of more the oldest is dropped, and counted", &letters_rows, 1, 1000000},
    {"miners-keep", CONF_DURATION, "DURATION", "10m", "how long miners that are gone are shown", &miners_keep,
     1000, 86400000},
    {"log-level", CONF_STR, "LEVEL", "info", "debug, info, warn or error", &level, 0, 0},
};

static const conf_t conf = {
    .program = "rtm-broker",
    .usage = "[OPTIONS]",
    .about = "Decides which miner polls which source in which slot. Knows templates, sources and miners;"
             " never fetches, never touches Postgres. Stop it with SIGTERM; it goes on where it was when it"
             " starts again.",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
};

// Compiles the selectors to see whether they can be.
static int check_selectors(const template_t *template, template_error_t *error)
{
    reader_t *reader = reader_new(template, error);
    if (!reader) return -1;
    reader_destroy(&reader);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = (uint64_t)getpid();
    conf_parse(&conf, argc, argv);
    if (log_level_of(level) >= 0) log_set_level((log_level_t)log_level_of(level));
    edge_config_t config = {.listen = listen_on,
                            .health = health,
                            .folder = folder,
                            .restore = restore,
                            .history_keep_ms = history_keep,
                            .history_rows = history_rows,
                            .broker = {.slot_ms = slot,
                                       .heartbeat_ms = heartbeat,
                                       .liveness_ms = liveness ? liveness : 3 * heartbeat + 1000,
                                       .report_ms = report,
                                       .max_concurrent = (uint64_t)max_concurrent,
                                       .tasks_keep_ms = tasks_keep,
                                       .tasks_rows = (size_t)tasks_rows,
                                       .letters_rows = (size_t)letters_rows,
                                       .miners_keep_ms = miners_keep,
                                       .seed = seed,
                                       .check_selectors = check_selectors}};
    return edge_run(&config);
}
