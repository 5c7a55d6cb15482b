#include "unit.h"

#include "common/histogram.h"

#include <event2/buffer.h>
#include <math.h>

// The number behind the line that begins with `line`; -1 if there is none.
static double value_of(const char *text, const char *line) {
  size_t length = strlen(line);
  for (const char *at = text; at != NULL; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
    if (strncmp(at, line, length) == 0 && at[length] == ' ') {
      return strtod(at + length, NULL);
    }
  }
  return -1;
}

typedef void (*writer)(struct evbuffer *out, const char *name, const char *help, const struct histogram *histogram);

static char *written(writer write, const struct histogram *histogram) {
  struct evbuffer *out = evbuffer_new();
  write(out, "x_seconds", "Help.", histogram);
  size_t length = evbuffer_get_length(out);
  char *text = malloc(length + 1);
  evbuffer_remove(out, text, length);
  text[length] = '\0';
  evbuffer_free(out);
  return text;
}

static void puts_times_at_their_bounds(void **state) {
  struct histogram histogram = {0};
  (void)state;
  histogram_time(&histogram, -5); // clocks differ
  histogram_time(&histogram, 1000);
  histogram_time(&histogram, 1001);
  histogram_time(&histogram, 2000);
  histogram_time(&histogram, 2001);
  histogram_time(&histogram, 250000);
  histogram_time(&histogram, INT64_MAX / 2);
  char *text = written(histogram_write_times, &histogram);
  assert_true(strncmp(text, "# HELP x_seconds Help.\n# TYPE x_seconds histogram\n", 49) == 0);
  assert_int_equal(value_of(text, "x_seconds_bucket{le=\"0.001\"}"), 2);
  assert_int_equal(value_of(text, "x_seconds_bucket{le=\"0.002\"}"), 4);
  assert_int_equal(value_of(text, "x_seconds_bucket{le=\"0.004\"}"), 5);
  assert_int_equal(value_of(text, "x_seconds_bucket{le=\"0.128\"}"), 5);
  assert_int_equal(value_of(text, "x_seconds_bucket{le=\"0.256\"}"), 6);
  assert_int_equal(value_of(text, "x_seconds_bucket{le=\"8388.608\"}"), 6);
  assert_int_equal(value_of(text, "x_seconds_bucket{le=\"+Inf\"}"), 7);
  assert_int_equal(value_of(text, "x_seconds_count"), 7);
  assert_true(fabs(value_of(text, "x_seconds_sum") - ((double)(INT64_MAX / 2) + 256002) / 1e6) < 1);
  free(text);
}

// Every bound itself belongs to its bucket, and what is one above to the next.
static void every_bound_is_inclusive(void **state) {
  (void)state;
  for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
    struct histogram times = {0};
    struct histogram sizes = {0};
    histogram_time(&times, INT64_C(1000) << i);
    histogram_time(&times, (INT64_C(1000) << i) + 1);
    histogram_size(&sizes, UINT64_C(1) << i);
    histogram_size(&sizes, (UINT64_C(1) << i) + 1);
    assert_int_equal(times.counts[i], 1);
    assert_int_equal(times.counts[i + 1], 1);
    assert_int_equal(sizes.counts[i], 1);
    assert_int_equal(sizes.counts[i + 1], 1);
  }
}

static void writes_sizes_as_they_are(void **state) {
  struct histogram histogram = {0};
  (void)state;
  histogram_size(&histogram, 0);
  histogram_size(&histogram, 2000);
  char *text = written(histogram_write_sizes, &histogram);
  assert_int_equal(value_of(text, "x_seconds_bucket{le=\"1\"}"), 1);
  assert_int_equal(value_of(text, "x_seconds_bucket{le=\"1024\"}"), 1);
  assert_int_equal(value_of(text, "x_seconds_bucket{le=\"2048\"}"), 2);
  assert_int_equal(value_of(text, "x_seconds_sum"), 2000);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(puts_times_at_their_bounds),
      cmocka_unit_test(every_bound_is_inclusive),
      cmocka_unit_test(writes_sizes_as_they_are),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
