// What devices measure, on made event time.
#include "stage.h"

#include <math.h>

#include "analysis/group.h"
#include "analysis/values.h"
#include "storage/intake.h"
#include "storage/marks.h"

enum { STEP_S = 300, DAY_STEPS = 86400 / STEP_S, METRICS = 3 };

static int64_t now;
static uint64_t seed;

static double drawn(void) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(seed >> 11) / 9007199254740992.0;
}

static int setup(void **state) {
  stage_setup(state);
  seed = 5;
  now = start;
  config.series_most = 1000;
  fleet_name_metric(&fleet, 11, "temperature");
  return 0;
}

// A report of device `a`: a temperature of the day, a pressure, a switch; the first two more than usual by so much.
static void measure(double warmer, double tighter, int marks) {
  const int32_t metrics[METRICS] = {11, 12, 13};
  now += STEP_S * second;
  double day = sin(2 * M_PI * (double)(now / second % 86400) / 86400);
  const double values[METRICS] = {20 + 5 * day + drawn() + warmer, drawn() < 0.1 ? NAN : 3 + drawn() / 10 + tighter,
                                  drawn() < 0.02};
  struct observation o = {.kind = OBSERVE_VALUES,
                          .device = 1,
                          .publisher = 1,
                          .time = now,
                          .received = now,
                          .boot = 1,
                          .sequence = now / second,
                          .marks = marks,
                          .values = {metrics, values, METRICS}};
  context_observe(&context, &o);
}

static void days(int count) {
  for (int i = 0; i < count * DAY_STEPS; i++) {
    measure(0, 0, 0);
  }
}

static void one_metric_is_told_and_is_over_when_it_is_over(void **state) {
  (void)state;
  days(4);
  assert_int_equal(raised("value"), 0);
  measure(60, 0, 0);
  assert_true(live(1, "value"));
  assert_non_null(strstr(context.effects[context.count - 1].sentence, "a: temperature is "));
  days(1);
  assert_false(live(1, "value"));
  assert_int_equal(raised("value"), 1);
}

static void two_metrics_are_one_alert_until_both_are_over(void **state) {
  (void)state;
  days(4);
  measure(60, 0, 0);
  for (int i = 0; i < 6; i++) {
    measure(0, 4, 0);
  }
  assert_true(live(1, "value"));
  assert_int_equal(raised("value"), 1);
  days(1);
  assert_false(live(1, "value"));
}

static void a_month_as_ever_and_the_past_say_nothing(void **state) {
  (void)state;
  days(30);
  measure(60, 60, MARK_HISTORICAL);
  assert_int_equal(raised("value"), 0);
  assert_int_equal(fleet_find(&fleet, 1)->values.count, METRICS);
}

// Rows of the feed, as they lie in a group: each report finds its own values, however the room was moved meanwhile.
static void a_group_keeps_the_values_of_its_rows(void **state) {
  enum { ROWS = 5000 };
  struct group group = {0};
  struct feed_batch batch = {.feed = 1, .number = 1, .kind = 'd', .rows = ROWS};
  int32_t metrics[METRICS] = {1, 2, 3};
  double values[METRICS];
  (void)state;
  assert_true(group_add(&group, &batch));
  for (int i = 0; i < ROWS; i++) {
    for (int k = 0; k < METRICS; k++) {
      values[k] = i * 10 + k;
    }
    group_note(&group, &(struct feed_row){.kind = FEED_VALUES,
                                          .batch = intake_batch_key(1, 1),
                                          .device = 1,
                                          .publisher = 1,
                                          .received = ROWS - i,
                                          .text = "",
                                          .metrics = metrics,
                                          .values = values,
                                          .value_count = i % (METRICS + 1)});
  }
  assert_true(group_sort(&group));
  for (int i = 0; i < ROWS; i++) {
    const struct observed_values *seen = &group.order[i]->observation.values;
    int row = ROWS - 1 - i; // by receipt
    assert_int_equal(seen->count, row % (METRICS + 1));
    for (uint32_t k = 0; k < seen->count; k++) {
      assert_int_equal(seen->metrics[k], k + 1);
      assert_true(seen->values[k] == row * 10 + k);
    }
  }
  group_free(&group);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(one_metric_is_told_and_is_over_when_it_is_over, setup, stage_teardown),
      cmocka_unit_test_setup_teardown(two_metrics_are_one_alert_until_both_are_over, setup, stage_teardown),
      cmocka_unit_test_setup_teardown(a_month_as_ever_and_the_past_say_nothing, setup, stage_teardown),
      cmocka_unit_test(a_group_keeps_the_values_of_its_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
