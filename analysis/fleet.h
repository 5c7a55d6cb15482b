// The devices as analysis knows them: facts of the registry and the detectors' states. The loop's thread only.
#ifndef VEDETTE_ANALYSIS_FLEET_H
#define VEDETTE_ANALYSIS_FLEET_H

#include "analysis/detector.h"
#include "analysis/timers.h"
#include "analysis/values.h"

#include <uthash.h>

enum { LIVE_MOST = 32, FIRMWARE_LABELS = 100000 }; // kinds of alert, labels

// A text of the registry that many devices share. Never freed while the fleet lives: there are as many as the registry had.
struct label {
  int32_t id; // from 1
  UT_hash_handle hh;
  char text[];
};

struct model {
  int32_t id;
  const struct label *name;
  enum device_class class;
  double cadence, patience; // seconds, of the registry; 0: not given
  struct {
    float trust;        // patience is multiplied by this: see fleet_false_alarm
    float usual;        // gap of its devices, seconds; 0: unknown
    int64_t relaxed_at; // up to when the factor was let down, event time
  } learned;            // goes into checkpoints
  uint32_t devices;     // active ones
  bool dirty;
  UT_hash_handle hh;
};

struct device {
  int32_t id, gateway; // gateway 0: none
  struct model *model;
  const struct label *region, *site, *firmware; // NULL: not known
  int64_t created_at, next_visit;               // Unix microseconds; 0: none
  struct device *children, *sibling;            // of the gateway; and the next of its children
  struct timer timer;
  struct value_list values;
  bool active, critical;
  bool dirty;        // state changed since the last checkpoint
  uint32_t live;     // a bit for each alert kind
  uint32_t withheld; // likewise: raised during maintenance, and nobody was told
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

struct metric_name {
  int32_t id;
  const struct label *name;
  UT_hash_handle hh;
};

struct fleet {
  struct device *devices;
  struct model *models;
  struct label *labels;
  struct release *releases;
  struct metric_name *metrics;
  struct timers timers;
  uint32_t series;     // of all devices together
  bool series_refused; // there were to be more than there may be
};

// What the registry says of a device. Texts are copied; NULL or "": not given.
struct device_facts {
  const char *credential, *region, *site;
  int64_t created_at, next_visit; // Unix microseconds; 0: none
  int32_t id, model, gateway;
  bool active, critical;
};

size_t fleet_state_size(void);      // of all detectors together, bytes
uint32_t fleet_state_version(void); // changes when any detector's layout does

struct device *fleet_find(const struct fleet *fleet, int32_t id);
// Adds or changes a device's facts. NULL when out of memory.
struct device *fleet_put(struct fleet *fleet, const struct device_facts *facts);
// The model of this number, made if need be. NULL when out of memory.
struct model *fleet_model(struct fleet *fleet, int32_t id);
// The label of a text, made if need be; NULL for none, or when out of memory.
const struct label *fleet_label(struct fleet *fleet, const char *text);
// What the device runs. Versions are other people's text: past FIRMWARE_LABELS labels a new one is not known.
void fleet_run(struct fleet *fleet, struct device *device, const char *version);
// What the store calls a metric. NULL: not known.
const char *fleet_metric(const struct fleet *fleet, int32_t metric);
void fleet_name_metric(struct fleet *fleet, int32_t metric, const char *name);
bool fleet_add_release(struct fleet *fleet, int32_t model, const uint8_t *hash);
void fleet_clear(struct fleet *fleet);

void *device_state(struct device *device, size_t detector); // of detectors[detector]
struct device *device_of_timer(struct timer *timer);

// Connectivity states are shared constants too. Returns the constant, or "unknown".
const char *connectivity_name(const char *state);

#endif
