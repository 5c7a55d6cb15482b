// The agent's reader of the authentication log, line by line into a tally.
#include "docs/examples/agent/authlog.h"
#include "tests/fuzz/input.h"

#include <string.h>
#include <unistr.h>

// What ingest asks of a subject; it would refuse the whole report otherwise.
static void check_subject(const char *subject) {
  size_t length = strnlen(subject, AUTHLOG_SUBJECT_MAX);
  CHECK(length < AUTHLOG_SUBJECT_MAX && u8_check((const uint8_t *)subject, length) == NULL);
  for (size_t i = 0; i < length; i++) {
    CHECK((unsigned char)subject[i] >= 0x20 && subject[i] != 0x7f);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *copy = malloc(size + 1); // of exactly this size: a read behind it is seen
  CHECK(copy != NULL);
  memcpy(copy + 1, data, size);
  struct text rest = {.at = copy + 1, .end = copy + 1 + size};
  struct text line;
  struct authlog_tally tally = {0};
  while (text_line(&rest, &line)) {
    struct authlog_failure failure;
    if (authlog_parse(line, &failure)) {
      CHECK(failure.count >= 1 && (failure.source_size == 0 || failure.source_size == 4 || failure.source_size == 16));
      check_subject(failure.subject);
      authlog_tally_add(&tally, &failure);
      CHECK(tally.count >= 1 && tally.count <= AUTHLOG_TALLY_MAX);
    }
  }
  free(copy);
  return 0;
}
