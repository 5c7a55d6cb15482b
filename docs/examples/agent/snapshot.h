// One look at the machine: everything a report is made of, read at one moment.
#ifndef VEDETTE_AGENT_SNAPSHOT_H
#define VEDETTE_AGENT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "docs/examples/agent/host.h"
#include "docs/examples/agent/netdev.h"
#include "docs/examples/agent/sockets.h"

struct snapshot_disk {
  uint64_t total; // bytes of the root file system
  uint64_t free;  // bytes an ordinary user may still write
};

struct snapshot_sensor {
  char metric[65]; // "temperature.<name>", each once
  double celsius;
};

struct snapshot {
  int64_t time;       // microseconds since 1970; 0: the clock was never set
  uint64_t monotonic; // microseconds, for lengths of time
  bool has_load;
  bool has_memory;
  bool has_uptime;
  bool has_disk;
  bool has_sockets;
  bool has_netdev;
  struct host_load load;
  struct host_memory memory;
  struct snapshot_disk disk;
  double uptime; // seconds
  size_t sensor_count;
  struct snapshot_sensor sensors[HOST_SENSORS_MAX];
  struct netdev netdev;
  struct sockets_summary sockets;
};

// What runs on this machine. Does not change while it runs.
struct snapshot_firmware {
  char version[65];
  bool has_hash;
  uint8_t hash[32];
  int verification; // vedette.v1.BootVerification
};

// Reads from `proc` (normally /proc) and /sys. Owned by the caller, for one thread.
struct snapshot_source;
struct snapshot_source *snapshot_open(const char *proc); // NULL without memory
void snapshot_close(struct snapshot_source *source);

// Takes a snapshot. What cannot be read is marked as missing; that is not an error.
void snapshot_take(struct snapshot_source *source, struct snapshot *out);

// Version from os-release; hash of /boot/vmlinuz-<release>, or of os-release where that cannot be read; secure boot from EFI.
void snapshot_firmware(struct snapshot_source *source, struct snapshot_firmware *out);

#endif
