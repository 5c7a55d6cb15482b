#include "unit.h"

#include "storage/copy.h"
#include "storage/list.h"

static void writes_the_documented_bytes(void **state) {
  // PostgreSQL documentation, COPY, "Binary Format": signature, flags, extension; tuple of one int4 7; trailer.
  static const unsigned char expected[] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xff, '\r', '\n', 0, 0, 0, 0,    0,   0,
                                           0,   0,   0,   0,   1,   0,   0,    0,    4,    0,    0, 0, 7, 0xff, 0xff};
  struct copy copy = {0};
  (void)state;
  copy_begin(&copy);
  copy_row(&copy, 1);
  copy_int32(&copy, 7);
  copy_end(&copy);
  assert_false(copy.broken);
  assert_int_equal(copy.used, sizeof expected);
  assert_memory_equal(copy.data, expected, sizeof expected);
  assert_int_equal(copy.rows, 1);
  copy_begin(&copy); // used again
  assert_int_equal(copy.rows, 0);
  copy_free(&copy);
}

static void arrays_know_their_length(void **state) {
  struct copy copy = {0};
  (void)state;
  copy_begin(&copy);
  size_t before = copy.used;
  size_t start = copy_array(&copy, OID_FLOAT8, 2);
  copy_float8(&copy, 1.0);
  copy_null(&copy);
  copy_array_end(&copy, start);
  unsigned char *length = (unsigned char *)copy.data + before;
  assert_int_equal(length[3], copy.used - before - 4);
  copy_free(&copy);
}

static void lists_quote_what_needs_it(void **state) {
  struct list *list = list_new();
  (void)state;
  list_text(list, "plain");
  list_text(list, "a \"b\" \\ {c},");
  list_text(list, NULL);
  assert_string_equal(list_literal(list), "{\"plain\",\"a \\\"b\\\" \\\\ {c},\",NULL}");
  list_free(list);
  list = list_new();
  assert_string_equal(list_literal(list), "{}");
  list_free(list);
  list = list_new();
  list_int(list, INT64_MIN);
  list_ints(list, (int32_t[]){1, -2}, 2);
  list_bytes(list, "\x01\xff", 2);
  assert_string_equal(list_literal(list), "{-9223372036854775808,\"{1,-2}\",\"\\\\x01ff\"}");
  list_free(list);
  list_free(NULL);
}

static void literals_quote_every_element(void **state) {
  static const char expected[] = "{\"a \\\"b\\\" \\\\\",NULL,\"\",\"NULL\",\"{c},\"}";
  struct copy copy = {0};
  (void)state;
  copy_begin(&copy);
  size_t start = copy_literal(&copy);
  copy_literal_text(&copy, start, "a \"b\" \\", 7);
  copy_literal_text(&copy, start, NULL, 0);
  copy_literal_text(&copy, start, "", 0);
  copy_literal_text(&copy, start, "NULL", 4);
  copy_literal_text(&copy, start, "{c},", 4);
  copy_literal_end(&copy, start);
  assert_false(copy.broken);
  assert_int_equal(copy.used - start - 4, sizeof expected - 1);
  assert_int_equal(copy.data[start + 3], sizeof expected - 1);
  assert_memory_equal(copy.data + start + 4, expected, sizeof expected - 1);
  copy_free(&copy);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(writes_the_documented_bytes),
      cmocka_unit_test(arrays_know_their_length),
      cmocka_unit_test(lists_quote_what_needs_it),
      cmocka_unit_test(literals_quote_every_element),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
