// What Vedette tells devices: why a message was refused, and how far their reports are stored. The loop's thread only.
//
// Refusals are rate-limited by credential (three a minute), so that a device that errs without end costs nothing; the table has a
// fixed size, and credentials that share a place share the limit.
#ifndef VEDETTE_INGEST_NOTICES_H
#define VEDETTE_INGEST_NOTICES_H

#include "ingest/batch.h"

struct notices;

// Publishes towards a device. False: not now; a notice may be lost.
typedef bool (*notice_send)(const char *topic, const void *payload, size_t size, void *arg);

struct notice_stats {
  uint64_t sent, withheld; // withheld: over the limit, or the broker is away
};

struct notices *notices_new(notice_send send, void *arg);
void notices_free(struct notices *notices); // accepts NULL

void notices_refused(struct notices *notices, const struct message *message);
// All of the boot's reports from what the device keeps up to `sequence` are stored or refused for good.
void notices_stored(struct notices *notices, const char *credential, int64_t boot, bool random, int64_t sequence);

struct notice_stats notices_stats(const struct notices *notices);

#endif
