#include "unit.h"

#include "ingest/batch.h"

static const int64_t now = INT64_C(1790000000000000);

struct fixture {
  struct directory *directory;
  struct batch batch;
  uint8_t payloads[64][4096];
  size_t used;
};

static Vedette__V1__Sample *number(const char *metric, double value, int64_t time) {
  static Vedette__V1__Sample pool[256];
  static size_t next;
  Vedette__V1__Sample *sample = &pool[next++ % 256];
  vedette__v1__sample__init(sample);
  sample->metric = (char *)metric;
  sample->value_case = VEDETTE__V1__SAMPLE__VALUE_NUMBER;
  sample->number = value;
  sample->time = time;
  return sample;
}

// Adds a report to the batch as the journal would give it.
static struct message *add(struct fixture *f, const char *topic, const Vedette__V1__Report *report, uint8_t flags) {
  uint8_t *payload = f->payloads[f->used];
  size_t size = vedette__v1__report__pack(report, payload);
  struct record record = {.number = f->used++,
                          .received = now,
                          .flags = flags,
                          .topic = topic,
                          .topic_length = strlen(topic),
                          .payload = payload,
                          .payload_length = size};
  assert_true(batch_add(&f->batch, f->directory, &record));
  return &f->batch.messages[f->batch.count - 1];
}

static Vedette__V1__Report report_of(uint64_t sequence, Vedette__V1__Sample **samples, size_t count) {
  Vedette__V1__Report report = VEDETTE__V1__REPORT__INIT;
  report.boot_case = VEDETTE__V1__REPORT__BOOT_BOOT_COUNTER;
  report.boot_counter = 1;
  report.sequence = sequence;
  report.time = now;
  report.samples = samples;
  report.n_samples = count;
  return report;
}

// Gives every metric a number, as the store would.
static void number_metrics(struct model *model, struct metric *metric, const Vedette__V1__MetricDeclaration *declaration,
                           void *arg) {
  int32_t *next = arg;
  (void)model;
  (void)declaration;
  if (metric->id == 0) {
    metric->id = ++*next;
  }
}

static bool rows(struct fixture *f) {
  static int32_t next = 100;
  batch_metrics(&f->batch, number_metrics, &next);
  return batch_rows(&f->batch);
}

static struct device *put(struct directory *directory, int32_t id, const char *credential, int32_t model, int32_t gateway,
                          bool active) {
  const struct intake_device device = {.id = id,
                                       .credential = credential,
                                       .model = model,
                                       .gateway = gateway,
                                       .active = active,
                                       .keep_us = 30 * INT64_C(86400000000)};
  return directory_put(directory, &device);
}

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  f->directory = directory_new();
  assert_true(batch_init(&f->batch, 64));
  batch_reset(&f->batch, 0);
  assert_non_null(put(f->directory, 1, "a", 1, 0, true));
  assert_non_null(put(f->directory, 2, "gw", 1, 0, true));
  assert_non_null(put(f->directory, 3, "child", 1, 2, true));
  assert_non_null(put(f->directory, 4, "old", 1, 0, false));
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  batch_destroy(&f->batch);
  directory_free(f->directory);
  free(f);
  return 0;
}

static void knows_who_may_speak_for_whom(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Report report = report_of(1, NULL, 0);
  assert_int_equal(add(f, "vedette/v1/a/report", &report, 0)->outcome, OUTCOME_STORED);
  assert_int_equal(add(f, "vedette/v1/nobody/report", &report, 0)->verdict.reason, VEDETTE__V1__REASON__REASON_UNKNOWN_DEVICE);
  assert_int_equal(add(f, "vedette/v1/old/report", &report, 0)->verdict.reason, VEDETTE__V1__REASON__REASON_RETIRED_DEVICE);
  assert_int_equal(add(f, "other/topic", &report, 0)->outcome, OUTCOME_REJECTED);
  report.credential = "a";
  assert_int_equal(add(f, "vedette/v1/a/report", &report, 0)->outcome, OUTCOME_STORED);
  report.credential = "b";
  assert_int_equal(add(f, "vedette/v1/a/report", &report, 0)->verdict.reason, VEDETTE__V1__REASON__REASON_IDENTITY);
  report.credential = "";
  report.child = "child";
  struct message *message = add(f, "vedette/v1/gw/report", &report, 0);
  assert_int_equal(message->outcome, OUTCOME_STORED);
  assert_int_equal(message->device->id, 3);
  assert_int_equal(message->publisher->id, 2);
  assert_int_equal(add(f, "vedette/v1/a/report", &report, 0)->verdict.reason, VEDETTE__V1__REASON__REASON_IDENTITY);
}

static void a_stranger_is_judged_again_after_a_refresh(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Report report = report_of(1, NULL, 0);
  struct message *message = add(f, "vedette/v1/new/report", &report, 0);
  assert_int_equal(batch_unknown(&f->batch), 1);
  assert_non_null(put(f->directory, 9, "new", 1, 0, true));
  batch_readmit(&f->batch, f->directory);
  assert_int_equal(message->outcome, OUTCOME_STORED);
  assert_int_equal(batch_unknown(&f->batch), 0);
}

static void samples_become_one_row_for_each_time(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Sample *samples[] = {number("b", 1, 0), number("a", 2, now - 1000), number("a", 3, 0), number("c", 4, now - 1000)};
  Vedette__V1__Report report = report_of(1, samples, 4);
  add(f, "vedette/v1/a/report", &report, 0);
  assert_true(rows(f));
  assert_int_equal(f->batch.row_count, 2);
  assert_int_equal(f->batch.rows[0].time, now - 1000);
  assert_int_equal(f->batch.rows[0].count, 2);
  assert_true(f->batch.rows[0].first);
  assert_false(f->batch.rows[1].first);
  assert_true(f->batch.rows[1].metrics[0] < f->batch.rows[1].metrics[1]);
}

static void the_same_metric_twice_at_one_time_is_refused(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Sample *samples[] = {number("a", 1, 0), number("a", 2, now)};
  Vedette__V1__Report report = report_of(1, samples, 2);
  struct message *message = add(f, "vedette/v1/a/report", &report, 0);
  assert_true(rows(f));
  assert_int_equal(message->verdict.reason, VEDETTE__V1__REASON__REASON_VALUE);
  assert_int_equal(f->batch.row_count, 0);
}

static void repeats_within_a_batch_are_told_from_conflicts(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Sample *one[] = {number("a", 1, 0)};
  Vedette__V1__Sample *two[] = {number("a", 2, 0)};
  Vedette__V1__Report first = report_of(5, one, 1);
  Vedette__V1__Report other = report_of(5, two, 1);
  Vedette__V1__Report next = report_of(6, one, 1);
  add(f, "vedette/v1/a/report", &first, 0);
  add(f, "vedette/v1/a/report", &first, RECORD_DUP);
  add(f, "vedette/v1/a/report", &other, 0);
  add(f, "vedette/v1/a/report", &next, 0);
  assert_true(rows(f));
  assert_int_equal(f->batch.messages[0].outcome, OUTCOME_STORED);
  assert_int_equal(f->batch.messages[1].outcome, OUTCOME_DUPLICATE);
  assert_true(f->batch.messages[1].repeat);
  assert_int_equal(f->batch.messages[2].verdict.reason, VEDETTE__V1__REASON__REASON_CONFLICT);
  assert_int_equal(f->batch.messages[3].outcome, OUTCOME_STORED);
  struct batch_counts counts = batch_count(&f->batch);
  assert_int_equal(counts.reports, 2);
  assert_int_equal(counts.duplicates, 1);
  assert_int_equal(counts.rejected, 1);
  assert_int_equal(counts.rows, 2);
}

static void what_is_not_above_the_highest_sequence_looks_repeated(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Report report = report_of(10, NULL, 0);
  assert_false(add(f, "vedette/v1/a/report", &report, 0)->repeat);
  assert_true(rows(f));
  batch_remember(&f->batch);
  batch_reset(&f->batch, f->used);
  report.sequence = 9;
  assert_true(add(f, "vedette/v1/a/report", &report, 0)->repeat);
  report.sequence = 11;
  assert_false(add(f, "vedette/v1/a/report", &report, 0)->repeat);
  report.sequence = 1;
  report.boot_counter = 2;
  assert_false(add(f, "vedette/v1/a/report", &report, 0)->repeat);
}

static void rows_are_sorted_by_key(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Report late = report_of(2, NULL, 0);
  Vedette__V1__Report early = report_of(1, NULL, 0);
  early.time = now - 5;
  add(f, "vedette/v1/gw/report", &early, 0);
  add(f, "vedette/v1/a/report", &late, 0);
  add(f, "vedette/v1/a/report", &early, 0);
  assert_true(rows(f));
  assert_int_equal(f->batch.rows[0].message->device->id, 1);
  assert_int_equal(f->batch.rows[0].time, now - 5);
  assert_int_equal(f->batch.rows[2].message->device->id, 2);
  assert_true(batch_encode(&f->batch, 42));
  assert_int_equal(f->batch.reports.rows, 3);
}

static void dead_letters_are_capped_a_device_and_day(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Report report = report_of(0, NULL, 0); // no sequence: refused
  size_t kept = 0;
  for (int round = 0; round < 20; round++) {
    f->used = 0;
    batch_reset(&f->batch, 0);
    for (int i = 0; i < 60; i++) {
      add(f, "vedette/v1/a/report", &report, 0);
    }
    assert_true(rows(f));
    assert_true(batch_encode(&f->batch, 42));
    size_t once = f->batch.letters.rows;
    assert_true(batch_encode(&f->batch, 42)); // a batch that is tried again counts once
    assert_int_equal(f->batch.letters.rows, once);
    kept += once;
  }
  assert_int_equal(kept, 1000);
}

// Adds bytes that are no message and encodes them as a batch of their own. Returns what is kept.
static enum letter reject(struct fixture *f, const char *topic, size_t size, int64_t received, uint8_t flags) {
  static uint8_t payload[70000];
  struct record record = {.number = 0,
                          .received = received,
                          .flags = flags,
                          .topic = topic,
                          .topic_length = strlen(topic),
                          .payload = payload,
                          .payload_length = size};
  memset(payload, 0xff, sizeof payload);
  batch_reset(&f->batch, 0);
  assert_true(batch_add(&f->batch, f->directory, &record));
  assert_int_equal(f->batch.messages[0].outcome, OUTCOME_REJECTED);
  assert_true(batch_encode(&f->batch, 42));
  assert_int_equal(f->batch.letters.rows, f->batch.messages[0].letter != LETTER_DROPPED);
  return f->batch.messages[0].letter;
}

static void dead_letters_are_kept_whole_up_to_a_cap_in_bytes(void **state) {
  struct fixture *f = *state;
  const size_t size = 64 * 1024;
  const int64_t day = INT64_C(86400000000);
  for (size_t i = 0; i < (16 << 20) / size; i++) {
    assert_int_equal(reject(f, "vedette/v1/a/report", size, now, 0), LETTER_WHOLE);
    assert_true(f->batch.letters.used > size);
  }
  assert_int_equal(reject(f, "vedette/v1/a/report", size, now, 0), LETTER_PART);
  assert_in_range(f->batch.letters.used, 1024, 1400);
  assert_int_equal(reject(f, "vedette/v1/gw/report", size, now, 0), LETTER_WHOLE); // another device has its own
  assert_int_equal(reject(f, "vedette/v1/a/report", size, now + day, 0), LETTER_WHOLE);
}

static void what_is_too_large_or_has_a_broken_topic_is_not_whole(void **state) {
  struct fixture *f = *state;
  assert_int_equal(reject(f, "vedette/v1/a/report", 64 * 1024 + 1, now, 0), LETTER_PART);
  assert_in_range(f->batch.letters.used, 1024, 1400);
  assert_int_equal(reject(f, "vedette/v1/\xff/report", 10, now, 0), LETTER_PART);
  assert_int_equal(reject(f, "vedette/v1/\xc3\xa9/report", 10, now, 0), LETTER_WHOLE);
}

static void strangers_share_one_cap(void **state) {
  struct fixture *f = *state;
  char topic[64];
  for (int i = 0; i < 10000; i++) {
    snprintf(topic, sizeof topic, "vedette/v1/stranger-%d/report", i);
    assert_int_equal(reject(f, topic, 10, now, 0), LETTER_WHOLE);
  }
  assert_int_equal(reject(f, "vedette/v1/one-more/report", 10, now, 0), LETTER_DROPPED);
  assert_int_equal(f->batch.minutes[0].rejected, 1); // counted all the same
  assert_int_equal(f->batch.minutes[0].letters, 0);
  assert_int_equal(reject(f, "vedette/v1/a/report", 10, now, 0), LETTER_WHOLE);
  assert_int_equal(reject(f, "vedette/v1/one-more/report", 10, now, RECORD_REPLAY), LETTER_WHOLE); // was within the cap before
}

static void a_replay_is_history(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Report report = report_of(7, NULL, 0);
  report.time = now - 8 * INT64_C(86400000000);
  struct message *message = add(f, "vedette/v1/a/report", &report, RECORD_REPLAY);
  assert_int_equal(message->outcome, OUTCOME_STORED);
  assert_true(message->repeat); // the store is asked about it
  assert_true(rows(f));
  assert_int_equal(f->batch.rows[0].marks, MARK_HISTORICAL);
  batch_remember(&f->batch);
  assert_int_equal(message->publisher->sequence, 0);
}

static void a_batch_ends_when_it_is_full(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Report report = report_of(1, NULL, 0);
  for (int i = 0; i < 64; i++) {
    f->used = 0;
    add(f, "vedette/v1/a/report", &report, 0);
  }
  struct record record = f->batch.messages[0].record;
  assert_false(batch_add(&f->batch, f->directory, &record));
  assert_int_equal(f->batch.count, 64);
}

static void a_credential_that_moves_names_the_new_device(void **state) {
  struct fixture *f = *state;
  assert_non_null(put(f->directory, 5, "a", 1, 0, true));
  assert_int_equal(directory_find(f->directory, "a", 1)->id, 5);
  assert_non_null(put(f->directory, 1, "a-old", 1, 0, true));
  assert_int_equal(directory_find(f->directory, "a-old", 5)->id, 1);
  assert_int_equal(directory_find(f->directory, "a", 1)->id, 5);
  assert_int_equal(directory_count(f->directory), 5);
}

// A device may send the most that the contract allows, and many such messages may wait: they make smaller batches, never one that
// cannot become rows.
static void a_batch_full_of_samples_still_becomes_rows(void **state) {
  struct fixture *f = *state;
  enum { ROOM = 2000, SAMPLES = 1024 };
  static Vedette__V1__Sample pool[SAMPLES];
  static char names[SAMPLES][16];
  Vedette__V1__Sample *samples[SAMPLES];
  static uint8_t payload[64 * 1024];
  for (int i = 0; i < SAMPLES; i++) {
    snprintf(names[i], sizeof names[i], "m%d", i);
    pool[i] = *number(names[i], 1, now - i);
    samples[i] = &pool[i];
  }
  batch_destroy(&f->batch);
  assert_true(batch_init(&f->batch, ROOM));
  batch_reset(&f->batch, 0);
  struct record record = {.received = now, .topic = "vedette/v1/a/report", .topic_length = 19, .payload = payload};
  do {
    Vedette__V1__Report report = report_of(record.number + 1, samples, SAMPLES);
    record.payload_length = vedette__v1__report__pack(&report, payload);
    assert_true(record.payload_length <= sizeof payload);
    record.number++;
  } while (batch_add(&f->batch, f->directory, &record));
  assert_in_range(f->batch.count, 100, ROOM - 1); // memory ended it
  assert_true(rows(f));
  assert_int_equal(f->batch.row_count, f->batch.count * SAMPLES);
}

// The registry says who may speak; what a message holds was judged before, and is not judged again on what memory is left.
static void a_stranger_that_waits_is_not_decoded_again(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Report report = report_of(1, NULL, 0);
  struct message *message = add(f, "vedette/v1/new/report", &report, RECORD_DUP);
  size_t used = region_used(f->batch.region);
  for (int i = 0; i < 10; i++) {
    batch_readmit(&f->batch, f->directory);
  }
  assert_in_range(region_used(f->batch.region), used, used + 10 * 64); // the sentence that says why
  assert_non_null(put(f->directory, 9, "new", 1, 0, true));
  batch_readmit(&f->batch, f->directory);
  assert_int_equal(message->outcome, OUTCOME_STORED);
  assert_true(message->repeat);
}

// Traffic, events and firmware are kept under the report's own time, whatever times its samples have: two messages with one
// number would otherwise meet in the store, which refuses the whole batch.
static void a_message_has_a_row_at_its_own_time(void **state) {
  struct fixture *f = *state;
  Vedette__V1__Traffic traffic = VEDETTE__V1__TRAFFIC__INIT;
  Vedette__V1__Sample *one[] = {number("a", 1, now - 1000)};
  Vedette__V1__Sample *two[] = {number("a", 1, now - 2000)};
  Vedette__V1__Report first = report_of(5, one, 1);
  Vedette__V1__Report other = report_of(5, two, 1);
  first.traffic = other.traffic = &traffic;
  add(f, "vedette/v1/a/report", &first, 0);
  add(f, "vedette/v1/a/report", &other, 0);
  assert_true(rows(f));
  assert_int_equal(f->batch.messages[0].outcome, OUTCOME_STORED);
  assert_int_equal(f->batch.messages[1].verdict.reason, VEDETTE__V1__REASON__REASON_CONFLICT);
  assert_true(batch_encode(&f->batch, 42));
  assert_int_equal(f->batch.traffic.rows, 1);
  assert_int_equal(f->batch.reports.rows, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(knows_who_may_speak_for_whom),
      TEST(a_stranger_is_judged_again_after_a_refresh),
      TEST(samples_become_one_row_for_each_time),
      TEST(the_same_metric_twice_at_one_time_is_refused),
      TEST(repeats_within_a_batch_are_told_from_conflicts),
      TEST(what_is_not_above_the_highest_sequence_looks_repeated),
      TEST(rows_are_sorted_by_key),
      TEST(dead_letters_are_capped_a_device_and_day),
      TEST(dead_letters_are_kept_whole_up_to_a_cap_in_bytes),
      TEST(what_is_too_large_or_has_a_broken_topic_is_not_whole),
      TEST(strangers_share_one_cap),
      TEST(a_replay_is_history),
      TEST(a_batch_ends_when_it_is_full),
      TEST(a_credential_that_moves_names_the_new_device),
      TEST(a_batch_full_of_samples_still_becomes_rows),
      TEST(a_stranger_that_waits_is_not_decoded_again),
      TEST(a_message_has_a_row_at_its_own_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
