// The scenario language: what happens to which devices, and when. Complete reference: docs/scenarios.md.
#ifndef VEDETTE_SIMULATOR_SCENARIO_H
#define VEDETTE_SIMULATOR_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_kind {
  FAULT_SILENCE,
  FAULT_CRASH,
  FAULT_SLEEP,
  FAULT_FLOOD,
  FAULT_BIG,
  FAULT_WRONG_IDENTITY,
  FAULT_MALFORMED,
  FAULT_BAD_VALUES,
  FAULT_CLOCK,
  FAULT_FIRMWARE,
  FAULT_LOGIN_FAILURES,
  FAULT_TRAFFIC,
  FAULT_REBOOT,
  FAULT_DUPLICATE,
  FAULT_VALUE,
  FAULT_UNPLUG,
  FAULT_LOSS,
  FAULT_FROZEN,
  FAULT_FLAP,
  FAULT_PACE,
  FAULT_DRAIN,
  FAULT_REJOIN,
  FAULT_KINDS
};

enum identity_how { IDENTITY_CREDENTIAL, IDENTITY_CHILD, IDENTITY_TOPIC };
enum malformed_how { MALFORMED_RANDOM, MALFORMED_TRUNCATED, MALFORMED_OVERSIZED };
enum bad_values_how { BAD_NAN, BAD_INFINITY, BAD_NAME, BAD_LONG_NAME, BAD_TEXT, BAD_TWICE };
enum reboot_how { REBOOT_CLEAN, REBOOT_HARD };
enum unplug_how { UNPLUG_POWER, UNPLUG_GOODBYE };

// Parameters of all kinds together; what a kind does not have is not looked at. Numbers given in the file are within their
// limits.
struct fault_parameters {
  bool reboot;         // crash, firmware
  bool known;          // firmware
  bool unset;          // clock
  bool instead;        // wrong_identity, malformed
  bool offset_given;   // clock, value
  bool drift_given;    // clock
  bool period_given;   // unplug
  bool nights;         // unplug
  bool announce;       // pace
  bool jitter;         // rejoin
  double until;        // sleep: seconds; negative: the fault's duration
  double factor;       // flood, big, traffic, pace; 0: not given
  double rate;         // flood: reports a second; 0: not given. drain: percent an hour
  double offset;       // clock: seconds; value
  double drift;        // clock: parts per million
  double interval;     // reboot: seconds between reboots; 0: one only. flap: between two losses of the connection
  double down;         // reboot, firmware, flap: seconds until it is back
  double period;       // unplug: seconds from the begin of a night to that of the next
  double share;        // loss: of all reports
  double burst;        // loss: mean length in reports
  double after;        // rejoin: seconds
  double destinations; // traffic: factor
  double spike;        // value; 0: none
  uint32_t how;        // one of the enumerations above
  uint32_t count;      // malformed, wrong_identity, login_failures, duplicate: for each report
  uint32_t bytes;      // big, malformed
  uint32_t port;       // traffic
  uint32_t listen;     // traffic; 0: none
  uint32_t one_in;     // value
  char *claims;        // wrong_identity; NULL: another device of the fleet
  char *version;       // firmware; NULL: chosen
  char *user;          // login_failures
  char *source;        // login_failures: IP address
  char *destination;   // traffic: IP address; NULL: none new
  char *metric;        // value, frozen; NULL: all
};

enum selection_by { SELECT_NONE, SELECT_NAMES, SELECT_COUNT, SELECT_EVERY, SELECT_SHARE };

struct selection {
  enum selection_by by;
  char **names; // credentials, or numbers of simulated devices as text
  size_t name_count;
  uint32_t count; // or every
  double share;
  char *model; // filters; NULL: any
  char *region;
  char *site;
  char *firmware; // version as delivered
};

struct fault {
  char *name;
  enum fault_kind kind;
  int line; // in the file
  struct selection devices;
  double start;    // seconds
  double duration; // seconds; negative: until the simulator stops
  double spread;   // seconds over which the devices begin, one by one
  char *expect;    // kind of alert that ought to come of it, or `none`; NULL: not said
  struct fault_parameters with;
};

struct scenario {
  char *path;
  bool from_start; // times count from the program's start, not from when all devices are connected
  struct fault *faults;
  size_t fault_count;
};

// Reads and checks a scenario file. NULL with one sentence in `error` that names file, line and field.
struct scenario *scenario_load(const char *path, char *error, size_t error_size);
void scenario_free(struct scenario *scenario);

const char *fault_kind_name(enum fault_kind kind);

#endif
