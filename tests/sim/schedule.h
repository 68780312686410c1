// Schedule: the kinds of schedule that templates of a world have, and an oracle that knows by simple means
// when their sources are due: Berlin's clock by hand, and no code of the broker's.
#ifndef RTM_TESTS_SIM_SCHEDULE_H
#define RTM_TESTS_SIM_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    WHEN_PERIOD,
    WHEN_CRON,
    WHEN_WINDOWS,
    WHEN_CONTINUOUS,
    WHEN_TRIGGERED,
    WHEN_KINDS
} when_kind_t;

typedef struct {
    when_kind_t kind;
    int step;         // cron: seconds
    bool all_hours;   // cron: else 23 of them, so that it goes by fixed times
    int first_minute; // windows: of the day by Berlin's clock; open for 3, closed for 2, and so on
    int64_t gap;      // continuous: ms
} when_t;

// Wall clock at which a world's broker starts: often some minutes before Berlin's clocks change. span: how
// long the world lasts, ms.
int64_t schedule_base(uint64_t random, int64_t span);
when_t schedule_make(uint64_t random, int64_t base);
// Its members of a template, each with a comma behind; every: ms.
void schedule_json(const when_t *when, int64_t every, char *out, size_t size);

// Whether t (broker ms) can be a due.
bool schedule_is_due(const when_t *when, int64_t t);
// Whether `due` can be the very next one after `before`; every: ms.
bool schedule_follows(const when_t *when, int64_t every, int64_t before, int64_t due);
// Whether there must have been a due after `before` (one, or when the watch began) and up to now.
bool schedule_overdue(const when_t *when, int64_t every, int64_t before, int64_t now);

#endif
