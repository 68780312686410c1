// Zones: the time zones that templates name, each loaded once.
#ifndef RTM_BROKER_ZONES_H
#define RTM_BROKER_ZONES_H

#include "common/map.h"
#include "common/zone.h"

// zone_load, or what a test puts in its place.
typedef zone_t *(*zone_loader_t)(const char *name, const char **error);

typedef struct {
    map_t by_name; // XXH3-64
    zone_loader_t load;
} zones_t;

void zones_init(zones_t *zones, zone_loader_t load);
void zones_free(zones_t *zones);
// 0, or -1: *error says why name is none. "UTC" is NULL. A zone lives as long as zones.
int zones_get(zones_t *zones, const char *name, const zone_t **zone, const char **error);

#endif
