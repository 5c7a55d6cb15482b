// Metrics together: what is found when they no longer stand to each other as they used to, and what is named.
#include "unit.h"

#include <math.h>

#include "analysis/series/relations.h"

enum { METRICS = 8 };
static const double bar = 0.6; // half as far again as what one row in a hundred reaches

static struct relations *relations;
static uint64_t seed;

static double drawn(void) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(seed >> 11) / 9007199254740992.0;
}

static double noise(void) {
  return drawn() + drawn() + drawn() + drawn() - 2;
}

static int setup(void **state) {
  (void)state;
  seed = 7;
  relations = relations_new(METRICS);
  return relations == NULL;
}

static int teardown(void **state) {
  (void)state;
  relations_free(relations);
  return 0;
}

// Two causes, seen by all metrics; metric 5 is on a scale of its own, 7 never changes.
static void make_row(double row[METRICS]) {
  double a = noise();
  double b = noise();
  for (int i = 0; i < METRICS; i++) {
    row[i] = 10 * i + a * (i + 1) + b * (i % 3) + 0.1 * noise();
  }
  row[5] = row[5] * 1e6;
  row[7] = 12;
}

static int alerts_of(int rows) {
  double row[METRICS];
  int alerts = 0;
  for (int i = 0; i < rows; i++) {
    make_row(row);
    double score = relations_observe(relations, row);
    assert_true(score >= 0 && score <= 1);
    alerts += score >= bar;
  }
  return alerts;
}

static void what_is_as_ever_is_quiet(void **state) {
  (void)state;
  assert_true(alerts_of(5000) < 5);
}

static void a_broken_relation_is_found_and_named(void **state) {
  (void)state;
  double row[METRICS];
  double shares[METRICS];
  double score = 0;
  alerts_of(2000);
  for (int i = 0; i < 5; i++) {
    make_row(row);
    row[3] -= 3; // within its own range: it scatters by 2.3
    score = relations_observe(relations, row);
  }
  assert_true(score >= bar);
  relations_explain(relations, shares);
  double sum = 0;
  for (int i = 0; i < METRICS; i++) {
    sum += shares[i];
    assert_true(i == 3 || shares[i] < shares[3]);
  }
  assert_true(fabs(sum - 1) < 1e-3);
  assert_true(fabs(relations_deviation(relations, 3)) < 4);
  for (int i = 0; i < 20 && score >= bar; i++) {
    make_row(row);
    score = relations_observe(relations, row);
  }
  assert_true(score < bar); // and is over when it is over
}

static void what_never_changed_and_changes_is_found(void **state) {
  (void)state;
  double row[METRICS];
  double score = 0;
  alerts_of(500);
  for (int i = 0; i < 5; i++) {
    make_row(row);
    row[7] = 14;
    score = relations_observe(relations, row);
  }
  assert_true(score >= bar);
}

static void readings_that_are_missing_say_nothing(void **state) {
  (void)state;
  double row[METRICS];
  int alerts = 0;
  alerts_of(1000);
  for (int i = 0; i < 1000; i++) {
    make_row(row);
    row[i % METRICS] = NAN;
    alerts += relations_observe(relations, row) >= bar;
  }
  assert_true(alerts < 400); // a hole before the metrics that would tell what belongs there is taken as its mean
  for (int i = 0; i < METRICS; i++) {
    row[i] = NAN;
  }
  for (int i = 0; i < 100; i++) {
    assert_true(relations_observe(relations, row) < bar || i < 20);
  }
}

static void nothing_breaks_it(void **state) {
  (void)state;
  const double odd[] = {NAN, INFINITY, -INFINITY, 5e-324, 1e300, -1e300, 9007199254740993.0, 0};
  double row[METRICS];
  double shares[METRICS];
  for (int i = 0; i < 20000; i++) {
    make_row(row);
    if (drawn() < 0.1) {
      row[(int)(drawn() * METRICS)] = odd[(int)(drawn() * 8)];
    }
    double score = relations_observe(relations, row);
    assert_true(score >= 0 && score <= 1);
    relations_explain(relations, shares);
    for (int k = 0; k < METRICS; k++) {
      assert_true(isfinite(shares[k]) && isfinite(relations_deviation(relations, (size_t)k)));
    }
  }
}

static void sizes_have_limits(void **state) {
  (void)state;
  assert_null(relations_new(RELATIONS_LEAST - 1));
  assert_null(relations_new(RELATIONS_MOST + 1));
  assert_true(relations_size(8) < 1500);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_is_as_ever_is_quiet, setup, teardown),
      cmocka_unit_test_setup_teardown(a_broken_relation_is_found_and_named, setup, teardown),
      cmocka_unit_test_setup_teardown(what_never_changed_and_changes_is_found, setup, teardown),
      cmocka_unit_test_setup_teardown(readings_that_are_missing_say_nothing, setup, teardown),
      cmocka_unit_test_setup_teardown(nothing_breaks_it, setup, teardown),
      cmocka_unit_test(sizes_have_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
