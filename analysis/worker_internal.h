// Shared by worker.c (the machine), worker_answers.c (what the store answers) and worker_analyse.c (a group, shown to the
// detectors).
#ifndef VEDETTE_ANALYSIS_WORKER_INTERNAL_H
#define VEDETTE_ANALYSIS_WORKER_INTERNAL_H

#include "analysis/clocks.h"
#include "analysis/cohorts.h"
#include "analysis/context.h"
#include "analysis/group.h"
#include "analysis/health.h"
#include "analysis/storms.h"
#include "analysis/worker.h"
#include "storage/feed.h"

enum phase { CLOSED, REGISTRY, START, REPLAY, REPLAY_ROWS, NEXT, REFRESH, ROWS, STRANGERS, COMMIT, IDLE };

struct worker {
  struct loop *loop;
  struct config_analysis config;
  struct link *link;
  struct event *timer;
  enum phase phase;
  struct fleet fleet;
  struct context context;
  struct health health;
  int64_t down_since;   // of the connection to the store, while it is down and until that was noted; wall clock, 0: it is up
  struct clock *clocks; // by feed
  struct group group;
  struct feed_registry registry;
  struct feed_start start;
  struct feed_batches batches;
  struct feed_rows rows;
  int64_t step;                          // last that is in memory
  int64_t committed;                     // last that is in the store
  int64_t refreshed_us, checkpointed_us; // steady clock
  bool with_checkpoint;                  // the commit that is under way has one
  bool stopping;
  loop_cb stopped;
  void *stopped_arg;
  struct worker_stats stats;
};

// Where the answers of the store go.
void answers_bind(struct worker *worker);

// Ingest may have learned of a device before us: what it sent must not pass unseen. False: the registry has to be read first.
bool worker_knows_all(const struct worker *worker);
// Shows the group to the detectors, batch by batch. False when memory ran out.
bool worker_analyse(struct worker *worker, bool replay);

#endif
