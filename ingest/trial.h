// What would become of a message if it were received now: decoding, checks and admission as a worker does them, for an operator
// who wants to know before a replay. What only the store knows (repeats, numbers of metrics) is left to the caller. One thread.
#ifndef VEDETTE_INGEST_TRIAL_H
#define VEDETTE_INGEST_TRIAL_H

#include "ingest/decode.h"
#include "ingest/mapping.h"
#include "storage/intake.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trial;

struct trial_result {
  struct verdict verdict; // reason 0: it would be taken; the detail lives until the next trial
  enum topic_kind kind;
  int32_t device, publisher;            // numbers
  int64_t time, boot, sequence, digest; // of the key it would be stored by
  int32_t state;                        // of connectivity, part of its key
};

// The mappings have to outlive the trial.
struct trial *trial_new(struct mappings *mappings);
void trial_free(struct trial *trial); // accepts NULL
// Tells of a device of the registry. False when memory ran out.
bool trial_device(struct trial *trial, const struct intake_device *device);
// Tries a message as a replay. False when memory ran out.
bool trial_message(struct trial *trial, const char *topic, const uint8_t *payload, size_t size, struct trial_result *result);

#endif
