// What devices say of their own traffic, on made event time.
#include "stage.h"

#include "analysis/values.h"
#include "storage/marks.h"

enum { STEP_S = 60, DAY_STEPS = 86400 / STEP_S };

static int64_t now;
static uint64_t seed;

static double drawn(void) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(seed >> 11) / 9007199254740992.0;
}

static int setup(void **state) {
  stage_setup(state);
  seed = 3;
  config.series_most = 1000;
  now = start;
  return 0;
}

// A minute of device `a`: 20 kB out and a tenth of it in, give or take a fifth, times the factor; to so many destinations.
static void minute(double factor, int destinations, int listening, int marks) {
  double scatter = 0.8 + 0.4 * drawn();
  now += STEP_S * second;
  struct observation o = {.kind = OBSERVE_TRAFFIC,
                          .device = 1,
                          .publisher = 1,
                          .time = now,
                          .received = now,
                          .boot = 1,
                          .sequence = now / second,
                          .marks = marks,
                          .traffic = {.span = STEP_S * second,
                                      .bytes_out = (int64_t)(20000 * factor * scatter),
                                      .bytes_in = (int64_t)(2000 * scatter),
                                      .packets_out = (int64_t)(40 * scatter),
                                      .packets_in = (int64_t)(30 * scatter),
                                      .connections = 2,
                                      .destinations = destinations,
                                      .listening = listening}};
  context_observe(&context, &o);
}

static void days(int count) {
  for (int i = 0; i < count * DAY_STEPS; i++) {
    minute(1, 3 + (int)(drawn() * 3), 2, 0);
  }
}

static bool any_live(void) {
  return fleet_find(&fleet, 1)->live != 0;
}

static void exfiltration_is_found_within_minutes_and_is_over_when_it_is_over(void **state) {
  (void)state;
  days(3);
  assert_false(any_live());
  for (int i = 0; i < 5; i++) {
    minute(3, 4, 2, 0);
  }
  assert_true(live(1, "bytes out"));
  assert_false(live(1, "bytes in"));
  assert_int_equal(raised("bytes out"), 1);
  days(1);
  assert_false(any_live());
}

static void a_scan_is_found(void **state) {
  (void)state;
  days(3);
  minute(1, 45, 2, 0);
  assert_true(live(1, "destinations"));
}

static void a_new_port_of_few_is_none_and_many_are(void **state) {
  (void)state;
  days(3);
  minute(1, 4, 3, 0);
  assert_false(live(1, "listening ports"));
  minute(1, 4, 20, 0);
  assert_true(live(1, "listening ports"));
}

static void what_is_usual_for_a_month_raises_nothing(void **state) {
  (void)state;
  days(30);
  assert_int_equal(raised("bytes out") + raised("bytes in") + raised("packets out") + raised("packets in") +
                       raised("connections") + raised("destinations") + raised("listening ports"),
                   0);
}

static void the_past_raises_nothing(void **state) {
  (void)state;
  days(3);
  minute(100, 400, 2, MARK_HISTORICAL);
  assert_false(any_live());
}

static void the_first_day_says_nothing(void **state) {
  (void)state;
  for (int i = 0; i < DAY_STEPS / 2; i++) {
    minute(1, 4, 2, 0);
  }
  minute(100, 400, 2, 0);
  assert_false(any_live());
}

static void a_checkpoint_holds_what_was_learned(void **state) {
  (void)state;
  days(3);
  struct device *device = fleet_find(&fleet, 1);
  struct metric_value kept = device->values.list[0]->value;
  int32_t metric = device->values.list[0]->metric;
  uint32_t count = device->values.count;
  values_free(&device->values);
  context.fleet->series = 0;
  values_load(&context, device, metric, (const uint8_t *)&kept, sizeof kept - 1); // of another version
  assert_int_equal(device->values.count, 0);
  values_load(&context, device, metric, (const uint8_t *)&kept, sizeof kept);
  assert_int_equal(device->values.count, 1);
  assert_memory_equal(&device->values.list[0]->value, &kept, sizeof kept);
  minute(1, 4, 2, 0);
  assert_int_equal(device->values.count, count);
}

static void there_are_no_more_series_than_there_may_be(void **state) {
  (void)state;
  config.series_most = 3;
  days(1);
  assert_int_equal(fleet.series, 3);
  assert_int_equal(fleet_find(&fleet, 1)->values.count, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(exfiltration_is_found_within_minutes_and_is_over_when_it_is_over, setup, stage_teardown),
      cmocka_unit_test_setup_teardown(a_scan_is_found, setup, stage_teardown),
      cmocka_unit_test_setup_teardown(a_new_port_of_few_is_none_and_many_are, setup, stage_teardown),
      cmocka_unit_test_setup_teardown(what_is_usual_for_a_month_raises_nothing, setup, stage_teardown),
      cmocka_unit_test_setup_teardown(the_past_raises_nothing, setup, stage_teardown),
      cmocka_unit_test_setup_teardown(the_first_day_says_nothing, setup, stage_teardown),
      cmocka_unit_test_setup_teardown(a_checkpoint_holds_what_was_learned, setup, stage_teardown),
      cmocka_unit_test_setup_teardown(there_are_no_more_series_than_there_may_be, setup, stage_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
