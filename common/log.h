// Log: one event a line on standard error: `time level event key=value ...`. Control characters in values
// come out escaped, so that hostile text can neither forge lines nor drive a terminal.
#ifndef RTM_COMMON_LOG_H
#define RTM_COMMON_LOG_H

typedef enum { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR } log_level_t;

// The least level that is printed, LOG_LEVEL_INFO at start. Call before threads start.
void log_set_level(log_level_t level);
// debug, info, warn, error; -1 for any other name.
int log_level_of(const char *name);

// event is one word; fmt gives the `key=value` pairs ("" for none). Quote what may hold spaces: key="%s".
__attribute__((format(printf, 3, 4))) void log_line(log_level_t level, const char *event, const char *fmt,
                                                    ...);

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
