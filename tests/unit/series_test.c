// One metric of one device: what kind it is taken for, what is an alert and what is none, and input that nobody should send.
#include "unit.h"

#include <math.h>

#include "analysis/series/series.h"

enum { DAY_STEPS = 288, STEP_S = 300 };
static const double bar = 0.9; // of installations with many series: 0.5 is that of one alone
static const int64_t second = 1000000;
static const int64_t began = INT64_C(1767225600) * 1000000; // 2026-01-01T00:00:00Z

static struct series series;
static uint64_t seed = 1;
static int alerts;

static double drawn(void) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(seed >> 11) / 9007199254740992.0;
}

static double noise(void) {
  return drawn() + drawn() + drawn() + drawn() - 2;
}

// A sample in step `i`, five minutes apart.
static struct series_finding see_zone(int i, double value, int32_t zone_s) {
  struct series_finding finding = series_observe(&series, value, began + i * (int64_t)STEP_S * second, zone_s);
  assert_true(finding.score >= 0 && finding.score <= 1);
  alerts += finding.score >= bar;
  return finding;
}

static struct series_finding see(int i, double value) {
  return see_zone(i, value, 0);
}

static int setup(void **state) {
  (void)state;
  series_init(&series, 0);
  seed = 42;
  alerts = 0;
  return 0;
}

static double daily(int i) {
  return 20 + 5 * sin(2 * M_PI * i / DAY_STEPS) + 0.3 * noise();
}

// From step `from` on, as usual.
static int usual(int from, int steps) {
  for (int i = from; i < from + steps; i++) {
    see(i, daily(i));
  }
  return from + steps;
}

static void a_spike_is_one_alert(void **state) {
  (void)state;
  int i = usual(0, 7 * DAY_STEPS);
  alerts = 0;
  struct series_finding finding = see(i, 60);
  assert_true(finding.score >= bar);
  assert_int_equal(finding.cause, SERIES_VALUE);
  assert_true(finding.band.low > 10 && finding.band.high < 30);
  see(i + 1, 60);
  see(i + 2, 58);
  usual(i + 3, DAY_STEPS);
  assert_int_equal(alerts, 1);
}

static void a_value_at_the_wrong_time_of_day_is_seen(void **state) {
  (void)state;
  int i = usual(0, 7 * DAY_STEPS + DAY_STEPS / 4); // the highest time of the day
  alerts = 0;
  struct series_finding finding = see(i, 15.1); // as at the lowest
  assert_true(finding.score >= 0.8);
  assert_int_equal(finding.cause, SERIES_TIME_OF_DAY);
  assert_true(finding.band.low > 20);
}

static void what_falls_silent_is_seen(void **state) {
  (void)state;
  int i = 0;
  for (; i < 7 * DAY_STEPS; i++) {
    see(i, i % 40 < 4 ? 50 + noise() : 1 + 0.2 * noise());
  }
  alerts = 0;
  struct series_finding finding = {0};
  for (int end = i + DAY_STEPS; i < end && finding.score < 0.5; i++) {
    finding = see(i, 1 + 0.2 * noise());
  }
  assert_true(finding.score >= 0.5);
  assert_true(finding.cause == SERIES_LOW || finding.cause == SERIES_CALM);
}

static void a_hole_raises_nothing(void **state) {
  (void)state;
  int i = usual(0, 7 * DAY_STEPS);
  alerts = 0;
  usual(i + 2 * DAY_STEPS, 2 * DAY_STEPS); // nothing for two days: missing is not zero
  assert_int_equal(alerts, 0);
}

static void summer_time_raises_nothing(void **state) {
  (void)state;
  for (int i = 0; i < 14 * DAY_STEPS; i++) {
    bool summer = i >= 10 * DAY_STEPS;
    int local = i + (summer ? 12 : 0);
    alerts = i == 9 * DAY_STEPS ? 0 : alerts;
    see_zone(i, 10 + (local % DAY_STEPS >= 84 && local % DAY_STEPS < 240 ? 50 : 0) + noise(), summer ? 3600 : 0);
  }
  assert_int_equal(alerts, 0);
}

static void flat_plus_one_raises_nothing(void **state) {
  (void)state;
  const double levels[] = {0, 50, 3, 1000};
  for (int level = 0; level < 4; level++) {
    series_init(&series, 0);
    for (int i = 0; i < 14 * DAY_STEPS; i++) {
      see(i, levels[level] + (i % 500 == 499));
    }
    assert_int_equal(series_kind(&series), SERIES_SWITCH);
  }
  assert_int_equal(alerts, 0);
}

static void a_constant_that_jumps_is_one_alert(void **state) {
  (void)state;
  int i = 0;
  for (; i < 3 * DAY_STEPS; i++) {
    see(i, 50);
  }
  assert_int_equal(series_kind(&series), SERIES_CONSTANT);
  assert_true(see(i, 90).score >= bar);
  for (int end = i + DAY_STEPS; i < end; i++) {
    see(i + 1, 90);
  }
  assert_int_equal(alerts, 1);
}

static void a_counter_is_looked_at_by_its_rate(void **state) {
  (void)state;
  double count = 9007199254740992.0 - 1e9; // beyond 2^53 on the way
  int i = 0;
  for (; i < 14 * DAY_STEPS; i++) {
    count = i % 1000 == 999 ? 0 : count + 30000 + floor(3000 * noise()); // it begins anew now and then
    see(i, count);
  }
  assert_int_equal(series_kind(&series), SERIES_COUNTER);
  assert_int_equal(alerts, 0);
  struct series_finding finding = see(i, count + 3e6);
  assert_true(finding.score >= bar);
  assert_true(fabs(finding.looked - 1e4) < 1);
}

static void a_counter_that_is_none_is_looked_at_anew(void **state) {
  (void)state;
  int i = 0;
  for (; i < 200; i++) {
    see(i, i);
  }
  assert_int_equal(series_kind(&series), SERIES_COUNTER);
  for (; i < 14 * DAY_STEPS; i++) {
    see(i, 200 + 10 * noise());
  }
  assert_int_equal(series_kind(&series), SERIES_GAUGE);
  assert_true(alerts <= 1); // that its rate is not what it was
}

static void a_fast_series_remembers_as_long_as_a_slow_one(void **state) {
  (void)state;
  for (int64_t i = 0; i < INT64_C(3) * 86400 / 10; i++) { // every ten seconds
    double value = 20 + 5 * sin(2 * M_PI * (double)i / 8640) + 0.3 * noise();
    alerts += series_observe(&series, value, began + i * 10 * second, 0).score >= bar;
  }
  assert_in_range(series.steps, 3 * DAY_STEPS - 2, 3 * DAY_STEPS + 2);
  assert_int_equal(alerts, 0);
}

static void old_and_equal_times_are_left_out(void **state) {
  (void)state;
  int i = usual(0, 3 * DAY_STEPS);
  uint32_t samples = series.samples;
  alerts = 0;
  for (int k = 0; k < 10; k++) {
    see(i - 1, 1000); // ten samples with one time
  }
  see(i - 100, 1000);
  assert_int_equal(series.samples, samples);
  assert_int_equal(alerts, 0);
  for (int k = 0; k < 40; k++) {
    see(i - 20000 + k, daily(k)); // the clock was ahead, and was set right
  }
  assert_true(series.samples > samples);
  i -= 20000;
  usual(i + 40, 3 * DAY_STEPS);
  assert_true(see(i + 40 + 3 * DAY_STEPS, 60).score >= bar); // and something is said again
}

// Whatever comes: scores are scores, the state stays finite, and most of it is no alert.
static void nothing_breaks_it(void **state) {
  (void)state;
  const double odd[] = {NAN, INFINITY, -INFINITY, 5e-324, -5e-324, 1e300, -1e300, 9007199254740993.0, 0, -0.0, 1.7e308};
  for (int round = 0; round < 50; round++) {
    series_init(&series, round % 3 - 1);
    alerts = 0;
    for (int i = 0; i < 3000; i++) {
      double value = drawn() < 0.05 ? odd[(int)(drawn() * 11)] : round % 2 ? i + noise() : noise();
      int64_t time = began + (i - (int)(drawn() * 30 * (drawn() < 0.1))) * (int64_t)(drawn() * 600 * 1e6);
      struct series_finding finding = series_observe(&series, value, time, (int32_t)(drawn() * 86400) - 43200);
      assert_true(finding.score >= 0 && finding.score <= 1);
      alerts += finding.score >= bar;
    }
    assert_true(isfinite(series.looked) && isfinite(series.news) && isfinite(series.activity.mean) && series.progress <= 1);
    assert_true(alerts < 60);
  }
}

static void a_step_of_1e300_is_no_storm(void **state) {
  (void)state;
  int i = usual(0, 7 * DAY_STEPS);
  alerts = 0;
  see(i++, 1e300);
  i = usual(i, 7 * DAY_STEPS);
  assert_int_equal(alerts, 1);
  i = usual(i, 14 * DAY_STEPS);
  assert_true(see(i, 60).score >= bar); // and the small is seen again
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_spike_is_one_alert, setup),
      cmocka_unit_test_setup(a_value_at_the_wrong_time_of_day_is_seen, setup),
      cmocka_unit_test_setup(what_falls_silent_is_seen, setup),
      cmocka_unit_test_setup(a_hole_raises_nothing, setup),
      cmocka_unit_test_setup(summer_time_raises_nothing, setup),
      cmocka_unit_test_setup(flat_plus_one_raises_nothing, setup),
      cmocka_unit_test_setup(a_constant_that_jumps_is_one_alert, setup),
      cmocka_unit_test_setup(a_counter_is_looked_at_by_its_rate, setup),
      cmocka_unit_test_setup(a_counter_that_is_none_is_looked_at_anew, setup),
      cmocka_unit_test_setup(a_fast_series_remembers_as_long_as_a_slow_one, setup),
      cmocka_unit_test_setup(old_and_equal_times_are_left_out, setup),
      cmocka_unit_test_setup(nothing_breaks_it, setup),
      cmocka_unit_test_setup(a_step_of_1e300_is_no_storm, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
