// What can be raised, and which faults of the simulator it stands for. The only place that knows.
#ifndef VEDETTE_ANALYSIS_EVAL_KINDS_H
#define VEDETTE_ANALYSIS_EVAL_KINDS_H

#include <stdbool.h>
#include <stddef.h>

// Where raises of a kind are read.
enum kind_source {
  KIND_ALERT, // vedette.alert.kind
  KIND_STATE, // vedette.connectivity_change.state: each change to it is a raise
  KIND_SAID   // as KIND_STATE, but the device says so itself: never false
};

struct kind {
  const char *name;
  enum kind_source source;
};

extern const struct kind kinds[];
extern const size_t kinds_count;

// The kind of that name; NULL for one that this program does not know (which is then an alert's).
const struct kind *kind_find(const char *name);

enum { EXPECTED_MOST = 2 };

// What a fault of the simulator has to be found by.
struct expectation {
  const char *fault;                // its kind in a scenario
  const char *kinds[EXPECTED_MOST]; // any of them will do; NULL after the last
  bool unsure;                      // it depends on parameters that the truth does not tell: missed, it is not judged
};

// NULL where nothing is expected: the fault is not judged.
const struct expectation *expectation_find(const char *fault);

#endif
