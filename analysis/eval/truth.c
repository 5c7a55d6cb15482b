#include "analysis/eval/truth.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/line.h"
#include "cli/when.h"

struct reader {
  const char *name;
  size_t line;
  char *error;
  size_t error_size;
  const char *expects[TRUTH_EXPECTS]; // so far; of the truths
  size_t expect_count;
  char text[TRUTH_LINE + 1];
};

static bool refuse(const struct reader *reader, const char *why, ...) __attribute__((format(printf, 2, 3)));

// Always false.
static bool refuse(const struct reader *reader, const char *why, ...) {
  va_list args;
  va_start(args, why);
  int used = snprintf(reader->error, reader->error_size, "%s, line %zu: ", reader->name, reader->line);
  if (used > 0 && (size_t)used < reader->error_size) {
    (void)vsnprintf(reader->error + used, reader->error_size - (size_t)used, why, args);
  }
  va_end(args);
  return false;
}

static void truth_clear(struct truth *truth) {
  free(truth->fault);
  free(truth->kind);
  free(truth->device);
  free(truth->through);
  free(truth->expect);
  *truth = (struct truth){0};
}

void truths_free(struct truths *truths) {
  for (size_t i = 0; i < truths->count; i++) {
    truth_clear(&truths->list[i]);
  }
  free(truths->list);
  *truths = (struct truths){.newest = INT64_MIN};
}

// A text of the line, copied. `required` ones have to be there, others may be null.
static bool take_text(const struct reader *reader, const json_t *line, const char *field, bool required, char **out) {
  const json_t *value = json_object_get(line, field);
  if (!required && (value == NULL || json_is_null(value))) {
    return true;
  }
  if (!json_is_string(value)) {
    return refuse(reader, "`%s` %s", field, value == NULL ? "is missing" : "has to be a text");
  }
  if (json_string_length(value) == 0 || json_string_length(value) > TRUTH_TEXT) {
    return refuse(reader, "`%s` has to have 1 to %d bytes", field, (int)TRUTH_TEXT);
  }
  *out = strdup(json_string_value(value));
  return *out != NULL || refuse(reader, "out of memory");
}

// A time of the line; a null or missing `end` is open.
static bool take_time(const struct reader *reader, const json_t *line, const char *field, bool required, int64_t *out) {
  const json_t *value = json_object_get(line, field);
  if (!required && (value == NULL || json_is_null(value))) {
    *out = TRUTH_OPEN;
    return true;
  }
  if (value == NULL) {
    return refuse(reader, "`%s` is missing", field);
  }
  if (!json_is_string(value) || !when_from_store(json_string_value(value), out)) {
    return refuse(reader, "`%s` has to be a time such as \"2026-01-31T10:01:30.118Z\"", field);
  }
  return true;
}

static bool take_fields(const struct reader *reader, const json_t *line, struct truth *truth) {
  if (!json_is_object(line)) {
    return refuse(reader, "has to be a JSON object");
  }
  truth->line = reader->line;
  return take_text(reader, line, "fault", true, &truth->fault) && take_text(reader, line, "kind", true, &truth->kind) &&
         take_text(reader, line, "device", true, &truth->device) && take_text(reader, line, "through", false, &truth->through) &&
         take_text(reader, line, "expect", false, &truth->expect) && take_time(reader, line, "start", true, &truth->start) &&
         take_time(reader, line, "end", false, &truth->end) &&
         (truth->end >= truth->start || refuse(reader, "`end` is before `start`"));
}

// Keeps the kinds few, whatever the file says: each costs a row of figures.
static bool note_expect(struct reader *reader, const char *expect) {
  for (size_t i = 0; i < reader->expect_count; i++) {
    if (strcmp(reader->expects[i], expect) == 0) {
      return true;
    }
  }
  if (reader->expect_count == TRUTH_EXPECTS) {
    return refuse(reader, "more than %d different kinds in `expect`", (int)TRUTH_EXPECTS);
  }
  reader->expects[reader->expect_count++] = expect;
  return true;
}

static bool make_room(const struct reader *reader, struct truths *truths) {
  if (truths->count == TRUTH_MOST) {
    return refuse(reader, "more than %d lines; leave those of earlier runs out", (int)TRUTH_MOST);
  }
  if (truths->count < truths->room) {
    return true;
  }
  size_t room = truths->room == 0 ? 64 : truths->room * 2;
  struct truth *list = realloc(truths->list, room * sizeof *list);
  if (list == NULL) {
    return refuse(reader, "out of memory");
  }
  truths->list = list;
  truths->room = room;
  return true;
}

static bool take_line(struct reader *reader, size_t length, struct truths *truths) {
  json_error_t problem;
  struct truth truth = {0};
  if (!make_room(reader, truths)) {
    return false;
  }
  json_t *line = json_loadb(reader->text, length, JSON_REJECT_DUPLICATES, &problem);
  if (line == NULL) {
    return refuse(reader, "is not JSON: %s", problem.text);
  }
  bool taken = take_fields(reader, line, &truth);
  json_decref(line);
  if (!taken || (truth.expect != NULL && !note_expect(reader, truth.expect))) {
    truth_clear(&truth);
    return false;
  }
  int64_t latest = truth.end == TRUTH_OPEN ? truth.start : truth.end;
  truths->newest = latest > truths->newest ? latest : truths->newest;
  truths->list[truths->count++] = truth;
  return true;
}

static bool read_lines(struct reader *reader, FILE *in, struct truths *truths) {
  bool too_long = false;
  size_t length = 0;
  while (line_read(in, reader->text, TRUTH_LINE, &length, &too_long)) {
    reader->line++;
    if (too_long) {
      return refuse(reader, "is longer than %d bytes", (int)TRUTH_LINE);
    }
    if (length > 0 && !take_line(reader, length, truths)) {
      return false;
    }
  }
  if (ferror(in) != 0) {
    (void)snprintf(reader->error, reader->error_size, "%s: cannot be read: %s", reader->name, strerror(errno));
    return false;
  }
  return true;
}

// By what makes a fault the same one.
static int compare_same(const struct truth *a, const struct truth *b) {
  int order = strcmp(a->device, b->device);
  if (order == 0) {
    order = (a->start > b->start) - (a->start < b->start);
  }
  return order != 0 ? order : strcmp(a->fault, b->fault);
}

static int compare(const void *left, const void *right) {
  const struct truth *a = left;
  const struct truth *b = right;
  int order = compare_same(a, b);
  return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

// Sorts, and leaves the last line of each.
static void settle(struct truths *truths) {
  size_t kept = 0;
  if (truths->count > 1) {
    qsort(truths->list, truths->count, sizeof *truths->list, compare);
  }
  for (size_t i = 0; i < truths->count; i++) {
    if (i + 1 < truths->count && compare_same(&truths->list[i], &truths->list[i + 1]) == 0) {
      truth_clear(&truths->list[i]);
    } else {
      truths->list[kept++] = truths->list[i];
    }
  }
  truths->count = kept;
}

bool truths_read(FILE *in, const char *name, struct truths *truths, char *error, size_t error_size) {
  *truths = (struct truths){.newest = INT64_MIN};
  struct reader *reader = calloc(1, sizeof *reader);
  if (reader == NULL) {
    (void)snprintf(error, error_size, "%s: cannot be read: out of memory", name);
    return false;
  }
  reader->name = name;
  reader->error = error;
  reader->error_size = error_size;
  bool read = read_lines(reader, in, truths);
  free(reader);
  if (!read) {
    truths_free(truths);
    return false;
  }
  settle(truths);
  return true;
}
