// What Vedette tells devices: why a message was refused, and how far their reports are stored. The loop's thread only.
//
// Refusals are rate-limited by credential (three a minute), so that a device that errs without end costs nothing; the table has a
// fixed size, and credentials that share a place share the limit.
#ifndef VEDETTE_INGEST_NOTICES_H
#define VEDETTE_INGEST_NOTICES_H

#include "ingest/batch.h"
#include "ingest/directory.h"
#include "ingest/sequences.h"

#include <libpq-fe.h>

struct notices;

// Publishes towards a device. False: not now; a notice may be lost.
typedef bool (*notice_send)(const char *topic, const void *payload, size_t size, void *arg);

struct notice_stats {
  uint64_t sent, withheld; // withheld: over the limit, or the broker is away
};

// `room`: most publishers' boots that a commit says something of.
struct notices *notices_new(size_t room, notice_send send, void *arg);
void notices_free(struct notices *notices); // accepts NULL

// A batch is about to be committed.
void notices_begin(struct notices *notices);
// Takes from its transaction how far publishers are stored: rows of publisher, boot, sequence. `arg` is the notices.
void notices_take(const PGresult *rows, void *arg);
// The batch is committed: its devices are told what became of their messages.
void notices_committed(struct notices *notices, const struct batch *batch, struct directory *directory,
                       const struct sequences *sequences);

struct notice_stats notices_stats(const struct notices *notices);

#endif
