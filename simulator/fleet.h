// Who is simulated: credentials and attributes of all devices, the children of gateways included.
// Attributes follow from the number of a device alone, so the same command line always describes the same fleet.
#ifndef VEDETTE_SIMULATOR_FLEET_H
#define VEDETTE_SIMULATOR_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "simulator/models.h"

enum { FLEET_CHILDREN = 2, FLEET_GATEWAY_EVERY = 50 };

struct place {
  const char *site;
  const char *region;
  const char *time_zone;
  double offset; // hours east of UTC, without summer time
};

// One device. Strings belong to the fleet.
struct member {
  char *credential;
  const struct model *model;
  const char *version; // firmware as delivered
  const struct place *place;
  char owner[24];
  uint64_t seed;
  uint32_t number;        // of the simulated device, from 1; 0: recorded or child
  struct member *gateway; // set: a child, which has no connection of its own
  struct member *children[FLEET_CHILDREN];
  bool critical;
};

struct fleet {
  struct member *members;
  size_t count;
};

struct fleet_settings {
  uint32_t devices; // simulated ones, children not counted
  const char *prefix;
  const char *model; // NULL: two models in turn
  uint64_t seed;
  const char *const *recorded; // credentials of recorded devices
  size_t recorded_count;
};

// Makes the fleet; simulated devices first (each gateway followed by its children), then recorded ones. NULL: out of memory.
struct fleet *fleet_new(const struct fleet_settings *settings);
void fleet_free(struct fleet *fleet);

// The member with that credential, or NULL.
struct member *fleet_find(const struct fleet *fleet, const char *credential);

// Prints the registry lines as CSV with a header, gateways before their children.
void fleet_print(const struct fleet *fleet, FILE *out);

#endif
