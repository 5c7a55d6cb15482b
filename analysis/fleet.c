#include "analysis/fleet.h"

#include <stdlib.h>
#include <string.h>

// Every kind of alert, once: a device holds one bit each.
static const char *const kinds[] = {
    "silent",          "link lost",      "message rate",          "message volume", "identity mismatch",
    "malformed burst", "login failures", "firmware not released", "records lost",   "rows missing",
    "messages shed"};
static const char *const states[] = {"unknown", "never seen", "online", "silent", "link lost", "offline", "asleep"};
_Static_assert(sizeof kinds / sizeof kinds[0] <= LIVE_MOST, "a bit for every kind");

uint32_t kind_bit(const char *kind) {
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    if (strcmp(kinds[i], kind) == 0) {
      return UINT32_C(1) << i;
    }
  }
  return 0;
}

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

size_t fleet_state_size(void) {
  size_t size = 0;
  for (size_t i = 0; i < detector_count; i++) {
    size += aligned(detectors[i]->state_size);
  }
  return size;
}

uint32_t fleet_state_version(void) {
  uint32_t version = 2166136261U; // FNV-1a over the detectors' sizes and versions
  for (size_t i = 0; i < detector_count; i++) {
    version = (version ^ detectors[i]->version) * 16777619U;
    version = (version ^ (uint32_t)detectors[i]->state_size) * 16777619U;
  }
  return version & INT32_MAX;
}

void *device_state(struct device *device, size_t detector) {
  size_t offset = 0;
  for (size_t i = 0; i < detector; i++) {
    offset += aligned(detectors[i]->state_size);
  }
  return device->state + offset;
}

struct device *fleet_find(const struct fleet *fleet, int32_t id) {
  struct device *device = NULL;
  HASH_FIND_INT(fleet->devices, &id, device);
  return device;
}

struct device *fleet_put(struct fleet *fleet, int32_t id, const char *credential, int32_t model, int32_t gateway, bool active,
                         bool critical) {
  struct device *device = fleet_find(fleet, id);
  char *name = strdup(credential);
  if (name == NULL) {
    return NULL;
  }
  if (device == NULL) {
    device = calloc(1, sizeof *device + fleet_state_size());
    if (device == NULL) {
      free(name);
      return NULL;
    }
    device->id = id;
    device->connectivity = connectivity_name("never seen");
    HASH_ADD_INT(fleet->devices, id, device);
  }
  free(device->credential);
  device->credential = name;
  device->model = model;
  device->gateway = gateway;
  device->active = active;
  device->critical = critical;
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

void fleet_clear(struct fleet *fleet) {
  struct device *device;
  struct device *next;
  struct release *release;
  struct release *next_release;
  HASH_ITER(hh, fleet->devices, device, next) {
    HASH_DEL(fleet->devices, device); // NOLINT(clang-analyzer-unix.Malloc): it cannot follow uthash
    free(device->credential);
    free(device);
  }
  HASH_ITER(hh, fleet->releases, release, next_release) {
    HASH_DEL(fleet->releases, release); // NOLINT(clang-analyzer-unix.Malloc): as above
    free(release);
  }
}
