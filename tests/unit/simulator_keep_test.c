// What a simulated device keeps: order, limits, what is sent again.
#include "unit.h"

#include "simulator/keep.h"

static const uint8_t bytes[100] = {1};

static struct keep *keep_of(const struct keep_limits *limits, uint64_t first, uint64_t last) {
  struct keep *keep = keep_new(limits);
  assert_non_null(keep);
  for (uint64_t sequence = first; sequence <= last; sequence++) {
    keep_make_room(keep, sizeof bytes);
    assert_int_equal(keep_add(keep, sequence, bytes, sizeof bytes), 0);
  }
  return keep;
}

// Sends all that is to be sent; returns the first and last sequence sent.
static size_t send_all(struct keep *keep, uint64_t *first, uint64_t *last) {
  size_t count = 0;
  for (const struct kept *one = keep_next(keep); one != NULL; one = keep_next(keep)) {
    *first = count++ == 0 ? one->sequence : *first;
    *last = one->sequence;
    assert_memory_equal(one->bytes, bytes, sizeof bytes);
    keep_advance(keep);
  }
  return count;
}

static void sends_in_order_and_again_what_is_not_confirmed(void **state) {
  (void)state;
  const struct keep_limits limits = {.reports = 10, .bytes = 10000};
  struct keep *keep = keep_of(&limits, 1, 6);
  uint64_t first = 0;
  uint64_t last = 0;
  size_t unacknowledged = 0;
  assert_int_equal(send_all(keep, &first, &last), 6);
  assert_true(keep_acknowledge(keep, 2));
  assert_false(keep_acknowledge(keep, 2)); // once
  assert_false(keep_acknowledge(keep, 7)); // never made
  assert_int_equal(keep_release(keep, 3, &unacknowledged), 3);
  assert_int_equal(unacknowledged, 2);
  assert_false(keep_acknowledge(keep, 3)); // not kept any more
  assert_int_equal(keep_release(keep, 3, &unacknowledged), 0);
  assert_int_equal(keep_oldest(keep), 4);
  assert_null(keep_next(keep));
  keep_rewind(keep);
  assert_true(keep_next(keep)->sent);
  assert_int_equal(send_all(keep, &first, &last), 3);
  assert_int_equal(first, 4);
  assert_int_equal(last, 6);
  keep_free(keep);
}

static void releases_what_is_still_to_be_sent(void **state) {
  (void)state;
  const struct keep_limits limits = {.reports = 10, .bytes = 10000};
  struct keep *keep = keep_of(&limits, 1, 5);
  uint64_t first = 0;
  uint64_t last = 0;
  size_t unacknowledged = 0;
  keep_advance(keep);
  assert_int_equal(keep_release(keep, 3, &unacknowledged), 3);
  assert_int_equal(send_all(keep, &first, &last), 2);
  assert_int_equal(first, 4);
  assert_int_equal(keep_release(keep, UINT64_MAX, &unacknowledged), 2);
  assert_int_equal(keep_oldest(keep), 0);
  assert_int_equal(keep_add(keep, 6, bytes, sizeof bytes), 0);
  assert_int_equal(send_all(keep, &first, &last), 1);
  assert_int_equal(keep_oldest(keep), 6);
  keep_free(keep);
}

static void limits_hold_and_the_oldest_makes_room(void **state) {
  (void)state;
  const struct keep_limits few = {.reports = 4, .bytes = 10000};
  struct keep *keep = keep_of(&few, 1, 10);
  assert_int_equal(keep_count(keep), 4);
  assert_int_equal(keep_oldest(keep), 7);
  assert_int_equal(keep_next(keep)->sequence, 7);
  assert_int_equal(keep_make_room(keep, 1), 1);
  keep_free(keep);
  const struct keep_limits small = {.reports = 1000, .bytes = 250};
  keep = keep_of(&small, 1, 10);
  assert_int_equal(keep_count(keep), 2);
  assert_int_equal(keep_make_room(keep, 1000), 2); // too large for the limit: alone
  assert_int_equal(keep_add(keep, 11, bytes, sizeof bytes), 0);
  assert_int_equal(keep_count(keep), 1);
  keep_free(keep);
  keep_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sends_in_order_and_again_what_is_not_confirmed),
      cmocka_unit_test(releases_what_is_still_to_be_sent),
      cmocka_unit_test(limits_hold_and_the_oldest_makes_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
