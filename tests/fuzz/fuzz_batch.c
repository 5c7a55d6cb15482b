// The whole way of messages through a batch, without a store: taken in, readmitted, made into rows, encoded.
//
// The input is a list of messages: one byte (0-1: topic, 2: redelivered, 3: retained, 4-5: publisher), two bytes of length,
// payload.
#include "ingest/batch.h"
#include "tests/fuzz/input.h"

#include <stdio.h>

enum { MESSAGES = 16 };
static const int64_t received = INT64_C(1790000000000000);
static const char *const publishers[] = {"alpha", "gateway", "stranger", "retired"};
static const char *const kinds[] = {"report", "connectivity", "report", "other"};

struct numbering {
  int32_t next;
};

static void number_metric(struct model *model, struct metric *metric, const Vedette__V1__MetricDeclaration *declaration,
                          void *arg) {
  struct numbering *numbering = arg;
  (void)model;
  (void)declaration;
  if (metric->id == 0) {
    metric->id = numbering->next % 31 == 30 ? -1 : numbering->next; // some are refused
    numbering->next++;
  }
}

static struct device *put(struct directory *directory, int32_t id, const char *credential, int32_t model, int32_t gateway,
                          bool active) {
  const struct intake_device device = {.id = id,
                                       .credential = credential,
                                       .model = model,
                                       .gateway = gateway,
                                       .active = active,
                                       .keep_us = 30 * INT64_C(86400000000)};
  return directory_put(directory, &device);
}

static struct directory *make_directory(void) {
  struct directory *directory = directory_new();
  CHECK(directory != NULL && put(directory, 1, "alpha", 1, 0, true) != NULL);
  CHECK(put(directory, 2, "gateway", 2, 0, true) != NULL && put(directory, 3, "child", 2, 2, true) != NULL);
  CHECK(put(directory, 4, "retired", 1, 0, false) != NULL);
  return directory;
}

static void check_rows(const struct batch *batch) {
  for (size_t i = 0; i < batch->row_count; i++) {
    const struct row *row = &batch->rows[i];
    CHECK(row->message->outcome == OUTCOME_STORED && row->message->report != NULL && row->message->device != NULL);
    for (size_t m = 1; m < row->count; m++) {
      CHECK(row->metrics[m - 1] < row->metrics[m]);
    }
  }
}

// Every message is counted once.
static void check_counts(const struct batch *batch) {
  struct batch_counts counts = batch_count(batch);
  CHECK(counts.reports + counts.connectivity + counts.duplicates + counts.rejected == batch->count);
  CHECK(counts.rows >= counts.reports);
}

static void take_in(struct batch *batch, struct directory *directory, const uint8_t *data, size_t size) {
  char topics[MESSAGES][64];
  uint64_t number = 0;
  for (size_t at = 0; at + 3 <= size && number < MESSAGES; number++) {
    uint8_t head = data[at];
    size_t length = (size_t)data[at + 1] | (size_t)data[at + 2] << 8;
    at += 3;
    length = length < size - at ? length : size - at;
    int used = snprintf(topics[number], sizeof topics[number], "vedette/v1/%s/%s", publishers[head >> 4 & 3], kinds[head & 3]);
    struct record record = {.number = number,
                            .received = received + (int64_t)number,
                            .flags = (uint8_t)((head & 4 ? RECORD_DUP : 0) | (head & 8 ? RECORD_RETAINED : 0)),
                            .topic = topics[number],
                            .topic_length = (size_t)used,
                            .payload = data + at,
                            .payload_length = length};
    CHECK(batch_add(batch, directory, &record));
    at += length;
  }
  batch_readmit(batch, directory);
  struct numbering numbering = {.next = 1};
  batch_metrics(batch, number_metric, &numbering);
  CHECK(batch_rows(batch) && batch_rows(batch)); // as often as metric sets have to be asked for
  check_rows(batch);
  check_counts(batch);
  CHECK(batch_encode(batch, 1));
  input_touch(batch->reports.data, batch->reports.used);
  batch_remember(batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct batch batch;
  struct directory *directory = make_directory();
  CHECK(batch_init(&batch, MESSAGES));
  batch_reset(&batch, 0);
  take_in(&batch, directory, data, size);
  batch_destroy(&batch);
  directory_free(directory);
  return 0;
}
