#include "ingest/trial.h"

#include "common/loop.h"
#include "ingest/batch.h"

#include <stdlib.h>
#include <string.h>

struct trial {
  struct directory *directory;
  struct batch batch; // of one message
};

struct trial *trial_new(struct mappings *mappings) {
  struct trial *trial = calloc(1, sizeof *trial);
  if (trial == NULL) {
    return NULL;
  }
  trial->directory = directory_new();
  if (trial->directory == NULL || !batch_init(&trial->batch, 1)) {
    directory_free(trial->directory);
    free(trial);
    return NULL;
  }
  batch_add_decoder(&trial->batch, mappings_decoder(mappings));
  return trial;
}

void trial_free(struct trial *trial) {
  if (trial != NULL) {
    batch_destroy(&trial->batch);
    directory_free(trial->directory);
    free(trial);
  }
}

bool trial_device(struct trial *trial, const struct intake_device *device) {
  return directory_put(trial->directory, device) != NULL;
}

bool trial_message(struct trial *trial, const char *topic, const uint8_t *payload, size_t size, struct trial_result *result) {
  struct record record = {.received = clock_wall_us(),
                          .flags = RECORD_REPLAY,
                          .topic = topic,
                          .topic_length = strlen(topic),
                          .payload = payload,
                          .payload_length = size};
  batch_reset(&trial->batch, 0);
  if (!batch_add(&trial->batch, trial->directory, &record)) {
    return false;
  }
  const struct message *message = &trial->batch.messages[0];
  *result = (struct trial_result){.kind = message->kind};
  if (message->outcome == OUTCOME_REJECTED) {
    result->verdict = message->verdict;
    return true;
  }
  result->device = message->device->id;
  result->publisher = message->publisher->id;
  result->boot = message->boot;
  result->sequence = (int64_t)message->sequence;
  result->digest = message->digest;
  result->time = message->report != NULL ? message->report->time : 0;
  result->state = message->connectivity != NULL ? (int32_t)message->connectivity->state : 0;
  return true;
}
