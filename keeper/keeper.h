// Keeps the store: does its chores in turns, each when it is due, over one connection. A chore that fails is tried again soon.
// The loop's thread only.
#ifndef VEDETTE_KEEPER_KEEPER_H
#define VEDETTE_KEEPER_KEEPER_H

#include "common/config.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keeper;

struct keeper *keeper_new(struct loop *loop, const struct config *config); // NULL on failure, logged
void keeper_free(struct keeper *keeper);                                   // accepts NULL
// Finishes what runs, then calls `stopped`, once.
void keeper_stop(struct keeper *keeper, void (*stopped)(void *arg), void *arg);

struct keeper_chore {
  const char *name;
  uint64_t done, failed; // times
  bool overdue;          // was never done, or not since it last failed
};
struct keeper_stats {
  bool connected;
  const struct keeper_chore *chores;
  size_t chore_count;
  uint64_t rollups; // hours of devices
  uint64_t reports_compressed, samples_compressed;
};
struct keeper_stats keeper_stats(const struct keeper *keeper);

#endif
