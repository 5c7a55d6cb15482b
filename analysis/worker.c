// The worker is a machine of phases:
//
//   CLOSED → REGISTRY → START → REPLAY ⇄ REPLAY_ROWS → NEXT → ROWS → COMMIT → NEXT … ; REFRESH now and then,
//   STRANGERS after ROWS where a device was registered since
//
// When the connection is lost, or a commit fails, everything in memory is thrown away: states are loaded from the checkpoint
// again and the batches analysed since are run again in the recorded order, their effects suppressed.
#include "analysis/worker.h"

#include "analysis/clocks.h"
#include "analysis/cohorts.h"
#include "analysis/commit.h"
#include "analysis/context.h"
#include "analysis/fleet_alerts.h"
#include "analysis/group.h"
#include "analysis/health.h"
#include "analysis/storms.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANE = 0, REFRESH_MS = 2000, RETRY_MS = 1000, STOP_MS = 5000 };

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

static void proceed(struct worker *worker);

static void wait_for(struct worker *worker, uint32_t ms) {
  struct timeval wait = loop_ms(ms);
  event_add(worker->timer, &wait);
}

// --- answers of the store

static void take_model(const struct feed_model *facts, void *arg) {
  struct worker *worker = arg;
  struct model *model = fleet_model(&worker->fleet, facts->id);
  if (model == NULL) {
    log_error("out of memory for the registry", "model=%" PRId32, facts->id);
    return;
  }
  model->name = fleet_label(&worker->fleet, facts->name);
  model->class = facts->class == 'b' ? CLASS_BATTERY : facts->class == 's' ? CLASS_SLEEPER : CLASS_MAINS;
  model->cadence = facts->cadence;
  model->patience = facts->patience;
}

static void take_device(const struct feed_device *device, void *arg) {
  struct worker *worker = arg;
  const struct device_facts facts = {.id = device->id,
                                     .model = device->model,
                                     .gateway = device->gateway,
                                     .credential = device->credential,
                                     .region = device->region,
                                     .site = device->site,
                                     .created_at = device->created_at,
                                     .next_visit = device->next_visit,
                                     .active = device->active,
                                     .critical = device->critical};
  struct device *known = fleet_put(&worker->fleet, &facts);
  if (known == NULL) {
    log_error("out of memory for the registry", "device=%" PRId32, device->id);
    return;
  }
  device_wake(&worker->context, known, 0);
  cohorts_recount(worker->context.cohorts, false);
  if (!known->active) {
    maintenance_returned(&worker->context, known); // nobody waits for it any more
  }
}

static void take_window(const struct feed_window *window, void *arg) {
  struct worker *worker = arg;
  maintenance_put(&worker->context, window);
}

static void take_firmware(int32_t id, const char *version, void *arg) {
  struct worker *worker = arg;
  struct device *device = fleet_find(&worker->fleet, id);
  if (device != NULL) {
    fleet_run(&worker->fleet, device, version);
  }
}

static void take_release(int32_t model, const uint8_t *hash, void *arg) {
  struct worker *worker = arg;
  if (!fleet_add_release(&worker->fleet, model, hash)) {
    log_error("out of memory for firmware releases", "model=%" PRId32, model);
  }
}

static void take_clock(int32_t feed, int64_t number, int64_t received_to, int64_t seeing_since, void *arg) {
  struct worker *worker = arg;
  struct clock *clock = clocks_get(&worker->clocks, feed);
  if (clock != NULL) {
    clock->number = number;
    clock->received_to = received_to;
    clock->seeing_since = seeing_since;
  }
}

static void take_state(int32_t id, const uint8_t *state, size_t size, void *arg) {
  struct worker *worker = arg;
  bool usable = (uint32_t)worker->start.version == fleet_state_version();
  struct device *device = id >= 0 ? fleet_find(&worker->fleet, id) : NULL;
  struct model *model = id < 0 ? fleet_model(&worker->fleet, -id) : NULL;
  if (usable && device != NULL && size == fleet_state_size()) {
    memcpy(device->state, state, size);
  } else if (usable && model != NULL && size == sizeof model->learned) {
    memcpy(&model->learned, state, size);
  }
}

static void take_connectivity(int32_t id, const char *state, void *arg) {
  struct worker *worker = arg;
  struct device *device = fleet_find(&worker->fleet, id);
  if (device != NULL) {
    device->connectivity = connectivity_name(state);
  }
}

static void take_alert(int32_t id, const char *name, const char *key, void *arg) {
  struct worker *worker = arg;
  const enum alert_kind kind = alert_kind_find(name);
  struct device *device = fleet_find(&worker->fleet, id);
  if (kind == ALERT_KINDS) {
    log_warn("the store has an alert of a kind that is not known; it stays as it is", "device=%" PRId32, id);
  } else if (key[0] != '\0') {
    fleet_alert_load(&worker->context, kind, key);
    maintenance_expect(&worker->context, kind, key);
  } else if (device != NULL) {
    device->live |= UINT32_C(1) << kind;
  }
}

static void take_blind(int64_t began, const char *away, void *arg) {
  struct worker *worker = arg;
  health_resume(&worker->health, began, away);
}

static void take_batch(const struct feed_batch *batch, void *arg) {
  struct worker *worker = arg;
  struct clock *clock = NULL;
  HASH_FIND_INT(worker->clocks, &batch->feed, clock);
  int64_t expected = clock ? clock->number + 1 : 1;
  for (size_t i = 0; i < worker->group.count; i++) {
    if (worker->group.batches[i].feed == batch->feed) {
      expected = worker->group.batches[i].number + 1;
    }
  }
  // A hole is a batch in flight, or one that did not fit the group. In replay the recorded order is followed as it is.
  if (batch->step != 0 || batch->number == expected) {
    group_add(&worker->group, batch);
  }
}

static void take_row(const struct feed_row *row, void *arg) {
  struct worker *worker = arg;
  group_note(&worker->group, row);
}

static void take_count(int64_t batch, int32_t rows, void *arg) {
  struct worker *worker = arg;
  group_expect(&worker->group, batch, rows);
}

// --- analysing

// Event time is where the slowest live worker stands; we see since the last of them began to.
static void advance_time(struct worker *worker) {
  int64_t since;
  int64_t now = clocks_low(worker->clocks, &since);
  if (now != INT64_MAX) {
    context_advance(&worker->context, now, since);
    health_advance(&worker->health, &worker->context, now, since);
  }
}

static void tell_loss(struct worker *worker, const struct feed_batch *batch) {
  struct device *self = fleet_find(&worker->fleet, 0);
  int64_t records = batch->next_record - batch->first_record;
  if (self == NULL || batch->kind != 'l') {
    return;
  }
  alert_raise(&worker->context, self, ALERT_RECORDS_LOST, SEVERITY_CRITICAL, batch->received_to,
              (struct explanation){.observed = json_pack("{s:I, s:i, s:I}", "records", (json_int_t)records, "feed",
                                                         (int)batch->feed, "first_record", (json_int_t)batch->first_record),
                                   .expected = json_pack("{s:i}", "records", 0),
                                   .baseline = json_pack("{s:s}", "of", "fixed rule: what is journaled is stored"),
                                   .clears_when = "a person acknowledges it"},
              "At least %" PRId64 " journaled messages of feed %" PRId32
              " are not in the store, and its journal cannot bring them any more.",
              records, batch->feed);
}

static void check_rows(struct worker *worker, const struct feed_batch *batch, int32_t seen) {
  struct device *self = fleet_find(&worker->fleet, 0);
  if (seen == batch->rows || self == NULL) {
    return;
  }
  log_error("a batch's rows do not add up", "feed=%" PRId32 " batch=%" PRId64 " rows=%" PRId32 " seen=%" PRId32, batch->feed,
            batch->number, batch->rows, seen);
  alert_raise(
      &worker->context, self, ALERT_ROWS_MISSING, SEVERITY_CRITICAL, batch->received_to,
      (struct explanation){.observed = json_pack("{s:i}", "rows", (int)seen),
                           .expected = json_pack("{s:i}", "rows", (int)batch->rows),
                           .baseline = json_pack("{s:s}", "of", "fixed rule: a batch has the rows that its worker counted"),
                           .clears_when = "a person acknowledges it"},
      "Batch %" PRId64 " of feed %" PRId32 " has %" PRId32 " rows, its worker counted %" PRId32 ".", batch->number, batch->feed,
      seen, batch->rows);
}

static void pass_clock(struct worker *worker, const struct feed_batch *batch) {
  struct clock *clock = clocks_get(&worker->clocks, batch->feed);
  if (clock == NULL) {
    return;
  }
  clock->number = batch->number;
  if (batch->retired) {
    clocks_remove(&worker->clocks, batch->feed); // it holds time back no longer
    return;
  }
  clock->received_to = batch->received_to;
  clock->seeing_since = batch->seeing_since;
}

// Ingest may have learned of a device before us: what it sent must not pass unseen.
static bool knows_all(const struct worker *worker) {
  const struct group *group = &worker->group;
  bool all = true;
  for (size_t i = 0; all && i < group->noted_count; i++) {
    const struct observation *o = &group->noted[i].observation;
    all = fleet_find(&worker->fleet, o->device) != NULL &&
          (o->publisher == o->device || fleet_find(&worker->fleet, o->publisher) != NULL);
  }
  return all;
}

// What a batch brings may have waited while its worker was away: the detectors have to know that before they are shown it, not
// with the next advance of time, or they take the backlog for what is sent now, and the outage for the devices' own gaps.
static void pass_sight(struct worker *worker, const struct feed_batch *batch) {
  struct clock *clock = clocks_get(&worker->clocks, batch->feed);
  int64_t since;
  if (clock == NULL || worker->context.now == 0 || batch->seeing_since <= clock->seeing_since) {
    return;
  }
  clock->seeing_since = batch->seeing_since;
  clocks_low(worker->clocks, &since);
  context_advance(&worker->context, worker->context.now, since);
}

// Shows the group to the detectors, batch by batch. False when memory ran out.
static bool analyse(struct worker *worker, bool replay) {
  struct group *group = &worker->group;
  size_t at = 0;
  if (!group_sort(group)) {
    return false;
  }
  worker->context.suppressed = replay;
  for (size_t i = 0; i < group->count; i++) {
    pass_sight(worker, &group->batches[i]);
    for (; at < group->noted_count && group->order[at]->batch == i; at++) {
      context_observe(&worker->context, &group->order[at]->observation);
      worker->stats.reports += group->order[at]->observation.kind == OBSERVE_REPORT && !replay;
    }
    tell_loss(worker, &group->batches[i]);
    check_rows(worker, &group->batches[i], group->seen[i]);
    pass_clock(worker, &group->batches[i]);
    health_batch(&worker->health, &worker->context, group->batches[i].received_to, group->batches[i].committed_at);
    advance_time(worker);
    worker->step = replay ? group->batches[i].step : worker->step + 1;
    group->batches[i].step = worker->step;
  }
  worker->stats.observations += group->noted_count;
  return true;
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
  if (!analyse(worker, false)) {
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
    if (!analyse(worker, true)) {
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
    if (!knows_all(worker)) {
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
  worker->registry = (struct feed_registry){
      .model = take_model, .device = take_device, .release = take_release, .window = take_window, .arg = worker};
  worker->start = (struct feed_start){.feed = take_clock,
                                      .state = take_state,
                                      .firmware = take_firmware,
                                      .connectivity = take_connectivity,
                                      .live_alert = take_alert,
                                      .blind = take_blind,
                                      .arg = worker};
  worker->batches = (struct feed_batches){.batch = take_batch, .arg = worker};
  worker->rows = (struct feed_rows){.row = take_row, .count = take_count, .arg = worker};
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
