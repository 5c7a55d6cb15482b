#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *log_program = "vedette";
static enum log_level log_least = LOG_LEVEL_INFO;

void log_open(const char *program, enum log_level least) {
  log_program = program;
  log_least = least;
}

void log_write(enum log_level level, const char *msg, const char *fields, ...) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  if (level < log_least) {
    return;
  }
  int saved = errno;
  char line[1024];
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  size_t used = strftime(line, sizeof line, "time=%Y-%m-%dT%H:%M:%S", &utc);
  int more = snprintf(line + used, sizeof line - used, ".%03ldZ level=%s program=%s msg=\"%s\"", now.tv_nsec / 1000000,
                      names[level], log_program, msg);
  used += more > 0 ? (size_t)more : 0;
  if (fields[0] != '\0' && used < sizeof line - 2) {
    line[used++] = ' ';
    va_list args;
    va_start(args, fields);
    more = vsnprintf(line + used, sizeof line - used, fields, args);
    va_end(args);
    used += more > 0 ? (size_t)more : 0;
  }
  if (used > sizeof line - 2) {
    used = sizeof line - 2;
  }
  line[used++] = '\n';
  // One write a line keeps lines of several threads apart. Nowhere to report that stderr is gone.
  ssize_t written = write(STDERR_FILENO, line, used);
  (void)written;
  errno = saved;
}

const char *log_quote(char *out, unsigned long size, const char *text) {
  size_t used = 0;
  out[used++] = '"';
  for (const unsigned char *c = (const unsigned char *)text; *c != '\0' && used + 6 < size; c++) {
    if (*c == '"' || *c == '\\') {
      out[used++] = '\\';
      out[used++] = (char)*c;
    } else if (*c < 0x20 || *c == 0x7f) {
      used += (size_t)snprintf(out + used, size - used, "\\x%02x", *c);
    } else {
      out[used++] = (char)*c;
    }
  }
  out[used++] = '"';
  out[used] = '\0';
  return out;
}
