#include "analysis/eval/kinds.h"

#include <string.h>

const struct kind kinds[] = {
    {"silent", KIND_STATE},          {"link lost", KIND_STATE},         {"asleep", KIND_SAID},
    {"frozen", KIND_STATE},          {"flapping", KIND_STATE},          {"cohort silent", KIND_ALERT},
    {"blind", KIND_ALERT},           {"reboot loop", KIND_ALERT},       {"partial loss", KIND_ALERT},
    {"never seen", KIND_ALERT},      {"did not return", KIND_ALERT},    {"reconnect storm", KIND_ALERT},
    {"clock", KIND_ALERT},           {"battery", KIND_ALERT},           {"message rate", KIND_ALERT},
    {"message volume", KIND_ALERT},  {"identity mismatch", KIND_ALERT}, {"malformed burst", KIND_ALERT},
    {"messages shed", KIND_ALERT},   {"login failures", KIND_ALERT},    {"firmware not released", KIND_ALERT},
    {"records lost", KIND_ALERT},    {"rows missing", KIND_ALERT},      {"bytes out", KIND_ALERT},
    {"bytes in", KIND_ALERT},        {"packets out", KIND_ALERT},       {"packets in", KIND_ALERT},
    {"connections", KIND_ALERT},     {"destinations", KIND_ALERT},      {"value", KIND_ALERT},
    {"listening ports", KIND_ALERT},
};
const size_t kinds_count = sizeof kinds / sizeof kinds[0];

// A crash is found by its last will or, where that is lost, by silence. Without a reboot interval a restart is nothing to raise,
// and who wakes when they said they would is not silent; both only the scenario knows.
static const struct expectation expectations[] = {
    {"silence", {"silent", NULL}, false},
    {"crash", {"link lost", "silent"}, false},
    {"unplug", {"silent", "link lost"}, false},
    {"sleep", {"silent", NULL}, true},
    {"reboot", {"reboot loop", "flapping"}, true},
    {"flap", {"flapping", NULL}, false},
    {"frozen", {"frozen", NULL}, false},
    {"loss", {"partial loss", NULL}, false},
    {"flood", {"message rate", "message volume"}, false},
    {"big", {"message volume", NULL}, false},
    {"clock", {"clock", NULL}, false},
    {"drift", {"clock", NULL}, false},
    {"drain", {"battery", NULL}, false},
    {"wrong_identity", {"identity mismatch", NULL}, false},
    {"malformed", {"malformed burst", NULL}, false},
    {"bad_values", {"malformed burst", NULL}, false},
    {"firmware", {"firmware not released", NULL}, false}, // known: false, the default
    {"login_failures", {"login failures", NULL}, false},
    {"traffic", {"bytes out", "destinations"}, true}, // not in a device's first day
};

const struct kind *kind_find(const char *name) {
  for (size_t i = 0; i < kinds_count; i++) {
    if (strcmp(kinds[i].name, name) == 0) {
      return &kinds[i];
    }
  }
  return NULL;
}

const struct expectation *expectation_find(const char *fault) {
  for (size_t i = 0; i < sizeof expectations / sizeof expectations[0]; i++) {
    if (strcmp(expectations[i].fault, fault) == 0) {
      return &expectations[i];
    }
  }
  return NULL;
}
