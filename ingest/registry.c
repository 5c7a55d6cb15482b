#include "ingest/registry.h"

#include "common/log.h"
#include "common/loop.h"
#include "storage/intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct registry {
  struct directory *directory;
  struct tombstones *tombstones;
  struct erasing *erasing;
  struct intake_devices devices;
  int64_t erasure;
};

static void take_device(const struct intake_device *device, void *arg) {
  struct registry *registry = arg;
  if (directory_put(registry->directory, device) == NULL) {
    log_error("out of memory for the registry", "device=%" PRId32, device->id);
  }
  tombstones_remove(registry->tombstones, device->credential); // registered again, or the store is one of before the erasure
}

static void take_kept(int32_t id, int64_t letters, int64_t bytes, void *arg) {
  struct registry *registry = arg;
  struct device *device = directory_find_id(registry->directory, id);
  if (id == 0 || device != NULL) {
    struct letters_kept *kept = device != NULL ? &device->letters : directory_strangers(registry->directory);
    *kept = (struct letters_kept){
        .day = clock_wall_us() / INT64_C(86400000000), .count = (uint32_t)letters, .bytes = (uint64_t)bytes};
  }
}

static void take_salt(const uint8_t *salt, void *arg) {
  const struct registry *registry = arg;
  tombstones_salt(registry->tombstones, salt);
}

static void take_tombstone(const uint8_t *digest, void *arg) {
  const struct registry *registry = arg;
  if (!tombstones_add(registry->tombstones, digest)) {
    log_error("out of memory for what was erased; leaving, rather than let it back in", "");
    _exit(1);
  }
}

static void take_retained(int32_t id, const char *credential, void *arg) {
  const struct registry *registry = arg;
  erasing_retained(registry->erasing, id, credential);
}

struct registry *registry_new(const char *worker, struct directory *directory, struct tombstones *tombstones,
                              struct erasing *erasing) {
  struct registry *registry = calloc(1, sizeof *registry);
  if (registry == NULL) {
    return NULL;
  }
  registry->directory = directory;
  registry->tombstones = tombstones;
  registry->erasing = erasing;
  registry->devices = (struct intake_devices){.worker = worker,
                                              .visit = take_device,
                                              .kept = take_kept,
                                              .salt = take_salt,
                                              .tombstone = take_tombstone,
                                              .retained = take_retained,
                                              .arg = registry,
                                              .snapshot = "0"};
  return registry;
}

void registry_free(struct registry *registry) {
  free(registry);
}

void registry_forget(struct registry *registry) {
  directory_clear(registry->directory);
  snprintf(registry->devices.snapshot, sizeof registry->devices.snapshot, "0");
}

struct script *registry_ask(struct registry *registry) {
  return intake_devices(&registry->devices);
}

bool registry_answered(struct registry *registry) {
  bool erased = registry->erasure != registry->devices.erasure;
  registry->erasure = registry->devices.erasure;
  return erased;
}

bool registry_known(const struct registry *registry) {
  return strcmp(registry->devices.snapshot, "0") != 0;
}

int64_t registry_erasure(const struct registry *registry) {
  return registry->erasure;
}
