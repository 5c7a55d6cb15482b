// Batches from a real journal: what is read ahead, put back and read again keeps its order, and no record is left out or taken
// twice.
#include "unit.h"

#include "common/loop.h"
#include "ingest/collector.h"
#include "ingest/mapping.h"

#include <stdlib.h>
#include <unistd.h>

enum { MOST = 8 };
#define KEEP_US (30 * INT64_C(86400000000))

struct fixture {
  char folder[64];
  struct journal *journal;
  struct directory *directory;
  struct collector *collector;
  struct mappings *mappings;
};

static void on_ready(void *arg) {
  (void)arg;
}

static int setup(void **state) {
  char error[256];
  struct fixture *f = calloc(1, sizeof *f);
  snprintf(f->folder, sizeof f->folder, "/tmp/vedette-collector-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  struct config_journal config = {.folder = f->folder, .segment_mib = 1, .high_mib = 64, .low_mib = 32, .sync_ms = 0};
  f->journal = journal_open(&config, on_ready, NULL);
  f->directory = directory_new();
  f->mappings = mappings_load(NULL, error, sizeof error);
  assert_true(f->journal != NULL && f->directory != NULL && f->mappings != NULL);
  assert_non_null(directory_put(
      f->directory, &(struct intake_device){.id = 1, .credential = "a", .model = 1, .active = true, .keep_us = KEEP_US}));
  f->collector = collector_new(f->journal, f->directory, MOST, mappings_decoder(f->mappings));
  assert_non_null(f->collector);
  collector_allow(f->collector, (struct allowance){1000, 1000}, (struct allowance){1000, 1000});
  collector_start(f->collector, 0);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  char command[128];
  collector_free(f->collector);
  directory_free(f->directory);
  mappings_free(f->mappings);
  journal_close(f->journal);
  snprintf(command, sizeof command, "rm -rf %s", f->folder);
  int status = system(command);
  free(f);
  return status;
}

// Appends a report. With sync_ms 0 it can be read when journal_append is back.
static void append(const struct fixture *f, uint64_t sequence) {
  uint8_t payload[128];
  Vedette__V1__Report report = VEDETTE__V1__REPORT__INIT;
  report.boot_case = VEDETTE__V1__REPORT__BOOT_BOOT_COUNTER;
  report.boot_counter = 1;
  report.sequence = sequence;
  report.time = clock_wall_us();
  size_t size = vedette__v1__report__pack(&report, payload);
  assert_true(journal_append(f->journal, "vedette/v1/a/report", 19, payload, size, 0));
}

static void append_many(const struct fixture *f, uint64_t first, size_t count) {
  for (size_t i = 0; i < count; i++) {
    append(f, first + i);
  }
}

static void expect(const struct fixture *f, uint64_t first, size_t count) {
  const struct batch *batch = collector_batch(f->collector);
  assert_int_equal(batch->first, first);
  assert_int_equal(batch->count, count);
  assert_int_equal(batch->next, first + count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(batch->messages[i].record.number, first + i);
  }
}

static void reads_ahead_in_order(void **state) {
  struct fixture *f = *state;
  append_many(f, 1, MOST + 3);
  collector_fill(f->collector);
  expect(f, 0, MOST);
  assert_true(collector_full(f->collector));
  assert_false(collector_ahead(f->collector)); // all there is
  append_many(f, MOST + 4, 2);
  assert_false(collector_ahead(f->collector));
  expect(f, 0, MOST);
  collector_committed(f->collector);
  expect(f, MOST, 5);
  append_many(f, MOST + 6, 9);
  collector_fill(f->collector);
  expect(f, MOST, MOST);
  collector_committed(f->collector); // nothing was read ahead
  collector_fill(f->collector);
  expect(f, 2 * MOST, 6);
  collector_committed(f->collector);
  expect(f, 2 * MOST + 6, 0);
}

static void puts_back_what_it_read_ahead(void **state) {
  struct fixture *f = *state;
  append_many(f, 1, 2 * MOST);
  collector_fill(f->collector);
  collector_ahead(f->collector);
  assert_true(collector_put_back(f->collector));
  expect(f, 0, MOST);
  collector_ahead(f->collector);
  assert_true(collector_again(f->collector, true)); // half, and the rest in order
  expect(f, 0, MOST / 2);
  assert_true(collector_full(f->collector));
  collector_ahead(f->collector);
  collector_committed(f->collector);
  expect(f, MOST / 2, MOST / 2);
  collector_fill(f->collector); // the limit has grown back
  expect(f, MOST / 2, MOST);
  assert_true(collector_again(f->collector, false));
  expect(f, MOST / 2, MOST);
}

// A report that comes again in the batch behind is asked for, as if it had been read after the commit.
static void suspects_repeats_of_the_batch_in_front(void **state) {
  struct fixture *f = *state;
  append_many(f, 1, MOST);
  append(f, MOST); // again
  append(f, MOST + 1);
  collector_fill(f->collector);
  collector_ahead(f->collector);
  collector_committed(f->collector);
  expect(f, MOST, 2);
  assert_true(collector_batch(f->collector)->messages[0].repeat);
  assert_false(collector_batch(f->collector)->messages[1].repeat);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(reads_ahead_in_order, setup, teardown),
      cmocka_unit_test_setup_teardown(puts_back_what_it_read_ahead, setup, teardown),
      cmocka_unit_test_setup_teardown(suspects_repeats_of_the_batch_in_front, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
