// Interface counters: /proc/net/dev as text in, counters out, and what passed between two readings.
#ifndef VEDETTE_AGENT_NETDEV_H
#define VEDETTE_AGENT_NETDEV_H

#include <stddef.h>
#include <stdint.h>

#include "docs/examples/agent/text.h"

enum { NETDEV_MAX = 64 }; // interfaces that are looked at; more are left out

struct netdev_interface {
  char name[16]; // IFNAMSIZ
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint64_t packets_in;
  uint64_t packets_out;
};

struct netdev {
  size_t count;
  struct netdev_interface interfaces[NETDEV_MAX];
};

struct netdev_traffic {
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint64_t packets_in;
  uint64_t packets_out;
};

// Reads all interfaces but the loopback one. Lines that are not as the kernel writes them are passed over.
void netdev_parse(struct text text, struct netdev *out);

// Sums what passed between the two readings. An interface that is new, or whose counters went backwards, counts from 0.
struct netdev_traffic netdev_between(const struct netdev *before, const struct netdev *after);

#endif
