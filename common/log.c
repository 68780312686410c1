// Log: a line is built in one buffer and written with one write, so lines of threads do not mix.
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };

static log_level_t threshold = LOG_LEVEL_INFO;
static const char *const names[] = {"debug", "info", "warn", "error"};

void log_set_level(log_level_t level)
{
    threshold = level;
}

int log_level_of(const char *name)
{
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i])) return i;
    return -1;
}

static size_t put_time(char *line, size_t size)
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(line + n, size - n, ".%03ldZ", ts.tv_nsec / 1000000);
}

// Copies text, escaping control bytes; stops when out is full.
static size_t put_escaped(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text && n + 4 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x20 && c != 0x7f)
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
    }
    return n;
}

void log_line(log_level_t level, const char *event, const char *fmt, ...)
{
    if (level < threshold) return;
    char line[LINE_MAX_BYTES], values[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(values, sizeof values, fmt, args);
    va_end(args);
    size_t n = put_time(line, sizeof line);
    n += (size_t)snprintf(line + n, sizeof line - n, " %-5s %s", names[level], event);
    if (values[0]) line[n++] = ' ';
    n += put_escaped(line + n, sizeof line - n - 1, values);
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0) return; // nowhere to say that saying failed
}
