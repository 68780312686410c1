// rtm-sink: takes batches of items from miners, commits them to Postgres, then acknowledges them.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/check.h"
#include "common/conf.h"
#include "common/http_status.h"
#include "common/log.h"
#include "sink/api.h"
#include "sink/intake.h"
#include "sink/mark.h"
#include "sink/pg.h"
#include "sink/replay.h"
#include "sink/retain.h"
#include "sink/spool.h"
#include "sink/writer.h"

enum { EXIT_USAGE = 2, STALL_MS = 15000 };

static struct {
    const char *listen, *postgres, *log_level, *health, *spool;
    const char *api, *api_token_file, *api_postgres;
    bool api_insecure;
    int64_t memory, spool_max, retention_every, api_streams;
} options;

static const conf_option_t table[] = {
    {"listen", CONF_STR, "ENDPOINT", "tcp://*:7441", "where miners connect", &options.listen, 0, 0},
    {"postgres", CONF_STR, "CONNINFO", "postgresql://localhost/rtm",
     "URI or key=value list, as libpq takes it", &options.postgres, 0, 0},
    {"memory", CONF_SIZE, "SIZE", "32M", "batches that may wait for Postgres", &options.memory, 1 << 20,
     INT64_C(1) << 40},
    {"spool", CONF_STR, "FOLDER", NULL,
     "keep batches there while Postgres is away (default: they wait with the miners)", &options.spool, 0, 0},
    {"spool-max", CONF_SIZE, "SIZE", "4G", "what the spool may take on disk", &options.spool_max,
     2 * SPOOL_SEGMENT, INT64_C(1) << 50},
    {"retention-every", CONF_DURATION, "DURATION", "1m",
     "how often items are looked for that templates keep no longer", &options.retention_every, 100,
     INT64_C(86400000)},
    {"health", CONF_STR, "HOST:PORT", NULL, "serve /healthz and /metrics there", &options.health, 0, 0},
    {"api", CONF_STR, "HOST:PORT", NULL, "serve items to readers there; without HOST: on 127.0.0.1",
     &options.api, 0, 0},
    {"api-token-file", CONF_STR, "FILE", NULL, "what readers must show as Bearer: tokens, one a line",
     &options.api_token_file, 0, 0},
    {"api-insecure", CONF_FLAG, NULL, NULL, "let everybody read who can connect", &options.api_insecure, 0,
     0},
    {"api-postgres", CONF_STR, "CONNINFO", NULL, "for readers: a role that may only read, or a standby",
     &options.api_postgres, 0, 0},
    {"api-streams", CONF_INT, "N", "1000", "live streams at once, each about 8 KiB", &options.api_streams, 1,
     20000},
    {"log-level", CONF_STR, "LEVEL", "info", "debug, info, warn or error", &options.log_level, 0, 0},
};

static const conf_t conf = {
    "rtm-sink", "[OPTIONS] [replay-rejects]",
    "Takes the items that miners find and commits them to Postgres. A batch is "
    "acknowledged once it is durable.\n\n"
    "replay-rejects: tries the items again that Postgres refused (table rejects), prints "
    "what came of them, and exits with 0 if none are left.",
    table, sizeof table / sizeof table[0]};

static int usage_error(const char *option, const char *why)
{
    fprintf(stderr, "rtm-sink: --%s: %s\n", option, why);
    return EXIT_USAGE;
}

// SIGTERM and SIGINT as something to poll for; blocked in every thread started after this.
static int stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(fd >= 0);
    return fd;
}

// What is wrong with the options of the api, or NULL.
static const char *check_api(void)
{
    if (!options.api)
        return options.api_token_file || options.api_insecure ? "--api HOST:PORT is missing" : NULL;
    if (options.api_token_file && options.api_insecure)
        return "--api-token-file and --api-insecure exclude each other";
    if (!options.api_token_file && !options.api_insecure)
        return "readers need a token: --api-token-file FILE, or --api-insecure to let everybody read";
    return options.api_postgres ? pg_check_conninfo(options.api_postgres) : NULL;
}

static api_t *start_api(char *err, size_t err_size)
{
    api_options_t api = {.bind = options.api,
                         .conninfo = options.api_postgres ? options.api_postgres : options.postgres,
                         .token_file = options.api_token_file,
                         .max_streams = (uint64_t)options.api_streams};
    return api_start(&api, err, err_size);
}

int main(int argc, char **argv)
{
    char err[256];
    int operand = conf_parse(&conf, argc, argv);
    bool replays = operand == argc - 1 && !strcmp(argv[operand], "replay-rejects");
    if (operand < argc && !replays) return usage_error("help", "the only operand is replay-rejects");
    int level = log_level_of(options.log_level);
    if (level < 0) return usage_error("log-level", "it is one of debug, info, warn, error");
    log_set_level((log_level_t)level);
    const char *wrong = pg_check_conninfo(options.postgres);
    if (wrong) return usage_error("postgres", wrong);
    wrong = check_api();
    if (wrong) return usage_error("api", wrong);

    if (replays) return replay_rejects(options.postgres);

    spool_t *spool =
        options.spool ? spool_open(options.spool, (uint64_t)options.spool_max, err, sizeof err) : NULL;
    if (options.spool && !spool) return usage_error("spool", err);

    // signals first, so that all threads have them blocked; the intake before the writer, so that a port in
    // use ends the process at once
    int stop_fd = stop_signals();
    http_status_t *status =
        options.health ? http_status_new(options.health, STALL_MS, err, sizeof err) : NULL;
    if (options.health && !status) {
        spool_close(&spool);
        return usage_error("health", err);
    }
    queue_t *jobs = queue_new(WRITER_MAX_JOBS), *done = queue_new(WRITER_MAX_DONE);
    intake_t *intake = intake_new(options.listen, (size_t)options.memory, jobs, done, err, sizeof err);
    if (!intake) {
        queue_destroy(&jobs, free);
        queue_destroy(&done, free);
        http_status_destroy(&status);
        spool_close(&spool);
        return usage_error("listen", err);
    }
    api_t *api = options.api ? start_api(err, sizeof err) : NULL;
    if (options.api && !api) {
        intake_destroy(&intake);
        queue_destroy(&jobs, free);
        queue_destroy(&done, free);
        http_status_destroy(&status);
        spool_close(&spool);
        return usage_error("api", err);
    }
    intake_publish_to(intake, status, api);
    mark_t mark;
    mark_open(&mark, options.spool);
    writer_t *writer = writer_start(options.postgres, &mark, jobs, done, spool);
    retain_t *retain = retain_start(options.postgres, options.retention_every);

    intake_run(intake, stop_fd);
    log_info("stopping", "reason=signal");
    intake_publish_to(intake, status, NULL);
    api_stop(&api);
    retain_stop(&retain);
    writer_stop(writer);
    intake_finish(intake);

    writer_destroy(&writer);
    mark_close(&mark);
    spool_close(&spool);
    intake_destroy(&intake);
    http_status_destroy(&status);
    queue_destroy(&jobs, free);
    queue_destroy(&done, free);
    close(stop_fd);
    return 0;
}
