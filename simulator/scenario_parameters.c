// The parameters of each kind of fault: one table of names, types, limits and defaults.
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/names.h"
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
};

static const char *const identity_hows[] = {"credential", "child", "topic", NULL};
static const char *const malformed_hows[] = {"random", "truncated", "oversized", NULL};
static const char *const bad_values_hows[] = {"nan", "infinity", "name", "long_name", "text", "twice", NULL};
static const char *const reboot_hows[] = {"clean", "hard", NULL};

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
    {"until", KIND(SLEEP), TYPE_NUMBER, AT(until), 0, 1e7, NULL},
    {"factor", KIND(FLOOD) | KIND(BIG) | KIND(TRAFFIC), TYPE_NUMBER, AT(factor), 0.001, 1e6, NULL},
    {"rate", KIND(FLOOD), TYPE_NUMBER, AT(rate), 0.001, 1e5, NULL},
    {"offset", KIND(CLOCK), TYPE_NUMBER, AT(offset), -century, century, NULL},
    {"offset", KIND(VALUE), TYPE_NUMBER, AT(offset), -1e300, 1e300, NULL},
    {"spike", KIND(VALUE), TYPE_NUMBER, AT(spike), -1e300, 1e300, NULL},
    {"interval", KIND(REBOOT), TYPE_NUMBER, AT(interval), 1, 1e7, NULL},
    {"down", KIND(REBOOT) | KIND(FIRMWARE), TYPE_NUMBER, AT(down), 0, 3600, NULL},
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
    {"metric", KIND(VALUE), TYPE_TEXT, AT(metric), 0, 0, NULL},
    {"how", KIND(WRONG_IDENTITY), TYPE_CHOICE, AT(how), 0, 0, identity_hows},
    {"how", KIND(MALFORMED), TYPE_CHOICE, AT(how), 0, 0, malformed_hows},
    {"how", KIND(BAD_VALUES), TYPE_CHOICE, AT(how), 0, 0, bad_values_hows},
    {"how", KIND(REBOOT), TYPE_CHOICE, AT(how), 0, 0, reboot_hows},
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
      return read_parameter(file, fault, p, value) == 0 ? 1 : -1;
    }
  }
  return 0;
}

void scenario_parameter_defaults(struct fault *fault) {
  fault->with = (struct fault_parameters){.reboot = true, .until = -1, .destinations = 1, .down = 2, .port = 4444, .one_in = 10};
  fault->with.count = fault->kind == FAULT_LOGIN_FAILURES ? 5 : 1;
}

static int check_address(struct scenario_file *file, const yaml_node_t *node, const char *field, const char *text) {
  unsigned char address[16];
  if (text != NULL && inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1) {
    return scenario_fail(file, node, field, "`%.40s` is not an IPv4 or IPv6 address", text);
  }
  return 0;
}

static int check_value(struct scenario_file *file, const struct fault_parameters *with, const yaml_node_t *node) {
  if (with->metric == NULL || !names_is_metric(with->metric)) {
    return scenario_fail(file, node, "metric", "is needed: 1 to 64 bytes of [a-z0-9._/-]");
  }
  if (!with->offset_given && with->spike == 0) {
    return scenario_fail(file, node, "offset", "one of `offset` and `spike` is needed");
  }
  return 0;
}

int scenario_parameter_check(struct scenario_file *file, struct fault *fault, const yaml_node_t *node) {
  struct fault_parameters *with = &fault->with;
  switch (fault->kind) {
  case FAULT_FLOOD:
    if (with->factor > 0 && with->rate > 0) {
      return scenario_fail(file, node, "rate", "give either `factor` or `rate`, not both");
    }
    with->factor = with->factor > 0 || with->rate > 0 ? with->factor : 20;
    return 0;
  case FAULT_BIG:
    if (with->factor > 0 && with->bytes > 0) {
      return scenario_fail(file, node, "bytes", "give either `factor` or `bytes`, not both");
    }
    with->factor = with->factor > 0 || with->bytes > 0 ? with->factor : 10;
    return 0;
  case FAULT_CLOCK:
    if (with->unset == with->offset_given) {
      return scenario_fail(file, node, "offset", "exactly one of `offset: SECONDS` and `unset: true` is needed");
    }
    return 0;
  case FAULT_MALFORMED: with->bytes = with->bytes > 0 ? with->bytes : with->how == MALFORMED_OVERSIZED ? 70000 : 200; return 0;
  case FAULT_TRAFFIC:
    with->factor = with->factor > 0 ? with->factor : 10;
    return check_address(file, node, "destination", with->destination);
  case FAULT_LOGIN_FAILURES: return check_address(file, node, "source", with->source);
  case FAULT_VALUE: return check_value(file, with, node);
  default: return 0;
  }
}

void scenario_parameters_free(struct fault_parameters *with) {
  free(with->claims);
  free(with->version);
  free(with->user);
  free(with->source);
  free(with->destination);
  free(with->metric);
}
