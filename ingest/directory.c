#include "ingest/directory.h"

#include <stdlib.h>
#include <string.h>

struct directory {
  struct device *by_credential;
  struct device *by_id;
  struct model *models;
  struct letters_kept strangers;
};

struct directory *directory_new(void) {
  return calloc(1, sizeof(struct directory));
}

static void device_free(struct device *device) {
  for (size_t i = 0; i < device->set_count; i++) {
    free(device->sets[i].metrics);
  }
  free(device->sets);
  free(device->credential);
  free(device);
}

static void model_free(struct model *model) {
  struct metric *metric;
  struct metric *next;
  HASH_ITER(hh, model->metrics, metric, next) {
    HASH_DEL(model->metrics, metric); // NOLINT(clang-analyzer-unix.Malloc): it cannot follow uthash
    free(metric->name);
    free(metric);
  }
  free(model);
}

void directory_clear(struct directory *directory) {
  struct device *device;
  struct device *next_device;
  struct model *model;
  struct model *next_model;
  directory->strangers = (struct letters_kept){0};
  HASH_CLEAR(by_credential, directory->by_credential);
  HASH_ITER(by_id, directory->by_id, device, next_device) {
    HASH_DELETE(by_id, directory->by_id, device);
    device_free(device);
  }
  HASH_ITER(hh, directory->models, model, next_model) {
    HASH_DEL(directory->models, model); // NOLINT(clang-analyzer-unix.Malloc): as above
    model_free(model);
  }
}

void directory_free(struct directory *directory) {
  if (directory != NULL) {
    directory_clear(directory);
    free(directory);
  }
}

struct device *directory_find(struct directory *directory, const char *credential, size_t length) {
  struct device *device = NULL;
  HASH_FIND(by_credential, directory->by_credential, credential, length, device);
  return device;
}

struct device *directory_find_id(struct directory *directory, int32_t id) {
  struct device *device = NULL;
  HASH_FIND(by_id, directory->by_id, &id, sizeof id, device);
  return device;
}

struct letters_kept *directory_strangers(struct directory *directory) {
  return &directory->strangers;
}

size_t directory_count(const struct directory *directory) {
  return HASH_CNT(by_id, directory->by_id);
}

static struct model *find_model(struct directory *directory, int32_t id) {
  struct model *model = NULL;
  HASH_FIND_INT(directory->models, &id, model);
  if (model == NULL && (model = calloc(1, sizeof *model)) != NULL) {
    model->id = id;
    HASH_ADD_INT(directory->models, id, model);
  }
  return model;
}

// Puts the device under its (new) credential.
static bool set_credential(struct directory *directory, struct device *device, const char *credential) {
  if (device->credential != NULL && strcmp(device->credential, credential) == 0) {
    return true;
  }
  char *copy = strdup(credential);
  if (copy == NULL) {
    return false;
  }
  struct device *holder = directory_find(directory, credential, strlen(credential));
  if (holder != NULL) {
    HASH_DELETE(by_credential, directory->by_credential, holder);
  }
  struct device *self = device->credential ? directory_find(directory, device->credential, strlen(device->credential)) : NULL;
  if (self == device) {
    HASH_DELETE(by_credential, directory->by_credential, device);
  }
  free(device->credential);
  device->credential = copy;
  HASH_ADD_KEYPTR(by_credential, directory->by_credential, device->credential, strlen(device->credential), device);
  return true;
}

struct device *directory_put(struct directory *directory, const struct intake_device *registered) {
  struct device *device = directory_find_id(directory, registered->id);
  if (device == NULL) {
    device = calloc(1, sizeof *device);
    if (device == NULL) {
      return NULL;
    }
    device->id = registered->id;
    HASH_ADD(by_id, directory->by_id, id, sizeof device->id, device);
  }
  device->model = find_model(directory, registered->model);
  device->gateway = registered->gateway;
  device->active = registered->active;
  device->not_before = registered->not_before;
  if (device->model == NULL || !set_credential(directory, device, registered->credential)) {
    return NULL;
  }
  device->model->keep_us = registered->keep_us;
  return device;
}

struct metric *model_metric(struct model *model, const char *name) {
  struct metric *metric = NULL;
  HASH_FIND_STR(model->metrics, name, metric);
  if (metric != NULL || HASH_COUNT(model->metrics) >= 2 * METRICS_LIMIT) {
    return metric;
  }
  metric = calloc(1, sizeof *metric);
  if (metric == NULL || (metric->name = strdup(name)) == NULL) {
    free(metric);
    return NULL;
  }
  HASH_ADD_KEYPTR(hh, model->metrics, metric->name, strlen(metric->name), metric);
  return metric;
}

struct metric_set *device_set(struct device *device, const int32_t *metrics, size_t count) {
  for (size_t i = 0; i < device->set_count; i++) {
    struct metric_set *set = &device->sets[i];
    if (set->count == count && memcmp(set->metrics, metrics, count * sizeof *metrics) == 0) {
      return set;
    }
  }
  return NULL;
}

struct metric_set *device_add_set(struct device *device, const int32_t *metrics, size_t count, int16_t number) {
  struct metric_set *grown = realloc(device->sets, (device->set_count + 1) * sizeof *grown);
  if (grown == NULL) {
    return NULL;
  }
  device->sets = grown;
  int32_t *copy = malloc(count * sizeof *copy);
  if (copy == NULL) {
    return NULL;
  }
  memcpy(copy, metrics, count * sizeof *copy);
  grown[device->set_count] = (struct metric_set){.metrics = copy, .count = count, .number = number};
  return &grown[device->set_count++];
}
