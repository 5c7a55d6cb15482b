#include "unit.h"

#include "storage/pack.h"

#include <math.h>

static struct bits bits;

// Packs, reads it back, and returns the bits it took.
static size_t integers(const int64_t *values, size_t count) {
  int64_t back[PACK_MOST];
  bits_clear(&bits);
  pack_integers(&bits, values, count);
  assert_false(bits.broken);
  assert_true(unpack_integers(bits.data, bits.count, back, count));
  assert_memory_equal(back, values, count * sizeof *values);
  return bits.count;
}

static size_t doubles(const double *values, const bool *nulls, size_t count) {
  double back[PACK_MOST];
  bool gone[PACK_MOST];
  bits_clear(&bits);
  pack_doubles(&bits, values, nulls, count);
  assert_false(bits.broken);
  assert_true(unpack_doubles(bits.data, bits.count, back, gone, count));
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(gone[i], nulls != NULL && nulls[i]);
    if (!gone[i]) {
      assert_memory_equal(&back[i], &values[i], sizeof *values);
    }
  }
  return bits.count;
}

static void integers_come_back(void **state) {
  static const int64_t edges[] = {INT64_MIN, INT64_MAX, 0, -1, 1, INT64_MIN, INT64_MIN + 1};
  (void)state;
  for (size_t count = 0; count <= sizeof edges / sizeof *edges; count++) {
    integers(edges, count);
  }
  integers((int64_t[]){-7, -7, -7}, 3);
  integers((int64_t[]){INT64_MAX, INT64_MAX - 3000000}, 2);
}

static void steady_steps_cost_nothing(void **state) {
  int64_t times[PACK_MOST];
  (void)state;
  for (size_t i = 0; i < PACK_MOST; i++) {
    times[i] = INT64_C(1700000000123456) + (int64_t)i * 60000000;
  }
  assert_true(integers(times, PACK_MOST) < 200);
  // Whole seconds around the minute: the unit of microseconds is taken out.
  for (size_t i = 0; i < PACK_MOST; i++) {
    times[i] += (int64_t)(i * 7 % 4) * 1000000;
  }
  assert_true(integers(times, PACK_MOST) < 200 + PACK_MOST * 4);
}

static void decimals_cost_their_digits(void **state) {
  double values[1000];
  (void)state;
  for (size_t i = 0; i < 1000; i++) {
    values[i] = (double)(2150 + (int)(i * 37 % 100)) / 100; // 21.50 … 22.49
  }
  assert_true(doubles(values, NULL, 1000) <= 100 + 1000 * 7);
  values[500] = M_PI;
  values[501] = -0.0;
  values[502] = 1e300;
  values[503] = 5e-324;
  assert_true(doubles(values, NULL, 1000) <= 100 + 1000 * 7 + 4 * 76);
}

static void any_double_comes_back(void **state) {
  static const double edges[] = {
      0.0,     -0.0, 1.0,     -1.0,       0.1,   1e15,   9007199254740992.0, 9007199254740993.0, 1.7976931348623157e308, 5e-324,
      -5e-324, M_PI, 1.0 / 3, 123456.789, 1e-15, 2.5e-16};
  double values[PACK_MOST];
  bool nulls[PACK_MOST];
  uint64_t x = 88172645463325252U; // xorshift64, Marsaglia 2003
  (void)state;
  for (size_t count = 0; count <= sizeof edges / sizeof *edges; count++) {
    doubles(edges, NULL, count);
  }
  for (int round = 0; round < 300; round++) {
    size_t count = 1 + (size_t)round * 7 % PACK_MOST;
    for (size_t i = 0; i < count; i++) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      int64_t digits = (int64_t)(x >> 40) - (1 << 23);
      double scale = pow(10, round % 18);
      memcpy(&values[i], &x, sizeof x);
      values[i] = round % 5 == 0 && isfinite(values[i]) ? values[i] : (double)digits / scale;
      nulls[i] = round % 3 == 0 && x % 5 == 0;
    }
    doubles(values, nulls, count);
  }
}

static void nothing_but_nulls(void **state) {
  bool nulls[50];
  double values[50] = {0};
  (void)state;
  memset(nulls, true, sizeof nulls);
  doubles(values, nulls, 50);
}

static void what_is_cut_or_bent_is_refused(void **state) {
  double values[40], back[40];
  bool nulls[40];
  int64_t whole[40];
  (void)state;
  for (size_t i = 0; i < 40; i++) {
    values[i] = (double)i * 1.25 + (i == 7 ? M_PI : 0);
  }
  bits_clear(&bits);
  pack_doubles(&bits, values, NULL, 40);
  for (size_t count = 0; count < bits.count; count++) {
    assert_false(unpack_doubles(bits.data, count, back, nulls, 40));
  }
  assert_false(unpack_doubles(bits.data, bits.count, back, nulls, 39));
  assert_false(unpack_doubles(bits.data, bits.count, back, nulls, PACK_MOST + 1));
  assert_false(unpack_integers(bits.data, bits.count, whole, 40));
}

static int free_bits(void **state) {
  (void)state;
  bits_free(&bits);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers_come_back),         cmocka_unit_test(steady_steps_cost_nothing),
      cmocka_unit_test(decimals_cost_their_digits), cmocka_unit_test(any_double_comes_back),
      cmocka_unit_test(nothing_but_nulls),          cmocka_unit_test(what_is_cut_or_bent_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, free_bits);
}
