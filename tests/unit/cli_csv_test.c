// The CSV reader on good, bad and hostile lines, and the judgement of one registry line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/csv.h"
#include "cli/registry.h"

struct source {
  FILE *in;
  struct csv *csv;
};

static struct source open_text(const char *text, size_t length) {
  struct source source = {.in = tmpfile()};
  assert_non_null(source.in);
  assert_int_equal(fwrite(text, 1, length, source.in), length);
  rewind(source.in);
  source.csv = csv_open(source.in);
  assert_non_null(source.csv);
  return source;
}

static void close_text(struct source *source) {
  csv_close(source->csv);
  assert_int_equal(fclose(source->in), 0);
}

static void expect_record(struct csv *csv, unsigned long line, size_t count, const char *const *fields) {
  assert_int_equal(csv_next(csv), CSV_RECORD);
  assert_int_equal(csv_line(csv), line);
  assert_int_equal(csv_count(csv), count);
  for (size_t i = 0; i < count; i++) {
    assert_string_equal(csv_field(csv, i), fields[i]);
  }
}

static void reads_records(void **state) {
  (void)state;
  static const char text[] = "\xef\xbb\xbf"
                             "a,b\r\n\n\"x, \"\"y\"\"\",\n,,\nlast,\"\"";
  struct source source = open_text(text, sizeof text - 1);
  expect_record(source.csv, 1, 2, (const char *const[]){"a", "b"});
  expect_record(source.csv, 3, 2, (const char *const[]){"x, \"y\"", ""});
  expect_record(source.csv, 4, 3, (const char *const[]){"", "", ""});
  expect_record(source.csv, 5, 2, (const char *const[]){"last", ""});
  assert_int_equal(csv_next(source.csv), CSV_END);
  assert_int_equal(csv_next(source.csv), CSV_END);
  close_text(&source);
}

static void names_bad_lines_and_goes_on(void **state) {
  (void)state;
  static const char text[] = "\"open,1\n\"a\"b,1\na\"b,1\n\xff,1\nx\0y,1\ngood,1\n";
  struct source source = open_text(text, sizeof text - 1);
  for (unsigned long line = 1; line <= 5; line++) {
    assert_int_equal(csv_next(source.csv), CSV_BAD);
    assert_int_equal(csv_line(source.csv), line);
    assert_true(strlen(csv_problem(source.csv)) > 0);
  }
  expect_record(source.csv, 6, 2, (const char *const[]){"good", "1"});
  close_text(&source);
}

static void bounds_lines_and_fields(void **state) {
  (void)state;
  size_t size = CSV_LINE + 1 + 1 + CSV_LINE + 1 + CSV_FIELDS + 1 + 1;
  char *text = malloc(size);
  assert_non_null(text);
  char *at = text;
  memset(at, 'x', CSV_LINE + 1); // one byte too long
  at += CSV_LINE + 1;
  *at++ = '\n';
  memset(at, 'y', CSV_LINE); // just fits
  at += CSV_LINE;
  *at++ = '\n';
  memset(at, ',', CSV_FIELDS); // one field too many
  at += CSV_FIELDS;
  *at++ = '\n';
  *at++ = 'z';
  struct source source = open_text(text, size);
  assert_int_equal(csv_next(source.csv), CSV_BAD);
  assert_int_equal(csv_next(source.csv), CSV_RECORD);
  assert_int_equal(strlen(csv_field(source.csv, 0)), CSV_LINE);
  assert_int_equal(csv_next(source.csv), CSV_BAD);
  expect_record(source.csv, 4, 1, (const char *const[]){"z"});
  close_text(&source);
  free(text);
}

// The column at fault when field `column` of a good line is replaced; REGISTRY_COLUMNS when the line stays fine.
static enum registry_column fault(enum registry_column column, const char *value) {
  const char *fields[REGISTRY_COLUMNS] = {"dev-1", "m", "1.0", "north", "Europe/London", "s", "gw", "o", "no"};
  enum registry_column at = REGISTRY_CREDENTIAL;
  fields[column] = value;
  return registry_check(fields, &at) == NULL ? REGISTRY_COLUMNS : at;
}

static void judges_registry_lines(void **state) {
  (void)state;
  char longest[130];
  memset(longest, 'a', 129);
  longest[129] = '\0';
  assert_int_equal(fault(REGISTRY_CREDENTIAL, "Gerät 12:34"), REGISTRY_COLUMNS);
  assert_int_equal(fault(REGISTRY_CREDENTIAL, longest + 1), REGISTRY_COLUMNS);
  assert_int_equal(fault(REGISTRY_CREDENTIAL, longest), REGISTRY_CREDENTIAL);
  static const char *const bad[] = {"", "a/b", "a+b", "a#b", "a\033b", "a\xc2\x85", "\xff", "gw"};
  for (size_t i = 0; i + 1 < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(fault(REGISTRY_CREDENTIAL, bad[i]), REGISTRY_CREDENTIAL);
  }
  assert_int_equal(fault(REGISTRY_CREDENTIAL, "gw"), REGISTRY_GATEWAY); // its own gateway
  assert_int_equal(fault(REGISTRY_MODEL, ""), REGISTRY_MODEL);
  assert_int_equal(fault(REGISTRY_SITE, "a\tb"), REGISTRY_SITE);
  assert_int_equal(fault(REGISTRY_CRITICAL, "perhaps"), REGISTRY_CRITICAL);
  assert_int_equal(fault(REGISTRY_CRITICAL, "TRUE"), REGISTRY_COLUMNS);
  assert_int_equal(fault(REGISTRY_CRITICAL, ""), REGISTRY_COLUMNS);
}

static void sorts_problems(void **state) {
  (void)state;
  struct problems problems = {0};
  problems_add(&problems, 9, "site", "is %d", 1);
  problems_add(&problems, 2, "", "is %s", "two");
  json_t *array = problems_json(&problems);
  assert_int_equal(json_integer_value(json_object_get(json_array_get(array, 0), "line")), 2);
  assert_string_equal(json_string_value(json_object_get(json_array_get(array, 1), "problem")), "is 1");
  json_decref(array);
  problems_free(&problems);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_records),           cmocka_unit_test(names_bad_lines_and_goes_on),
      cmocka_unit_test(bounds_lines_and_fields), cmocka_unit_test(judges_registry_lines),
      cmocka_unit_test(sorts_problems),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
