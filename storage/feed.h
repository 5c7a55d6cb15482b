// What analysis reads of the store and writes back, as scripts for storage/link.h. Each function returns NULL when memory ran
// out. Times are Unix microseconds.
#ifndef VEDETTE_STORAGE_FEED_H
#define VEDETTE_STORAGE_FEED_H

#include "storage/link.h"
#include "storage/list.h"

#include <stdbool.h>
#include <stdint.h>

// --- what is known at the start: registry, checkpoint, live alerts, connectivity

struct feed_device {
  int32_t id, model, gateway;             // gateway 0: none
  const char *credential, *region, *site; // "": not given
  int64_t created_at, next_visit;         // next_visit 0: not given
  bool active, critical;
};
struct feed_model {
  int32_t id;
  const char *name;
  char class;               // 'm'ains, 'b'attery, 's'leeper
  double cadence, patience; // seconds; 0: not given
};
enum { FEED_WINDOWS = 10000 };
// Of maintenance; NULL and 0: a condition that is not given.
struct feed_window {
  int64_t id, begins, ends, withheld;
  int32_t device, model;
  const char *region, *site, *firmware, *reason;
};
struct feed_registry {
  void (*model)(const struct feed_model *model, void *arg);       // all, each time, before the devices
  void (*device)(const struct feed_device *device, void *arg);    // that have changed
  void (*release)(int32_t model, const uint8_t *hash, void *arg); // 32 bytes
  void (*metric)(int32_t id, const char *name, void *arg);        // that are new
  // Planned, on, or ended within two days and not judged: all, each time, the earliest first, and at most one more than
  // FEED_WINDOWS. After the last one: NULL.
  void (*window)(const struct feed_window *window, void *arg);
  void *arg;
  char snapshot[24]; // as in intake_devices: "0" for all
  int32_t metrics;   // highest number that was told; 0 for all
  int64_t erasure;   // the newest that is in the answer
  bool batteries;    // some model names the metric that says how much a battery has left
};
struct script *feed_registry(struct feed_registry *registry);

struct feed_start {
  void (*feed)(int32_t feed, int64_t number, int64_t received_to, int64_t seeing_since, void *arg); // clocks at the checkpoint
  void (*state)(int32_t device, const uint8_t *state, size_t size, void *arg); // device < 0: of the model -device
  void (*series)(int32_t device, int32_t metric, const uint8_t *state, size_t size, void *arg);
  void (*firmware)(int32_t device, const char *version, void *arg);   // that ran at the checkpoint, as far as is known
  void (*connectivity)(int32_t device, const char *state, void *arg); // as committed, see feed_live
  void (*live_alert)(int32_t device, const char *kind, const char *key, void *arg); // as above; keys only of device 0
  void (*blind)(int64_t began, const char *away, void *arg); // as above: the interval that is open, if one is
  void *arg;
  int64_t checkpoint; // step the states are of; 0: none
  int32_t version;    // of the states
  int64_t committed;  // last step done
};
// `lane`: the set of shards this worker works through.
struct script *feed_start(int16_t lane, struct feed_start *start);
// What is committed of connectivity and alerts: to be asked when the replay has caught up.
struct script *feed_live(struct feed_start *start);

// --- batches

struct feed_batch {
  int64_t step; // of a batch that was analysed before; 0 for a new one
  int32_t feed;
  int64_t number;
  char kind;    // 'd'ata, 'l'ost, 'v'oid
  bool retired; // the feed takes no batch after this one
  int64_t first_record, next_record, received_to, seeing_since, committed_at;
  int32_t rows, others; // of store.report; of anything else
};
typedef void (*feed_batch_cb)(const struct feed_batch *batch, void *arg);
struct feed_batches {
  feed_batch_cb batch;
  void *arg;
};
// Batches that were analysed after step `after`, in the order they were.
struct script *feed_replay(int16_t lane, int64_t after, int limit, struct feed_batches *batches);
// Batches that are not, the earliest first. A number that is missing is still in flight: take a feed's numbers only without a
// hole.
struct script *feed_next(int16_t lane, int limit, struct feed_batches *batches);

// --- rows of batches

// One row of any kind; `kind` as in enum feed_kind. Fields that a kind lacks are 0 or "".
enum feed_kind {
  FEED_CONNECTIVITY,
  FEED_REPORT,
  FEED_EVENT,
  FEED_FIRMWARE,
  FEED_DEAD_LETTER,
  FEED_UNKEPT,
  FEED_LEVEL,
  FEED_TRAFFIC,
  FEED_VALUES
};
enum { FEED_VALUES_MOST = 256 }; // of a report; further ones are left out
struct feed_traffic {
  int64_t span; // microseconds
  int64_t bytes_out, bytes_in, packets_out, packets_in;
  int32_t connections, destinations, listening;
};
struct feed_row {
  enum feed_kind kind;
  int64_t batch; // key
  int32_t device, publisher;
  int64_t time, received, boot, sequence;
  int32_t marks, size, code, count;
  double level; // percent of a battery
  int64_t until;
  bool retained;
  const char *text; // subject, version, reason, detail
  size_t text_length;
  const uint8_t *hash;         // 32 bytes or NULL
  struct feed_traffic traffic; // FEED_TRAFFIC; without `received` and `marks`, which are those of its report
  const int32_t *metrics;      // FEED_VALUES: of the store …
  const double *values;        // … and for each its value; NAN: missing
  int32_t value_count;
};
typedef void (*feed_row_cb)(const struct feed_row *row, void *arg);
struct feed_rows {
  feed_row_cb row;
  bool levels;                                           // FEED_LEVEL is asked for: see feed_registry.batteries
  void (*count)(int64_t batch, int32_t rows, void *arg); // of store.report, as the rows are read: an erasure may have taken some
  void *arg;
};
// `keys`: batch keys. Rows come kind by kind, each in an order that is the same every time.
struct script *feed_rows(struct list *keys, struct feed_rows *rows);

// --- effects, cursor and checkpoint, in one transaction

// Fails with STORE_ERASED where devices were erased since the registry was read.
struct feed_commit {
  int64_t erasure; // the newest that the registry knows
  int16_t lane;
  struct list *steps, *feeds, *numbers, *rows; // analysed batches
  // Alerts: raise or clear, in order; a key of "": there is one of this kind.
  struct list *alert_actions, *alert_devices, *alert_kinds, *alert_keys, *alert_severities, *alert_times, *alert_sentences,
      *alert_explanations;
  // Connectivity changes, in order.
  int64_t step; // they belong to
  struct list *change_devices, *change_times, *change_states, *change_reasons;
  // Blind intervals, in order; an end of 0: it goes on.
  struct list *blind_began, *blind_ended, *blind_reasons;
  // Maintenance, with a checkpoint only: what was withheld, and NULL or how many are missing.
  struct list *window_ids, *window_withheld, *window_missing;
  // Reports of an hour that did not come, by what kept them.
  struct list *missing_devices, *missing_hours, *missing_reasons, *missing_counts, *missing_expected, *missing_received;
  // Checkpoint: states of devices that changed, and the clocks of all feeds.
  bool with_checkpoint;
  int64_t checkpoint; // step
  int32_t version;
  struct list *state_devices, *states;
  struct list *series_devices, *series_metrics, *series_states;
  struct list *clock_feeds, *clock_numbers, *clock_received, *clock_seeing;
};
struct script *feed_commit(const struct feed_commit *commit);

#endif
