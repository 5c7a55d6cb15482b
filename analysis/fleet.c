#include "analysis/fleet.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const states[] = {"unknown",   "never seen", "online", "late",   "silent",
                                     "link lost", "offline",    "asleep", "frozen", "flapping"};
const char *connectivity_name(const char *state) {
  for (size_t i = 1; i < sizeof states / sizeof states[0]; i++) {
    if (strcmp(states[i], state) == 0) {
      return states[i];
    }
  }
  return states[0];
}

static size_t aligned(size_t size) {
  return (size + 15) & ~(size_t)15;
}

// Where each detector's state begins, and behind the last one where they end. Counted once: it is asked for at each observation.
static const size_t *offsets(void) {
  static size_t starts[DETECTORS_MOST + 1];
  for (size_t i = 0; starts[detector_count] == 0 && i < detector_count; i++) {
    starts[i + 1] = starts[i] + aligned(detectors[i]->state_size);
  }
  return starts;
}

size_t fleet_state_size(void) {
  return offsets()[detector_count];
}

uint32_t fleet_state_version(void) {
  uint32_t version = 2166136261U; // FNV-1a over the detectors' sizes and versions
  for (size_t i = 0; i < detector_count; i++) {
    if (detectors[i]->state_size == 0) {
      continue;
    }
    version = (version ^ detectors[i]->version) * 16777619U;
    version = (version ^ (uint32_t)detectors[i]->state_size) * 16777619U;
  }
  return version & INT32_MAX;
}

void *device_state(struct device *device, size_t detector) {
  return device->state + offsets()[detector];
}

struct device *fleet_find(const struct fleet *fleet, int32_t id) {
  struct device *device = NULL;
  HASH_FIND_INT(fleet->devices, &id, device);
  return device;
}

struct device *device_of_timer(struct timer *timer) {
  return (struct device *)((unsigned char *)timer - offsetof(struct device, timer));
}

struct model *fleet_model(struct fleet *fleet, int32_t id) {
  struct model *model = NULL;
  HASH_FIND_INT(fleet->models, &id, model);
  if (model == NULL && (model = calloc(1, sizeof *model)) != NULL) {
    model->id = id;
    model->learned.trust = 1;
    HASH_ADD_INT(fleet->models, id, model);
  }
  return model;
}

const struct label *fleet_label(struct fleet *fleet, const char *text) {
  struct label *label = NULL;
  size_t length = text != NULL ? strlen(text) : 0;
  if (length == 0) {
    return NULL;
  }
  HASH_FIND_STR(fleet->labels, text, label);
  if (label == NULL && (label = calloc(1, sizeof *label + length + 1)) != NULL) {
    memcpy(label->text, text, length);
    label->id = (int32_t)HASH_COUNT(fleet->labels) + 1;
    HASH_ADD_STR(fleet->labels, text, label);
  }
  return label;
}

void fleet_run(struct fleet *fleet, struct device *device, const char *version) {
  struct label *known = NULL;
  HASH_FIND_STR(fleet->labels, version, known);
  device->firmware = known != NULL || HASH_COUNT(fleet->labels) < FIRMWARE_LABELS ? fleet_label(fleet, version) : NULL;
}

static struct device *make_device(struct fleet *fleet, int32_t id) {
  struct device *device = calloc(1, sizeof *device + fleet_state_size());
  if (device != NULL) {
    device->id = id;
    device->connectivity = connectivity_name("never seen");
    HASH_ADD_INT(fleet->devices, id, device);
  }
  return device;
}

static void join_gateway(struct fleet *fleet, struct device *device, int32_t gateway) {
  struct device *old = device->gateway != 0 ? fleet_find(fleet, device->gateway) : NULL;
  struct device *new = NULL;
  if (device->gateway == gateway) {
    return;
  }
  for (struct device **at = old != NULL ? &old->children : NULL; at != NULL && *at != NULL; at = &(*at)->sibling) {
    if (*at == device) {
      *at = device->sibling;
      break;
    }
  }
  device->gateway = gateway;
  device->sibling = NULL;
  if (gateway != 0 && (new = fleet_find(fleet, gateway)) == NULL) {
    new = make_device(fleet, gateway); // its facts follow
  }
  if (new != NULL) {
    device->sibling = new->children;
    new->children = device;
  }
}

static void move_model(struct device *device, struct model *model, bool active) {
  if (device->model != NULL && device->active) {
    device->model->devices--;
  }
  device->model = model;
  device->active = active;
  model->devices += active;
}

struct device *fleet_put(struct fleet *fleet, const struct device_facts *facts) {
  struct device *device = fleet_find(fleet, facts->id);
  struct model *model = fleet_model(fleet, facts->model);
  char *name = strdup(facts->credential);
  if (name == NULL || model == NULL || (device == NULL && (device = make_device(fleet, facts->id)) == NULL)) {
    free(name);
    return NULL;
  }
  free(device->credential);
  device->credential = name;
  move_model(device, model, facts->active);
  join_gateway(fleet, device, facts->gateway);
  device->critical = facts->critical;
  device->region = fleet_label(fleet, facts->region);
  device->site = fleet_label(fleet, facts->site);
  device->created_at = facts->created_at;
  device->next_visit = facts->next_visit;
  return device;
}

bool fleet_add_release(struct fleet *fleet, int32_t model, const uint8_t *hash) {
  struct release *release = calloc(1, sizeof *release);
  struct release *known = NULL;
  if (release == NULL) {
    return false;
  }
  release->key.model = model;
  if (hash != NULL) {
    memcpy(release->key.hash, hash, FIRMWARE_HASH);
  }
  HASH_FIND(hh, fleet->releases, &release->key, sizeof release->key, known);
  if (known != NULL) {
    free(release);
    return true;
  }
  HASH_ADD(hh, fleet->releases, key, sizeof release->key, release);
  // A release without a hash stands for "this model has a list".
  return hash == NULL || fleet_add_release(fleet, model, NULL);
}

const char *fleet_metric(const struct fleet *fleet, int32_t metric) {
  struct metric_name *found = NULL;
  HASH_FIND_INT(fleet->metrics, &metric, found);
  return found != NULL && found->name != NULL ? found->name->text : NULL;
}

void fleet_name_metric(struct fleet *fleet, int32_t metric, const char *name) {
  struct metric_name *found = NULL;
  HASH_FIND_INT(fleet->metrics, &metric, found);
  if (found == NULL && (found = calloc(1, sizeof *found)) != NULL) {
    found->id = metric;
    found->name = fleet_label(fleet, name);
    HASH_ADD_INT(fleet->metrics, id, found);
  }
}

void fleet_clear(struct fleet *fleet) {
  struct device *device;
  struct device *next;
  struct release *release;
  struct release *next_release;
  struct model *model;
  struct model *next_model;
  struct label *label;
  struct label *next_label;
  struct metric_name *metric;
  struct metric_name *next_metric;
  timers_free(&fleet->timers);
  fleet->series = 0;
  HASH_ITER(hh, fleet->devices, device, next) {
    HASH_DEL(fleet->devices, device); // NOLINT(clang-analyzer-unix.Malloc): it cannot follow uthash
    values_free(&device->values);
    free(device->credential);
    free(device);
  }
  HASH_ITER(hh, fleet->releases, release, next_release) {
    HASH_DEL(fleet->releases, release); // NOLINT(clang-analyzer-unix.Malloc): as above
    free(release);
  }
  HASH_ITER(hh, fleet->metrics, metric, next_metric) {
    HASH_DEL(fleet->metrics, metric); // NOLINT(clang-analyzer-unix.Malloc): as above
    free(metric);
  }
  HASH_ITER(hh, fleet->models, model, next_model) {
    HASH_DEL(fleet->models, model); // NOLINT(clang-analyzer-unix.Malloc): as above
    free(model);
  }
  HASH_ITER(hh, fleet->labels, label, next_label) {
    HASH_DEL(fleet->labels, label); // NOLINT(clang-analyzer-unix.Malloc): as above
    free(label);
  }
}
