// The reader of journal segments, over a file in memory.
//
// The first byte says what to make right, since no fuzzer guesses a checksum: bit 0 the header's size and checksum, bit 1 those
// of the records that would fit. The rest is the file.
#include "common/crc32c.h"
#include "ingest/segment.h"
#include "tests/fuzz/input.h"

#include <string.h>

enum { FIX_HEADER = 1, FIX_RECORDS = 2, FILE_MOST = 1 << 20 };

static void fix_header(uint8_t *file, size_t size) {
  uint64_t length = size;
  static const char magic[8] = {'V', 'D', 'J', 'R', 'N', 'L', '0', '1'};
  memcpy(file, magic, sizeof magic);
  memcpy(file + 32, &length, sizeof length);
  uint32_t crc = crc32c(0, file, 40);
  memcpy(file + 40, &crc, sizeof crc);
}

static void fix_records(uint8_t *file, size_t size) {
  uint64_t number;
  uint32_t body;
  memcpy(&number, file + 24, sizeof number);
  for (size_t at = SEGMENT_HEADER; size - at >= RECORD_HEADER; number++) {
    memcpy(&body, file + at + 4, sizeof body);
    if (body > size - at - RECORD_HEADER) {
      return;
    }
    memcpy(file + at + 8, &number, sizeof number);
    uint32_t crc = crc32c(0, file + at + 4, RECORD_HEADER - 4 + body);
    memcpy(file + at, &crc, sizeof crc);
    size_t taken = record_size(0, body);
    if (taken > size - at) {
      return;
    }
    at += taken;
  }
}

static void read_all(const struct segment *segment) {
  struct record record;
  size_t offset = SEGMENT_HEADER;
  size_t size;
  uint64_t number = segment->first;
  for (; (size = record_read(segment, offset, number, &record)) > 0; number++) {
    CHECK(record.number == number && size % 8 == 0 && size >= RECORD_HEADER);
    CHECK((const uint8_t *)record.topic >= segment->map &&
          record.payload + record.payload_length <= segment->map + segment->size);
    input_touch(record.topic, record.topic_length);
    input_touch(record.payload, record.payload_length);
    offset += size;
  }
  enum segment_tail tail = segment_tail(segment, offset, number);
  CHECK(tail != TAIL_EMPTY || offset >= segment->size || segment->map[segment->size - 1] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > FILE_MOST) {
    return 0;
  }
  size_t length = size - 1;
  uint8_t *file = malloc(length + 1);
  CHECK(file != NULL);
  memcpy(file, data + 1, length);
  if ((data[0] & FIX_RECORDS) && length >= SEGMENT_HEADER) {
    fix_records(file, length);
  }
  if ((data[0] & FIX_HEADER) && length >= SEGMENT_HEADER) {
    fix_header(file, length);
  }
  size_t unreadable;
  struct segment *segment = segment_load(input_file(file, length), &unreadable);
  if (segment != NULL) {
    read_all(segment);
  }
  segment_close(segment);
  free(file);
  return 0;
}
