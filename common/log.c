#include "common/log.h"

#include "common/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 1024 };
static const int64_t minute_us = 60 * INT64_C(1000000);

static const char *log_program = "vedette";
static enum log_level log_least = LOG_LEVEL_INFO;

// Guards the sites; no line is written with it held.
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct log_site *log_withheld; // sites that have left lines out since they last told
static uint64_t log_total_left_out;

void log_open(const char *program, enum log_level least) {
  log_program = program;
  log_least = least;
}

static void write_line(enum log_level level, const char *msg, const char *fields, va_list args) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  char line[LINE];
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
    more = vsnprintf(line + used, sizeof line - used, fields, args);
    used += more > 0 ? (size_t)more : 0;
  }
  if (used > sizeof line - 2) {
    used = sizeof line - 2;
  }
  line[used++] = '\n';
  // One write a line keeps lines of several threads apart. Nowhere to report that stderr is gone.
  ssize_t written = write(STDERR_FILENO, line, used);
  (void)written;
}

static void write_fields(enum log_level level, const char *msg, const char *fields, ...) __attribute__((format(printf, 3, 4)));

static void write_fields(enum log_level level, const char *msg, const char *fields, ...) {
  va_list args;
  va_start(args, fields);
  write_line(level, msg, fields, args);
  va_end(args);
}

// Takes a site whose minute is over from the list: its sentence and its count. False when there is none (left).
static bool take_due(int64_t now, const char **msg, uint32_t *left_out) {
  bool due = false;
  pthread_mutex_lock(&log_mutex);
  for (struct log_site **at = &log_withheld; *at != NULL && !due; at = due ? at : &(*at)->next) {
    struct log_site *site = *at;
    if (now - site->began >= minute_us) {
      due = true;
      *msg = site->msg;
      *left_out = site->left_out;
      site->left_out = 0;
      *at = site->next;
    }
  }
  pthread_mutex_unlock(&log_mutex);
  return due;
}

static void tell_left_out(int64_t now) {
  const char *msg;
  uint32_t left_out;
  while (take_due(now, &msg, &left_out)) {
    write_fields(LOG_LEVEL_WARN, "log lines were left out", "count=%u like=\"%s\"", left_out, msg);
  }
}

static bool admit(struct log_site *site, const char *msg, int64_t now) {
  bool admitted = true;
  pthread_mutex_lock(&log_mutex);
  if (site->began == 0 || now - site->began >= minute_us) {
    site->began = now;
    site->lines = 0;
  }
  if (site->lines < LOG_LINES_MOST) {
    site->lines++;
  } else {
    admitted = false;
    log_total_left_out++;
    site->msg = msg;
    if (site->left_out++ == 0) {
      site->next = log_withheld;
      log_withheld = site;
    }
  }
  pthread_mutex_unlock(&log_mutex);
  return admitted;
}

void log_write(struct log_site *site, enum log_level level, const char *msg, const char *fields, ...) {
  if (level < log_least) {
    return;
  }
  int saved = errno;
  int64_t now = clock_steady_us();
  tell_left_out(now); // first: a site that is due is told before its next minute begins
  if (level == LOG_LEVEL_DEBUG || admit(site, msg, now)) {
    va_list args;
    va_start(args, fields);
    write_line(level, msg, fields, args);
    va_end(args);
  }
  errno = saved;
}

void log_tell_left_out(void) {
  int saved = errno;
  tell_left_out(clock_steady_us());
  errno = saved;
}

uint64_t log_left_out(void) {
  pthread_mutex_lock(&log_mutex);
  uint64_t total = log_total_left_out;
  pthread_mutex_unlock(&log_mutex);
  return total;
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
