// mappings_load: every file is either mappings that keep what mapping.h promises, or one clear line.
//
// The input is a mapping file; behind a line `---8<---` may follow a message, which is decoded on the first filter's topic.
#include "ingest/mapping.h"
#include "tests/fuzz/input.h"

#include <string.h>

static const char cut[] = "---8<---\n";

// Levels with wildcards become "a".
static size_t make_topic(const char *filter, char *topic) {
  size_t length = strlen(filter);
  for (size_t i = 0; i <= length; i++) {
    topic[i] = (char)(filter[i] == '+' || filter[i] == '#' ? 'a' : filter[i]);
  }
  return length;
}

static void decode_one(struct mappings *mappings, const uint8_t *payload, size_t size) {
  char topic[512];
  struct decoded out;
  struct region *region = region_new(4 * DECODE_BUDGET);
  struct decoder *decoder = mappings_decoder(mappings);
  struct record record = {.received = INT64_C(1790000000000000), .topic = topic, .payload = payload, .payload_length = size};
  CHECK(region != NULL);
  record.topic_length = make_topic(mappings_filter(mappings, 0), topic);
  CHECK(decoder->decode(decoder, region, &record, &out));
  CHECK(out.credential != NULL && out.credential_length > 0 && out.credential_length <= CREDENTIAL_LIMIT);
  CHECK(out.verdict.reason != 0 || out.report != NULL);
  CHECK(region_used(region) <= 2 * DECODE_BUDGET); // what batch_add leaves room for
  region_free(region);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char error[512] = "";
  const uint8_t *at = size > 0 ? memmem(data, size, cut, sizeof cut - 1) : NULL;
  size_t file = at != NULL ? (size_t)(at - data) : size;
  struct mappings *mappings = mappings_load(input_file(data, file), error, sizeof error);
  CHECK(mappings != NULL || (error[0] != '\0' && strlen(error) < sizeof error));
  for (size_t i = 0; mappings != NULL && i < mappings_count(mappings); i++) {
    CHECK(mappings_filter(mappings, i)[0] != '\0' && strlen(mappings_filter(mappings, i)) < 256);
  }
  if (mappings != NULL && at != NULL) {
    decode_one(mappings, at + sizeof cut - 1, size - file - (sizeof cut - 1));
  }
  mappings_free(mappings);
  return 0;
}
