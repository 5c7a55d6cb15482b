// The command line of vedette-sim.
#ifndef VEDETTE_SIMULATOR_OPTIONS_H
#define VEDETTE_SIMULATOR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "simulator/keep.h"

enum options_task { TASK_RUN, TASK_LIST_CREDENTIALS, TASK_LIST_FIRMWARE, TASK_CHECK, TASK_EXIT };

// Strings point into argv, but for `host`.
struct options {
  enum options_task task;
  char host[256];
  uint16_t port;
  const char *ca;
  const char *certificates;
  uint32_t devices;
  const char *prefix;
  double cadence; // seconds
  uint32_t samples;
  const char *model;
  const char *scenario;
  const char *truth;
  const char *replay;
  const char *replay_prefix;
  double speed; // 0: as fast as the broker acknowledges
  bool recorded_times;
  bool replay_loop;
  double rate;     // reports a second over all; 0: by cadence
  uint64_t count;  // 0: no end
  double duration; // seconds; 0: no end
  uint64_t seed;
  uint64_t boot; // 0: from the clock
  const char *status;
  const char *stored_log;
  double backoff_least; // seconds
  double backoff_most;
  double connect_rate; // new connections a second
  uint32_t window;     // unacknowledged reports a device
  uint16_t keepalive;  // seconds
  bool keep;
  struct keep_limits keep_limits; // a device
  double resend_after;            // seconds
  double linger;                  // seconds
  bool verbose;
};

// Reads the command line. 0, or -1 after one clear line on stderr. TASK_EXIT: --help or --version was answered.
int options_read(int argc, char **argv, struct options *out);

#endif
