#include "tests/bench/rig.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t keep_us = 30 * INT64_C(86400000000);
static const int64_t batch_key = (INT64_C(1) << 40) | 1;

bool rig_open(struct rig *rig, const struct stock_shape *shape, size_t batch_size) {
  *rig = (struct rig){.devices = shape->devices};
  rig->stock = stock_make(shape);
  rig->directory = directory_new();
  rig->topics = calloc(shape->devices, sizeof *rig->topics);
  bool ok = rig->stock != NULL && rig->directory != NULL && rig->topics != NULL && batch_init(&rig->batch, batch_size);
  for (uint32_t i = 0; ok && i < shape->devices; i++) {
    char credential[STOCK_TOPIC];
    stock_credential(i, credential);
    stock_topic(i, rig->topics[i]);
    const struct intake_device device = {
        .id = (int32_t)i + 1, .credential = credential, .model = 1, .active = true, .keep_us = keep_us};
    ok = directory_put(rig->directory, &device) != NULL;
  }
  return ok;
}

void rig_close(struct rig *rig) {
  if (rig->batch.messages != NULL) {
    batch_destroy(&rig->batch);
  }
  directory_free(rig->directory);
  stock_free(rig->stock);
  free(rig->topics);
}

bool rig_has_more(const struct rig *rig) {
  return rig->next < stock_count(rig->stock);
}

bool rig_add(struct rig *rig) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  batch_reset(&rig->batch, rig->next);
  while (rig->batch.count < rig->batch.room && rig_has_more(rig)) {
    struct stock_report report = stock_get(rig->stock, rig->next);
    const char *topic = rig->topics[report.device];
    struct record record = {.number = rig->next,
                            .received = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000,
                            .topic = topic,
                            .topic_length = strlen(topic),
                            .payload = report.payload,
                            .payload_length = report.size};
    if (!batch_add(&rig->batch, rig->directory, &record)) {
      break; // full of memory: the rest is the next one's
    }
    if (rig->batch.messages[rig->batch.count - 1].outcome != OUTCOME_STORED) {
      return false;
    }
    rig->next++;
  }
  return rig->batch.count > 0;
}

static void number_metric(struct model *model, struct metric *metric, const Vedette__V1__MetricDeclaration *declaration,
                          void *arg) {
  struct rig *rig = arg;
  (void)model;
  (void)declaration;
  if (metric->id == 0) {
    metric->id = ++rig->metrics;
  }
}

void rig_number_metrics(struct rig *rig) {
  batch_metrics(&rig->batch, number_metric, rig);
}

// Numbers the sets that are new. How many there were.
static size_t number_sets(struct rig *rig) {
  size_t added = 0;
  for (size_t i = 0; i < rig->batch.row_count; i++) {
    struct row *row = &rig->batch.rows[i];
    if (row->count > 0 && row->set == NULL && device_set(row->message->device, row->metrics, row->count) == NULL) {
      device_add_set(row->message->device, row->metrics, row->count, ++rig->sets);
      added++;
    }
  }
  return added;
}

bool rig_rows(struct rig *rig) {
  do {
    if (!batch_rows(&rig->batch)) {
      return false;
    }
  } while (number_sets(rig) > 0);
  return true;
}

bool rig_encode(struct rig *rig) {
  bool ok = batch_encode(&rig->batch, batch_key);
  batch_remember(&rig->batch);
  return ok;
}
