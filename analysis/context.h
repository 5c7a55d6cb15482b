// What surrounds the detectors while a batch is analysed: time, the fleet, and the effects they have. The loop's thread only.
#ifndef VEDETTE_ANALYSIS_CONTEXT_H
#define VEDETTE_ANALYSIS_CONTEXT_H

#include "analysis/fleet.h"

// One change that goes into the store with the step's commit.
enum effect_kind { EFFECT_RAISE, EFFECT_CLEAR, EFFECT_CONNECTIVITY };

struct effect {
  enum effect_kind kind;
  int32_t device;
  int64_t at;
  const char *name; // alert kind or connectivity state: a constant
  enum severity severity;
  char *sentence;    // or reason; owned
  char *explanation; // JSON, owned; NULL but for EFFECT_RAISE
};

struct context {
  const struct config_analysis *config;
  struct fleet *fleet;
  int64_t now, seeing_since, swept;
  bool suppressed; // replay: the effects are in the store already
  unsigned ranks;  // made since the last sweep
  struct effect *effects;
  size_t count, room;
};

// Shows an observation to the detectors of the devices it concerns.
void context_observe(struct context *context, const struct observation *observation);
// Advances time; detectors are asked at most once a second of event time.
void context_advance(struct context *context, int64_t now, int64_t seeing_since);
// Forgets the effects, after they are committed.
void context_settle(struct context *context);
void context_free(struct context *context);

const char *severity_name(enum severity severity);

#endif
