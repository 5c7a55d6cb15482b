// The machine's own state: texts of /proc, /sys and os-release in, values out. Nothing here reads a file.
#ifndef VEDETTE_AGENT_HOST_H
#define VEDETTE_AGENT_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "docs/examples/agent/text.h"

enum { HOST_SENSORS_MAX = 16 };

struct host_load {
  double average[3]; // over 1, 5 and 15 minutes
  uint64_t processes;
};

struct host_memory {
  uint64_t total;     // bytes
  uint64_t available; // bytes
  uint64_t swap_used; // bytes
};

// /proc/loadavg: "0.52 0.58 0.59 1/389 12345".
bool host_parse_load(struct text text, struct host_load *out);

// /proc/meminfo. False unless the total and what is available are there.
bool host_parse_memory(struct text text, struct host_memory *out);

// /proc/uptime: seconds since boot.
bool host_parse_uptime(struct text text, double *seconds);

// A sensor's file of /sys: thousandths of a degree. False for values that no working sensor gives (below -100 or above 250
// degrees).
bool host_parse_temperature(struct text text, double *celsius);

// os-release: VERSION, else VERSION_ID, BUILD_ID, PRETTY_NAME, without quotes. At most 64 bytes, as Firmware.version.
bool host_parse_version(struct text text, char *out, size_t size);

// Writes `text` as the part of a metric's name: lower case, and '-' for what a name may not have.
void host_name_part(struct text text, char *out, size_t size);

#endif
