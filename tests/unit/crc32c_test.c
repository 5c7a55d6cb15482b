#include "unit.h"

#include "common/crc32c.h"

// RFC 3720, appendix B.4.
static void knows_the_published_values(void **state) {
  unsigned char data[32];
  (void)state;
  memset(data, 0, sizeof data);
  assert_int_equal(crc32c(0, data, sizeof data), 0x8A9136AA);
  memset(data, 0xff, sizeof data);
  assert_int_equal(crc32c(0, data, sizeof data), 0x62A8AB43);
  for (int i = 0; i < 32; i++) {
    data[i] = (unsigned char)i;
  }
  assert_int_equal(crc32c(0, data, sizeof data), 0x46DD794E);
  assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
}

static void both_ways_agree_on_every_length_and_start(void **state) {
  unsigned char data[300];
  (void)state;
  for (size_t i = 0; i < sizeof data; i++) {
    data[i] = (unsigned char)(i * 31 + 7);
  }
  for (size_t from = 0; from < 9; from++) {
    for (size_t size = 0; size < 270; size++) {
      assert_int_equal(crc32c(5, data + from, size), crc32c_portable(5, data + from, size));
    }
  }
}

static void can_be_continued(void **state) {
  (void)state;
  assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), crc32c(0, "123456789", 9));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(knows_the_published_values),
      cmocka_unit_test(both_ways_agree_on_every_length_and_start),
      cmocka_unit_test(can_be_continued),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
