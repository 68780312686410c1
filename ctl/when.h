// When: times as people type them on the command line.
#ifndef RTM_CTL_WHEN_H
#define RTM_CTL_WHEN_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    bool relative; // ms counts from now, by the broker's clock
    int64_t ms;    // else since 1970
} when_t;

// "+90s", "+2h"; "2026-11-25T10:00", with seconds or without, a space for the T, followed by "Z", an offset
// ("+01:00") or a zone ("Europe/Berlin"); without any of these in the machine's own zone. 0, or -1 with
// *error.
int when_parse(const char *text, when_t *out, const char **error);

#endif
