// The devices as analysis knows them: facts of the registry and the detectors' states. The loop's thread only.
#ifndef VEDETTE_ANALYSIS_FLEET_H
#define VEDETTE_ANALYSIS_FLEET_H

#include "analysis/detector.h"

#include <uthash.h>

enum { LIVE_MOST = 16 }; // kinds of alert

struct device {
  int32_t id, model, gateway; // gateway 0: none
  bool active, critical;
  bool dirty;    // state changed since the last checkpoint
  uint32_t live; // bit per alert kind, see fleet.c
  const char *connectivity;
  char *credential;
  UT_hash_handle hh;
  _Alignas(max_align_t) unsigned char state[];
};

struct release {
  struct {
    int32_t model;
    uint8_t hash[FIRMWARE_HASH];
  } key;
  UT_hash_handle hh;
};

struct fleet {
  struct device *devices;
  struct release *releases;
};

size_t fleet_state_size(void);      // of all detectors together, bytes
uint32_t fleet_state_version(void); // changes when any detector's layout does

struct device *fleet_find(const struct fleet *fleet, int32_t id);
// Adds or changes a device's facts. NULL when out of memory.
struct device *fleet_put(struct fleet *fleet, int32_t id, const char *credential, int32_t model, int32_t gateway, bool active,
                         bool critical);
bool fleet_add_release(struct fleet *fleet, int32_t model, const uint8_t *hash);
void fleet_clear(struct fleet *fleet);

void *device_state(struct device *device, size_t detector); // of detectors[detector]

// The bit of an alert kind in device.live; 0 for a kind that fleet.c does not list.
uint32_t kind_bit(const char *kind);
// Connectivity states are shared constants too. Returns the constant, or "unknown".
const char *connectivity_name(const char *state);

#endif
