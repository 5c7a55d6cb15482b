#include "cli/csv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/line.h"
#include "cli/text.h"

struct csv {
  FILE *in;
  unsigned long line;
  const char *problem;
  size_t length; // of the line
  size_t count;
  char *fields[CSV_FIELDS]; // into text
  char text[CSV_LINE + 1];
};

struct csv *csv_open(FILE *in) {
  struct csv *csv = calloc(1, sizeof *csv);
  if (csv != NULL) {
    csv->in = in;
  }
  return csv;
}

void csv_close(struct csv *csv) {
  free(csv);
}

unsigned long csv_line(const struct csv *csv) {
  return csv->line;
}

const char *csv_problem(const struct csv *csv) {
  return csv->problem;
}

size_t csv_count(const struct csv *csv) {
  return csv->count;
}

const char *csv_field(const struct csv *csv, size_t index) {
  return csv->fields[index];
}

// Takes the quoted field that starts at `*from`, writing it unquoted to `*to`. Both are left behind it.
static const char *take_quoted(char **from, char **to) {
  char *in = *from + 1;
  char *out = *to;
  for (;; in++) {
    if (*in == '\0') {
      return "a quote is opened and not closed on the line";
    }
    if (*in == '"') {
      if (in[1] != '"') {
        break;
      }
      in++;
    }
    *out++ = *in;
  }
  *from = in + 1;
  *to = out;
  return **from == ',' || **from == '\0' ? NULL : "text follows a closing quote";
}

static const char *take_plain(char **from, char **to) {
  char *in = *from;
  char *out = *to;
  for (; *in != ',' && *in != '\0'; in++) {
    if (*in == '"') {
      return "a quote stands inside a field that does not start with one";
    }
    *out++ = *in;
  }
  *from = in;
  *to = out;
  return NULL;
}

// Splits the line in place: what is unquoted is never longer than what it is made from.
static const char *split(struct csv *csv, char *from) {
  csv->count = 0;
  for (;;) {
    if (csv->count == CSV_FIELDS) {
      return "too many fields";
    }
    char *to = from;
    char *start = from;
    const char *problem = *from == '"' ? take_quoted(&from, &to) : take_plain(&from, &to);
    if (problem != NULL) {
      return problem;
    }
    bool more = *from == ',';
    from++;
    *to = '\0';
    csv->fields[csv->count++] = start;
    if (!more) {
      return NULL;
    }
  }
}

enum csv_result csv_next(struct csv *csv) {
  static const char mark[] = "\xef\xbb\xbf";
  bool too_long = false;
  do {
    if (!line_read(csv->in, csv->text, CSV_LINE, &csv->length, &too_long)) {
      return ferror(csv->in) != 0 ? CSV_FAILED : CSV_END;
    }
    csv->line++;
  } while (csv->length == 0);
  if (too_long) {
    csv->problem = "the line is longer than 64 KiB";
    return CSV_BAD;
  }
  if (!text_is_utf8(csv->text, csv->length)) {
    csv->problem = "the line is not UTF-8, or holds a NUL byte";
    return CSV_BAD;
  }
  bool marked = csv->line == 1 && strncmp(csv->text, mark, sizeof mark - 1) == 0;
  csv->problem = split(csv, csv->text + (marked ? sizeof mark - 1 : 0));
  return csv->problem != NULL ? CSV_BAD : CSV_RECORD;
}
