// What surrounds the detectors while a batch is analysed: time, the fleet, and the effects they have. The loop's thread only.
#ifndef VEDETTE_ANALYSIS_CONTEXT_H
#define VEDETTE_ANALYSIS_CONTEXT_H

#include "analysis/maintenance.h"

// One change that goes into the store with the step's commit.
enum effect_kind { EFFECT_RAISE, EFFECT_CLEAR, EFFECT_CONNECTIVITY, EFFECT_BLIND, EFFECT_COMPLETENESS };

struct effect {
  enum effect_kind kind;
  int32_t device;
  int64_t at;
  int64_t until;    // EFFECT_BLIND: its end; 0: it goes on
  const char *name; // alert kind, connectivity state, what is away (EFFECT_BLIND), why it is missing (_COMPLETENESS): a constant
  char *key;        // alerts of the system: which of this kind; owned, NULL: there is one of it
  enum severity severity;
  char *sentence;                    // or reason; owned
  char *explanation;                 // JSON, owned; NULL but for EFFECT_RAISE
  struct completeness_counts counts; // EFFECT_COMPLETENESS, of the hour that began at `at`
};

// After we were blind: how many of those who were heard before are heard again.
struct recovery {
  int64_t since; // when we saw again; 0: there is nothing to recover from, or it is over
  int64_t slot_at;
  int64_t waited_to;                 // receipt of the last that had waited; stays when it is over
  uint32_t expected, returned, slot; // `slot`: since slot_at
};

struct context {
  const struct config_analysis *config;
  struct fleet *fleet;
  int64_t now, seeing_since;
  int64_t saw, blind; // event time up to which we saw, 0: not yet; for how long we did not before seeing_since, 0: unknown
  int64_t second;     // event time's, in which the ranks were made
  struct recovery recovery;
  struct maintenance maintenance;
  bool suppressed;                  // replay: the effects are in the store already
  unsigned ranks;                   // made in this second
  struct cohorts *cohorts;          // NULL: they are not watched
  struct storms *storms;            // likewise
  struct fleet_alert *fleet_alerts; // that are live: analysis/fleet_alerts.h
  struct effect *effects;
  size_t count, room;
};

// Shows an observation to the detectors of the devices it concerns.
void context_observe(struct context *context, const struct observation *observation);
// Has all devices looked at when time advances next: after a start, when their states were loaded.
void context_resume(struct context *context);
// Advances time: the detectors of the devices that are due are asked.
void context_advance(struct context *context, int64_t now, int64_t seeing_since);
// Part of context_advance: notes when we see again, and when that is over (recovery.c).
void recovery_watch(struct context *context, int64_t seeing_since);
// Forgets the effects, after they are committed.
void context_settle(struct context *context);
// We are blind since `began`, up to `ended` (0: it goes on), for `away` is away: a constant.
void context_blind(struct context *context, int64_t began, int64_t ended, const char *away);
void context_free(struct context *context);
// Appends an effect; takes its strings over. An effect that memory does not hold ends the process: the step is not committed and
// is done again after the restart.
void context_effect(struct context *context, struct effect effect);
// A rank walks the fleet: only so many are made within a second of event time, and none in replay.
bool context_may_rank(struct context *context);
// As JSON; its values are given up. The caller frees it; NULL when memory ran out.
char *explanation_text(const struct explanation *explanation);

const char *severity_name(enum severity severity);

#endif
