// The reader of comma-separated values: fields are text, lines are counted, and a bad line costs itself only.
#include "cli/csv.h"
#include "cli/text.h"
#include "tests/fuzz/input.h"

#include <string.h>

static void check_record(const struct csv *csv) {
  CHECK(csv_count(csv) >= 1 && csv_count(csv) <= CSV_FIELDS);
  for (size_t i = 0; i < csv_count(csv); i++) {
    size_t length = strlen(csv_field(csv, i));
    CHECK(length <= CSV_LINE && text_is_utf8(csv_field(csv, i), length));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  FILE *in = fopen(input_file(data, size), "re");
  CHECK(in != NULL);
  struct csv *csv = csv_open(in);
  CHECK(csv != NULL);
  unsigned long line = 0;
  for (enum csv_result result = csv_next(csv); result != CSV_END; result = csv_next(csv)) {
    CHECK(result != CSV_FAILED && csv_line(csv) > line);
    line = csv_line(csv);
    if (result == CSV_RECORD) {
      check_record(csv);
    } else {
      CHECK(csv_problem(csv) != NULL);
    }
  }
  csv_close(csv);
  CHECK(fclose(in) == 0);
  return 0;
}
