// Reads a scenario file: faults with their times.
#include "simulator/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/scenario_file.h"

static const double longest = 1e7; // seconds: some 115 days
static const size_t longest_kind = 64;

struct reading {
  struct scenario *scenario;
  const yaml_node_t *faults;
  const yaml_node_t *defaults;
  bool version;
};

// What `defaults` may hold, and every fault.
static int take_common(struct scenario_file *file, const char *key, const yaml_node_t *value, struct fault *fault) {
  if (strcmp(key, "start") == 0) {
    return scenario_number(file, value, key, 0, longest, &fault->start) == 0 ? 1 : -1;
  }
  if (strcmp(key, "duration") == 0) {
    return scenario_number(file, value, key, 0, longest, &fault->duration) == 0 ? 1 : -1;
  }
  if (strcmp(key, "spread") == 0) {
    return scenario_number(file, value, key, 0, longest, &fault->spread) == 0 ? 1 : -1;
  }
  if (strcmp(key, "devices") == 0) {
    return scenario_selection(file, value, &fault->devices) == 0 ? 1 : -1;
  }
  return 0;
}

static int take_default(struct scenario_file *file, const char *key, const yaml_node_t *value, void *context) {
  return take_common(file, key, value, context) == 1 ? 0 : -1;
}

// What the truth says that ought to come of it. The kinds of alerts are not this program's matter, so any such name will do.
static int take_expected(struct scenario_file *file, const yaml_node_t *value, struct fault *fault) {
  if (scenario_text(file, value, "expect", &fault->expect) != 0) {
    return -1;
  }
  size_t length = strlen(fault->expect);
  if (length > longest_kind || strspn(fault->expect, "abcdefghijklmnopqrstuvwxyz0123456789 _-") != length) {
    return scenario_fail(file, value, "expect", "has to be a kind of alert, or `none`: 1 to %zu bytes of [a-z0-9 _-]",
                         longest_kind);
  }
  return 0;
}

static int take_fault(struct scenario_file *file, const char *key, const yaml_node_t *value, void *context) {
  struct fault *fault = context;
  if (strcmp(key, "name") == 0 || strcmp(key, "kind") == 0) {
    return 0; // read beforehand, the others depend on them
  }
  if (strcmp(key, "expect") == 0) {
    return take_expected(file, value, fault);
  }
  int taken = take_common(file, key, value, fault);
  if (taken == 0) {
    taken = scenario_parameter(file, fault, key, value);
  }
  if (taken == 0) {
    return scenario_fail(file, value, key, "is no field of a fault of kind `%s`", fault_kind_name(fault->kind));
  }
  return taken == 1 ? 0 : -1;
}

static const yaml_node_t *field_of(struct scenario_file *file, const yaml_node_t *node, const char *key) {
  for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
    const char *name = scenario_scalar(yaml_document_get_node(&file->document, pair->key));
    if (name != NULL && strcmp(name, key) == 0) {
      return yaml_document_get_node(&file->document, pair->value);
    }
  }
  return NULL;
}

static int read_name_and_kind(struct scenario_file *file, const yaml_node_t *node, struct fault *fault) {
  const yaml_node_t *name = field_of(file, node, "name");
  const yaml_node_t *kind = field_of(file, node, "kind");
  if (name == NULL) {
    return scenario_fail(file, node, "name", "is missing");
  }
  if (scenario_text(file, name, "name", &fault->name) != 0) {
    return -1;
  }
  file->fault = fault->name;
  const char *text = scenario_scalar(kind);
  int number = text != NULL ? scenario_kind(text) : -1;
  if (number < 0) {
    char list[320];
    scenario_kind_list(list, sizeof list);
    return scenario_fail(file, kind != NULL ? kind : node, "kind", "has to be one of %s", list);
  }
  fault->kind = (enum fault_kind)number;
  return 0;
}

static int read_fault(struct scenario_file *file, const yaml_node_t *node, const struct reading *reading, struct fault *fault) {
  if (node->type != YAML_MAPPING_NODE) {
    return scenario_fail(file, node, "faults", "each fault has to be a mapping (`- name: …`)");
  }
  fault->line = (int)node->start_mark.line + 1;
  fault->start = -1;
  fault->duration = -1;
  if (read_name_and_kind(file, node, fault) != 0) {
    return -1;
  }
  scenario_parameter_defaults(fault);
  file->fault = NULL;
  if (reading->defaults != NULL && scenario_mapping(file, reading->defaults, "defaults", take_default, fault) != 0) {
    return -1;
  }
  file->fault = fault->name;
  if (scenario_mapping(file, node, NULL, take_fault, fault) != 0) {
    return -1;
  }
  if (fault->devices.by == SELECT_NONE || fault->start < 0) {
    return scenario_fail(file, node, fault->start < 0 ? "start" : "devices", "is missing");
  }
  return scenario_parameter_check(file, fault, node);
}

// Line of an earlier fault with the same name; 0: there is none.
static int named_before(const struct scenario *scenario, size_t index) {
  const char *name = scenario->faults[index].name;
  for (size_t i = 0; name != NULL && i < index; i++) {
    const char *other = scenario->faults[i].name;
    if (other != NULL && strcmp(other, name) == 0) {
      return scenario->faults[i].line;
    }
  }
  return 0;
}

static int read_faults(struct scenario_file *file, const struct reading *reading) {
  const yaml_node_t *node = reading->faults;
  struct scenario *scenario = reading->scenario;
  if (node == NULL || node->type != YAML_SEQUENCE_NODE) {
    return scenario_fail(file, node, "faults", "is needed and has to be a list");
  }
  size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
  scenario->faults = calloc(count + 1, sizeof *scenario->faults);
  if (scenario->faults == NULL) {
    return scenario_fail(file, node, "faults", "out of memory");
  }
  for (size_t i = 0; i < count; i++) {
    const yaml_node_t *item = yaml_document_get_node(&file->document, node->data.sequence.items.start[i]);
    scenario->fault_count++;
    if (read_fault(file, item, reading, &scenario->faults[i]) != 0) {
      return -1;
    }
    int line = named_before(scenario, i);
    if (line != 0) {
      return scenario_fail(file, item, "name", "another fault (line %d) has this name", line);
    }
    file->fault = NULL;
  }
  return 0;
}

static int take_top(struct scenario_file *file, const char *key, const yaml_node_t *value, void *context) {
  struct reading *reading = context;
  uint32_t version = 0;
  if (strcmp(key, "version") == 0) {
    reading->version = true;
    return scenario_integer(file, value, key, 1, 1, &version);
  }
  if (strcmp(key, "from") == 0) {
    const char *text = scenario_scalar(value);
    bool start = text != NULL && strcmp(text, "start") == 0;
    if (!start && (text == NULL || strcmp(text, "connected") != 0)) {
      return scenario_fail(file, value, key, "has to be `connected` or `start`");
    }
    reading->scenario->from_start = start;
    return 0;
  }
  if (strcmp(key, "defaults") == 0) {
    reading->defaults = value;
    return 0;
  }
  if (strcmp(key, "faults") == 0) {
    reading->faults = value;
    return 0;
  }
  return -1;
}

static int read_document(struct scenario_file *file, struct scenario *scenario) {
  struct reading reading = {.scenario = scenario};
  const yaml_node_t *root = yaml_document_get_root_node(&file->document);
  if (root == NULL) {
    return scenario_fail(file, NULL, NULL, "the file is empty; `version: 1` and `faults:` are needed");
  }
  if (scenario_mapping(file, root, NULL, take_top, &reading) != 0) {
    return -1;
  }
  if (!reading.version) {
    return scenario_fail(file, root, "version", "is missing; this language is `version: 1`");
  }
  return read_faults(file, &reading);
}

static int parse(struct scenario_file *file, struct scenario *scenario, FILE *stream) {
  yaml_parser_t parser;
  int rc = -1;
  if (!yaml_parser_initialize(&parser)) {
    snprintf(file->error, file->error_size, "%s: out of memory", file->path);
    return -1;
  }
  yaml_parser_set_input_file(&parser, stream);
  if (!yaml_parser_load(&parser, &file->document)) {
    snprintf(file->error, file->error_size, "%s:%zu: not YAML: %s", file->path, parser.problem_mark.line + 1,
             parser.problem != NULL ? parser.problem : "cannot be read");
  } else {
    rc = read_document(file, scenario);
    yaml_document_delete(&file->document);
  }
  yaml_parser_delete(&parser);
  return rc;
}

struct scenario *scenario_load(const char *path, char *error, size_t error_size) {
  struct scenario *scenario = calloc(1, sizeof *scenario);
  FILE *stream = fopen(path, "re");
  struct scenario_file file = {.path = path, .error = error, .error_size = error_size};
  int rc = -1;
  error[0] = '\0';
  if (stream == NULL) {
    snprintf(error, error_size, "%s: cannot be read: %s", path, strerror(errno));
  } else if (scenario == NULL || (scenario->path = strdup(path)) == NULL) {
    snprintf(error, error_size, "%s: out of memory", path);
  } else {
    rc = parse(&file, scenario, stream);
  }
  if (stream != NULL) {
    (void)fclose(stream); // read only: nothing can be lost
  }
  if (rc != 0) {
    scenario_free(scenario);
    return NULL;
  }
  return scenario;
}

void scenario_free(struct scenario *scenario) {
  if (scenario == NULL) {
    return;
  }
  for (size_t i = 0; i < scenario->fault_count; i++) {
    free(scenario->faults[i].name);
    free(scenario->faults[i].expect);
    scenario_selection_free(&scenario->faults[i].devices);
    scenario_parameters_free(&scenario->faults[i].with);
  }
  free(scenario->faults);
  free(scenario->path);
  free(scenario);
}
