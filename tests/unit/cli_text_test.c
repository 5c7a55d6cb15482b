// What keeps foreign text from steering a terminal, and the reading of times.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cli/options.h"
#include "cli/text.h"
#include "cli/when.h"

static void expect_escaped(const char *text, size_t length, const char *expected) {
  char *escaped = text_escape(text, length);
  assert_non_null(escaped);
  assert_string_equal(escaped, expected);
  free(escaped);
}

static void escapes_what_steers(void **state) {
  (void)state;
  expect_escaped("plain Grüße €", strlen("plain Grüße €"), "plain Grüße €");
  expect_escaped("\033[2J", 4, "\\x1B[2J");
  expect_escaped("a\nb\tc\r", 6, "a\\nb\\tc\\r");
  expect_escaped("\x7f\0x", 3, "\\x7F\\x00x");
  expect_escaped("\xc2\x9b"
                 "31m",
                 5, "\\u{009B}31m"); // C1: another way to write ESC [
  static const char override[] = {(char)0xe2, (char)0x80, (char)0xae, 'a'};
  expect_escaped(override, sizeof override, "\\u{202E}a"); // right-to-left override
  expect_escaped("\xff\xc3", 2, "\\xFF\\xC3");
  expect_escaped("\xed\xa0\x80", 3, "\\xED\\xA0\\x80"); // a surrogate
  expect_escaped("\xc0\xaf", 2, "\\xC0\\xAF");          // overlong
  expect_escaped("", 0, "");
}

static void judges_utf8(void **state) {
  (void)state;
  assert_true(text_is_utf8("Gerät 😀", strlen("Gerät 😀")));
  assert_false(text_is_utf8("a\0b", 3));
  assert_false(text_is_utf8("\xf4\x90\x80\x80", 4)); // beyond U+10FFFF
  assert_false(text_is_utf8("\xe2\x82", 2));
  assert_true(text_has_control("\xc2\x85", 2));
  assert_false(text_has_control("é", 2));
}

static void measures_distance(void **state) {
  (void)state;
  assert_int_equal(text_distance("status", "status"), 0);
  assert_int_equal(text_distance("statsu", "status"), 2);
  assert_int_equal(text_distance("", "abc"), 3);
  static const char *const words[] = {"status", "device", "alert"};
  assert_string_equal(options_nearest("devcie", words, 3), "device");
  assert_null(options_nearest("nothing", words, 3));
}

static void reads_store_times(void **state) {
  (void)state;
  int64_t at = 0;
  char utc[WHEN_SIZE];
  assert_true(when_from_store("2026-03-01 12:00:00.25+00", &at));
  when_utc(at, utc);
  assert_string_equal(utc, "2026-03-01T12:00:00.250000Z");
  assert_true(when_from_store("1969-12-31 23:59:59.5+00", &at));
  assert_int_equal(at, -500000);
  when_utc(at, utc);
  assert_string_equal(utc, "1969-12-31T23:59:59.500000Z");
  assert_false(when_from_store("infinity", &at));
  assert_false(when_from_store("2026-03-01 12:00:00", &at));
}

static void reads_what_people_type(void **state) {
  (void)state;
  int64_t now = 1000000000LL * 1000000;
  int64_t at = 0;
  assert_true(when_read("30m", now, &at));
  assert_int_equal(at, now - 1800LL * 1000000);
  assert_true(when_read("2w", now, &at));
  assert_int_equal(at, now - 1209600LL * 1000000);
  assert_true(when_read("2001-09-09T03:46:40+02:00", now, &at));
  assert_int_equal(at, now);
  assert_true(when_read("2001-09-09T01:46:40Z", now, &at));
  assert_int_equal(at, now);
  assert_true(when_read("2001-09-09 01:46:40", now, &at)); // local: TZ is UTC here
  assert_int_equal(at, now);
  assert_true(when_read("2001-09-09", now, &at));
  static const char *const wrong[] = {"",           "5",          "5x",          "-5m",
                                      "2001-13-01", "2001-02-30", "2001-02-03T", "2001-02-03T25:00",
                                      "now",        "5mm",        "1234567s",    "2001-02-03T10:00+99:00"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_false(when_read(wrong[i], now, &at));
  }
}

static void reads_lengths_and_what_is_ahead(void **state) {
  (void)state;
  int64_t now = 1000000000LL * 1000000;
  int64_t at = 0;
  static const struct {
    const char *text;
    int64_t microseconds;
  } lengths[] = {{"250ms", 250000},    {"0s", 0},
                 {"90s", 90000000},    {"1m", 60000000},
                 {"2h", 7200000000},   {"400d", 400 * 86400LL * 1000000},
                 {"1w", 604800000000}, {"999999w", 999999 * 604800LL * 1000000}};
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    assert_true(when_length(lengths[i].text, &at));
    assert_int_equal(at, lengths[i].microseconds);
  }
  static const char *const wrong[] = {
      "", "5", "ms", "-5m", "+5m", " 5m", "5 m", "5mm", "1.5h", "1234567s", "99999999999999999999d", "2001-09-09"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_false(when_length(wrong[i], &at));
  }
  assert_true(when_read_ahead("2h", now, &at));
  assert_int_equal(at, now + 7200LL * 1000000);
  assert_true(when_read_ahead("2001-09-09T01:46:40Z", now, &at));
  assert_int_equal(at, now);
  assert_false(when_read_ahead("tomorrow", now, &at));
}

static void shows_durations(void **state) {
  (void)state;
  char text[WHEN_SIZE];
  when_duration(0.34, text);
  assert_string_equal(text, "0.3 s");
  when_duration(119, text);
  assert_string_equal(text, "119 s");
  when_duration(7199, text);
  assert_string_equal(text, "120 min");
  when_duration(90000, text);
  assert_string_equal(text, "25 h");
  when_duration(864000, text);
  assert_string_equal(text, "10 d");
  when_local(0, text);
  assert_string_equal(text, "1970-01-01T00:00:00+00:00");
}

int main(void) {
  (void)setenv("TZ", "UTC", 1);
  tzset();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(escapes_what_steers),
      cmocka_unit_test(judges_utf8),
      cmocka_unit_test(measures_distance),
      cmocka_unit_test(reads_store_times),
      cmocka_unit_test(reads_what_people_type),
      cmocka_unit_test(shows_durations),
      cmocka_unit_test(reads_lengths_and_what_is_ahead),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
