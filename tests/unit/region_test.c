#include "unit.h"

#include "common/region.h"

static void hands_out_aligned_memory_that_stays(void **state) {
  struct region *region = region_new(1 << 20);
  char *kept[100];
  (void)state;
  for (int i = 0; i < 100; i++) {
    kept[i] = region_alloc(region, (size_t)i + 1);
    assert_non_null(kept[i]);
    assert_int_equal((uintptr_t)kept[i] % _Alignof(max_align_t), 0);
    memset(kept[i], i, (size_t)i + 1);
  }
  for (int i = 0; i < 100; i++) {
    assert_int_equal(kept[i][i], (char)i);
  }
  region_free(region);
}

static void stops_at_its_limit_and_starts_again_after_reset(void **state) {
  struct region *region = region_new(1000);
  (void)state;
  assert_non_null(region_alloc(region, 900));
  assert_null(region_alloc(region, 200));
  assert_null(region_alloc(region, SIZE_MAX));
  region_reset(region);
  assert_int_equal(region_used(region), 0);
  assert_non_null(region_alloc(region, 900));
  region_free(region);
}

static void refuses_products_that_overflow(void **state) {
  struct region *region = region_new(1000);
  (void)state;
  assert_null(region_zalloc(region, SIZE_MAX / 2, 4));
  unsigned char *clear = region_zalloc(region, 10, 10);
  assert_non_null(clear);
  for (int i = 0; i < 100; i++) {
    assert_int_equal(clear[i], 0);
  }
  region_free(region);
  region_free(NULL);
}

static void takes_things_larger_than_a_block(void **state) {
  struct region *region = region_new(8 << 20);
  (void)state;
  char *large = region_alloc(region, 3 << 20);
  assert_non_null(large);
  large[(3 << 20) - 1] = 1;
  assert_non_null(region_alloc(region, 100));
  region_reset(region);
  assert_non_null(region_alloc(region, 3 << 20));
  region_free(region);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hands_out_aligned_memory_that_stays),
      cmocka_unit_test(stops_at_its_limit_and_starts_again_after_reset),
      cmocka_unit_test(refuses_products_that_overflow),
      cmocka_unit_test(takes_things_larger_than_a_block),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
