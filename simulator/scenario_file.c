// Access to the YAML document: scalars with their checks, mappings, errors with file and line.
#include "simulator/scenario_file.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int scenario_fail(struct scenario_file *file, const yaml_node_t *at, const char *field, const char *format, ...) {
  if (file->error[0] != '\0') {
    return -1;
  }
  char *out = file->error;
  size_t left = file->error_size;
  size_t line = at != NULL ? at->start_mark.line + 1 : 1;
  int used = snprintf(out, left, "%s:%zu: ", file->path, line);
  for (int part = 0; part < 3 && used >= 0 && (size_t)used < left; part++) {
    out += used;
    left -= (size_t)used;
    used = 0;
    if (part == 0 && file->fault != NULL) {
      used = snprintf(out, left, "fault `%.60s`: ", file->fault);
    } else if (part == 1 && field != NULL) {
      used = snprintf(out, left, "field `%.60s`: ", field);
    } else if (part == 2) {
      va_list args;
      va_start(args, format);
      used = vsnprintf(out, left, format, args);
      va_end(args);
    }
  }
  return -1;
}

const char *scenario_scalar(const yaml_node_t *node) {
  return node != NULL && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static int parse_number(const char *text, double *out) {
  char *end = NULL;
  *out = text != NULL ? strtod(text, &end) : 0;
  return text == NULL || end == text || *end != '\0' || !isfinite(*out) ? -1 : 0;
}

int scenario_number(struct scenario_file *file, const yaml_node_t *node, const char *field, double least, double most,
                    double *out) {
  const char *text = scenario_scalar(node);
  if (parse_number(text, out) != 0 || *out < least || *out > most) {
    return scenario_fail(file, node, field, "has to be a number from %.15g to %.15g, not `%.40s`", least, most,
                         text != NULL ? text : "a list or mapping");
  }
  return 0;
}

int scenario_integer(struct scenario_file *file, const yaml_node_t *node, const char *field, double least, double most,
                     uint32_t *out) {
  const char *text = scenario_scalar(node);
  double number = 0;
  if (parse_number(text, &number) != 0 || number != floor(number) || number < least || number > most) {
    return scenario_fail(file, node, field, "has to be a whole number from %.15g to %.15g, not `%.40s`", least, most,
                         text != NULL ? text : "a list or mapping");
  }
  *out = (uint32_t)number;
  return 0;
}

int scenario_bool(struct scenario_file *file, const yaml_node_t *node, const char *field, bool *out) {
  const char *text = scenario_scalar(node);
  if (text != NULL && (strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0)) {
    *out = true;
    return 0;
  }
  if (text != NULL && (strcasecmp(text, "false") == 0 || strcasecmp(text, "no") == 0)) {
    *out = false;
    return 0;
  }
  return scenario_fail(file, node, field, "has to be true or false");
}

int scenario_text(struct scenario_file *file, const yaml_node_t *node, const char *field, char **out) {
  const char *text = scenario_scalar(node);
  if (text == NULL || *text == '\0' || strlen(text) > 128) {
    return scenario_fail(file, node, field, "has to be a text of 1 to 128 bytes");
  }
  free(*out);
  *out = strdup(text);
  return *out != NULL ? 0 : scenario_fail(file, node, field, "out of memory");
}

static bool key_before(struct scenario_file *file, const yaml_node_t *node, const yaml_node_pair_t *at, const char *key) {
  for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < at; pair++) {
    const char *other = scenario_scalar(yaml_document_get_node(&file->document, pair->key));
    if (other != NULL && strcmp(other, key) == 0) {
      return true;
    }
  }
  return false;
}

int scenario_mapping(struct scenario_file *file, const yaml_node_t *node, const char *field, scenario_take *take, void *context) {
  if (node == NULL || node->type != YAML_MAPPING_NODE) {
    return scenario_fail(file, node, field, "has to be a mapping (`key: value` lines)");
  }
  for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
    const yaml_node_t *key_node = yaml_document_get_node(&file->document, pair->key);
    const char *key = scenario_scalar(key_node);
    if (key == NULL || key_before(file, node, pair, key)) {
      return scenario_fail(file, key_node, key, key == NULL ? "a key has to be a plain word" : "is there twice");
    }
    if (take(file, key, yaml_document_get_node(&file->document, pair->value), context) != 0) {
      return scenario_fail(file, key_node, key, "is no field that is known here");
    }
  }
  return 0;
}
