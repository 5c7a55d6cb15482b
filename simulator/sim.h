// Insides of a running simulation, shared by sim.c, status.c and what has a part of its own below only. One thread owns all of
// it.
#ifndef VEDETTE_SIMULATOR_SIM_H
#define VEDETTE_SIMULATOR_SIM_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "simulator/draft.h"
#include "simulator/fleet.h"
#include "simulator/keep.h"
#include "simulator/link.h"
#include "simulator/options.h"
#include "simulator/plan.h"
#include "simulator/random.h"
#include "simulator/recording.h"
#include "simulator/scenario.h"
#include "simulator/truth.h"

enum { DEVICE_FAULTS = 8 }; // at one time on one device
enum { REASONS = 16 };      // of a refusal; the last one is for any that is not known here

enum device_state {
  DEVICE_DOWN,    // has no connection and wants none now
  DEVICE_WAITING, // connects when its timer ends
  DEVICE_CONNECTING,
  DEVICE_ONLINE,
  DEVICE_LEAVING, // has said goodbye and waits for the broker's answer
  DEVICE_GONE     // done for good
};

// What a device does once it has left.
enum device_next { NEXT_DOWN, NEXT_REBOOT, NEXT_CONNECT, NEXT_GONE };

struct fault_run;

struct device {
  struct sim *sim;
  struct member *member;
  const struct recording *recording; // NULL: simulated
  struct link *link;
  struct event timer; // next report, or next connect, or the limit of leaving
  enum device_state state;
  enum device_next next;
  double next_delay; // seconds before it connects again, after NEXT_REBOOT
  bool was_online;
  bool firmware_told; // in this boot
  bool metrics_told;
  bool children_told;
  bool pace_changed; // and not told yet
  uint64_t boot;
  uint64_t sequence;      // of the last report of this boot
  uint64_t connection;    // of the last connection of this boot
  int64_t booted;         // microseconds since 1970
  int64_t reported;       // time of the previous report of its own, for the traffic interval
  double due;             // monotonic seconds: next report
  double backoff;         // seconds: next wait before connecting
  const char *version;    // firmware that runs
  bool version_known;     // is a release
  struct fault_run *runs; // all of the plan
  struct fault_run *active[DEVICE_FAULTS];
  size_t active_count;
  size_t row;          // replay: next row
  double replay_start; // replay: monotonic seconds of row 0; negative: not begun
  double replay_ended; // replay: monotonic seconds; 0: not yet
  int64_t replay_time; // replay: wall clock of row 0
  struct keep *keep;   // NULL: without --keep
  double quiet_since;  // monotonic seconds: since then nothing of what is kept was confirmed
  double quiet_limit;  // seconds; after them all is sent again, and the next limit is twice as long
  double resend_wait;
};

enum run_state { RUN_PENDING, RUN_DUE, RUN_ACTIVE, RUN_DONE };

struct held; // a frozen value

// One fault on one device.
struct fault_run {
  struct sim *sim;
  struct device *device;
  const struct fault *fault;
  double start; // on the scenario's clock; of the next night
  struct event timer;
  enum run_state state;
  int64_t started;            // 0: never
  double began;               // the same in monotonic seconds
  uint64_t reports;           // while active
  struct random_state random; // follows from --seed
  bool losing;                // loss: within a burst
  double level;               // drain: percent at the first report; NaN: none yet
  struct held *held;          // frozen: at most DRAFT_SAMPLES
  size_t held_count;
  size_t held_room;
  struct fault_run *next; // of the same device
};

struct counters {
  uint64_t published; // messages on report topics; without those sent again, with those that --keep has still to send
  uint64_t acknowledged;
  uint64_t forgotten; // unacknowledged when their device lost its memory; with --keep: not confirmed
  uint64_t skipped;   // left out: window full, or a recorded row too late
  uint64_t vanished;  // numbered and lost by a fault
  uint64_t connects;
  uint64_t lost;      // connections that broke
  uint64_t failed;    // connection attempts that failed
  uint32_t connected; // now
  uint32_t faults;    // active now
  // With --keep. Reports made = kept + stored + dropped + forgotten.
  uint64_t kept;             // now
  uint64_t stored;           // covered by a notice: stored up to …
  uint64_t dropped;          // not confirmed, and no room for them any more
  uint64_t resent;           // publishes of what had been published before
  uint64_t notices;          // all, the next three included
  uint64_t bad_notices;      // that do not decode or make no sense
  uint64_t refused[REASONS]; // by reason
};

struct sim {
  const struct options *options;
  const struct fleet *fleet;
  const struct recordings *recordings;
  const struct plan *plan;
  struct event_base *base;
  struct link_context *links;
  struct draft *draft;
  struct truth *truth;
  FILE *stored_log;
  struct random_state random;
  struct counters counters;
  struct device *devices;
  size_t device_count;
  size_t device_started;  // of the ramp
  size_t first_connected; // devices that have been online once
  size_t gone;
  struct fault_run *runs;
  struct event *ramp;
  struct event *sweep;
  struct event *load; // --rate
  struct event *stop_timer;
  struct event *signals[2];
  double started; // monotonic seconds
  double scenario_began;
  double loaded;      // --rate: when the last tick was
  double load_credit; // --rate: reports that may be sent now
  size_t load_next;   // --rate: device whose turn it is
  uint64_t boot;
  bool scenario_running;
  bool draining; // --count is reached, or with --keep --duration is over
  bool stopping;
  bool interrupted;   // by a signal
  uint64_t lost_told; // for the log
  uint64_t failed_told;
  char failure[LINK_ERROR]; // the last one
};

// Clocks: microseconds since 1970, and seconds of a monotonic clock.
int64_t sim_time(void);
double sim_monotonic(void);
// Sets a one-shot timer (seconds, 0 or more).
void sim_timer(struct event *timer, double seconds);
// May reports be sent? Not once --count is reached.
bool sim_may_report(const struct sim *sim);
// A device is done for good.
void sim_gone(struct sim *sim);
// A device has been online for the first time.
void sim_connected(struct sim *sim);

// device.c ------------------------------------------------------------------------------------------------------------
int device_init(struct device *device, struct sim *sim, struct member *member, const struct recording *recording);
void device_free(struct device *device);
// Connects now, unless the device is done.
void device_connect(struct device *device);
// Publishes connectivity `state` (retained) and disconnects; `until` in microseconds or 0. Then does `next`.
void device_leave(struct device *device, int state, const char *reason, int64_t until, enum device_next next, double delay);
// Loses the connection without DISCONNECT. Then does `next`.
void device_crash(struct device *device, enum device_next next, double delay);
// Comes back from NEXT_DOWN, as a new boot or not.
void device_wake(struct device *device, bool reboot);
// Puts the next report where cadence and faults want it.
void device_reschedule(struct device *device, bool soon);

// habits.c ------------------------------------------------------------------------------------------------------------
// Device clock, faults included: microseconds.
int64_t device_clock(const struct device *device);
// Seconds between reports, faults included; negative: the load generator decides.
double habits_interval(const struct device *device);
// Seconds until a device that lost its connection, or failed to make one, tries again. Each call counts as a failure.
double habits_retry_wait(struct device *device);
// Asked once for each report: is it lost on its way?
bool habits_lose_report(struct device *device);

// report.c ------------------------------------------------------------------------------------------------------------
// Publishes what is due now: the device's report, its children's, and what faults add. False when the window is full.
bool report_send(struct device *device);
// The same for row `row` of the recording, measured at `time` (microseconds).
bool report_send_row(struct device *device, size_t row, int64_t time);
// Publishes connectivity, retained. 0 or -1.
int report_connectivity(struct device *device, int state, const char *reason, int64_t until, enum link_what what);
// Packs the will of the next connection. Returns its size; `out` has room for 128 bytes.
size_t report_will(const struct device *device, uint8_t *out);
enum { REPORT_TOPIC = 192 };
void report_topic(const char *credential, const char *leaf, char *out); // REPORT_TOPIC bytes

// keeper.c ------------------------------------------------------------------------------------------------------------
// All of it does nothing, and keeper_count is 0, without --keep.
// Makes room for the draft, and says in it what is kept.
void keeper_prepare(struct device *device, struct draft *draft);
// Keeps a report that was made just now; keeper_pump publishes what the connection has room for. 0, or -1: out of memory.
int keeper_add(struct device *device, const uint8_t *bytes, size_t size);
void keeper_pump(struct device *device);
// Online: asks for notices and sends all that is kept again.
void keeper_online(struct device *device);
// What the broker acknowledged of it. True if it had not before.
bool keeper_acknowledged(struct device *device, uint64_t sequence);
// A message came on the notice topic.
void keeper_notice(struct device *device, const uint8_t *bytes, size_t size);
// Sends all again when nothing was confirmed for long. `now`: monotonic seconds.
void keeper_sweep(struct device *device, double now);
// The device loses its memory.
void keeper_forget(struct device *device);
size_t keeper_count(const struct device *device);
// Logs at the end what became of what was kept. False when some should have been confirmed and was not.
bool keeper_tell(const struct sim *sim);
// Name of a reason, for status and log: small letters.
void keeper_reason(size_t reason, char *out, size_t size);

// replay.c ------------------------------------------------------------------------------------------------------------
// Sends the rows that are due and returns seconds until the next; negative at the end of the recording.
double replay_step(struct device *device);

// fault.c -------------------------------------------------------------------------------------------------------------
int fault_prepare(struct sim *sim);
void fault_free(struct sim *sim);
// The scenario's clock starts now.
void fault_schedule(struct sim *sim);
// A device is online: begins what has waited for it, ends what only lasts until then.
void fault_device_online(struct device *device);
// Ends all active faults in the truth file. Nothing begins any more.
void fault_stop(struct sim *sim);
// The active fault of that kind, or NULL.
struct fault_run *fault_of(const struct device *device, enum fault_kind kind);

// fault_effect.c ------------------------------------------------------------------------------------------------------
// What a fault does to its device when it begins, each time it strikes again, and when it is over (and not active any more).
void fault_effect_begin(struct fault_run *run);
void fault_effect_again(struct fault_run *run);
void fault_effect_end(struct fault_run *run);

// shape_values.c ------------------------------------------------------------------------------------------------------
// Lets the active faults change the values of a report of the device's own.
void shape_values(const struct device *device, struct draft *draft);
// Lets go of what was frozen.
void shape_values_forget(struct fault_run *run);

// shape.c -------------------------------------------------------------------------------------------------------------
// Lets the active faults change a report before it is packed. False: the report is one that will be refused.
bool shape_report(struct device *device, struct draft *draft);
// True if active faults send something else in place of the device's reports.
bool shape_replaces(const struct device *device);
// Builds message `number` (from 0) that fault `run` adds to a report. NULL: there is none (any more). `topic` has REPORT_TOPIC
// bytes.
const uint8_t *shape_extra(struct fault_run *run, uint32_t number, char *topic, size_t *size);
// Puts together a report of the device's own as it would be without faults.
void report_compose(struct device *device, const struct member *member, uint64_t sequence, int64_t time);

#endif
