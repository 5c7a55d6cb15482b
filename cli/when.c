#include "cli/when.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SECOND = 1000000 }; // microseconds

struct parts {
  struct tm day;
  int64_t fraction; // microseconds
  bool zoned;
  long offset; // seconds east of UTC
};

static bool read_number(const char **at, size_t digits, int *number) {
  *number = 0;
  for (size_t i = 0; i < digits; i++, (*at)++) {
    if (**at < '0' || **at > '9') {
      return false;
    }
    *number = *number * 10 + (**at - '0');
  }
  return true;
}

static bool read_sign(const char **at, char sign) {
  if (**at != sign) {
    return false;
  }
  (*at)++;
  return true;
}

static bool read_date(const char **at, struct parts *parts) {
  int year = 0;
  int month = 0;
  bool read = read_number(at, 4, &year) && read_sign(at, '-') && read_number(at, 2, &month) && read_sign(at, '-') &&
              read_number(at, 2, &parts->day.tm_mday);
  parts->day.tm_year = year - 1900;
  parts->day.tm_mon = month - 1;
  return read && month >= 1 && month <= 12 && parts->day.tm_mday >= 1 && parts->day.tm_mday <= 31;
}

static void read_fraction(const char **at, int64_t *fraction) {
  int64_t unit = SECOND / 10;
  for (; **at >= '0' && **at <= '9'; (*at)++, unit /= 10) {
    *fraction += unit * (**at - '0');
  }
}

static bool read_time(const char **at, struct parts *parts) {
  if (!read_number(at, 2, &parts->day.tm_hour) || !read_sign(at, ':') || !read_number(at, 2, &parts->day.tm_min)) {
    return false;
  }
  if (read_sign(at, ':')) {
    if (!read_number(at, 2, &parts->day.tm_sec)) {
      return false;
    }
    if (read_sign(at, '.')) {
      read_fraction(at, &parts->fraction);
    }
  }
  return parts->day.tm_hour <= 24 && parts->day.tm_min <= 59 && parts->day.tm_sec <= 60;
}

// Z, +01, +0100, +01:00 or nothing.
static bool read_zone(const char **at, struct parts *parts) {
  int hours = 0;
  int minutes = 0;
  if (**at == '\0') {
    return true;
  }
  parts->zoned = true;
  if (read_sign(at, 'Z') || read_sign(at, 'z')) {
    return true;
  }
  int sign = **at == '-' ? -1 : 1;
  if ((!read_sign(at, '+') && !read_sign(at, '-')) || !read_number(at, 2, &hours)) {
    return false;
  }
  (void)read_sign(at, ':');
  if (**at != '\0' && !read_number(at, 2, &minutes)) {
    return false;
  }
  parts->offset = sign * (hours * 3600L + minutes * 60L);
  return hours <= 15 && minutes <= 59;
}

static bool read_iso(const char *text, struct parts *parts) {
  const char *at = text;
  if (!read_date(&at, parts)) {
    return false;
  }
  if ((*at == 'T' || *at == ' ' || *at == 't') && at[1] != '\0') {
    at++;
    if (!read_time(&at, parts) || !read_zone(&at, parts)) {
      return false;
    }
  }
  return *at == '\0';
}

// Brings the parts together; local time where no zone was given.
static bool join(struct parts *parts, int64_t *microseconds) {
  parts->day.tm_isdst = -1;
  int day = parts->day.tm_mday;
  int hour = parts->day.tm_hour;
  time_t seconds = parts->zoned ? timegm(&parts->day) - parts->offset : mktime(&parts->day);
  if (hour < 24 && parts->day.tm_mday != day) {
    return false; // 30 February
  }
  *microseconds = (int64_t)seconds * SECOND + parts->fraction;
  return true;
}

bool when_from_store(const char *text, int64_t *microseconds) {
  struct parts parts = {0};
  return read_iso(text, &parts) && parts.zoned && join(&parts, microseconds);
}

bool when_length(const char *text, int64_t *microseconds) {
  static const struct {
    const char *name;
    int64_t length;
  } units[] = {{"ms", 1000},
               {"s", SECOND},
               {"m", INT64_C(60) * SECOND},
               {"h", INT64_C(3600) * SECOND},
               {"d", INT64_C(86400) * SECOND},
               {"w", INT64_C(604800) * SECOND}};
  char *end = NULL;
  if (*text < '0' || *text > '9') {
    return false;
  }
  long count = strtol(text, &end, 10);
  if (end - text > 6) { // no product below overflows
    return false;
  }
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    if (strcmp(units[i].name, end) == 0) {
      *microseconds = count * units[i].length;
      return true;
    }
  }
  return false;
}

// `sign`: where a length lies, −1 before now, 1 after it.
static bool read_point(const char *text, int64_t now, int sign, int64_t *microseconds) {
  struct parts parts = {0};
  int64_t length = 0;
  if (when_length(text, &length)) {
    *microseconds = now + sign * length;
    return true;
  }
  return read_iso(text, &parts) && join(&parts, microseconds);
}

bool when_read(const char *text, int64_t now, int64_t *microseconds) {
  return read_point(text, now, -1, microseconds);
}

bool when_read_ahead(const char *text, int64_t now, int64_t *microseconds) {
  return read_point(text, now, 1, microseconds);
}

// Splits so that the remainder is never negative, before 1970 too.
static time_t whole_seconds(int64_t microseconds, int64_t *rest) {
  int64_t seconds = microseconds / SECOND;
  *rest = microseconds % SECOND;
  if (*rest < 0) {
    *rest += SECOND;
    seconds--;
  }
  return (time_t)seconds;
}

void when_utc(int64_t microseconds, char out[WHEN_SIZE]) {
  int64_t rest = 0;
  struct tm day = {0};
  time_t seconds = whole_seconds(microseconds, &rest);
  char text[WHEN_SIZE / 2 + 1] = "";
  if (gmtime_r(&seconds, &day) == NULL || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &day) == 0) {
    (void)snprintf(text, sizeof text, "beyond the calendar");
  }
  (void)snprintf(out, WHEN_SIZE, "%s.%06dZ", text, (int)rest);
}

void when_local(int64_t microseconds, char out[WHEN_SIZE]) {
  int64_t rest = 0;
  struct tm day = {0};
  time_t seconds = whole_seconds(microseconds, &rest);
  if (localtime_r(&seconds, &day) == NULL) {
    (void)snprintf(out, WHEN_SIZE, "beyond the calendar");
    return;
  }
  size_t length = strftime(out, WHEN_SIZE, "%Y-%m-%dT%H:%M:%S%z", &day);
  if (length > 2 && length + 1 < WHEN_SIZE) { // +0100 to +01:00
    memmove(out + length - 1, out + length - 2, 3);
    out[length - 2] = ':';
  }
}

void when_clock(int64_t microseconds, char out[WHEN_SIZE]) {
  int64_t rest = 0;
  struct tm day = {0};
  time_t seconds = whole_seconds(microseconds, &rest);
  if (localtime_r(&seconds, &day) == NULL || strftime(out, WHEN_SIZE, "%H:%M:%S", &day) == 0) {
    (void)snprintf(out, WHEN_SIZE, "--:--:--");
  }
}

void when_duration(double seconds, char out[WHEN_SIZE]) {
  double size = fabs(seconds);
  if (size < 9.95) {
    (void)snprintf(out, WHEN_SIZE, "%.1f s", seconds);
  } else if (size < 120) {
    (void)snprintf(out, WHEN_SIZE, "%.0f s", seconds);
  } else if (size < 7200) {
    (void)snprintf(out, WHEN_SIZE, "%.0f min", seconds / 60);
  } else if (size < 172800) {
    (void)snprintf(out, WHEN_SIZE, "%.0f h", seconds / 3600);
  } else {
    (void)snprintf(out, WHEN_SIZE, "%.0f d", seconds / 86400);
  }
}

int64_t when_now(void) {
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * SECOND + now.tv_nsec / 1000;
}
