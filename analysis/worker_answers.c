// What the store answers: the registry, the checkpoint, what is live, batches and their rows.
#include "analysis/worker_internal.h"

#include "analysis/fleet_alerts.h"
#include "common/log.h"

#include <inttypes.h>
#include <string.h>

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

static void take_metric(int32_t id, const char *name, void *arg) {
  struct worker *worker = arg;
  fleet_name_metric(&worker->fleet, id, name);
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

static void take_series(int32_t id, int32_t metric, const uint8_t *state, size_t size, void *arg) {
  struct worker *worker = arg;
  struct device *device = fleet_find(&worker->fleet, id);
  if (device != NULL) {
    values_load(&worker->context, device, metric, state, size);
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

void answers_bind(struct worker *worker) {
  worker->registry = (struct feed_registry){.model = take_model,
                                            .device = take_device,
                                            .release = take_release,
                                            .metric = take_metric,
                                            .window = take_window,
                                            .arg = worker};
  worker->start = (struct feed_start){.feed = take_clock,
                                      .state = take_state,
                                      .series = take_series,
                                      .firmware = take_firmware,
                                      .connectivity = take_connectivity,
                                      .live_alert = take_alert,
                                      .blind = take_blind,
                                      .arg = worker};
  worker->batches = (struct feed_batches){.batch = take_batch, .arg = worker};
  worker->rows = (struct feed_rows){.row = take_row, .count = take_count, .arg = worker};
}
