// Relations: what templates are to each other: who waits for whom, who keeps whom out, and how urgent that
// makes them. All of it follows from the templates; it is made anew whenever one comes or goes.
#ifndef RTM_BROKER_RELATIONS_H
#define RTM_BROKER_RELATIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/catalog.h"

struct broker;

// Whether template, put into the catalog, would wait for itself: writes "a -> b -> a" into cycle.
bool relations_cycle(const catalog_t *catalog, const template_t *template, char *cycle, size_t size);
// A stream runs all the time, so nothing can be kept from running beside it: the name of the other template,
// if `blocks` of template, or of one in the catalog, would ask for that; NULL: none.
const char *relations_with_stream(const catalog_t *catalog, const template_t *template);
// Works out `gated` and `urgency` of all listings. Sources of those that become gated must be handed out
// anew: calls changed for each.
void relations_update(struct broker *broker, void (*changed)(struct broker *broker, listing_t *listing));
// Whether every enabled, unquarantined source of the templates that listing depends on has been stored for
// its latest due at or before t. false: *waits_for is set to the one that has not, or NULL if it is not
// there.
bool relations_ready(struct broker *broker, const listing_t *listing, int64_t t, const char **waits_for);
// Whether a poll of a template that listing blocks, or that blocks it, is running: that one, or NULL.
const listing_t *relations_blocker(const struct broker *broker, const listing_t *listing);
// Whether a and b keep each other out.
bool relations_exclude(const listing_t *a, const listing_t *b);
// A source of listing has been stored, came, or came back: what was known of it is void.
void relations_forget(listing_t *listing);
// p95 of how long a poll of listing takes, ms.
int64_t listing_p95(const listing_t *listing);
void listing_note_took(listing_t *listing, int64_t ms);

#endif
