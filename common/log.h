// Logging in logfmt to stderr: one line an event, `time=… level=… program=… msg="…" key=value …`.
// Callable from any thread; errno is preserved; nothing is allocated. Never log payloads, keys or secrets.
//
// A peer must not fill a disk through us: each place in the code writes at most LOG_LINES_MOST lines a minute (debug apart, which
// somebody asked for), then one line says how many were left out. The first of a minute always comes out: so does every error
// before an exit.
#ifndef VEDETTE_COMMON_LOG_H
#define VEDETTE_COMMON_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum { LOG_LINES_MOST = 20 };

// A place that logs. Static, all zero at first; log.c's own.
struct log_site {
  const char *msg;   // of the last line left out
  int64_t began;     // steady clock, microseconds; 0: never
  uint32_t lines;    // written since
  uint32_t left_out; // since
  struct log_site *next;
};

// Names the program in every line and drops what is below `least`. Call once, before threads start. `program` is kept.
void log_open(const char *program, enum log_level least);

// Writes one line, or counts it. `msg` is a constant sentence; `fields` formats `key=value` pairs (may be ""). Quote values that
// may hold spaces with log_quote. To be called by the macros below.
void log_write(struct log_site *site, enum log_level level, const char *msg, const char *fields, ...)
    __attribute__((format(printf, 4, 5)));

// Writes what was left out in minutes that are over. Every log_write does so too; a loop calls it for when nothing is logged.
void log_tell_left_out(void);
uint64_t log_left_out(void); // lines left out so far

// Copies `text` into `out` as a quoted logfmt value: control characters, quotes and backslashes escaped, cut to fit. Returns
// `out`.
const char *log_quote(char *out, unsigned long size, const char *text);

#define log_at(level, msg, ...)                                                                                                  \
  do {                                                                                                                           \
    static struct log_site log_site_here;                                                                                        \
    log_write(&log_site_here, level, msg, __VA_ARGS__);                                                                          \
  } while (0)
#define log_debug(msg, ...) log_at(LOG_LEVEL_DEBUG, msg, __VA_ARGS__)
#define log_info(msg, ...) log_at(LOG_LEVEL_INFO, msg, __VA_ARGS__)
#define log_warn(msg, ...) log_at(LOG_LEVEL_WARN, msg, __VA_ARGS__)
#define log_error(msg, ...) log_at(LOG_LEVEL_ERROR, msg, __VA_ARGS__)

#endif
