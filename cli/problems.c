#include "cli/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

static int by_line(const void *a, const void *b) {
  const struct problem *left = a;
  const struct problem *right = b;
  return (left->line > right->line) - (left->line < right->line);
}

static bool make_room(struct problems *problems) {
  if (problems->kept < problems->room) {
    return true;
  }
  size_t room = problems->room == 0 ? 64 : problems->room * 2;
  struct problem *list = room > (size_t)PROBLEMS_KEPT * 2 ? NULL : realloc(problems->list, room * sizeof *list);
  if (list == NULL) {
    return false;
  }
  problems->list = list;
  problems->room = room;
  return true;
}

void problems_add(struct problems *problems, unsigned long line, const char *field, const char *format, ...) {
  char *text = NULL;
  va_list args;
  problems->count++;
  if (problems->kept >= PROBLEMS_KEPT || !make_room(problems)) {
    return;
  }
  va_start(args, format);
  int length = vasprintf(&text, format, args);
  va_end(args);
  if (length >= 0) {
    problems->list[problems->kept++] = (struct problem){.line = line, .field = field, .text = text};
  }
}

static void sort(struct problems *problems) {
  if (problems->kept > 1) {
    qsort(problems->list, problems->kept, sizeof *problems->list, by_line);
  }
}

void problems_show(struct problems *problems, const char *file) {
  sort(problems);
  for (size_t i = 0; i < problems->kept; i++) {
    const struct problem *problem = &problems->list[i];
    text_write(stderr, file, strlen(file));
    fprintf(stderr, ":%lu: %s%s", problem->line, problem->field, *problem->field != '\0' ? ": " : "");
    text_write(stderr, problem->text, strlen(problem->text));
    fputc('\n', stderr);
  }
  if (problems->count > problems->kept) {
    fprintf(stderr, "… and %zu more bad lines\n", problems->count - problems->kept);
  }
}

json_t *problems_json(struct problems *problems) {
  json_t *array = json_array();
  sort(problems);
  for (size_t i = 0; i < problems->kept; i++) {
    const struct problem *problem = &problems->list[i];
    json_array_append_new(
        array, json_pack("{s:I,s:s,s:s}", "line", (json_int_t)problem->line, "column", problem->field, "problem", problem->text));
  }
  return array;
}

void problems_free(struct problems *problems) {
  for (size_t i = 0; i < problems->kept; i++) {
    free(problems->list[i].text);
  }
  free(problems->list);
  *problems = (struct problems){0};
}
