#include "common/document.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

bool document_refuse(struct document *document, size_t line, const char *field, const char *why, ...) {
  char reason[256];
  char at[32] = "";
  va_list args;
  va_start(args, why);
  vsnprintf(reason, sizeof reason, why, args);
  va_end(args);
  if (line > 0) {
    snprintf(at, sizeof at, ", line %zu", line);
  }
  snprintf(document->error, document->error_size, "%s%s: %s%s%s", document->path, at, field, field[0] ? ": " : "", reason);
  return false;
}

bool document_read(struct document *document, FILE *file) {
  yaml_parser_t parser;
  if (fseek(file, 0, SEEK_END) != 0 || ftell(file) > DOCUMENT_LIMIT || fseek(file, 0, SEEK_SET) != 0) {
    return document_refuse(document, 0, "", "is not a file of at most %d KiB", DOCUMENT_LIMIT / 1024);
  }
  if (!yaml_parser_initialize(&parser)) {
    return document_refuse(document, 0, "", "out of memory");
  }
  yaml_parser_set_input_file(&parser, file);
  bool ok = yaml_parser_load(&parser, &document->yaml) != 0;
  if (!ok) {
    document_refuse(document, parser.problem_mark.line + 1, "", "not YAML: %s", parser.problem ? parser.problem : "unreadable");
  }
  yaml_parser_delete(&parser);
  return ok;
}

size_t document_line(const yaml_node_t *node) {
  return node->start_mark.line + 1;
}

const char *document_scalar(const yaml_node_t *node) {
  return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

bool document_number(struct document *document, size_t line, const char *field, const char *text, bool whole, double least,
                     double most, double *out) {
  char *end = NULL;
  errno = 0;
  *out = strtod(text, &end);
  if (end == text || *end != '\0' || errno != 0 || !isfinite(*out)) {
    return document_refuse(document, line, field, "\"%.60s\" is not a number", text);
  }
  if (whole && *out != floor(*out)) {
    return document_refuse(document, line, field, "%.60s is not a whole number", text);
  }
  if (*out < least || *out > most) {
    return document_refuse(document, line, field, "%.60s is out of range: %.10g to %.10g", text, least, most);
  }
  return true;
}
