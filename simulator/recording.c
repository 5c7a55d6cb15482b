#include "simulator/recording.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simulator/names.h"

struct reader {
  struct recording *into;
  const char *path;
  size_t line;
  size_t room; // rows allocated
  char *error;
  size_t error_size;
};

static bool fraction(const char **text, double *out) {
  *out = 0;
  if (**text == '.') {
    char *end = NULL;
    *out = strtod(*text, &end);
    *text = end;
  }
  return *out >= 0 && *out < 1;
}

static int civil_time(const char *text, int64_t *out) {
  struct tm tm = {0};
  const char *rest = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
  if (rest == NULL) {
    rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
  }
  double part = 0;
  if (rest == NULL || tm.tm_year < 70 || !fraction(&rest, &part) || (strcmp(rest, "") != 0 && strcmp(rest, "Z") != 0)) {
    return -1;
  }
  *out = (int64_t)timegm(&tm) * 1000000 + (int64_t)(part * 1e6);
  return 0;
}

int recording_time(const char *text, int64_t *out) {
  char *end = NULL;
  double seconds = strtod(text, &end);
  if (end != text && *end == '\0' && isfinite(seconds) && seconds >= 0 && seconds < 253402300800.0) {
    *out = (int64_t)llround(seconds * 1e6);
    return 0;
  }
  return civil_time(text, out);
}

// Cuts the next cell off `*rest`; quotes around a cell are taken away. NULL at the end of the line.
static char *next_cell(char **rest) {
  if (*rest == NULL) {
    return NULL;
  }
  char *cell = strsep(rest, ",");
  while (*cell == ' ' || *cell == '\t') {
    cell++;
  }
  size_t length = strlen(cell);
  while (length > 0 && strchr(" \t\r\n", cell[length - 1]) != NULL) {
    cell[--length] = '\0';
  }
  if (length >= 2 && cell[0] == '"' && cell[length - 1] == '"') {
    cell[length - 1] = '\0';
    cell++;
  }
  return cell;
}

static int read_header(struct reader *reader, char *line) {
  char *rest = line;
  char *raw[RECORDING_METRICS + 1];
  size_t count = 0;
  const char *first = next_cell(&rest);
  if (strcmp(first, "timestamp") != 0) {
    snprintf(reader->error, reader->error_size, "%s:1: the first column has to be called `timestamp`, not `%.40s`", reader->path,
             first);
    return -1;
  }
  for (char *cell = next_cell(&rest); cell != NULL; cell = next_cell(&rest)) {
    if (count == RECORDING_METRICS) {
      snprintf(reader->error, reader->error_size, "%s:1: more than %d metrics", reader->path, RECORDING_METRICS);
      return -1;
    }
    raw[count++] = cell;
  }
  if (count == 0) {
    snprintf(reader->error, reader->error_size, "%s:1: no metric beside `timestamp`", reader->path);
    return -1;
  }
  reader->into->metric_count = count;
  reader->into->metrics = names_metrics(raw, count);
  if (reader->into->metrics == NULL) {
    snprintf(reader->error, reader->error_size, "%s: out of memory", reader->path);
    return -1;
  }
  return 0;
}

static int grow(struct reader *reader) {
  struct recording *into = reader->into;
  if (into->row_count < reader->room) {
    return 0;
  }
  size_t room = reader->room == 0 ? 256 : 2 * reader->room;
  if (room * into->metric_count * sizeof(double) > RECORDING_BYTES_MAX) {
    snprintf(reader->error, reader->error_size, "%s: too large to hold in memory (limit %d MiB); split the file", reader->path,
             RECORDING_BYTES_MAX / 1024 / 1024);
    return -1;
  }
  int64_t *times = realloc(into->times, room * sizeof *times);
  if (times != NULL) {
    into->times = times;
    double *values = realloc(into->values, room * into->metric_count * sizeof *values);
    if (values != NULL) {
      into->values = values;
      reader->room = room;
      return 0;
    }
  }
  snprintf(reader->error, reader->error_size, "%s: out of memory", reader->path);
  return -1;
}

static int read_value(const struct reader *reader, const char *cell, size_t column, double *out) {
  char *end = NULL;
  *out = *cell == '\0' ? NAN : strtod(cell, &end);
  if (end != NULL && (end == cell || *end != '\0')) {
    snprintf(reader->error, reader->error_size, "%s:%zu: column `%s`: `%.40s` is not a number", reader->path, reader->line,
             reader->into->metrics[column], cell);
    return -1;
  }
  if (isinf(*out)) {
    *out = NAN;
  }
  return 0;
}

static int read_row(struct reader *reader, char *line) {
  struct recording *into = reader->into;
  if (grow(reader) != 0) {
    return -1;
  }
  char *rest = line;
  const char *stamp = next_cell(&rest);
  int64_t *time = &into->times[into->row_count];
  if (recording_time(stamp, time) != 0 || (into->row_count > 0 && *time < time[-1])) {
    snprintf(reader->error, reader->error_size, "%s:%zu: column `timestamp`: `%.40s` is %s", reader->path, reader->line, stamp,
             recording_time(stamp, time) != 0 ? "neither Unix seconds nor YYYY-MM-DD HH:MM:SS" : "before the line above");
    return -1;
  }
  double *values = &into->values[into->row_count * into->metric_count];
  for (size_t i = 0; i < into->metric_count; i++) {
    const char *cell = next_cell(&rest);
    if (cell == NULL || (i + 1 == into->metric_count && rest != NULL)) {
      snprintf(reader->error, reader->error_size, "%s:%zu: has another number of columns than the header (%zu)", reader->path,
               reader->line, into->metric_count + 1);
      return -1;
    }
    if (read_value(reader, cell, i, &values[i]) != 0) {
      return -1;
    }
  }
  into->row_count++;
  return 0;
}

static bool blank(const char *line) {
  return line[strspn(line, " \t\r\n")] == '\0';
}

static int read_lines(struct reader *reader, FILE *file) {
  char *line = NULL;
  size_t room = 0;
  int rc = 0;
  while (rc == 0 && getline(&line, &room, file) >= 0) {
    reader->line++;
    if (reader->line == 1) {
      rc = read_header(reader, strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line);
    } else if (!blank(line)) {
      rc = read_row(reader, line);
    }
  }
  free(line);
  if (rc == 0 && reader->into->row_count == 0) {
    snprintf(reader->error, reader->error_size, "%s: has no rows", reader->path);
    rc = -1;
  }
  return rc;
}

struct recording *recording_load(const char *path, char *error, size_t error_size) {
  struct recording *recording = calloc(1, sizeof *recording);
  struct reader reader = {.into = recording, .path = path, .error = error, .error_size = error_size};
  FILE *file = NULL;
  int rc = -1;
  if (recording == NULL || (recording->path = strdup(path)) == NULL) {
    snprintf(error, error_size, "%s: out of memory", path);
  } else if ((file = fopen(path, "re")) == NULL) {
    snprintf(error, error_size, "%s: cannot be read: %s", path, strerror(errno));
  } else {
    rc = read_lines(&reader, file);
  }
  if (file != NULL) {
    (void)fclose(file); // read only: nothing can be lost
  }
  if (rc != 0) {
    recording_free(recording);
    return NULL;
  }
  return recording;
}

void recording_free(struct recording *recording) {
  if (recording == NULL) {
    return;
  }
  free(recording->path);
  free(recording->credential);
  free(recording->metrics);
  free(recording->times);
  free(recording->values);
  free(recording);
}
