// Taking records in: decode, check, admit.
#include "ingest/batch.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
  REGION_LIMIT = 32 * 1024 * 1024,  // bytes of decoded messages a batch may hold
  LETTERS_LIMIT = 8 * 1024 * 1024,  // bytes of rejected payload after which a batch takes no more records
  SCRATCH_LIMIT = 80 * 1024 * 1024, // … and of their rows: a sample takes 88 bytes or more decoded, and at most 150 as a row
};

size_t batch_memory(const struct batch *batch) {
  return region_used(batch->region) + region_used(batch->scratch);
}

size_t batch_memory_limit(void) {
  return (size_t)REGION_LIMIT + SCRATCH_LIMIT;
}

bool batch_init(struct batch *batch, size_t room) {
  *batch = (struct batch){.decoders = {decoder_wire()}, .decoder_count = 1, .room = room};
  batch->region = region_new(REGION_LIMIT);
  batch->scratch = region_new(SCRATCH_LIMIT);
  batch->messages = calloc(room, sizeof *batch->messages);
  if (batch->region == NULL || batch->scratch == NULL || batch->messages == NULL) {
    batch_destroy(batch);
    return false;
  }
  return true;
}

void batch_destroy(struct batch *batch) {
  region_free(batch->region);
  region_free(batch->scratch);
  free(batch->messages);
  copy_free(&batch->reports);
  copy_free(&batch->traffic);
  copy_free(&batch->events);
  copy_free(&batch->firmware);
  copy_free(&batch->connectivity);
  copy_free(&batch->letters);
  *batch = (struct batch){0};
}

void batch_add_decoder(struct batch *batch, struct decoder *decoder) {
  if (batch->decoder_count < DECODERS_MOST) {
    batch->decoders[batch->decoder_count++] = decoder;
  }
}

void batch_reset(struct batch *batch, uint64_t first) {
  region_reset(batch->region);
  region_reset(batch->scratch);
  batch->count = 0;
  batch->minute_count = 0;
  batch->letter_bytes = 0;
  batch->buries = false;
  batch->rows = NULL;
  batch->row_count = 0;
  batch->first = batch->next = first;
}

bool message_historical(const struct message *message) {
  return message->report->historical || (message->record.flags & RECORD_REPLAY) != 0;
}

void message_reject(struct message *message, Vedette__V1__Reason reason, const char *detail) {
  message->outcome = OUTCOME_REJECTED;
  message->verdict = (struct verdict){reason, detail};
}

// Of an erased device nothing comes back: neither its name nor its message is kept. True if the name is one's.
static bool bury(struct batch *batch, struct message *message, const char *name, size_t length) {
  if (!tombstones_has(batch->tombstones, name, length)) {
    return false;
  }
  message->buried = batch->buries = true;
  message->letter = LETTER_DROPPED;
  return true;
}

// Whether the report says that it comes from, or is about, somebody it must not.
static void check_identity(struct batch *batch, struct directory *directory, struct message *message) {
  const Vedette__V1__Report *report = message->report;
  const size_t length = strlen(report->credential);
  if (length > 0 && (length != message->credential_length || memcmp(report->credential, message->credential, length) != 0)) {
    bool buried = bury(batch, message, report->credential, length);
    message_reject(
        message, VEDETTE__V1__REASON__REASON_IDENTITY,
        region_printf(batch->region, "the payload claims to be from %s", buried ? "an erased device" : report->credential));
    return;
  }
  if (report->child[0] != '\0') {
    struct device *child = directory_find(directory, report->child, strlen(report->child));
    if (child == NULL || child->gateway != message->publisher->id || !child->active) {
      bool buried = child == NULL && bury(batch, message, report->child, strlen(report->child));
      message_reject(
          message, VEDETTE__V1__REASON__REASON_IDENTITY,
          region_printf(batch->region, "%s is not a child of this device", buried ? "an erased device" : report->child));
      return;
    }
    message->device = child;
  }
}

// The registry's part of the checks: who speaks, for whom, and may they.
static void admit(struct batch *batch, struct directory *directory, struct message *message) {
  const char *credential = message->credential;
  size_t length = message->credential_length;
  if (message->kind == TOPIC_OTHER) { // nobody's
    message->letters = directory_strangers(directory);
    return;
  }
  message->publisher = directory_find(directory, credential, length);
  message->device = message->publisher;
  message->letters = message->publisher != NULL ? &message->publisher->letters : directory_strangers(directory);
  if (message->publisher == NULL) {
    bool buried = bury(batch, message, credential, length);
    message_reject(message, VEDETTE__V1__REASON__REASON_UNKNOWN_DEVICE,
                   buried ? "the device was erased"
                          : region_printf(batch->region, "%.*s is not registered", (int)length, credential));
    return;
  }
  if (!message->publisher->active) {
    message_reject(message, VEDETTE__V1__REASON__REASON_RETIRED_DEVICE, "the device is not active in the registry");
    return;
  }
  if (message->report != NULL && message->outcome != OUTCOME_REJECTED) {
    check_identity(batch, directory, message);
  }
}

// What is refused for something else may name an erased device all the same.
static void bury_named(struct batch *batch, struct message *message) {
  const Vedette__V1__Report *report = message->report;
  if (report != NULL && !message->buried &&
      (bury(batch, message, report->credential, strlen(report->credential)) ||
       bury(batch, message, report->child, strlen(report->child)))) {
    message->verdict.detail = "names an erased device";
  }
}

// What was known of the credential before was erased.
static void check_erasure(struct batch *batch, struct message *message) {
  const struct device *device = message->device;
  int64_t time = message->report != NULL         ? message->report->time
                 : message->connectivity != NULL ? message->connectivity->time
                                                 : 0;
  bool told = !(time_marks(time, message->record.received, false) & MARK_NO_CLOCK) && time < device->not_before;
  const Vedette__V1__Report *report = message->report;
  for (size_t i = 0; report != NULL && !told && i < report->n_samples; i++) {
    told = report->samples[i]->time != 0 && report->samples[i]->time < device->not_before;
  }
  for (size_t i = 0; report != NULL && !told && i < report->n_events; i++) {
    told = report->events[i]->time != 0 && report->events[i]->time < device->not_before;
  }
  if (told || message->record.received < device->not_before) {
    batch->buries = true;
    message_reject(message, VEDETTE__V1__REASON__REASON_TIME, "of before the erasure of what was known of this credential");
    message->letter = LETTER_DROPPED;
  }
}

// The whole message is refused when one of its times cannot be kept.
static void check_times(struct batch *batch, struct message *message) {
  const Vedette__V1__Report *report = message->report;
  int64_t received = message->record.received;
  const int64_t keep_us = message->device->model->keep_us;
  bool bad = !time_fits(report->time, received, keep_us);
  for (size_t i = 0; !bad && i < report->n_samples; i++) {
    int64_t own = report->samples[i]->time;
    bad = own != 0 && !time_fits(own, received, keep_us);
  }
  for (size_t i = 0; !bad && i < report->n_events; i++) {
    int64_t own = report->events[i]->time;
    bad = own != 0 && !time_fits(own, received, keep_us);
  }
  if (bad) {
    message_reject(message, VEDETTE__V1__REASON__REASON_TIME,
                   region_printf(batch->region, "a time is older than the %lld days kept, negative, or past the year 2100",
                                 (long long)(keep_us / INT64_C(86400000000))));
  }
}

// XXH3 is fast and not secret: who crafts two messages of one key and one digest only loses the second.
static int64_t digest(const struct record *record) {
  return (int64_t)XXH3_64bits(record->payload, record->payload_length);
}

static bool is_numbered(const struct message *message) {
  return !(message->marks & MARK_NO_SEQUENCE);
}

// What the rows' key has for boot and sequence. Where the publisher does not number its reports the message is told by what it
// says: topic and payload (one content on two topics is two messages).
static void number_message(struct message *message) {
  const struct record *record = &message->record;
  if (!is_numbered(message)) {
    uint64_t content = XXH3_64bits_withSeed(record->topic, record->topic_length, (uint64_t)message->digest);
    message->sequence = content & INT64_MAX;
  } else if (message->report != NULL) {
    message->boot = report_boot(message->report);
    message->sequence = message->report->sequence <= INT64_MAX ? message->report->sequence : 0;
  } else if (message->connectivity != NULL) {
    message->boot = connectivity_boot(message->connectivity);
    message->sequence = message->connectivity->connection;
  }
}

static void decode(struct batch *batch, struct message *message) {
  struct decoded decoded;
  size_t asked = 0;
  while (asked < batch->decoder_count &&
         !batch->decoders[asked]->decode(batch->decoders[asked], batch->region, &message->record, &decoded)) {
    asked++;
  }
  if (asked == batch->decoder_count) {
    decoded = (struct decoded){.kind = TOPIC_OTHER,
                               .credential = "",
                               .verdict = {VEDETTE__V1__REASON__REASON_TOPIC, "not a topic of vedette/v1 or of a mapping"}};
  }
  message->kind = decoded.kind;
  message->credential = decoded.credential;
  message->credential_length = decoded.credential_length;
  message->report = decoded.report;
  message->connectivity = decoded.connectivity;
  message->marks = decoded.marks;
  number_message(message);
  message->decoded = decoded.verdict;
}

static bool looks_repeated(const struct message *message) {
  const struct device *publisher = message->publisher;
  return (message->record.flags & (RECORD_DUP | RECORD_REPLAY)) ||
         (is_numbered(message) && publisher->boot == message->boot && message->sequence <= publisher->sequence);
}

static bool is_urgent(const struct message *message) {
  return message->report == NULL || message->report->n_events > 0; // no report: connectivity
}

// Takes the message's tokens, or sheds it. A record that is read again was charged before; a replay is the operator's doing.
static void charge(struct batch *batch, struct message *message) {
  struct device *device = message->device;
  struct device *publisher = message->publisher;
  int64_t received = message->record.received;
  int64_t time = message->report != NULL ? message->report->time : 0;
  bool relayed = publisher != device;
  bool urgent = is_urgent(message);
  if (message->record.number < publisher->charged || (message->record.flags & RECORD_REPLAY)) {
    return;
  }
  publisher->charged = message->record.number + 1;
  bucket_fill(&device->bucket, &batch->device, received, time);
  if (relayed) {
    bucket_fill(&publisher->relay, &batch->gateway, received, time);
  }
  if (!bucket_has(&device->bucket, &batch->device, urgent) ||
      (relayed && !bucket_has(&publisher->relay, &batch->gateway, urgent))) {
    message->outcome = OUTCOME_SHED;
    message->verdict = (struct verdict){VEDETTE__V1__REASON__REASON_SHED, "more messages than a device or gateway may send"};
    return;
  }
  bucket_take(&device->bucket, &batch->device);
  if (relayed) {
    bucket_take(&publisher->relay, &batch->gateway);
  }
}

static void suspect(struct message *message) {
  message->repeat = message->outcome == OUTCOME_STORED && message->kind == TOPIC_REPORT && looks_repeated(message);
}

// What becomes of a decoded message, as the directory stands now.
static void judge(struct batch *batch, struct directory *directory, struct message *message) {
  message->outcome = OUTCOME_STORED;
  if (message->buried) { // as it seemed when the registry was not read again yet
    message->buried = false;
    message->letter = LETTER_OPEN;
  }
  if (message->decoded.reason != 0) {
    message_reject(message, message->decoded.reason, message->decoded.detail);
  }
  admit(batch, directory, message);
  if (message->outcome == OUTCOME_STORED && message->device->not_before != 0) {
    check_erasure(batch, message);
  }
  if (message->outcome == OUTCOME_STORED && message->report != NULL) {
    check_times(batch, message);
  }
  if (message->outcome == OUTCOME_STORED) {
    charge(batch, message);
  }
  if (message->outcome == OUTCOME_REJECTED) {
    bury_named(batch, message);
  }
  suspect(message);
}

struct minute *batch_minute(struct batch *batch, int64_t received) {
  int64_t start = received - received % (60 * INT64_C(1000000));
  for (size_t i = batch->minute_count; i > 0; i--) { // the newest is the likeliest
    if (batch->minutes[i - 1].start == start) {
      return &batch->minutes[i - 1];
    }
  }
  if (batch->minute_count == MINUTES_MOST) {
    return NULL;
  }
  batch->minutes[batch->minute_count] = (struct minute){.start = start};
  return &batch->minutes[batch->minute_count++];
}

bool batch_add(struct batch *batch, struct directory *directory, const struct record *record) {
  if (batch->count == batch->room || region_used(batch->region) > REGION_LIMIT - 2 * DECODE_BUDGET ||
      batch->letter_bytes >= LETTERS_LIMIT) {
    return false;
  }
  struct minute *minute = batch_minute(batch, record->received);
  if (minute == NULL) {
    return false;
  }
  minute->received++;
  struct message *message = &batch->messages[batch->count++];
  *message = (struct message){.record = *record, .digest = digest(record)};
  decode(batch, message);
  judge(batch, directory, message);
  batch->letter_bytes += message->outcome == OUTCOME_REJECTED ? record->payload_length : 0;
  batch->next = record->number + 1;
  return true;
}

static bool is_unknown(const struct message *message) {
  return message->outcome == OUTCOME_REJECTED && (message->verdict.reason == VEDETTE__V1__REASON__REASON_UNKNOWN_DEVICE ||
                                                  message->verdict.reason == VEDETTE__V1__REASON__REASON_IDENTITY);
}

size_t batch_unknown(const struct batch *batch) {
  size_t unknown = 0;
  for (size_t i = 0; i < batch->count; i++) {
    unknown += is_unknown(&batch->messages[i]);
  }
  return unknown;
}

void batch_readmit(struct batch *batch, struct directory *directory) {
  for (size_t i = 0; i < batch->count; i++) {
    if (is_unknown(&batch->messages[i])) {
      judge(batch, directory, &batch->messages[i]);
    }
  }
}

void batch_metrics(struct batch *batch, metric_visit visit, void *arg) {
  for (size_t i = 0; i < batch->count; i++) {
    struct message *message = &batch->messages[i];
    if (message->outcome != OUTCOME_STORED || message->report == NULL) {
      continue;
    }
    const Vedette__V1__Report *report = message->report;
    struct model *model = message->device->model;
    for (size_t s = 0; s < report->n_samples; s++) {
      struct metric *metric = model_metric(model, report->samples[s]->metric);
      if (metric != NULL) {
        visit(model, metric, NULL, arg);
      }
    }
    for (size_t d = 0; d < report->n_metrics; d++) {
      struct metric *metric = model_metric(model, report->metrics[d]->metric);
      if (metric != NULL) {
        visit(model, metric, report->metrics[d], arg);
      }
    }
  }
}

struct batch_counts batch_count(const struct batch *batch) {
  struct batch_counts counts = {.rows = (uint32_t)batch->row_count};
  for (size_t i = 0; i < batch->count; i++) {
    const struct message *message = &batch->messages[i];
    counts.duplicates += message->outcome == OUTCOME_DUPLICATE;
    counts.rejected += message->outcome == OUTCOME_REJECTED;
    counts.shed += message->outcome == OUTCOME_SHED;
    counts.reports += message->outcome == OUTCOME_STORED && message->kind == TOPIC_REPORT;
    counts.connectivity += message->outcome == OUTCOME_STORED && message->kind == TOPIC_CONNECTIVITY;
  }
  return counts;
}

void batch_remember(struct batch *batch) {
  for (size_t i = 0; i < batch->count; i++) {
    const struct message *message = &batch->messages[i];
    struct device *publisher = message->publisher;
    if (message->outcome != OUTCOME_STORED || message->report == NULL || !is_numbered(message) ||
        (message->record.flags & RECORD_REPLAY)) {
      continue; // a replay says nothing about where the publisher is now
    }
    if (publisher->boot != message->boot || message->sequence > publisher->sequence) {
      publisher->boot = message->boot;
      publisher->sequence = message->sequence;
    }
  }
}

void batch_suspect(struct batch *batch) {
  for (size_t i = 0; i < batch->count; i++) {
    suspect(&batch->messages[i]);
  }
}
