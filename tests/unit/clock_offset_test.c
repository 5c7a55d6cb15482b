#include "unit.h"

#include "ingest/clock_offset.h"

#include <math.h>

static const int64_t start = INT64_C(1790000000000000);
static const int64_t second = 1000000;

// A report every ten seconds for `hours`, from a clock that is `ahead` microseconds ahead and drifts by `ppm`; ways of 5 to 500
// ms.
static int run(struct clock_offset *clock, int64_t from, double hours, double ahead, double ppm) {
  unsigned seed = 7;
  int estimates = 0;
  for (int64_t at = 0; at < (int64_t)(hours * 3600) * second; at += 10 * second) {
    seed = seed * 1103515245U + 12345U;
    int64_t way = 5000 + (int64_t)(seed >> 16) % 495000;
    int64_t time = from + at + (int64_t)(ahead + (double)at * ppm / 1e6);
    estimates += clock_offset_observe(clock, from + at + way, time);
  }
  return estimates;
}

static void test_offset(void **state) {
  struct clock_offset clock = {0};
  (void)state;
  assert_int_equal(run(&clock, start, 2, 3.25e6, 0), 12);
  assert_true(fabs((double)clock.ahead - 3.25e6) < 30000); // the shortest way of a window is some milliseconds
  assert_true(fabsf(clock.drift) < 30);
}

static void test_drift(void **state) {
  struct clock_offset clock = {0};
  (void)state;
  run(&clock, start, 24, 0, 100);
  assert_true(fabsf(clock.drift - 100) < 20);
}

static void test_setting_the_clock_is_no_drift(void **state) {
  struct clock_offset clock = {0};
  (void)state;
  run(&clock, start, 2, -7200e6, 0);
  run(&clock, start + 7200 * second, 2, 0, 0);
  assert_true(fabs((double)clock.ahead) < 30000);
  assert_true(fabsf(clock.drift) < 30);
}

static void test_any_time_is_borne(void **state) {
  const int64_t times[] = {INT64_MIN / 4, 1, start, INT64_MAX / 4};
  struct clock_offset clock = {0};
  (void)state;
  for (int i = 0; i < 1000; i++) {
    clock_offset_observe(&clock, start + i * 60 * second, times[i % 4]);
  }
  assert_true(isfinite(clock.drift));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_offset),
      cmocka_unit_test(test_drift),
      cmocka_unit_test(test_setting_the_clock_is_no_drift),
      cmocka_unit_test(test_any_time_is_borne),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
