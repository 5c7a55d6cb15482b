// Insides that the parts of the scenario reader share: access to the YAML document with errors that name file and line.
#ifndef VEDETTE_SIMULATOR_SCENARIO_FILE_H
#define VEDETTE_SIMULATOR_SCENARIO_FILE_H

#include <yaml.h>

#include "simulator/scenario.h"

struct scenario_file {
  yaml_document_t document;
  const char *path;
  const char *fault; // name of the fault that is being read, or NULL
  char *error;
  size_t error_size;
};

// Writes the error `<path>:<line>: [fault `name`: ][field `field`: ]<text>` unless there is one already. Always returns -1.
int scenario_fail(struct scenario_file *file, const yaml_node_t *at, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// The text of a scalar, or NULL when the node is no scalar.
const char *scenario_scalar(const yaml_node_t *node);

// Readers of one scalar: 0, or -1 with an error.
int scenario_number(struct scenario_file *file, const yaml_node_t *node, const char *field, double least, double most,
                    double *out);
int scenario_integer(struct scenario_file *file, const yaml_node_t *node, const char *field, double least, double most,
                     uint32_t *out);
int scenario_bool(struct scenario_file *file, const yaml_node_t *node, const char *field, bool *out);
int scenario_text(struct scenario_file *file, const yaml_node_t *node, const char *field, char **out);

// Calls `take` for each key of a mapping in turn; stops at the first -1. A key twice is an error.
typedef int scenario_take(struct scenario_file *file, const char *key, const yaml_node_t *value, void *context);
int scenario_mapping(struct scenario_file *file, const yaml_node_t *node, const char *field, scenario_take *take, void *context);

// Reads a list of names, a number, or a mapping of `devices`, in place of what `out` holds. 0, or -1 with an error.
int scenario_selection(struct scenario_file *file, const yaml_node_t *node, struct selection *out);
void scenario_selection_free(struct selection *selection);

// Takes `key` as a parameter of the fault's kind. 1: taken, 0: no parameter has this name, -1: error.
int scenario_parameter(struct scenario_file *file, struct fault *fault, const char *key, const yaml_node_t *value);

// Sets what a kind's parameters are when not given, before they are read.
void scenario_parameter_defaults(struct fault *fault);
// Checks parameters against each other after they are read.
int scenario_parameter_check(struct scenario_file *file, struct fault *fault, const yaml_node_t *node);
void scenario_parameters_free(struct fault_parameters *with);

// Finds a kind by name; -1: unknown. Writes the list of all kinds to `list` for the error text when it is not NULL.
int scenario_kind(const char *name);
void scenario_kind_list(char *list, size_t size);

#endif
