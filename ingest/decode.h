// From bytes to a report that holds what the wire contract promises: decoding and checking, without the registry or the store.
//
// Everything here works on hostile input: memory comes from a region with a budget a message, strings are checked, nothing grows
// with what a peer sends beyond the limits of proto/vedette/v1/telemetry.proto. Pure functions; any thread with its own region.
#ifndef VEDETTE_INGEST_DECODE_H
#define VEDETTE_INGEST_DECODE_H

#include "common/region.h"
#include "vedette/v1/telemetry.pb-c.h"

#include <stdbool.h>

enum {
  MESSAGE_LIMIT = 64 * 1024,  // bytes of a report
  CONNECTIVITY_LIMIT = 1024,  // bytes of a connectivity message
  DECODE_BUDGET = 512 * 1024, // bytes of memory a message may take when decoded
  CREDENTIAL_LIMIT = 128,     // bytes
};

// Why a message is refused: a reason of the contract, and a sentence in the region for people. reason 0: it is fine.
struct verdict {
  Vedette__V1__Reason reason;
  const char *detail;
};

enum topic_kind { TOPIC_REPORT, TOPIC_CONNECTIVITY, TOPIC_OTHER };

// Takes a topic apart: vedette/v1/<credential>/<kind>. The credential points into `topic`.
enum topic_kind topic_parse(const char *topic, size_t length, const char **credential, size_t *credential_length);

// Decodes and checks one message. On success *out lives in the region.
struct verdict decode_report(struct region *region, const uint8_t *payload, size_t size, Vedette__V1__Report **out);
struct verdict decode_connectivity(struct region *region, const uint8_t *payload, size_t size, Vedette__V1__Connectivity **out);

// Reads what can be read of boot and sequence, for the dead letter of a message that was refused after decoding. 0: not given.
int64_t report_boot(const Vedette__V1__Report *report);
int64_t connectivity_boot(const Vedette__V1__Connectivity *connectivity);

// How a device time stands to the time of receipt.
enum { MARK_HISTORICAL = 1, MARK_NO_CLOCK = 2, MARK_AHEAD = 4, MARK_BEHIND = 8 };

// Marks for a sample or report of `time` received at `received` (both Unix microseconds); negative if it cannot be kept because
// it is older than `keep_us` or past what dates can hold.
int time_marks(int64_t time, int64_t received, bool historical, int64_t keep_us);

// Formats into the region; "" when it is full.
const char *region_printf(struct region *region, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
