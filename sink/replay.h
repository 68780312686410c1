// Replay: what Postgres refused is tried again, once its reason is gone (`rtm-sink replay-rejects`).
#ifndef RTM_SINK_REPLAY_H
#define RTM_SINK_REPLAY_H

// Tries each item of `rejects` once: one that is taken leaves the table, one that is refused again stays with
// the new reason. Safe while sinks run: an item that was changed since is not turned back. Prints a line per
// item that stays and a sum. The process's exit status: 0 none is left, 1 some are, 3 Postgres is not well.
int replay_rejects(const char *conninfo);

#endif
