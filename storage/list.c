#include "storage/list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct list {
  FILE *out;
  char *text;
  size_t size;
  size_t count;
};

struct list *list_new(void) {
  struct list *list = calloc(1, sizeof *list);
  if (list != NULL && (list->out = open_memstream(&list->text, &list->size)) == NULL) {
    free(list);
    return NULL;
  }
  return list;
}

void list_free(struct list *list) {
  if (list != NULL) {
    fclose(list->out);
    free(list->text);
    free(list);
  }
}

static void separate(struct list *list) {
  fputc(list->count++ ? ',' : '{', list->out);
}

void list_int(struct list *list, int64_t value) {
  separate(list);
  fprintf(list->out, "%" PRId64, value);
}

void list_text(struct list *list, const char *text) {
  separate(list);
  if (text == NULL) {
    fputs("NULL", list->out);
    return;
  }
  fputc('"', list->out);
  for (; *text != '\0'; text++) {
    if (*text == '"' || *text == '\\') {
      fputc('\\', list->out);
    }
    fputc(*text, list->out);
  }
  fputc('"', list->out);
}

void list_bytes(struct list *list, const void *data, size_t size) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *byte = data;
  separate(list);
  fputs("\"\\\\x", list->out);
  for (size_t i = 0; i < size; i++) {
    fputc(digits[byte[i] >> 4], list->out);
    fputc(digits[byte[i] & 15], list->out);
  }
  fputc('"', list->out);
}

void list_ints(struct list *list, const int32_t *values, size_t count) {
  separate(list);
  fputs("\"{", list->out);
  for (size_t i = 0; i < count; i++) {
    fprintf(list->out, "%s%" PRId32, i ? "," : "", values[i]);
  }
  fputs("}\"", list->out);
}

size_t list_count(const struct list *list) {
  return list->count;
}

const char *list_literal(struct list *list) {
  fputs(list->count ? "}" : "{}", list->out);
  return fflush(list->out) == 0 && !ferror(list->out) && list->text != NULL ? list->text : "{";
}

struct decimal decimal(int64_t value) {
  struct decimal out;
  snprintf(out.text, sizeof out.text, "%" PRId64, value);
  return out;
}
