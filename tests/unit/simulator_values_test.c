// What simulated devices say: values, drafts of reports, firmware hashes, the fleet's attributes.
#include <getopt.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "simulator/draft.h"
#include "simulator/fleet.h"
#include "simulator/models.h"
#include "simulator/names.h"
#include "simulator/options.h"
#include "simulator/traffic.h"
#include "simulator/truth.h"
#include "simulator/values.h"

static const int64_t start = 1767225600000000; // 2026-01-01
static const int64_t minute = 60000000;

static void values_repeat(void **state) {
  (void)state;
  for (size_t number = 0; number < 20; number++) {
    struct value a = values_at(7, number, start, 1);
    struct value b = values_at(7, number, start, 1);
    assert_int_equal(a.type, b.type);
    assert_true(a.number == b.number && a.integer == b.integer && a.flag == b.flag);
  }
  assert_true(values_at(7, 0, start, 1).number != values_at(8, 0, start, 1).number);
}

static void values_are_plausible(void **state) {
  (void)state;
  double energy = 0;
  double setpoint = values_at(3, 2, start, 0).number;
  double warmest = -100;
  double coldest = 100;
  for (int64_t i = 0; i < 2880; i++) { // two days
    int64_t now = start + i * minute;
    double temperature = values_at(3, 0, now, 0).number;
    double counter = values_at(3, 1, now, 0).number;
    warmest = fmax(warmest, temperature);
    coldest = fmin(coldest, temperature);
    assert_true(counter >= energy); // a counter only grows
    energy = counter;
    assert_true(values_at(3, 2, now, 0).number == setpoint);
    assert_true(values_at(3, 3, now, 0).integer >= 0);
    double cpu = values_at(3, 4, now, 0).number;
    double battery = values_at(3, 5, now, 0).number;
    assert_true(cpu > 0 && cpu <= 1 && battery >= 0 && battery <= 100);
  }
  assert_true(warmest - coldest > 5 && warmest < 40 && coldest > 5); // a day's rhythm
}

static void metrics_have_valid_names(void **state) {
  (void)state;
  char before[16] = "";
  for (size_t number = 0; number < VALUES_MAX; number++) {
    struct value_metric metric;
    values_metric(number, &metric);
    assert_true(names_is_metric(metric.name));
    assert_string_not_equal(metric.name, before);
    memcpy(before, metric.name, sizeof before);
  }
}

static void sparse_metric_is_sparse(void **state) {
  (void)state;
  int seen = 0;
  for (int64_t i = 0; i < 10000; i++) {
    struct value value;
    if (values_sparse_at(5, start + i * minute, &value)) {
      assert_int_equal(value.type, VALUE_TEXT);
      seen++;
    }
  }
  assert_in_range(seen, 800, 1200);
}

static void drafts_decode(void **state) {
  (void)state;
  struct draft *draft = draft_new();
  assert_non_null(draft);
  uint8_t hash[MODELS_HASH_SIZE];
  models_image_hash("meter-a", "2.4.0", true, hash);
  draft_begin(draft, 5, 9, start);
  struct value value = {.type = VALUE_INTEGER, .integer = -3};
  assert_true(draft_sample(draft, "queue", &value));
  draft_add_to(draft, draft_find_number(draft, "queue"), 10);
  draft_firmware(draft, "2.4.0", hash, true);
  traffic_fill(draft, 3, start, 5000000, 0);
  const uint8_t address[4] = {198, 51, 100, 23};
  assert_true(draft_event(draft, VEDETTE__V1__EVENT_KIND__EVENT_KIND_LOGIN_FAILED, 4, "root", address, sizeof address));
  size_t size = 0;
  const uint8_t *bytes = draft_pack(draft, &size);
  assert_non_null(bytes);
  Vedette__V1__Report *report = vedette__v1__report__unpack(NULL, size, bytes);
  assert_non_null(report);
  assert_true(report->boot_counter == 5 && report->sequence == 9 && report->time == start && report->n_samples == 1);
  assert_int_equal(report->samples[0]->integer, 7);
  assert_memory_equal(report->firmware->image_hash.data, hash, sizeof hash);
  assert_true(report->traffic->bytes_out > 0 && report->traffic->n_flows == 3);
  assert_int_equal(report->events[0]->count, 4);
  vedette__v1__report__free_unpacked(report, NULL);
  draft_begin(draft, 5, 10, start);
  for (size_t i = 0; i < DRAFT_SAMPLES; i++) {
    assert_true(draft_sample(draft, "m", &value));
  }
  assert_false(draft_sample(draft, "m", &value)); // full
  assert_int_equal(draft_samples(draft), DRAFT_SAMPLES);
  draft_free(draft);
}

static void hashes_are_documented(void **state) {
  (void)state;
  // printf 'vedette-sim meter-a 2.4.0' | sha256sum
  static const uint8_t expected[4] = {0x43, 0xc3, 0x5c, 0x98};
  uint8_t hash[MODELS_HASH_SIZE];
  uint8_t unknown[MODELS_HASH_SIZE];
  models_image_hash("meter-a", "2.4.0", true, hash);
  models_image_hash("meter-a", "2.4.0", false, unknown);
  assert_memory_equal(hash, expected, sizeof expected);
  assert_memory_not_equal(hash, unknown, sizeof hash);
}

static void fleet_lists_gateways_first(void **state) {
  (void)state;
  const struct fleet_settings settings = {.devices = 100, .prefix = "t-", .seed = 1};
  struct fleet *fleet = fleet_new(&settings);
  assert_non_null(fleet);
  assert_int_equal(fleet->count, 104);
  const struct member *gateway = fleet_find(fleet, "t-00050");
  const struct member *child = fleet_find(fleet, "t-00050-2");
  assert_true(gateway != NULL && child != NULL && child->gateway == gateway && child > gateway && gateway->critical);
  assert_ptr_equal(gateway->children[1], child);
  assert_null(fleet_find(fleet, "t-00101"));
  fleet_free(fleet);
  fleet_free(NULL);
}

static int read_options(struct options *out, char *const *arguments, int count) {
  char *argv[16];
  for (int i = 0; i < count; i++) {
    argv[i] = arguments[i];
  }
  argv[count] = NULL;
  optind = 0; // getopt starts anew
  return options_read(count, argv, out);
}

static void options_are_checked(void **state) {
  (void)state;
  struct options options;
  char *good[] = {"vedette-sim", "--devices", "3", "--broker", "[::1]:8883", "--ca", "a", "--certs", "b", "--backoff", "1:4"};
  assert_int_equal(read_options(&options, good, 11), 0);
  assert_string_equal(options.host, "::1");
  assert_true(options.port == 8883 && options.backoff_least == 1 && options.backoff_most == 4 && options.devices == 3);
  char *none[] = {"vedette-sim", "--list-credentials"};
  assert_int_equal(read_options(&options, none, 2), -1);
  char *list[] = {"vedette-sim", "--list-credentials", "--devices", "2"};
  assert_int_equal(read_options(&options, list, 4), 0);
  char *text[] = {"vedette-sim", "--list-credentials", "--devices", "two"};
  assert_int_equal(read_options(&options, text, 4), -1);
  char *broker[] = {"vedette-sim", "--devices", "2", "--broker", "localhost"};
  assert_int_equal(read_options(&options, broker, 5), -1);
}

static void truth_is_json(void **state) {
  (void)state;
  char out[64];
  assert_string_equal(truth_quote(out, sizeof out, "a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
  truth_time(start + 1500, out);
  assert_string_equal(out, "2026-01-01T00:00:00.001Z");
}

static void truth_says_what_is_expected(void **state) {
  (void)state;
  char path[] = "/tmp/vedette-truth-XXXXXX";
  char error[256];
  char text[512] = "";
  int descriptor = mkstemp(path);
  assert_true(descriptor >= 0);
  struct truth *truth = truth_open(path, error, sizeof error);
  assert_non_null(truth);
  struct truth_line line = {.fault = "x", .kind = "flap", .device = "d", .start = start, .expect = "link lost"};
  truth_write(truth, &line);
  line.expect = NULL;
  line.end = start + 1000;
  truth_write(truth, &line);
  truth_close(truth);
  assert_true(read(descriptor, text, sizeof text - 1) > 0);
  assert_int_equal(close(descriptor), 0);
  assert_int_equal(unlink(path), 0);
  assert_string_equal(text, "{\"fault\":\"x\",\"kind\":\"flap\",\"device\":\"d\",\"expect\":\"link lost\","
                            "\"start\":\"2026-01-01T00:00:00.000Z\",\"end\":null}\n"
                            "{\"fault\":\"x\",\"kind\":\"flap\",\"device\":\"d\","
                            "\"start\":\"2026-01-01T00:00:00.000Z\",\"end\":\"2026-01-01T00:00:00.001Z\"}\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_repeat),
      cmocka_unit_test(values_are_plausible),
      cmocka_unit_test(metrics_have_valid_names),
      cmocka_unit_test(sparse_metric_is_sparse),
      cmocka_unit_test(drafts_decode),
      cmocka_unit_test(hashes_are_documented),
      cmocka_unit_test(fleet_lists_gateways_first),
      cmocka_unit_test(options_are_checked),
      cmocka_unit_test(truth_is_json),
      cmocka_unit_test(truth_says_what_is_expected),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
