#include "tests/bench/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MOST = 1000000000 };

static const struct option_row *find(const struct option_row *rows, const char *word) {
  if (strncmp(word, "--", 2) != 0) {
    return NULL;
  }
  while (rows->name != NULL && strcmp(rows->name, word + 2) != 0) {
    rows++;
  }
  return rows->name != NULL ? rows : NULL;
}

static bool take_number(const char *text, long *out) {
  char *end;
  errno = 0;
  *out = strtol(text, &end, 10);
  return errno == 0 && end != text && *end == '\0' && *out >= 0 && *out <= NUMBER_MOST;
}

bool options_take(int argc, char **argv, const struct option_row *rows) {
  for (int i = 1; i < argc; i++) {
    const struct option_row *row = find(rows, argv[i]);
    if (row == NULL) {
      fprintf(stderr, "%s: %s is no option of this program; see the beginning of its source\n", argv[0], argv[i]);
      return false;
    }
    if (row->flag != NULL) {
      *row->flag = true;
      continue;
    }
    const char *value = ++i < argc ? argv[i] : NULL;
    if (value == NULL || (row->number != NULL && !take_number(value, row->number))) {
      fprintf(stderr, "%s: --%s needs %s\n", argv[0], row->name, row->number ? "a whole number" : "a value");
      return false;
    }
    if (row->text != NULL) {
      *row->text = value;
    }
  }
  return true;
}
