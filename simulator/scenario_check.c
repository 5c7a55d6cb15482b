// What the parameters of a kind are when not given, and whether those given go together.
#include <arpa/inet.h>

#include "simulator/names.h"
#include "simulator/scenario_file.h"

void scenario_parameter_defaults(struct fault *fault) {
  struct fault_parameters *with = &fault->with;
  *with = (struct fault_parameters){
      .reboot = true, .until = -1, .destinations = 1, .down = 2, .port = 4444, .one_in = 10, .count = 1};
  switch (fault->kind) {
  case FAULT_LOGIN_FAILURES: with->count = 5; break;
  case FAULT_UNPLUG: with->period = 86400; break;
  case FAULT_LOSS:
    with->share = 0.1;
    with->burst = 1;
    break;
  case FAULT_FLAP:
    with->interval = 10;
    with->down = 1;
    break;
  case FAULT_PACE: with->factor = 2; break;
  case FAULT_DRAIN: with->rate = 10; break;
  case FAULT_REJOIN: with->after = 5; break;
  default: break;
  }
}

static int check_address(struct scenario_file *file, const yaml_node_t *node, const char *field, const char *text) {
  unsigned char address[16];
  if (text != NULL && inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1) {
    return scenario_fail(file, node, field, "`%.40s` is not an IPv4 or IPv6 address", text);
  }
  return 0;
}

static int check_metric(struct scenario_file *file, const struct fault_parameters *with, const yaml_node_t *node) {
  return names_is_metric(with->metric) ? 0 : scenario_fail(file, node, "metric", "has to be 1 to 64 bytes of [a-z0-9._/-]");
}

static int check_value(struct scenario_file *file, const struct fault_parameters *with, const yaml_node_t *node) {
  if (with->metric == NULL) {
    return scenario_fail(file, node, "metric", "is missing");
  }
  if (check_metric(file, with, node) != 0) {
    return -1;
  }
  if (!with->offset_given && with->spike == 0) {
    return scenario_fail(file, node, "offset", "one of `offset` and `spike` is needed");
  }
  return 0;
}

// Nights that never end, or run into each other, would be none.
static int check_nights(struct scenario_file *file, const struct fault *fault, const yaml_node_t *node) {
  const struct fault_parameters *with = &fault->with;
  if (!with->nights) {
    return with->period_given ? scenario_fail(file, node, "period", "needs `nights: true`") : 0;
  }
  if (fault->duration < 0 || fault->duration >= with->period) {
    return scenario_fail(file, node, "duration", "has to be given with `nights: true`, and be below the `period` of %g s",
                         with->period);
  }
  return 0;
}

// Between two bursts there is at least one report that arrives, so short bursts cannot make up a large share.
static int check_loss(struct scenario_file *file, const struct fault_parameters *with, const yaml_node_t *node) {
  double most = with->burst / (1 + with->burst);
  if (with->share > most) {
    return scenario_fail(file, node, "share", "can be %.3g at most with bursts of %g; longer bursts are needed", most,
                         with->burst);
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
    if (with->unset + with->offset_given + with->drift_given != 1) {
      return scenario_fail(file, node, "offset", "exactly one of `offset: SECONDS`, `drift: PPM` and `unset: true` is needed");
    }
    return 0;
  case FAULT_MALFORMED: with->bytes = with->bytes > 0 ? with->bytes : with->how == MALFORMED_OVERSIZED ? 70000 : 200; return 0;
  case FAULT_TRAFFIC:
    with->factor = with->factor > 0 ? with->factor : 10;
    return check_address(file, node, "destination", with->destination);
  case FAULT_LOGIN_FAILURES: return check_address(file, node, "source", with->source);
  case FAULT_VALUE: return check_value(file, with, node);
  case FAULT_FROZEN: return with->metric != NULL ? check_metric(file, with, node) : 0;
  case FAULT_UNPLUG: return check_nights(file, fault, node);
  case FAULT_LOSS: return check_loss(file, with, node);
  case FAULT_FLAP:
    return with->down < with->interval ? 0 : scenario_fail(file, node, "down", "has to be below `every`, %g s", with->interval);
  default: return 0;
  }
}
