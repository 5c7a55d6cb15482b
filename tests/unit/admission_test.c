#include "unit.h"

#include "ingest/admission.h"

static const int64_t now = INT64_C(1790000000000000);
static const int64_t second = 1000000;
static const struct allowance ten = {.rate = 10, .burst = 100};

// Sends `count` messages at one moment; returns how many were taken.
static int send(struct bucket *bucket, int count, int64_t received, int64_t time, bool urgent) {
  int taken = 0;
  for (int i = 0; i < count; i++) {
    bucket_fill(bucket, &ten, received, time);
    if (bucket_has(bucket, &ten, urgent)) {
      bucket_take(bucket, &ten);
      taken++;
    }
  }
  return taken;
}

static void test_burst_then_rate(void **state) {
  struct bucket bucket = {0};
  (void)state;
  assert_int_equal(send(&bucket, 200, now, 0, false), 90); // a tenth is kept for what is urgent
  assert_int_equal(send(&bucket, 200, now + second, 0, false), 10);
  assert_int_equal(send(&bucket, 200, now + 3600 * second, 0, false), 90);
}

static void test_urgent_is_shed_last(void **state) {
  struct bucket bucket = {0};
  (void)state;
  assert_int_equal(send(&bucket, 200, now, 0, false), 90);
  assert_int_equal(send(&bucket, 200, now, 0, true), 10);
}

// A device that was cut off hands over an hour at once: its own clock earns what time would have.
static void test_backlog_earns_by_device_time(void **state) {
  struct bucket bucket = {0};
  int taken = 0;
  (void)state;
  for (int i = 0; i < 3600; i++) {
    taken += send(&bucket, 1, now, now - (3600 - i) * second, false);
  }
  assert_int_equal(taken, 3600);
}

static void test_nobody_earns_the_same_time_twice(void **state) {
  struct bucket bucket = {0};
  int taken = 0;
  (void)state;
  send(&bucket, 1, now, now - 10 * second, false);
  for (int round = 0; round < 100; round++) { // the clock is set back and forth
    taken += send(&bucket, 10, now, now - 10 * second, false);
    taken += send(&bucket, 10, now, now, false);
  }
  assert_in_range(taken, 89, 190);
}

static void test_wild_clocks_earn_nothing(void **state) {
  const int64_t times[] = {INT64_MIN, -1, 1, now - 8 * 86400 * second, now + 3600 * second, INT64_MAX};
  (void)state;
  for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
    struct bucket bucket = {0};
    assert_int_equal(send(&bucket, 90, now, now - 60 * second, false), 90);
    assert_int_equal(send(&bucket, 50, now, times[i], false), 0);
  }
}

static void test_no_limit(void **state) {
  const struct allowance none = {.rate = 0, .burst = 10};
  struct bucket bucket = {0};
  (void)state;
  for (int i = 0; i < 1000; i++) {
    bucket_fill(&bucket, &none, now, 0);
    assert_true(bucket_has(&bucket, &none, false));
    bucket_take(&bucket, &none);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_burst_then_rate),
      cmocka_unit_test(test_urgent_is_shed_last),
      cmocka_unit_test(test_backlog_earns_by_device_time),
      cmocka_unit_test(test_nobody_earns_the_same_time_twice),
      cmocka_unit_test(test_wild_clocks_earn_nothing),
      cmocka_unit_test(test_no_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
