// The interface of detectors: observe, advance time, and raise or clear alerts that explain themselves.
//
// Detectors run on event time and never read a clock. A detector keeps a fixed-size state per device, plain data that may be
// copied byte by byte (it goes into checkpoints), and allocates nothing per observation. The same calls in the same order give
// the same alerts: live, in replay after a crash, and in back-tests. Only the loop's thread calls them.
#ifndef VEDETTE_ANALYSIS_DETECTOR_H
#define VEDETTE_ANALYSIS_DETECTOR_H

#include "analysis/alert_kinds.h"
#include "analysis/cadence.h"
#include "common/config.h"
#include "storage/marks.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// UNKEPT: messages that were shed, or rejected past the dead letters that are kept; only counted. LEVEL: how much is left of a
// device's battery, as a report says whose model names the metric for it. TRAFFIC: of the publisher's own network. VALUES: what a
// report measured.
enum observation_kind {
  OBSERVE_CONNECTIVITY,
  OBSERVE_REPORT,
  OBSERVE_EVENT,
  OBSERVE_FIRMWARE,
  OBSERVE_DEAD_LETTER,
  OBSERVE_UNKEPT,
  OBSERVE_LEVEL,
  OBSERVE_TRAFFIC,
  OBSERVE_VALUES
};

// A device is shown what is about it (SUBJECT) and what it sent (PUBLISHER); most are both.
enum { ROLE_SUBJECT = 1, ROLE_PUBLISHER = 2 };

enum { OBSERVATION_TEXT = 160, FIRMWARE_HASH = 32 };

// Of the interval that ended with the report.
struct observed_traffic {
  int64_t span; // microseconds
  int64_t bytes_out, bytes_in, packets_out, packets_in;
  int32_t connections, destinations, listening; // open, distinct, ports
};

// Of a report: metrics of the store, and a value for each (NAN: missing).
struct observed_values {
  const int32_t *metrics;
  const double *values;
  uint32_t count;
};

// Times are Unix microseconds.
struct observation {
  enum observation_kind kind;
  int roles;
  int32_t device, publisher;
  int64_t time, received, boot, sequence;
  int marks;    // storage/marks.h
  int32_t size; // REPORT, DEAD_LETTER: bytes
  int code; // CONNECTIVITY: state, EVENT: kind, DEAD_LETTER, UNKEPT: reason (vedette.v1), REPORT: a hash of its numbers, 0: none
  int32_t count; // EVENT, DEAD_LETTER (1), UNKEPT
  double level;  // LEVEL: percent
  int64_t until; // CONNECTIVITY: asleep until; 0
  bool retained; // CONNECTIVITY: seen at subscription, says nothing about when
  bool will;     // CONNECTIVITY: the broker says it, not the device
  bool hashed;   // FIRMWARE: `hash` was given
  uint8_t hash[FIRMWARE_HASH];
  union {
    char text[OBSERVATION_TEXT];     // FIRMWARE: version; EVENT: subject; DEAD_LETTER: detail; valid UTF-8
    struct observed_traffic traffic; // TRAFFIC
    struct observed_values values;   // VALUES
  };
};

struct device;
struct context;
struct detector {
  const char *name;  // also the kind of its alerts, where it has one
  size_t state_size; // bytes
  uint32_t version;  // of the state's layout
  // Either may be NULL. `state` is the device's. `advance` is called when the device was to be woken (device_wake), when one of
  // its alerts was raised, and once after a start: it says by device_wake when next.
  void (*observe)(struct context *context, struct device *device, void *state, const struct observation *observation);
  void (*advance)(struct context *context, struct device *device, void *state);
};

extern const struct detector *const detectors[];
extern const size_t detector_count;
enum { DETECTORS_MOST = 64 };

// --- what a detector may ask

const struct config_analysis *context_config(const struct context *context);
int64_t context_now(const struct context *context);          // everything received before is observed, by all workers
int64_t context_seeing_since(const struct context *context); // we have seen without a break since
int64_t context_blind_for(const struct context *context);    // for how long we did not before that, microseconds; 0: unknown

int32_t device_id(const struct device *device);
const char *device_credential(const struct device *device);
bool device_critical(const struct device *device);
enum device_class { CLASS_MAINS, CLASS_BATTERY, CLASS_SLEEPER };
enum device_class device_class(const struct device *device); // its model's
int64_t device_created(const struct device *device);         // when it was registered, Unix microseconds
int64_t device_next_visit(const struct device *device);      // when somebody can change its battery; 0: nobody knows
// What is known of the device's rhythm before it has shown its own.
struct cadence_prior device_prior(const struct context *context, const struct device *device);
// Seconds after which it is silent: its own rhythm, with what was learned of its model's false alarms, or what the registry says.
// 0: nobody can say.
double device_patience(const struct context *context, const struct device *device, const struct cadence *cadence);
const struct device *device_gateway(const struct context *context, const struct device *device); // NULL: none
struct device *device_child(const struct device *gateway, const struct device *after); // the next; `after` NULL: the first
const char *device_connectivity(const struct device *device);                          // as last set
bool context_recovering(const struct context *context); // after we were blind: nobody is judged yet
void context_returned(struct context *context);         // one who was heard before is heard again
// Something comes that had waited while we were blind. What is sent now comes after it: until then nobody is missed.
void context_waited(struct context *context, int64_t received);
int64_t context_caught_up(const struct context *context); // we see, and nothing that had waited came later
void *device_state_of(struct device *device, const struct detector *detector);
// The device's firmware release list: -1 the model has none, 0 not in it, 1 in it.
int device_release(const struct context *context, const struct device *device, const uint8_t *hash);

// An outage of the device is no alert now: it is being worked on. alert_raise withholds by itself, and alert_live is true of what
// is withheld.
bool context_in_maintenance(const struct context *context, const struct device *device);

// --- what a detector may do

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_MAJOR, SEVERITY_CRITICAL };

// How an alert explains itself (contract). The JSON values are taken over; NULL is left out.
struct explanation {
  json_t *observed, *expected, *baseline, *rank;
  const struct observation *report; // the newest report behind it; NULL: none
  const char *clears_when;
};

// Of reports within an hour.
struct completeness_counts {
  int32_t missing, expected, received;
};

// Raises the device's alert of this kind, at `at`. While it is live, raising does nothing.
void alert_raise(struct context *context, struct device *device, enum alert_kind kind, enum severity severity, int64_t at,
                 struct explanation explanation, const char *sentence, ...) __attribute__((format(printf, 7, 8)));
void alert_clear(struct context *context, struct device *device, enum alert_kind kind, int64_t at, const char *why);
bool alert_live(const struct device *device, enum alert_kind kind);

// Has `advance` called at `at`, or sooner.
void device_wake(struct context *context, struct device *device, int64_t at);
// It was called silent, and was up and connected all the time. The patience with all devices of its model grows, and shrinks
// again with time, so that there are as many as the configured rate allows (Gibbs and Candès 2021, "Adaptive conformal
// inference").
void device_false_alarm(struct context *context, struct device *device);
// What the devices of its model are like: `usual` seconds between reports.
void device_tell_usual(struct device *device, double usual);

// It connected again at `at`; `absent`: it had been away, as far as we knew.
void context_born(struct context *context, struct device *device, int64_t at, bool absent);
// Changes the device's connectivity, with its reason; nothing happens when it is that already.
void connectivity_set(struct context *context, struct device *device, const char *state, int64_t at, const char *reason);

// Reports of the hour that began at `hour` that did not come, for a reason of store.completeness (a constant).
void completeness_note(struct context *context, struct device *device, int64_t hour, const char *reason,
                       struct completeness_counts counts);

// Rank among the devices of the same model: how many have a larger `value(state of this detector)`. For explanations; walks the
// fleet. NULL when too many were asked for within a second of event time, and in replay.
json_t *rank_among_peers(struct context *context, const struct device *device, const struct detector *detector,
                         double (*value)(const void *state), const char *unit);

// Seconds of a span of microseconds.
static inline double seconds(int64_t us) {
  return (double)us / 1e6;
}

#endif
