// The checks that a decoded message has to pass; see decode.h, which calls them.
#ifndef VEDETTE_INGEST_VALIDATE_H
#define VEDETTE_INGEST_VALIDATE_H

#include "ingest/decode.h"

enum {
  SAMPLES_LIMIT = 1024,
  DECLARATIONS_LIMIT = 1024,
  EVENTS_LIMIT = 64,
  FLOWS_LIMIT = 32,
  PORTS_LIMIT = 128,
  UNKNOWN_LIMIT = 8, // unknown fields in one message; they are copied and kept by the decoder
  METRIC_LIMIT = 64, // bytes
};

// Whether boot and sequence are there, which a publisher that numbers its reports has to give.
struct verdict validate_numbering(const Vedette__V1__Report *report);
// Everything else.
struct verdict validate_report(struct region *region, const Vedette__V1__Report *report);
struct verdict validate_connectivity(struct region *region, const Vedette__V1__Connectivity *connectivity);

// True for 1 to 64 bytes of [a-z0-9._/-].
bool metric_name_valid(const char *name);
// True for valid UTF-8 of at most `limit` bytes without control characters.
bool text_valid(const char *text, size_t limit);

#endif
