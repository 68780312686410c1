// Unreadable: templates of the state that this version of the broker refuses (an earlier one took them). They
// are not polled; they stay in the state and are shown until somebody adds them anew or removes them.
#ifndef RTM_BROKER_UNREADABLE_H
#define RTM_BROKER_UNREADABLE_H

#include <stddef.h>

typedef struct {
    char *name, *json;
    char *why; // in words
} unreadable_t;

// In the order of their names, as the store gives them.
typedef struct {
    unreadable_t *v;
    size_t n;
} unreadables_t;

void unreadables_free(unreadables_t *all);
// name must come after those that are there.
void unreadables_add(unreadables_t *all, const char *name, const char *json, const char *why);
// NULL: there is none of that name.
const unreadable_t *unreadables_find(const unreadables_t *all, const char *name);
void unreadables_forget(unreadables_t *all, const char *name);

#endif
