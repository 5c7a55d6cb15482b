// The worker is a machine of phases:
//
//   CLOSED → REGISTRY → START → REPLAY ⇄ REPLAY_ROWS → NEXT → ROWS → COMMIT → NEXT … ; REFRESH now and then,
//   STRANGERS after ROWS where a device was registered since
//
// When the connection is lost, or a commit fails, everything in memory is thrown away: states are loaded from the checkpoint
// again and the batches analysed since are run again in the recorded order, their effects suppressed.
#include "analysis/worker_internal.h"

#include "analysis/commit.h"
#include "analysis/fleet_alerts.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANE = 0, REFRESH_MS = 2000, RETRY_MS = 1000, STOP_MS = 5000 };

static void proceed(struct worker *worker);

static void wait_for(struct worker *worker, uint32_t ms) {
  struct timeval wait = loop_ms(ms);
  event_add(worker->timer, &wait);
}

// --- committing

static struct script *build_commit(struct worker *worker) {
  int64_t now = clock_steady_us();
  worker->with_checkpoint = worker->stopping || worker->context.maintenance.result ||
                            now - worker->checkpointed_us > (int64_t)worker->config.checkpoint_s * 1000000;
  for (size_t i = 0; i < worker->context.count; i++) {
    worker->stats.alerts_raised += worker->context.effects[i].kind == EFFECT_RAISE;
    worker->stats.alerts_cleared += worker->context.effects[i].kind == EFFECT_CLEAR;
  }
  return commit_script(worker->registry.erasure, LANE, worker->step, &worker->group, &worker->context, worker->clocks,
                       worker->with_checkpoint);
}

// --- the machine

static void forget(struct worker *worker) {
  clocks_clear(&worker->clocks);
  context_settle(&worker->context);
  fleet_alerts_forget(&worker->context);
  maintenance_forget(&worker->context);
  worker->context.now = worker->context.seeing_since = worker->context.second = 0;
  worker->context.saw = worker->context.blind = 0;
  worker->context.recovery = (struct recovery){0};
  worker->health = (struct health){0};
  cohorts_recount(worker->context.cohorts, true);
  storms_forget(worker->context.storms);
  fleet_clear(&worker->fleet);
  group_reset(&worker->group);
}

static void on_done(const struct link_result *result, void *arg);

static void run(struct worker *worker, enum phase phase, struct script *script) {
  worker->phase = phase;
  if (!link_run(worker->link, script, on_done, worker)) {
    log_error("a script cannot be run; trying again", "phase=%d", (int)phase);
    worker->phase = CLOSED;
    wait_for(worker, RETRY_MS);
  }
}

// Everything from the start: the registry, the checkpoint, the replay.
static void begin(struct worker *worker) {
  forget(worker);
  snprintf(worker->registry.snapshot, sizeof worker->registry.snapshot, "0");
  worker->registry.metrics = 0;
  run(worker, REGISTRY, feed_registry(&worker->registry));
}

static void ask_rows(struct worker *worker, enum phase phase) {
  if (!group_has_rows(&worker->group)) {
    worker->phase = phase;
    proceed(worker);
    return;
  }
  struct list *keys = group_keys(&worker->group);
  worker->rows.levels = worker->registry.batteries;
  run(worker, phase, keys ? feed_rows(keys, &worker->rows) : NULL);
  list_free(keys);
}

static void ask_next(struct worker *worker) {
  int64_t now = clock_steady_us();
  group_reset(&worker->group);
  if (now - worker->refreshed_us > (int64_t)REFRESH_MS * 1000) {
    run(worker, REFRESH, feed_registry(&worker->registry));
  } else if (worker->stopping) {
    run(worker, COMMIT, build_commit(worker));
  } else {
    run(worker, NEXT, feed_next(LANE, GROUP_BATCHES, &worker->batches));
  }
}

static void started(struct worker *worker) {
  bool usable = worker->start.checkpoint == 0 || (uint32_t)worker->start.version == fleet_state_version();
  if (!usable) {
    log_warn("detector states are of another version: detectors learn anew", "theirs=%" PRId32 " ours=%" PRIu32,
             worker->start.version, fleet_state_version());
  }
  worker->step = worker->start.checkpoint;
  worker->committed = worker->start.committed;
  int64_t since;
  int64_t now = clocks_low(worker->clocks, &since);
  if (now != INT64_MAX) { // the first batch is shown as it was, or would have been, without the restart
    worker->context.now = now;
    worker->context.seeing_since = since;
  }
  worker->checkpointed_us = clock_steady_us();
  worker->stats.replaying = worker->step < worker->committed;
  log_info("feed opened", "checkpoint=%" PRId64 " committed=%" PRId64 " devices=%u", worker->step, worker->committed,
           HASH_COUNT(worker->fleet.devices));
  run(worker, REPLAY, feed_replay(LANE, worker->step, GROUP_BATCHES, &worker->batches));
}

// The replay has caught up. What the store says of alerts and connectivity holds, whatever the replay (with today's registry)
// came to.
static void go_live(struct worker *worker) {
  struct device *device;
  struct device *next;
  worker->stats.replaying = false;
  HASH_ITER(hh, worker->fleet.devices, device, next) {
    device->live = device->withheld = 0;
    device->connectivity = connectivity_name("never seen");
  }
  fleet_alerts_forget(&worker->context);
  context_resume(&worker->context);
  cohorts_recount(worker->context.cohorts, true);
  maintenance_resume(&worker->context);
  worker->health.began = worker->health.ended = 0;
  worker->step = worker->committed;
  run(worker, REFRESH, feed_live(&worker->start));
}

static void took_replay(struct worker *worker) {
  if (worker->group.count == 0) {
    go_live(worker);
  } else {
    ask_rows(worker, REPLAY_ROWS);
  }
}

static void finish_stop(struct worker *worker) {
  loop_cb stopped = worker->stopped;
  worker->stopped = NULL;
  if (stopped != NULL) {
    stopped(worker->stopped_arg);
  }
}

static void commit_group(struct worker *worker) {
  if (!worker_analyse(worker, false)) {
    abort();
  }
  run(worker, COMMIT, build_commit(worker));
}

static void was_committed(struct worker *worker) {
  worker->committed = worker->step;
  worker->stats.batches += worker->group.count;
  if (worker->with_checkpoint) {
    worker->checkpointed_us = clock_steady_us();
  }
  context_settle(&worker->context);
  if (worker->stopping) {
    finish_stop(worker);
  } else {
    ask_next(worker);
  }
}

// True if there is something to store of it.
static bool check_health(struct worker *worker) {
  worker->context.suppressed = false;
  health_check(&worker->health, &worker->context, clock_wall_us(), worker->group.count > 0 ? &worker->group.batches[0] : NULL,
               worker->down_since);
  worker->down_since = 0;
  return worker->context.count > 0;
}

// Goes on after the present phase is done.
static void proceed(struct worker *worker) {
  switch (worker->phase) {
  case REGISTRY:
    worker->refreshed_us = clock_steady_us();
    fleet_put(&worker->fleet, &(struct device_facts){.credential = "vedette"});
    run(worker, START, feed_start(LANE, &worker->start));
    return;
  case START: started(worker); return;
  case REPLAY: took_replay(worker); return;
  case REPLAY_ROWS:
    if (!worker_analyse(worker, true)) {
      abort();
    }
    group_reset(&worker->group);
    run(worker, REPLAY, feed_replay(LANE, worker->step, GROUP_BATCHES, &worker->batches));
    return;
  case REFRESH:
    worker->refreshed_us = clock_steady_us();
    ask_next(worker);
    return;
  case NEXT:
    if (worker->group.count > 0) {
      check_health(worker); // what it finds is stored with the group
      ask_rows(worker, ROWS);
    } else if (check_health(worker)) {
      run(worker, COMMIT, build_commit(worker));
    } else {
      worker->phase = IDLE;
      wait_for(worker, worker->config.poll_ms);
    }
    return;
  case ROWS:
    if (!worker_knows_all(worker)) {
      run(worker, STRANGERS, feed_registry(&worker->registry));
      return;
    }
    commit_group(worker);
    return;
  case STRANGERS:
    worker->refreshed_us = clock_steady_us();
    commit_group(worker);
    return;
  case COMMIT: was_committed(worker); return;
  default: return;
  }
}

static void on_done(const struct link_result *result, void *arg) {
  struct worker *worker = arg;
  char quoted[300];
  if (result->outcome == LINK_LOST) {
    return; // on_down follows
  }
  if (result->outcome == LINK_FAILED && strcmp(result->sqlstate, STORE_ERASED) == 0) {
    log_info("devices were erased: starting from the checkpoint without them", "");
    begin(worker);
    return;
  }
  if (result->outcome == LINK_FAILED) {
    log_error("the store refuses a step; starting from the checkpoint", "phase=%d sqlstate=%s error=%s", (int)worker->phase,
              result->sqlstate, log_quote(quoted, sizeof quoted, result->message));
    worker->phase = CLOSED;
    wait_for(worker, RETRY_MS);
    return;
  }
  proceed(worker);
}

static void on_up(void *arg) {
  struct worker *worker = arg;
  worker->stats.connected = true;
  begin(worker);
}

static void on_down(void *arg) {
  struct worker *worker = arg;
  worker->down_since = worker->stats.connected ? clock_wall_us() : worker->down_since;
  worker->stats.connected = false;
  worker->phase = CLOSED;
  event_del(worker->timer);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
  struct worker *worker = arg;
  (void)fd;
  (void)what;
  if (!link_is_idle(worker->link)) {
    return;
  }
  if (worker->phase == CLOSED) {
    begin(worker);
  } else {
    ask_next(worker);
  }
}

static void on_stop_late(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  finish_stop(arg);
}

struct worker *worker_new(struct loop *loop, const struct config *config) {
  char conninfo[1024];
  struct worker *worker = calloc(1, sizeof *worker);
  if (worker == NULL || !config_conninfo(&config->store, "vedette_analysis", conninfo, sizeof conninfo)) {
    free(worker);
    return NULL;
  }
  worker->loop = loop;
  worker->config = config->analysis;
  worker->context = (struct context){.config = &worker->config, .fleet = &worker->fleet};
  answers_bind(worker);
  worker->context.cohorts = cohorts_new();
  worker->context.storms = storms_new();
  worker->timer = evtimer_new(loop_base(loop), on_timer, worker);
  struct link_events events = {.up = on_up, .down = on_down, .arg = worker};
  worker->link = link_new(loop, conninfo, "vedette-analysis", &events);
  if (worker->timer == NULL || worker->link == NULL || worker->context.cohorts == NULL || worker->context.storms == NULL) {
    worker_free(worker);
    return NULL;
  }
  return worker;
}

void worker_free(struct worker *worker) {
  if (worker == NULL) {
    return;
  }
  link_free(worker->link);
  if (worker->context.cohorts != NULL && worker->context.storms != NULL) {
    forget(worker);
  }
  cohorts_free(worker->context.cohorts);
  storms_free(worker->context.storms);
  context_free(&worker->context);
  group_free(&worker->group);
  if (worker->timer != NULL) {
    event_free(worker->timer);
  }
  free(worker);
}

void worker_stop(struct worker *worker, loop_cb done, void *arg) {
  struct timeval limit = loop_ms(STOP_MS);
  worker->stopping = true;
  worker->stopped = done;
  worker->stopped_arg = arg;
  bool waiting = event_base_once(loop_base(worker->loop), -1, EV_TIMEOUT, on_stop_late, worker, &limit) == 0;
  if (!waiting || !worker->stats.connected) {
    finish_stop(worker);
  } else if (worker->phase == IDLE && link_is_idle(worker->link)) {
    event_del(worker->timer);
    ask_next(worker);
  }
}

struct worker_stats worker_stats(const struct worker *worker) {
  struct worker_stats stats = worker->stats;
  stats.step = worker->committed;
  stats.now = worker->context.now;
  stats.devices = HASH_COUNT(worker->fleet.devices);
  return stats;
}
