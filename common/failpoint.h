// Failpoint: a named instant at which a test lets a process die, as if the machine had taken it.
#ifndef RTM_COMMON_FAILPOINT_H
#define RTM_COMMON_FAILPOINT_H

enum { FAILPOINT_EXIT = 66 };

// Ends the process with _exit(FAILPOINT_EXIT) if RTM_FAILPOINT names this point: "name", or "name:3" for the
// third time that it is reached. Any thread may call it.
void failpoint(const char *name);
// The same if RTM_FAILPOINT is "name@part" and subject holds part.
void failpoint_on(const char *name, const char *subject);
// Never returns if RTM_FAILPOINT is "name@part" and subject holds part.
void failpoint_hang(const char *name, const char *subject);

#endif
