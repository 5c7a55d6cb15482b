// The parameters of each kind of fault: one table of names, types and limits.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/scenario_file.h"

static const char *const kind_names[FAULT_KINDS] = {
    [FAULT_SILENCE] = "silence",
    [FAULT_CRASH] = "crash",
    [FAULT_SLEEP] = "sleep",
    [FAULT_FLOOD] = "flood",
    [FAULT_BIG] = "big",
    [FAULT_WRONG_IDENTITY] = "wrong_identity",
    [FAULT_MALFORMED] = "malformed",
    [FAULT_BAD_VALUES] = "bad_values",
    [FAULT_CLOCK] = "clock",
    [FAULT_FIRMWARE] = "firmware",
    [FAULT_LOGIN_FAILURES] = "login_failures",
    [FAULT_TRAFFIC] = "traffic",
    [FAULT_REBOOT] = "reboot",
    [FAULT_DUPLICATE] = "duplicate",
    [FAULT_VALUE] = "value",
    [FAULT_UNPLUG] = "unplug",
    [FAULT_LOSS] = "loss",
    [FAULT_FROZEN] = "frozen",
    [FAULT_FLAP] = "flap",
    [FAULT_PACE] = "pace",
    [FAULT_DRAIN] = "drain",
    [FAULT_REJOIN] = "rejoin",
};

static const char *const identity_hows[] = {"credential", "child", "topic", NULL};
static const char *const malformed_hows[] = {"random", "truncated", "oversized", NULL};
static const char *const bad_values_hows[] = {"nan", "infinity", "name", "long_name", "text", "twice", NULL};
static const char *const reboot_hows[] = {"clean", "hard", NULL};
static const char *const unplug_hows[] = {"power", "goodbye", NULL};

enum parameter_type { TYPE_NUMBER, TYPE_INTEGER, TYPE_BOOL, TYPE_TEXT, TYPE_CHOICE };

struct parameter {
  const char *name;
  unsigned kinds; // bit mask of fault_kind
  enum parameter_type type;
  size_t offset; // in struct fault_parameters
  double least;
  double most;
  const char *const *choices;
};

#define KIND(kind) (1U << FAULT_##kind)
#define AT(field) offsetof(struct fault_parameters, field)
static const double century = 3.2e9; // seconds

static const struct parameter parameters[] = {
    {"reboot", KIND(CRASH) | KIND(FIRMWARE), TYPE_BOOL, AT(reboot), 0, 0, NULL},
    {"known", KIND(FIRMWARE), TYPE_BOOL, AT(known), 0, 0, NULL},
    {"unset", KIND(CLOCK), TYPE_BOOL, AT(unset), 0, 0, NULL},
    {"instead", KIND(WRONG_IDENTITY) | KIND(MALFORMED), TYPE_BOOL, AT(instead), 0, 0, NULL},
    {"nights", KIND(UNPLUG), TYPE_BOOL, AT(nights), 0, 0, NULL},
    {"announce", KIND(PACE), TYPE_BOOL, AT(announce), 0, 0, NULL},
    {"jitter", KIND(REJOIN), TYPE_BOOL, AT(jitter), 0, 0, NULL},
    {"until", KIND(SLEEP), TYPE_NUMBER, AT(until), 0, 1e7, NULL},
    {"factor", KIND(FLOOD) | KIND(BIG) | KIND(TRAFFIC), TYPE_NUMBER, AT(factor), 0.001, 1e6, NULL},
    {"factor", KIND(PACE), TYPE_NUMBER, AT(factor), 0.01, 100, NULL},
    {"rate", KIND(FLOOD), TYPE_NUMBER, AT(rate), 0.001, 1e5, NULL},
    {"rate", KIND(DRAIN), TYPE_NUMBER, AT(rate), 0.001, 1e6, NULL},
    {"offset", KIND(CLOCK), TYPE_NUMBER, AT(offset), -century, century, NULL},
    {"drift", KIND(CLOCK), TYPE_NUMBER, AT(drift), -500000, 500000, NULL}, // from half as fast to half as fast again
    {"offset", KIND(VALUE), TYPE_NUMBER, AT(offset), -1e300, 1e300, NULL},
    {"spike", KIND(VALUE), TYPE_NUMBER, AT(spike), -1e300, 1e300, NULL},
    {"interval", KIND(REBOOT), TYPE_NUMBER, AT(interval), 1, 1e7, NULL},
    {"every", KIND(FLAP), TYPE_NUMBER, AT(interval), 0.1, 1e6, NULL},
    {"down", KIND(REBOOT) | KIND(FIRMWARE) | KIND(FLAP), TYPE_NUMBER, AT(down), 0, 3600, NULL},
    {"period", KIND(UNPLUG), TYPE_NUMBER, AT(period), 1, 1e7, NULL},
    {"share", KIND(LOSS), TYPE_NUMBER, AT(share), 1e-6, 0.99, NULL},
    {"burst", KIND(LOSS), TYPE_NUMBER, AT(burst), 1, 1e4, NULL},
    {"after", KIND(REJOIN), TYPE_NUMBER, AT(after), 0.01, 3600, NULL},
    {"destinations", KIND(TRAFFIC), TYPE_NUMBER, AT(destinations), 0, 1e6, NULL},
    {"count", KIND(MALFORMED) | KIND(WRONG_IDENTITY), TYPE_INTEGER, AT(count), 1, 16, NULL},
    {"count", KIND(LOGIN_FAILURES), TYPE_INTEGER, AT(count), 1, 1e6, NULL},
    {"copies", KIND(DUPLICATE), TYPE_INTEGER, AT(count), 1, 16, NULL},
    {"bytes", KIND(BIG), TYPE_INTEGER, AT(bytes), 100, 65000, NULL},
    {"bytes", KIND(MALFORMED), TYPE_INTEGER, AT(bytes), 1, 130000, NULL},
    {"port", KIND(TRAFFIC), TYPE_INTEGER, AT(port), 1, 65535, NULL},
    {"listen", KIND(TRAFFIC), TYPE_INTEGER, AT(listen), 1, 65535, NULL},
    {"one_in", KIND(VALUE), TYPE_INTEGER, AT(one_in), 1, 1e6, NULL},
    {"claims", KIND(WRONG_IDENTITY), TYPE_TEXT, AT(claims), 0, 0, NULL},
    {"version", KIND(FIRMWARE), TYPE_TEXT, AT(version), 0, 0, NULL},
    {"user", KIND(LOGIN_FAILURES), TYPE_TEXT, AT(user), 0, 0, NULL},
    {"source", KIND(LOGIN_FAILURES), TYPE_TEXT, AT(source), 0, 0, NULL},
    {"destination", KIND(TRAFFIC), TYPE_TEXT, AT(destination), 0, 0, NULL},
    {"metric", KIND(VALUE) | KIND(FROZEN), TYPE_TEXT, AT(metric), 0, 0, NULL},
    {"how", KIND(WRONG_IDENTITY), TYPE_CHOICE, AT(how), 0, 0, identity_hows},
    {"how", KIND(MALFORMED), TYPE_CHOICE, AT(how), 0, 0, malformed_hows},
    {"how", KIND(BAD_VALUES), TYPE_CHOICE, AT(how), 0, 0, bad_values_hows},
    {"how", KIND(REBOOT), TYPE_CHOICE, AT(how), 0, 0, reboot_hows},
    {"how", KIND(UNPLUG), TYPE_CHOICE, AT(how), 0, 0, unplug_hows},
};

const char *fault_kind_name(enum fault_kind kind) {
  return kind_names[kind];
}

int scenario_kind(const char *name) {
  for (int i = 0; i < FAULT_KINDS; i++) {
    if (strcmp(kind_names[i], name) == 0) {
      return i;
    }
  }
  return -1;
}

void scenario_kind_list(char *list, size_t size) {
  size_t used = 0;
  list[0] = '\0';
  for (int i = 0; i < FAULT_KINDS && used < size; i++) {
    int more = snprintf(list + used, size - used, "%s%s", i > 0 ? ", " : "", kind_names[i]);
    used += more > 0 ? (size_t)more : 0;
  }
}

static int choose(struct scenario_file *file, const yaml_node_t *node, const struct parameter *parameter, uint32_t *out) {
  char list[128] = "";
  const char *text = scenario_scalar(node);
  for (uint32_t i = 0; parameter->choices[i] != NULL; i++) {
    if (text != NULL && strcmp(text, parameter->choices[i]) == 0) {
      *out = i;
      return 0;
    }
    size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", parameter->choices[i]);
  }
  return scenario_fail(file, node, parameter->name, "has to be one of %s", list);
}

static int read_parameter(struct scenario_file *file, struct fault *fault, const struct parameter *p, const yaml_node_t *node) {
  void *target = (char *)&fault->with + p->offset;
  switch (p->type) {
  case TYPE_NUMBER: return scenario_number(file, node, p->name, p->least, p->most, target);
  case TYPE_INTEGER: return scenario_integer(file, node, p->name, p->least, p->most, target);
  case TYPE_BOOL: return scenario_bool(file, node, p->name, target);
  case TYPE_TEXT: return scenario_text(file, node, p->name, target);
  case TYPE_CHOICE: return choose(file, node, p, target);
  }
  return -1;
}

int scenario_parameter(struct scenario_file *file, struct fault *fault, const char *key, const yaml_node_t *value) {
  for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
    const struct parameter *p = &parameters[i];
    if (strcmp(p->name, key) == 0 && (p->kinds & 1U << fault->kind) != 0) {
      fault->with.offset_given = fault->with.offset_given || p->offset == AT(offset);
      fault->with.drift_given = fault->with.drift_given || p->offset == AT(drift);
      fault->with.period_given = fault->with.period_given || p->offset == AT(period);
      return read_parameter(file, fault, p, value) == 0 ? 1 : -1;
    }
  }
  return 0;
}

void scenario_parameters_free(struct fault_parameters *with) {
  free(with->claims);
  free(with->version);
  free(with->user);
  free(with->source);
  free(with->destination);
  free(with->metric);
}
