// Zone: local time. A zone is made of the bytes of a TZif file (RFC 8536, versions 1 to 4); the rule in its
// footer is written out until 2200, after which the last offset stays. Parsing and conversion are pure;
// zone_load is the edge that reads the system's files. Times are seconds: an instant since 1970 in UTC, a
// wall time the same count of what a clock on the wall shows.
#ifndef RTM_COMMON_ZONE_H
#define RTM_COMMON_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct zone zone_t;

enum { ZONE_MAX_NAME = 64, ZONE_MAX_BYTES = 256 << 10 };
#define ZONE_NEVER INT64_MAX

// NULL: *error says what is wrong with the bytes.
zone_t *zone_parse(const void *bytes, size_t len, const char **error);
void zone_destroy(zone_t **zone);
// Whether name can be one: "Europe/Berlin". Nothing that leads out of a folder can.
bool zone_name_is_sound(const char *name);
// Reads the system's file of that name. NULL: *error says why not.
zone_t *zone_load(const char *name, const char **error);
// The same, but read once and then shared by all threads until the process ends. "UTC" is NULL and no error,
// whatever files there are. Returns 0, or -1 with *error.
int zone_shared(const char *name, const zone_t **zone, const char **error);

// What a clock on the wall shows at an instant. A NULL zone is UTC, here and below.
int64_t zone_local(const zone_t *zone, int64_t instant);
// When the wall shows that time: the first time where it does so twice; where the clock was put forward past
// it, the moment at which that was done. It never falls as wall grows.
int64_t zone_instant(const zone_t *zone, int64_t wall);
// The latest wall time whose zone_instant is not after instant.
int64_t zone_shown(const zone_t *zone, int64_t instant);
// The first change of the offset after instant, or ZONE_NEVER.
int64_t zone_next_change(const zone_t *zone, int64_t instant);
// The latest change of the offset at or before instant, or -ZONE_NEVER.
int64_t zone_last_change(const zone_t *zone, int64_t instant);

#endif
