// Follows the feeds: takes committed batches in order, shows their rows to the detectors, commits the effects with the cursor.
// Every stored report is analysed exactly once: see storage/migrations/0004_analysis.sql and docs/architecture.md. The loop's
// thread only.
#ifndef VEDETTE_ANALYSIS_WORKER_H
#define VEDETTE_ANALYSIS_WORKER_H

#include "common/config.h"
#include "common/loop.h"

#include <stdbool.h>

struct worker;

struct worker_stats {
  uint64_t batches, reports, observations, alerts_raised, alerts_cleared; // by this process
  int64_t step;                                                           // last committed
  int64_t now;                                                            // event time, Unix microseconds
  size_t devices;
  bool connected, replaying;
};

struct worker *worker_new(struct loop *loop, const struct config *config);
void worker_free(struct worker *worker); // accepts NULL

// Writes a checkpoint, then calls `done` (after 5 s at the latest).
void worker_stop(struct worker *worker, loop_cb done, void *arg);

struct worker_stats worker_stats(const struct worker *worker);

#endif
