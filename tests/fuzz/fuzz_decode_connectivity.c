// decode_connectivity: whatever the payload, a message that is accepted holds what the wire contract promises.
#include "ingest/decode.h"
#include "ingest/validate.h"
#include "tests/fuzz/input.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct region *region;
  if (region == NULL) {
    region = region_new((size_t)2 * DECODE_BUDGET);
    CHECK(region != NULL);
  }
  Vedette__V1__Connectivity *message;
  struct verdict verdict = decode_connectivity(region, data, size, &message);
  CHECK(verdict.detail != NULL && strlen(verdict.detail) < 256);
  if (verdict.reason == 0) {
    CHECK(message != NULL && connectivity_boot(message) != 0 && message->connection >= 1);
    CHECK(message->state >= VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ONLINE);
    CHECK(message->state <= VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ASLEEP);
    CHECK(text_valid(message->reason, 128) && message->until >= 0 && message->time >= 0);
  }
  region_reset(region);
  return 0;
}
