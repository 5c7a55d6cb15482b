// Recordings: what a CSV file may look like, and how devices and metrics are named after it.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "simulator/names.h"
#include "simulator/recording.h"

static char folder[64];
static char error[512];

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/vedette-recording-XXXXXX");
  return mkdtemp(folder) != NULL ? 0 : -1;
}

static void put(const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *out = fopen(path, "we");
  assert_non_null(out);
  assert_true(fputs(text, out) >= 0);
  assert_int_equal(fclose(out), 0);
}

static void take_away(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(remove(path), 0);
}

static int remove_folder(void **state) {
  (void)state;
  return rmdir(folder);
}

static struct recording *load(const char *text) {
  char path[256];
  put("x.csv", text);
  snprintf(path, sizeof path, "%s/x.csv", folder);
  struct recording *recording = recording_load(path, error, sizeof error);
  take_away("x.csv");
  return recording;
}

static void reads_both_kinds_of_time(void **state) {
  (void)state;
  struct recording *r =
      load("\xef\xbb\xbftimestamp,Volume Flow RateRMS,L_T1,L_T1\r\n1500000000,1.5,,-2e3\r\n1500000000.25,nan,0,7\r\n\r\n");
  if (r == NULL) {
    fail_msg("%s", error);
    return;
  }
  assert_int_equal(r->metric_count, 3);
  assert_string_equal(r->metrics[0], "volume_flow_raterms");
  assert_string_equal(r->metrics[1], "l_t1");
  assert_string_equal(r->metrics[2], "l_t1-2");
  assert_int_equal(r->row_count, 2);
  assert_int_equal(r->times[1], 1500000000250000);
  assert_true(r->values[0] == 1.5 && isnan(r->values[1]) && r->values[2] == -2000 && isnan(r->values[3]));
  recording_free(r);
  r = load("timestamp,a\n2020-03-09 10:34:33,1\n2020-03-09 10:34:34,\"2\"\n");
  assert_non_null(r);
  assert_int_equal(r->times[0], 1583750073000000);
  assert_true(r->values[1] == 2);
  recording_free(r);
}

static void reads_times(void **state) {
  (void)state;
  int64_t time = 0;
  assert_int_equal(recording_time("1970-01-01 00:00:01", &time), 0);
  assert_int_equal(time, 1000000);
  assert_int_equal(recording_time("1970-01-02T00:00:00.5Z", &time), 0);
  assert_int_equal(time, 86400500000);
  static const char *const bad[] = {
      "", "yesterday", "-5", "2020-13-01 00:00:00", "2020-01-01", "2020-01-01 25:00:00", "inf", "1 2", "2020-01-01 00:00:00x"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(recording_time(bad[i], &time), -1);
  }
}

static void refuses_with_line_and_column(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", "has no rows"},
      {"value\n1\n", ":1: the first column has to be called `timestamp`"},
      {"timestamp\n1\n", ":1: no metric"},
      {"timestamp,a\n", "has no rows"},
      {"timestamp,a\n1,2\n2,x\n", ":3: column `a`: `x` is not a number"},
      {"timestamp,a\n1,2,3\n", ":2: has another number of columns"},
      {"timestamp,a,b\n1,2\n", ":2: has another number of columns"},
      {"timestamp,a\nnow,2\n", ":2: column `timestamp`: `now` is neither"},
      {"timestamp,a\n5,2\n4,2\n", ":3: column `timestamp`: `4` is before"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct recording *recording = load(cases[i][0]);
    if (recording != NULL || strstr(error, cases[i][1]) == NULL) {
      recording_free(recording);
      fail_msg("case %zu: expected `%s` in: %s", i, cases[i][1], error);
    }
  }
}

static void names_devices_after_files(void **state) {
  (void)state;
  char sub[128];
  struct recordings all;
  snprintf(sub, sizeof sub, "%s/a b", folder);
  assert_int_equal(mkdir(sub, 0700), 0);
  put("0.csv", "timestamp,a\n1,2\n");
  put("pump é.csv", "timestamp,a\n1,2\n");
  put("a b/0.csv", "timestamp,a\n1,2\n");
  put("notes.txt", "not a recording\n");
  assert_int_equal(recordings_find(folder, "rec-", &all, error, sizeof error), 0);
  assert_int_equal(all.count, 3);
  assert_string_equal(all.items[2]->credential, "rec-pump---");
  assert_string_equal(all.items[1]->credential, "rec-a-b-0"); // the stem alone is not unique
  assert_non_null(strstr(all.items[0]->credential, "-0"));
  assert_string_not_equal(all.items[0]->credential, all.items[1]->credential);
  recordings_free(&all);
  take_away("0.csv");
  take_away("pump é.csv");
  take_away("a b/0.csv");
  assert_int_equal(recordings_find(folder, "rec-", &all, error, sizeof error), -1);
  assert_non_null(strstr(error, "no *.csv"));
  take_away("notes.txt");
  take_away("a b");
  assert_int_equal(recordings_find("/nonexistent", "rec-", &all, error, sizeof error), -1);
  assert_non_null(strstr(error, "/nonexistent"));
}

static void sanitises_metric_names(void **state) {
  (void)state;
  char name[NAMES_METRIC_MAX + 1];
  names_metric("HundredGigE0/0/0/0input-data-rate", name);
  assert_string_equal(name, "hundredgige0/0/0/0input-data-rate");
  names_metric("a b\n\x01é", name);
  assert_string_equal(name, "a_b____");
  names_metric("", name);
  assert_string_equal(name, "_");
  char raw[200];
  memset(raw, 'q', sizeof raw - 1);
  raw[sizeof raw - 1] = '\0';
  names_metric(raw, name);
  assert_int_equal(strlen(name), NAMES_METRIC_MAX);
  assert_true(names_is_metric(name));
  assert_false(names_is_metric("") || names_is_metric("Big") || names_is_metric(raw));
}

static void makes_names_unique(void **state) {
  (void)state;
  char longer[80];
  memset(longer, 'z', 70);
  longer[70] = '\0';
  char a[] = "A";
  char b[] = "a";
  char c[] = "a-2";
  char *const raw[] = {a, b, c, longer, longer};
  char **names = names_metrics(raw, 5);
  assert_non_null(names);
  for (size_t i = 0; i < 5; i++) {
    assert_true(names_is_metric(names[i]));
    for (size_t j = 0; j < i; j++) {
      assert_string_not_equal(names[i], names[j]);
    }
  }
  assert_string_equal(names[1], "a-2");
  free(names);
}

// As many columns as there may be, all called alike.
static void numbers_many_alike(void **state) {
  (void)state;
  char *raw[RECORDING_METRICS];
  char empty[] = "";
  char last[NAMES_METRIC_MAX + 1];
  for (size_t i = 0; i < RECORDING_METRICS; i++) {
    raw[i] = empty;
  }
  char **names = names_metrics(raw, RECORDING_METRICS);
  assert_non_null(names);
  assert_string_equal(names[0], "_");
  assert_string_equal(names[1], "_-2");
  snprintf(last, sizeof last, "_-%d", RECORDING_METRICS);
  assert_string_equal(names[RECORDING_METRICS - 1], last);
  free(names);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_both_kinds_of_time),     cmocka_unit_test(reads_times),
      cmocka_unit_test(refuses_with_line_and_column), cmocka_unit_test(names_devices_after_files),
      cmocka_unit_test(sanitises_metric_names),       cmocka_unit_test(makes_names_unique),
      cmocka_unit_test(numbers_many_alike),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
