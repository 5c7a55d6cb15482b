// topic_parse: the credential stays inside the topic, and a topic that is recognised is put together again the same.
#include "ingest/decode.h"
#include "tests/fuzz/input.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char again[CREDENTIAL_LIMIT + 64];
  const char *credential;
  size_t length;
  char *topic = malloc(size); // of exactly this size: a read behind it is seen
  CHECK(topic != NULL || size == 0);
  if (size > 0) {
    memcpy(topic, data, size);
  }
  enum topic_kind kind = topic_parse(topic, size, &credential, &length);
  CHECK(credential != NULL && length <= CREDENTIAL_LIMIT);
  input_touch(credential, length);
  if (kind != TOPIC_OTHER) {
    CHECK(length > 0 && memchr(credential, '/', length) == NULL);
    int whole = snprintf(again, sizeof again, "vedette/v1/%.*s/%s", (int)length, credential,
                         kind == TOPIC_REPORT ? "report" : "connectivity");
    // A name with a NUL byte, which no broker lets pass, prints shorter.
    CHECK((size_t)whole == size ? memcmp(again, topic, size) == 0 : memchr(credential, '\0', length) != NULL);
  }
  free(topic);
  return 0;
}
