// bench-site: a simulated web. main reads the options, makes the site and its server, says where it listens,
// and waits for a signal, for the end of its time, or for its parent to go (seen at the reading end of
// stdout's pipe).
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/site/serve.h"
#include "bench/site/templates.h"
#include "common/clock.h"
#include "common/conf.h"

#define BACKLOG_CONNECTIONS 4096

typedef struct {
    int64_t sources, hosts, port, seed, pinned, backlog, window, min_stay_ms, update_after_ms, latency_ms,
        jitter_ms;
    int64_t huge_mb, threads, max_seconds;
    const char *kinds, *host_names, *rate, *updates, *etag, *error_rate, *reset_rate, *truth, *templates,
        *every;
    bool allow_remote, exact, stopped, pad;
} options_t;

static void read_options(options_t *o, int argc, char **argv)
{
    const conf_option_t table[] = {
        {"sources", CONF_INT, "N", "100", "how many sources", &o->sources, 1, WORLD_SOURCES_MAX},
        {"hosts", CONF_INT, "N", "10", "spread over how many hosts", &o->hosts, 1, WORLD_HOSTS_MAX},
        {"kinds", CONF_STR, "LIST", "html,rss,atom,json", "kinds of sources, by turns", &o->kinds, 0, 0},
        {"port", CONF_INT, "PORT", "0", "port of all hosts; 0: one that is free", &o->port, 0, 65535},
        {"host-names", CONF_STR, "PATTERN", NULL, "host names such as site-%d instead of 127.x.y.z",
         &o->host_names, 0, 0},
        {"allow-remote", CONF_FLAG, NULL, NULL, "answer others than loopback", &o->allow_remote, 0, 0},
        {"seed", CONF_INT, "N", "1", "of all that is random", &o->seed, 0, 0},
        {"rate", CONF_STR, "N", "1", "posts a second over all sources", &o->rate, 0, 0},
        {"exact", CONF_FLAG, NULL, NULL, "posts at exact intervals, by turns, not Poisson", &o->exact, 0, 0},
        {"updates", CONF_STR, "SHARE", "0.1", "updates of earlier posts, per post", &o->updates, 0, 0},
        {"update-after", CONF_DURATION, "DURATION", "3s", "no update sooner after a change",
         &o->update_after_ms, 0, 0},
        {"pinned", CONF_INT, "N", "0", "posts that stay on top, per source", &o->pinned, 0, WORLD_PINNED_MAX},
        {"backlog", CONF_INT, "N", "20", "posts there at the start, per source", &o->backlog, 0,
         WORLD_WINDOW_MAX},
        {"window", CONF_INT, "N", "30", "newest posts in a list", &o->window, 1, WORLD_WINDOW_MAX},
        {"min-stay", CONF_DURATION, "DURATION", "60s", "a post or update stays in its list", &o->min_stay_ms,
         0, 0},
        {"stopped", CONF_FLAG, NULL, NULL, "post nothing until POST /_site/start", &o->stopped, 0, 0},
        {"pad", CONF_FLAG, NULL, NULL, "HTML lists of 29 KB at least", &o->pad, 0, 0},
        {"etag", CONF_STR, "MODE", "on", "validators: on, weak, date (Last-Modified alone), off", &o->etag, 0,
         0},
        {"latency-ms", CONF_INT, "MS", "0", "time that each answer takes", &o->latency_ms, 0, 3600000},
        {"jitter-ms", CONF_INT, "MS", "0", "and up to so much more", &o->jitter_ms, 0, 3600000},
        {"error-rate", CONF_STR, "SHARE", "0", "answers that are 500 or 503", &o->error_rate, 0, 0},
        {"reset-rate", CONF_STR, "SHARE", "0", "answers cut off by a reset", &o->reset_rate, 0, 0},
        {"huge-mb", CONF_INT, "MIB", "64", "size of /_bad/huge and /_bad/bomb", &o->huge_mb, 1, 4096},
        {"truth", CONF_STR, "FILE", NULL, "where to log each post, one JSON object a line", &o->truth, 0, 0},
        {"write-templates", CONF_STR, "DIR", NULL, "where to write templates for rtm", &o->templates, 0, 0},
        {"every", CONF_STR, "DURATION", NULL, "their \"every\"", &o->every, 0, 0},
        {"threads", CONF_INT, "N", "1", "threads that serve", &o->threads, 1, 64},
        {"max-seconds", CONF_INT, "S", "3600", "exit after so long", &o->max_seconds, 1, 10000000},
    };
    const conf_t conf = {.program = "bench-site",
                         .usage = "[OPTIONS]",
                         .about = "A simulated web: sources on many hosts that post at known times.",
                         .options = table,
                         .n_options = sizeof table / sizeof table[0]};
    if (conf_parse(&conf, argc, argv) < argc) {
        fprintf(stderr, "bench-site: it takes options only; see --help\n");
        exit(2);
    }
}

_Noreturn static void refuse(const char *what, const char *why)
{
    fprintf(stderr, "bench-site: %s: %s\n", what, why);
    exit(2);
}

static double number(const char *name, const char *text, double max)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0 && value <= max)) refuse(name, "a number in range, please");
    return value;
}

static void read_kinds(world_options_t *world, const char *list)
{
    for (;;) {
        size_t len = strcspn(list, ",");
        site_kind_t kind = site_kind_from_name(list, len);
        if (kind == SITE_KINDS) refuse("--kinds", "of html, rss, atom and json");
        if (world->n_kinds == WORLD_MIX_MAX) refuse("--kinds", "too many");
        world->kinds[world->n_kinds++] = kind;
        if (!list[len]) return;
        list += len + 1;
    }
}

static site_valid_t read_validators(const char *mode)
{
    static const char *const modes[] = {
        [VALID_ON] = "on", [VALID_WEAK] = "weak", [VALID_DATE] = "date", [VALID_OFF] = "off"};
    for (int i = VALID_ON; i <= VALID_OFF; i++) {
        if (strcmp(mode, modes[i]) == 0) return (site_valid_t)i;
    }
    refuse("--etag", "on, weak, date or off");
}

static site_options_t site_options_of(const options_t *o, unsigned port)
{
    site_options_t site = {
        .pad = o->pad, .stopped = o->stopped, .truth = o->truth, .valid = read_validators(o->etag)};
    site.manner = (site_manner_t){.latency_ms = (unsigned)o->latency_ms,
                                  .jitter_ms = (unsigned)o->jitter_ms,
                                  .error_rate = number("--error-rate", o->error_rate, 1),
                                  .reset_rate = number("--reset-rate", o->reset_rate, 1)};
    site.world = (world_options_t){.seed = (uint64_t)o->seed,
                                   .sources = (uint32_t)o->sources,
                                   .hosts = (uint32_t)o->hosts,
                                   .rate = number("--rate", o->rate, 1e6),
                                   .exact = o->exact,
                                   .updates = number("--updates", o->updates, 10),
                                   .update_after_ms = o->update_after_ms,
                                   .pinned = (unsigned)o->pinned,
                                   .backlog = (unsigned)o->backlog,
                                   .window = (unsigned)o->window,
                                   .min_stay_ms = o->min_stay_ms,
                                   .host_names = o->host_names,
                                   .port = port};
    read_kinds(&site.world, o->kinds);
    const char *wrong = world_check(&site.world);
    if (wrong) refuse("options", wrong);
    return site;
}

// A listening socket on all addresses: the hosts are 127.x.y.z. Sets *port to the one that it has.
static int listen_on(int64_t wanted, unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)wanted)};
    socklen_t len = sizeof at;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG_CONNECTIONS) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        refuse("--port", strerror(errno));
    }
    *port = ntohs(at.sin_port);
    return fd;
}

static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

// Before any thread begins: signals come by a descriptor, to the main thread alone.
static int catch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static void wait_for_end(int signals, int64_t max_seconds)
{
    struct stat out;
    bool piped = fstat(STDOUT_FILENO, &out) == 0 && S_ISFIFO(out.st_mode);
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = piped ? STDOUT_FILENO : -1}};
    int64_t end = clock_mono_ms() + max_seconds * 1000;
    for (;;) {
        int64_t left = end - clock_mono_ms();
        if (left <= 0 || poll(fds, 2, left < 60000 ? (int)left : 60000) > 0) return;
    }
}

int main(int argc, char **argv)
{
    options_t o = {0};
    read_options(&o, argc, argv);
    raise_file_limit();
    int signals = catch_signals();

    // The port is in every URL, so it comes first; nobody is answered before the site is there.
    unsigned port;
    int listen_fd = listen_on(o.port, &port);
    site_options_t site_options = site_options_of(&o, port);
    char err[256];
    site_t *site = site_new(&site_options, err, sizeof err);
    if (!site) refuse("--truth", err);
    if (o.templates && templates_write(site_world(site), o.templates, o.every) < 0) {
        refuse("--write-templates", strerror(errno));
    }
    const serve_options_t serve_options = {.listen_fd = listen_fd,
                                           .allow_remote = o.allow_remote,
                                           .threads = (unsigned)o.threads,
                                           .huge_mb = (unsigned)o.huge_mb};
    serve_t *serve = serve_new(site, &serve_options);
    if (!serve) refuse("server", "cannot start");
    printf("site ready port=%u hosts=%lld sources=%lld\n", port, (long long)o.hosts, (long long)o.sources);
    fflush(stdout);

    wait_for_end(signals, o.max_seconds);

    // The server first: its requests use the site.
    serve_destroy(&serve);
    site_destroy(&site);
    close(signals);
    return 0;
}
