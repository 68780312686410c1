// Templates: writes what rtm needs to mine this site, in its own language.
#ifndef RTM_SITE_TEMPLATES_H
#define RTM_SITE_TEMPLATES_H

#include "bench/site/world.h"

#define TEMPLATE_URLS_MAX 5000 // in one file

// Writes DIR/site-<kind>.json with all sources of each kind, and site-<kind>-2.json ... where one would hold
// too many. Makes DIR if need be. every may be NULL. Returns the number of files, or -1 with errno set.
int templates_write(const world_t *world, const char *dir, const char *every);

#endif
