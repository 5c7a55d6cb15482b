// Keeps what a worker knows of the registry as the store has it: the directory, the tombstones of erased devices, and what is to
// be done about these. The loop's thread only.
#ifndef VEDETTE_INGEST_REGISTRY_H
#define VEDETTE_INGEST_REGISTRY_H

#include "ingest/directory.h"
#include "ingest/erasing.h"
#include "ingest/tombstones.h"

#include <stdbool.h>
#include <stdint.h>

struct registry;

// For the worker of this name; all pointers are the caller's and outlive it. NULL when out of memory.
struct registry *registry_new(const char *worker, struct directory *directory, struct tombstones *tombstones,
                              struct erasing *erasing);
void registry_free(struct registry *registry); // accepts NULL

// The store may be another one: the directory is emptied and asked for anew. Tombstones stay, so that nobody gets in meanwhile.
void registry_forget(struct registry *registry);
// Asks for what has changed; all, the first time.
struct script *registry_ask(struct registry *registry);
// That was answered. True where devices were erased since the last time: what was admitted before is to be looked at again.
bool registry_answered(struct registry *registry);
bool registry_known(const struct registry *registry);      // whether it was answered since registry_forget
int64_t registry_erasure(const struct registry *registry); // the newest that the directory knows

#endif
