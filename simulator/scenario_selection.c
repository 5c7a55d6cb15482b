// Reads which devices a fault is for.
#include <stdlib.h>
#include <string.h>

#include "simulator/scenario_file.h"

static int read_names(struct scenario_file *file, const yaml_node_t *node, struct selection *out) {
  size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
  out->by = SELECT_NAMES;
  out->names = calloc(count + 1, sizeof *out->names);
  if (out->names == NULL || count == 0) {
    return scenario_fail(file, node, "devices", count == 0 ? "the list is empty" : "out of memory");
  }
  for (size_t i = 0; i < count; i++) {
    const yaml_node_t *item = yaml_document_get_node(&file->document, node->data.sequence.items.start[i]);
    if (scenario_text(file, item, "devices", &out->names[i]) != 0) {
      return -1;
    }
    out->name_count++;
  }
  return 0;
}

static int take_selection(struct scenario_file *file, const char *key, const yaml_node_t *value, void *context) {
  struct selection *out = context;
  bool how = strcmp(key, "count") == 0 || strcmp(key, "every") == 0 || strcmp(key, "share") == 0;
  if (how && out->by != SELECT_NONE) {
    return scenario_fail(file, value, "devices", "give only one of `count`, `every` and `share`");
  }
  if (strcmp(key, "count") == 0 || strcmp(key, "every") == 0) {
    out->by = key[0] == 'c' ? SELECT_COUNT : SELECT_EVERY;
    return scenario_integer(file, value, key, 1, 1e6, &out->count);
  }
  if (strcmp(key, "share") == 0) {
    out->by = SELECT_SHARE;
    return scenario_number(file, value, key, 1e-6, 1, &out->share);
  }
  if (strcmp(key, "model") == 0) {
    return scenario_text(file, value, key, &out->model);
  }
  if (strcmp(key, "region") == 0) {
    return scenario_text(file, value, key, &out->region);
  }
  if (strcmp(key, "firmware") == 0) {
    return scenario_text(file, value, key, &out->firmware);
  }
  return strcmp(key, "site") == 0 ? scenario_text(file, value, key, &out->site) : -1;
}

void scenario_selection_free(struct selection *selection) {
  for (size_t i = 0; i < selection->name_count; i++) {
    free(selection->names[i]);
  }
  free(selection->names);
  free(selection->model);
  free(selection->region);
  free(selection->site);
  free(selection->firmware);
  *selection = (struct selection){0};
}

int scenario_selection(struct scenario_file *file, const yaml_node_t *node, struct selection *out) {
  scenario_selection_free(out);
  if (node->type == YAML_SEQUENCE_NODE) {
    return read_names(file, node, out);
  }
  if (node->type == YAML_SCALAR_NODE) {
    out->by = SELECT_COUNT;
    return scenario_integer(file, node, "devices", 1, 1e6, &out->count);
  }
  int rc = scenario_mapping(file, node, "devices", take_selection, out);
  if (rc == 0 && out->by == SELECT_NONE) {
    out->by = SELECT_SHARE; // only filters: all that match
    out->share = 1;
  }
  return rc;
}
