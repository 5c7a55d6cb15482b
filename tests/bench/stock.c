#include "tests/bench/stock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simulator/draft.h"

enum { JSON_MOST = 64 * 1024, GROW = 1024 * 1024 };

struct stock {
  struct stock_shape shape;
  uint64_t boot;
  int64_t begin; // Unix microseconds of the first report
  uint8_t *bytes;
  size_t used, room;
  size_t *ends; // of each payload in `bytes`
};

void stock_credential(uint32_t device, char out[STOCK_TOPIC]) {
  snprintf(out, STOCK_TOPIC, "dev-%05" PRIu32, device + 1);
}

void stock_topic(uint32_t device, char out[STOCK_TOPIC]) {
  snprintf(out, STOCK_TOPIC, "vedette/v1/dev-%05" PRIu32 "/report", device + 1);
}

static bool append(struct stock *stock, const void *bytes, size_t size) {
  if (stock->room - stock->used < size) {
    size_t room = stock->room * 2 + size + GROW;
    uint8_t *grown = realloc(stock->bytes, room);
    if (grown == NULL) {
      return false;
    }
    stock->bytes = grown;
    stock->room = room;
  }
  memcpy(stock->bytes + stock->used, bytes, size);
  stock->used += size;
  return true;
}

static int64_t time_of(const struct stock *stock, size_t index) {
  return stock->begin + (int64_t)index;
}

static uint64_t sequence_of(const struct stock *stock, size_t index) {
  return stock->shape.first + index / stock->shape.devices;
}

static bool add_packed(struct stock *stock, struct draft *draft, size_t index) {
  int64_t time = time_of(stock, index);
  uint32_t device = (uint32_t)(index % stock->shape.devices);
  draft_begin(draft, stock->boot, sequence_of(stock, index), time);
  for (uint32_t i = 0; i < stock->shape.samples; i++) {
    struct value_metric metric;
    struct value value = values_at(device, i, time, 0);
    values_metric(i, &metric);
    draft_sample(draft, metric.name, &value);
  }
  size_t size;
  const uint8_t *packed = draft_pack(draft, &size);
  return packed != NULL && append(stock, packed, size);
}

static int print_value(char *out, size_t room, const struct value *value) {
  switch (value->type) {
  case VALUE_NUMBER: return snprintf(out, room, "%.10g", value->number);
  case VALUE_INTEGER: return snprintf(out, room, "%" PRId64, value->integer);
  default: return snprintf(out, room, "%s", value->flag ? "true" : "false");
  }
}

static bool add_json(struct stock *stock, char *text, size_t index) {
  int64_t time = time_of(stock, index);
  uint32_t device = (uint32_t)(index % stock->shape.devices);
  int used = snprintf(text, JSON_MOST, "{\"boot\":%" PRIu64 ",\"sequence\":%" PRIu64 ",\"time\":%" PRId64 ",\"values\":{",
                      stock->boot, sequence_of(stock, index), time);
  for (uint32_t i = 0; i < stock->shape.samples; i++) {
    struct value_metric metric;
    struct value value = values_at(device, i, time, 0);
    values_metric(i, &metric);
    used += snprintf(text + used, (size_t)(JSON_MOST - used), "%s\"%s\":", i > 0 ? "," : "", metric.name);
    used += print_value(text + used, (size_t)(JSON_MOST - used), &value);
  }
  used += snprintf(text + used, (size_t)(JSON_MOST - used), "}}");
  return append(stock, text, (size_t)used);
}

static bool fill(struct stock *stock) {
  struct draft *draft = draft_new();
  char *text = malloc(JSON_MOST);
  bool ok = draft != NULL && text != NULL;
  for (size_t i = 0; ok && i < stock->shape.count; i++) {
    ok = stock->shape.json ? add_json(stock, text, i) : add_packed(stock, draft, i);
    stock->ends[i] = stock->used;
  }
  draft_free(draft);
  free(text);
  return ok;
}

struct stock *stock_make(const struct stock_shape *shape) {
  struct stock *stock = calloc(1, sizeof *stock);
  struct timespec now;
  if (stock == NULL || (stock->ends = calloc(shape->count + 1, sizeof *stock->ends)) == NULL) {
    free(stock);
    return NULL;
  }
  clock_gettime(CLOCK_REALTIME, &now);
  stock->shape = *shape;
  stock->shape.first = shape->first > 0 ? shape->first : 1;
  stock->boot = (uint64_t)now.tv_sec;
  stock->begin = (int64_t)now.tv_sec * 1000000;
  if (!fill(stock)) {
    stock_free(stock);
    return NULL;
  }
  return stock;
}

void stock_free(struct stock *stock) {
  if (stock != NULL) {
    free(stock->bytes);
    free(stock->ends);
    free(stock);
  }
}

size_t stock_count(const struct stock *stock) {
  return stock->shape.count;
}

struct stock_report stock_get(const struct stock *stock, size_t index) {
  size_t start = index > 0 ? stock->ends[index - 1] : 0;
  return (struct stock_report){.device = (uint32_t)(index % stock->shape.devices),
                               .sequence = sequence_of(stock, index),
                               .payload = stock->bytes + start,
                               .size = stock->ends[index] - start};
}
