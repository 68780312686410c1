// Failpoint: reads the environment each time; points stand where a system call is made anyway.
#include "common/failpoint.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_meant(const char *name, const char *subject)
{
    const char *wanted = getenv("RTM_FAILPOINT");
    size_t len = strlen(name);
    return wanted && !strncmp(wanted, name, len) && wanted[len] == '@' && strstr(subject, wanted + len + 1);
}

void failpoint_on(const char *name, const char *subject)
{
    if (is_meant(name, subject)) _exit(FAILPOINT_EXIT);
}

void failpoint_hang(const char *name, const char *subject)
{
    while (is_meant(name, subject)) pause();
}

void failpoint(const char *name)
{
    static atomic_long hits;
    const char *wanted = getenv("RTM_FAILPOINT");
    size_t len = strlen(name);
    if (!wanted || strncmp(wanted, name, len) || (wanted[len] && wanted[len] != ':')) return;
    long at = wanted[len] ? strtol(wanted + len + 1, NULL, 10) : 1;
    if (atomic_fetch_add(&hits, 1) + 1 >= at) _exit(FAILPOINT_EXIT);
}
