// Zones: a map; there are no more of them than files on the system.
#include "broker/zones.h"

#include <string.h>

#include <xxhash.h>

void zones_init(zones_t *z, zone_loader_t load)
{
    map_init(&z->by_name);
    z->load = load;
}

void zones_free(zones_t *z)
{
    size_t pos = 0;
    for (zone_t *zone; (zone = map_next(&z->by_name, &pos));) zone_destroy(&zone);
    map_free(&z->by_name);
}

int zones_get(zones_t *z, const char *name, const zone_t **zone, const char **error)
{
    *zone = NULL;
    if (!strcmp(name, "UTC")) return 0;
    uint64_t hash = XXH3_64bits(name, strlen(name));
    zone_t *found = map_get(&z->by_name, hash);
    *error = "this broker knows only UTC";
    if (!found && z->load && (found = z->load(name, error))) map_put(&z->by_name, hash, found);
    *zone = found;
    return found ? 0 : -1;
}
