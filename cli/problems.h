// The bad lines of an imported file: kept, sorted by line, shown at the end. Lines beyond PROBLEMS_KEPT are only counted.
#ifndef VEDETTE_CLI_PROBLEMS_H
#define VEDETTE_CLI_PROBLEMS_H

#include <jansson.h>
#include <stddef.h>

enum { PROBLEMS_KEPT = 100000 };

struct problem {
  unsigned long line;
  const char *field; // a constant: name of the column, or "" for the whole line
  char *text;
};

struct problems {
  struct problem *list;
  size_t kept;
  size_t room;
  size_t count; // of all
};

// Notes what is wrong with a line; one problem a line.
void problems_add(struct problems *problems, unsigned long line, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Writes them to stderr, `file:line: field: what is wrong`.
void problems_show(struct problems *problems, const char *file);

// As an array of objects; a new reference.
json_t *problems_json(struct problems *problems);

void problems_free(struct problems *problems);

#endif
