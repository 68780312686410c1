// Overload: small files of /proc and of the control group.
#include "miner/overload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

double overload_psi(const char *text)
{
    double avg10;
    const char *some = strstr(text, "some avg10=");
    if (!some || sscanf(some, "some avg10=%lf", &avg10) != 1 || !(avg10 >= 0 && avg10 <= 100)) return -1;
    return avg10;
}

double overload_meminfo(const char *text)
{
    unsigned long long total, available;
    const char *t = strstr(text, "MemTotal:"), *a = strstr(text, "MemAvailable:");
    if (!t || !a || sscanf(t, "MemTotal: %llu", &total) != 1 ||
        sscanf(a, "MemAvailable: %llu", &available) != 1 || !total || available > total)
        return -1;
    return 100.0 * (double)(total - available) / (double)total;
}

// The file's text in out; empty if there is none.
static void read_text(const char *folder, const char *name, char *out, size_t size)
{
    char path[4096];
    out[0] = 0;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return;
    FILE *f = fopen(path, "re");
    if (!f) return;
    size_t n = fread(out, 1, size - 1, f);
    out[n] = 0;
    fclose(f);
}

double overload_group(const char *max, const char *current, const char *stat)
{
    double limit = strtod(max, NULL), used = strtod(current, NULL);
    const char *cached = strstr(stat, "\ninactive_file ");
    if (cached) used -= strtod(cached + sizeof "\ninactive_file " - 1, NULL);
    return limit > 0 ? 100 * (used > 0 ? used : 0) / limit : -1;
}

static double group_memory(void)
{
    char most[64], used[64], stat[8192];
    read_text("/sys/fs/cgroup", "memory.max", most, sizeof most);
    read_text("/sys/fs/cgroup", "memory.current", used, sizeof used);
    read_text("/sys/fs/cgroup", "memory.stat", stat, sizeof stat);
    return overload_group(most, used, stat);
}

void overload_read(overload_reading_t *r)
{
    char text[8192];
    const char *folder = getenv("RTM_PRESSURE_DIR");
    double load[1];
    read_text(folder ? folder : "/proc/pressure", "cpu", text, sizeof text);
    r->cpu = overload_psi(text);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    r->load = r->cpu < 0 && getloadavg(load, 1) == 1 && cores > 0 ? load[0] / (double)cores : -1;
    read_text(folder ? folder : "/proc", "meminfo", text, sizeof text);
    r->memory = overload_meminfo(text);
    double group = folder ? -1 : group_memory();
    if (group > r->memory) r->memory = group;
}

static const char *over(const overload_limits_t *l, const overload_reading_t *r)
{
    if (l->cpu && r->cpu > (double)l->cpu) return "cpu";
    if (l->load && r->load * 100 > (double)l->load) return "load";
    if (l->memory && r->memory > (double)l->memory) return "memory";
    return l->slots && r->slots > (double)l->slots ? "slots" : NULL;
}

bool overload_judge(overload_t *o, const overload_reading_t *r, int64_t now)
{
    const char *why = over(&o->limits, r);
    if (why) {
        o->on = true;
        o->over_at = now;
        o->why = why;
    } else if (o->on && now - o->over_at >= OVERLOAD_CALM_MS) {
        o->on = false;
    }
    return o->on;
}
