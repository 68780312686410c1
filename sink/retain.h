// Retain: retention, in a thread and a session of its own, at low priority: a small batch, then a pause of
// several times what it took. Of what it removes the key's hash stays behind in `gone`, so that what a source
// still lists does not come back, until it was not listed for RETAIN_UNLISTED. Gaps go after RETAIN_GAPS.
#ifndef RTM_SINK_RETAIN_H
#define RTM_SINK_RETAIN_H

#include <stdint.h>

#define RETAIN_UNLISTED "7 days"
#define RETAIN_GAPS     "90 days"

typedef struct retain retain_t;

// Starts the thread, which looks every `every_ms`. Of several sinks one does the work at a time.
retain_t *retain_start(const char *conninfo, int64_t every_ms);
// Stops it; what is under way is rolled back.
void retain_stop(retain_t **retain);

#endif
