// Logging in logfmt to stderr: one line an event, `time=… level=… program=… msg="…" key=value …`.
// Callable from any thread; errno is preserved. Never log payloads, keys or secrets.
#ifndef VEDETTE_COMMON_LOG_H
#define VEDETTE_COMMON_LOG_H

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

// Names the program in every line and drops what is below `least`. Call once, before threads start. `program` is kept.
void log_open(const char *program, enum log_level least);

// Writes one line. `msg` is a constant sentence; `fields` formats `key=value` pairs (may be ""). Quote values that may hold
// spaces with log_quote.
void log_write(enum log_level level, const char *msg, const char *fields, ...) __attribute__((format(printf, 3, 4)));

// Copies `text` into `out` as a quoted logfmt value: control characters, quotes and backslashes escaped, cut to fit. Returns
// `out`.
const char *log_quote(char *out, unsigned long size, const char *text);

#define log_debug(msg, ...) log_write(LOG_LEVEL_DEBUG, msg, __VA_ARGS__)
#define log_info(msg, ...) log_write(LOG_LEVEL_INFO, msg, __VA_ARGS__)
#define log_warn(msg, ...) log_write(LOG_LEVEL_WARN, msg, __VA_ARGS__)
#define log_error(msg, ...) log_write(LOG_LEVEL_ERROR, msg, __VA_ARGS__)

#endif
