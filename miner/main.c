// rtm-miner: options, then the link runs until it is told to stop.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/check.h"
#include "common/conf.h"
#include "common/log.h"
#include "miner/link.h"

static struct {
    const char *brokers, *sinks, *id, *contact, *log_level, *health, *secrets, *proxy, *no_proxy;
    int64_t lazy_cpu, lazy_load, lazy_memory, lazy_slots;
    int64_t workers, slots, max_document, buffer, stuck;
    bool allow_private;
} opt;

enum { STUCK_EXIT = 70 }; // when it cannot start itself anew

static const conf_option_t options[] = {
    {"broker", CONF_LIST, "ENDPOINTS", "tcp://127.0.0.1:7440",
     "brokers, separated by commas or given one by one", &opt.brokers, 0, 0},
    {"sink", CONF_LIST, "ENDPOINTS", "tcp://127.0.0.1:7441", "sinks, likewise", &opt.sinks, 0, 0},
    {"id", CONF_STR, "NAME", NULL, "name, unique in the cluster; default: the host's and a random number",
     &opt.id, 0, 0},
    {"workers", CONF_INT, "N", "0", "worker threads; 0: one per core", &opt.workers, 0, MAX_WORKERS},
    {"slots", CONF_INT, "N", "256", "transfers at once per worker", &opt.slots, 1, 65536},
    {"max-document", CONF_SIZE, "SIZE", "8M", "largest document, decoded", &opt.max_document, 1 << 10,
     256 << 20},
    {"buffer", CONF_SIZE, "SIZE", "64M", "items kept for the sink before polling pauses", &opt.buffer,
     1 << 16, (int64_t)1 << 40},
    {"contact", CONF_STR, "TEXT", NULL, "whom to write to, in the User-Agent: a URL or an address",
     &opt.contact, 0, 0},
    {"secrets", CONF_STR, "DIR", NULL, "folder of the secrets that templates name", &opt.secrets, 0, 0},
    {"proxy", CONF_STR, "URL", NULL, "fetch through this proxy: http://, https:// or socks5h://HOST:PORT",
     &opt.proxy, 0, 0},
    {"no-proxy", CONF_STR, "HOSTS", NULL, "but not from these hosts, and all below them; * for all",
     &opt.no_proxy, 0, 0},
    {"lazy-cpu", CONF_INT, "PERCENT", "60",
     "while somebody waited for a processor so much of the time (PSI), only high and critical work is done; "
     "0: never",
     &opt.lazy_cpu, 0, 100},
    {"lazy-load", CONF_INT, "HUNDREDTHS", "200", "where the kernel has no PSI: load per core; 0: never",
     &opt.lazy_load, 0, 100000},
    {"lazy-memory", CONF_INT, "PERCENT", "85", "likewise, of memory used; 0: never", &opt.lazy_memory, 0,
     100},
    {"lazy-slots", CONF_INT, "PERCENT", "95", "likewise, of transfers at once; 0: never", &opt.lazy_slots, 0,
     100},
    {"stuck-after", CONF_DURATION, "SPAN", "10s", "start anew when a document is read for so long (0: never)",
     &opt.stuck, 0, 3600000},
    {"allow-private", CONF_FLAG, NULL, NULL, "also fetch from private and loopback addresses",
     &opt.allow_private, 0, 0},
    {"log-level", CONF_STR, "LEVEL", "info", "debug, info, warn or error", &opt.log_level, 0, 0},
    {"health", CONF_STR, "HOST:PORT", NULL, "serve /healthz and /metrics there", &opt.health, 0, 0},
};

static const conf_t conf = {
    "rtm-miner",
    "[OPTIONS]",
    "Fetches the sources that a broker assigns to it, and sends what is new in them to a sink.",
    options,
    sizeof options / sizeof options[0],
};

static _Noreturn void usage_error(const char *text)
{
    fprintf(stderr, "rtm-miner: %s\n", text);
    exit(2);
}

static void make_id(char *id, size_t size)
{
    char host[64] = "miner";
    uint32_t number;
    (void)gethostname(host, sizeof host - 1);
    CHECK(getrandom(&number, sizeof number, 0) == (ssize_t)sizeof number);
    snprintf(id, size, "%s-%08x", host, number);
}

static void make_user_agent(char *text, size_t size)
{
    if (opt.contact)
        snprintf(text, size, "rtm/%s (+%s)", RTM_VERSION, opt.contact);
    else
        snprintf(text, size, "rtm/%s", RTM_VERSION);
}

static unsigned worker_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (opt.workers) return (unsigned)opt.workers;
    return cores < 1 ? 1 : cores > MAX_WORKERS ? MAX_WORKERS : (unsigned)cores;
}

// A thread that is stuck can only be ended with all others. The process stays, with another incarnation.
static _Noreturn void start_anew(char **argv, const char *id)
{
    setenv("RTM_ID", id, 1); // it may have been made up
    log_warn("restarting", "reason=worker_stuck");
    execv("/proc/self/exe", argv);
    log_error("restart", "reason=\"%s\"", strerror(errno));
    _exit(STUCK_EXIT);
}

int main(int argc, char **argv)
{
    char id[100], user_agent[300];
    if (conf_parse(&conf, argc, argv) < argc) usage_error("takes no operands");
    if (log_level_of(opt.log_level) < 0) usage_error("--log-level: debug, info, warn or error");
    if (opt.id && (strlen(opt.id) > MAX_NAME || !*opt.id)) usage_error("--id: 1 to 100 bytes");
    if (opt.contact && (strpbrk(opt.contact, "\r\n") || strlen(opt.contact) > 200))
        usage_error("--contact: one line of at most 200 bytes");
    log_set_level((log_level_t)log_level_of(opt.log_level));
    make_id(id, sizeof id);
    make_user_agent(user_agent, sizeof user_agent);
    fetch_global_init();
    link_t *link = link_new(&(link_options_t){
        .brokers = opt.brokers,
        .sinks = opt.sinks,
        .id = opt.id ? opt.id : id,
        .workers = worker_count(),
        .slots = (size_t)opt.slots,
        .buffer = (size_t)opt.buffer,
        .fetch = {.max_document = (size_t)opt.max_document,
                  .allow_private = opt.allow_private,
                  .user_agent = user_agent,
                  .proxy = opt.proxy,
                  .no_proxy = opt.no_proxy,
                  .secrets = opt.secrets},
        .lazy = {opt.lazy_cpu, opt.lazy_load, opt.lazy_memory, opt.lazy_slots},
        .stuck_ms = opt.stuck,
        .health = opt.health,
    });
    int code = link ? 0 : 2;
    if (link && link_run(link) != 0) start_anew(argv, opt.id ? opt.id : id);
    link_destroy(&link);
    fetch_global_cleanup();
    return code;
}
