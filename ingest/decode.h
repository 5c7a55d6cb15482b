// From bytes to a report that holds what the wire contract promises: decoding and checking, without the registry or the store.
//
// A decoder reads the messages of some topics. There are two: the wire contract's own (here), and JSON by mappings (mapping.h).
// Everything here works on hostile input: memory comes from a region with a budget a message, strings are checked, nothing grows
// with what a peer sends beyond the limits of proto/vedette/v1/telemetry.proto. Any thread with its own region.
#ifndef VEDETTE_INGEST_DECODE_H
#define VEDETTE_INGEST_DECODE_H

#include "common/region.h"
#include "ingest/segment.h"
#include "storage/marks.h"
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

// What a decoder makes of a record.
struct decoded {
  enum topic_kind kind;
  const char *credential; // of the publisher, as the broker enforces it; lives as long as the record and the decoder
  size_t credential_length;
  Vedette__V1__Report *report;             // may be there when refused, too: for its boot and sequence
  Vedette__V1__Connectivity *connectivity; // as above
  int marks;                               // beside those of the time: MARK_NO_SEQUENCE, MARK_NO_CLOCK
  struct verdict verdict;
};

struct decoder {
  // Fills `out`, whose contents live in the region; false when the topic is not one of this decoder's.
  bool (*decode)(struct decoder *decoder, struct region *region, const struct record *record, struct decoded *out);
};

// The decoder of vedette/v1. It has no state.
struct decoder *decoder_wire(void);

// Takes a topic apart: vedette/v1/<credential>/<kind>. The credential points into `topic`.
enum topic_kind topic_parse(const char *topic, size_t length, const char **credential, size_t *credential_length);

// Decodes and checks one message. On success *out lives in the region.
struct verdict decode_report(struct region *region, const uint8_t *payload, size_t size, Vedette__V1__Report **out);
struct verdict decode_connectivity(struct region *region, const uint8_t *payload, size_t size, Vedette__V1__Connectivity **out);

// Reads what can be read of boot and sequence, for the dead letter of a message that was refused after decoding. 0: not given.
int64_t report_boot(const Vedette__V1__Report *report);
int64_t connectivity_boot(const Vedette__V1__Connectivity *connectivity);

// How a device time stands to the time of receipt; and whether the publisher numbers its reports: where it does not, the row's
// boot is 0 and its sequence a digest.

// Whether something of `time` (Unix microseconds) can be kept: it is a date, and not older than `keep_us` when it is received. A
// clock that was never set, and shows a time before 2000, is another matter.
bool time_fits(int64_t time, int64_t received, int64_t keep_us);
// Marks for a sample or report of `time` received at `received` (both Unix microseconds).
int time_marks(int64_t time, int64_t received, bool historical);

// Formats into the region; "" when it is full.
const char *region_printf(struct region *region, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
