// What ingest knows of the registry: devices by credential and number, the metrics of each model, the metric sets of each device.
// A cache of the store, emptied when the connection is made anew. The loop's thread only.
#ifndef VEDETTE_INGEST_DIRECTORY_H
#define VEDETTE_INGEST_DIRECTORY_H

#include "ingest/admission.h"
#include "ingest/clock_offset.h"
#include "storage/intake.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

enum { SETS_LIMIT = 64, METRICS_LIMIT = 4096 }; // metric sets a device, metric names a model

struct metric {
  char *name;
  int32_t id;    // 0: not asked for yet; -1: refused, the model has too many
  bool declared; // its unit and kind were told to the store
  UT_hash_handle hh;
};

struct model {
  int32_t id;
  int64_t keep_us;        // how old a report may be
  struct metric *metrics; // by name
  UT_hash_handle hh;
};

struct metric_set {
  int32_t *metrics; // ascending
  size_t count;
  int16_t number; // -1: refused, the device has too many
};

// Dead letters kept of one publisher (or of all strangers) on one day of receipt.
struct letters_kept {
  int64_t day; // since 1970-01-01
  uint32_t count;
  uint64_t bytes; // of payload
};

struct device {
  int32_t id;
  int32_t gateway;    // who may speak for it; 0: nobody
  bool active;        // its messages are taken
  int64_t not_before; // … but for those of before this; Unix microseconds
  char *credential;
  struct model *model;
  struct metric_set *sets;
  size_t set_count;
  int64_t boot;         // of the last stored report that it published …
  uint64_t sequence;    // … and the highest sequence of that boot
  struct bucket bucket; // for messages about it …
  struct bucket relay;  // … and for what it sends for its children
  struct clock_offset clock;
  uint64_t charged; // journal records below were charged to the buckets
  struct letters_kept letters;
  UT_hash_handle by_credential, by_id;
};

struct directory;

struct directory *directory_new(void);
void directory_free(struct directory *directory); // accepts NULL
void directory_clear(struct directory *directory);

struct device *directory_find(struct directory *directory, const char *credential, size_t length); // NULL: not registered
struct device *directory_find_id(struct directory *directory, int32_t id);
struct letters_kept *directory_strangers(struct directory *directory); // what is kept of those who are not registered
size_t directory_count(const struct directory *directory);

// Adds a device or changes what is known of it. A credential that moved to another device is taken from the old one.
// NULL when out of memory.
struct device *directory_put(struct directory *directory, const struct intake_device *registered);

// The metric of that name, added with id 0 if it was never seen. NULL out of memory, or when the model holds twice its limit
// already.
struct metric *model_metric(struct model *model, const char *name);

// The device's set with exactly these metrics; NULL if not known.
struct metric_set *device_set(struct device *device, const int32_t *metrics, size_t count);
// Remembers a set (a copy is made). NULL out of memory.
struct metric_set *device_add_set(struct device *device, const int32_t *metrics, size_t count, int16_t number);

#endif
