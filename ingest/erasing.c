#include "ingest/erasing.h"

#include "common/loop.h"
#include "ingest/decode.h"
#include "storage/intake.h"

#include <stdio.h>
#include <stdlib.h>

enum { CLEARS_MOST = 100 };                            // retained messages at a time
static const int64_t again_us = 60 * INT64_C(1000000); // between two emptyings for what came of erased devices since

struct erasing {
  struct journal *journal;
  struct erasing_broker broker;
  int64_t forgotten;  // the journal was emptied for erasures up to this one …
  int64_t forgetting; // … and is being emptied for those up to this
  bool turned;        // what has to go is in segments of its own: records below this
  uint64_t below;
  bool soiled;
  int64_t soiled_at;            // when the journal was last emptied for that; steady clock
  int32_t cleared[CLEARS_MOST]; // devices that the broker was asked about
  size_t count;
  bool asked;   // … and the answers are awaited
  bool telling; // the store, how far the journal was emptied
};

struct erasing *erasing_new(struct journal *journal, const struct erasing_broker *broker) {
  struct erasing *erasing = calloc(1, sizeof *erasing);
  if (erasing != NULL) {
    erasing->journal = journal;
    erasing->broker = *broker;
  }
  return erasing;
}

void erasing_free(struct erasing *erasing) {
  free(erasing);
}

void erasing_start(struct erasing *erasing, int64_t erased_to) {
  erasing->forgotten = erasing->forgetting = erased_to;
  erasing->soiled = erasing->soiled || erasing->turned || journal_is_soiled(erasing->journal);
  erasing->turned = erasing->telling = erasing->asked = false;
  erasing->count = 0;
}

void erasing_retained(struct erasing *erasing, int32_t device, const char *credential) {
  char topic[CREDENTIAL_LIMIT + 32];
  if (erasing->asked || erasing->count == CLEARS_MOST) {
    return; // the store names it again
  }
  snprintf(topic, sizeof topic, "vedette/v1/%s/connectivity", credential);
  if (erasing->broker.clear(topic, erasing->broker.arg)) {
    erasing->cleared[erasing->count++] = device;
  }
}

bool erasing_soiled(struct erasing *erasing) {
  bool noted = erasing->soiled || journal_note_soiled(erasing->journal, true);
  erasing->soiled = true;
  return noted;
}

// True once the journal is empty of what has to go.
static bool forget(struct erasing *erasing, int64_t erasure) {
  int64_t now = clock_steady_us();
  bool again = erasing->soiled && (erasing->soiled_at == 0 || now - erasing->soiled_at > again_us);
  if (erasure > erasing->forgetting || (again && !erasing->turned)) {
    erasing->soiled_at = again ? now : erasing->soiled_at;
    erasing->forgetting = erasure;
    erasing->soiled = erasing->turned = false;
  } else if (!erasing->turned && erasing->forgetting == erasing->forgotten) {
    return false; // nothing to do
  }
  erasing->turned = erasing->turned || journal_turn(erasing->journal, &erasing->below);
  if (!erasing->turned || !journal_forget(erasing->journal, erasing->below)) {
    return false;
  }
  erasing->turned = false;
  return erasing->soiled || journal_note_soiled(erasing->journal, false);
}

// What the broker no longer retains.
static struct script *list_cleared(struct erasing *erasing) {
  if (erasing->count == 0) {
    return NULL;
  }
  erasing->asked = true;
  int waiting = erasing->broker.clearing(erasing->broker.arg);
  struct list *devices = waiting == 0 ? list_new() : NULL;
  struct script *script = NULL;
  if (waiting > 0) {
    return NULL;
  }
  for (size_t i = 0; devices != NULL && i < erasing->count; i++) {
    list_int(devices, erasing->cleared[i]);
  }
  if (devices != NULL) {
    script = intake_retained_cleared(devices);
    list_free(devices);
  }
  erasing->count = 0; // of what failed the store speaks again
  erasing->asked = false;
  return script;
}

struct script *erasing_next(struct erasing *erasing, int32_t feed, int64_t erasure) {
  struct script *cleared = list_cleared(erasing);
  if (cleared != NULL) {
    return cleared;
  }
  erasing->telling = forget(erasing, erasure) && erasing->forgetting > erasing->forgotten;
  return erasing->telling ? intake_forgot(feed, erasing->forgetting) : NULL;
}

void erasing_told(struct erasing *erasing, bool told) {
  if (erasing->telling && told) {
    erasing->forgotten = erasing->forgetting;
  } else if (erasing->telling) {
    erasing->forgetting = erasing->forgotten; // once more, then
  }
  erasing->telling = false;
}
