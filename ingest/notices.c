#include "ingest/notices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PLACES = 8192, A_MINUTE = 3, DETAIL_LIMIT = 200, NOTICE_LIMIT = 512 };
static const int64_t minute_us = 60 * INT64_C(1000000);

struct place {
  int64_t minute;
  unsigned sent;
};

// How far a publisher's boot is stored.
struct stored {
  int32_t publisher;
  int64_t boot, sequence;
};

struct notices {
  notice_send send;
  void *arg;
  struct notice_stats stats;
  struct stored *stored;
  size_t count, room;
  struct place places[PLACES];
};

struct notices *notices_new(size_t room, notice_send send, void *arg) {
  struct notices *notices = calloc(1, sizeof *notices);
  if (notices == NULL || (notices->stored = calloc(room, sizeof *notices->stored)) == NULL) {
    free(notices);
    return NULL;
  }
  notices->room = room;
  notices->send = send;
  notices->arg = arg;
  return notices;
}

void notices_free(struct notices *notices) {
  if (notices != NULL) {
    free(notices->stored);
    free(notices);
  }
}

struct notice_stats notices_stats(const struct notices *notices) {
  return notices->stats;
}

static void publish(struct notices *notices, const char *credential, size_t length, const Vedette__V1__Notice *notice) {
  char topic[CREDENTIAL_LIMIT + 32];
  uint8_t packed[NOTICE_LIMIT];
  size_t size = vedette__v1__notice__get_packed_size(notice);
  bool sent = false;
  if (length <= CREDENTIAL_LIMIT && size <= sizeof packed) {
    snprintf(topic, sizeof topic, "vedette/v1/%.*s/notice", (int)length, credential);
    vedette__v1__notice__pack(notice, packed);
    sent = notices->send(topic, packed, size, notices->arg);
  }
  notices->stats.sent += sent;
  notices->stats.withheld += !sent;
}

static bool allowed(struct notices *notices, const char *credential, size_t length, int64_t received) {
  struct place *place = &notices->places[XXH3_64bits(credential, length) % PLACES];
  if (place->minute != received / minute_us) {
    *place = (struct place){.minute = received / minute_us};
  }
  return place->sent++ < A_MINUTE;
}

// A peer had a hand in the words: what is not ASCII would have to be checked again.
static void clean(char *out, const char *text) {
  size_t length = strnlen(text, DETAIL_LIMIT);
  for (size_t i = 0; i < length; i++) {
    out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
  }
  out[length] = '\0';
}

static void tell_refused(struct notices *notices, const struct message *message) {
  const char *credential;
  size_t length;
  char detail[DETAIL_LIMIT + 1];
  Vedette__V1__Notice notice = VEDETTE__V1__NOTICE__INIT;
  Vedette__V1__Notice__Refused refused = VEDETTE__V1__NOTICE__REFUSED__INIT;
  if (topic_parse(message->record.topic, message->record.topic_length, &credential, &length) == TOPIC_OTHER) {
    return;
  }
  if (!allowed(notices, credential, length, message->record.received)) {
    notices->stats.withheld++;
    return;
  }
  clean(detail, message->verdict.detail);
  refused.reason = message->verdict.reason;
  refused.detail = detail;
  refused.sequence = message->kind == TOPIC_REPORT ? message->sequence : 0;
  notice.content_case = VEDETTE__V1__NOTICE__CONTENT_REFUSED;
  notice.refused = &refused;
  publish(notices, credential, length, &notice);
}

// All of the boot's reports from what the device keeps up to `sequence` are stored or refused for good.
static void tell_stored(struct notices *notices, const char *credential, int64_t boot, bool random, int64_t sequence) {
  Vedette__V1__Notice notice = VEDETTE__V1__NOTICE__INIT;
  Vedette__V1__Notice__StoredUpTo stored = VEDETTE__V1__NOTICE__STORED_UP_TO__INIT;
  stored.boot_case =
      random ? VEDETTE__V1__NOTICE__STORED_UP_TO__BOOT_BOOT_RANDOM : VEDETTE__V1__NOTICE__STORED_UP_TO__BOOT_BOOT_COUNTER;
  stored.boot_counter = (uint64_t)boot; // shares its place with boot_random
  stored.sequence = (uint64_t)sequence;
  notice.content_case = VEDETTE__V1__NOTICE__CONTENT_STORED_UP_TO;
  notice.stored_up_to = &stored;
  publish(notices, credential, strlen(credential), &notice);
}

void notices_begin(struct notices *notices) {
  notices->count = 0;
}

void notices_take(const PGresult *rows, void *arg) {
  struct notices *notices = arg;
  for (int i = 0; i < PQntuples(rows) && notices->count < notices->room; i++) {
    notices->stored[notices->count++] = (struct stored){
        .publisher = (int32_t)strtol(PQgetvalue(rows, i, 0), NULL, 10),
        .boot = strtoll(PQgetvalue(rows, i, 1), NULL, 10),
        .sequence = strtoll(PQgetvalue(rows, i, 2), NULL, 10),
    };
  }
}

void notices_committed(struct notices *notices, const struct batch *batch, struct directory *directory,
                       const struct sequences *sequences) {
  for (size_t i = 0; i < batch->count; i++) {
    const struct message *message = &batch->messages[i];
    bool left_out = message->outcome == OUTCOME_REJECTED || message->outcome == OUTCOME_SHED;
    if (left_out && !message->buried && !(message->record.flags & RECORD_REPLAY)) {
      tell_refused(notices, message);
    }
  }
  for (size_t i = 0; i < notices->count; i++) {
    const struct stored *stored = &notices->stored[i];
    const struct device *device = directory_find_id(directory, stored->publisher);
    if (device != NULL && device->credential != NULL) {
      bool random = sequences_random(sequences, stored->publisher, stored->boot);
      tell_stored(notices, device->credential, stored->boot, random, stored->sequence);
    }
  }
}
