// Judging what was raised by what really happened: the truth file read, raises laid against it, figures. No store.
#include "unit.h"

#include "analysis/eval/match.h"

enum { RAISES_MOST = 16 };

static const int64_t second = 1000000;
static const int64_t base = INT64_C(1769853600) * 1000000; // 2026-01-31T10:00:00Z

static struct truths truths;
static struct raise raises[RAISES_MOST];
static size_t raise_count;
static struct match match;
static struct match_window window;
static char error[512];

static int setup(void **state) {
  (void)state;
  truths = (struct truths){0};
  match = (struct match){0};
  raise_count = 0;
  window = (struct match_window){INT64_MIN, INT64_MAX, 60 * second};
  return 0;
}

static int teardown(void **state) {
  (void)state;
  match_free(&match);
  truths_free(&truths);
  return 0;
}

static bool read_bytes(const char *text, size_t size) {
  FILE *in = fmemopen((void *)text, size, "r");
  assert_non_null(in);
  error[0] = '\0';
  bool read = truths_read(in, "truth.jsonl", &truths, error, sizeof error);
  assert_int_equal(fclose(in), 0);
  assert_int_equal(read, error[0] == '\0');
  return read;
}

// A line of truth; seconds count from `base`, within an hour; an end below 0 is null. `more` are further fields.
static void line(char *out, size_t size, const char *kind, const char *device, int start, int end, const char *more) {
  char ended[64] = "null";
  if (end >= 0) {
    snprintf(ended, sizeof ended, "\"2026-01-31T10:%02d:%02d.000Z\"", end / 60, end % 60);
  }
  size_t used = strlen(out);
  snprintf(out + used, size - used,
           "{\"fault\":\"a %s\",\"kind\":\"%s\",\"device\":\"%s\"%s,\"start\":\"2026-01-31T10:%02d:%02d.000Z\",\"end\":%s}\n",
           kind, kind, device, more, start / 60, start % 60, ended);
}

static char file[8192];

static void happened(const char *kind, const char *device, int start, int end, const char *more) {
  line(file, sizeof file, kind, device, start, end, more);
}

static void raised(const char *kind, const char *device, double at) {
  assert_true(raise_count < RAISES_MOST);
  raises[raise_count] = (struct raise){.device = device,
                                       .kind = kind,
                                       .at = base + (int64_t)(at * 1e6),
                                       .system = strcmp(device, "vedette") == 0,
                                       .judged = true,
                                       .row = (int)raise_count};
  raise_count++;
}

static void run(void) {
  assert_true(read_bytes(file, strlen(file)));
  file[0] = '\0';
  assert_true(match_run(&truths, raises, raise_count, &window, &match));
}

static const struct figures *of(const char *kind) {
  for (size_t i = 0; i < match.figures_count; i++) {
    if (strcmp(match.figures[i].kind, kind) == 0) {
      return &match.figures[i];
    }
  }
  fail_msg("no figures of %s", kind);
  return NULL;
}

static void expect_truths(const char *kind, size_t found, size_t missed) {
  assert_int_equal(of(kind)->found, found);
  assert_int_equal(of(kind)->missed, missed);
  assert_int_equal(of(kind)->truths, found + missed);
}

static void expect_raises(const char *kind, size_t right, size_t wrong, size_t repeats, size_t excused) {
  const struct figures *f = of(kind);
  assert_int_equal(f->true_positives, right);
  assert_int_equal(f->false_positives, wrong);
  assert_int_equal(f->repeats, repeats);
  assert_int_equal(f->excused, excused);
  assert_int_equal(f->raised, right + wrong + repeats + excused);
}

static void finds_misses_and_false(void **state) {
  (void)state;
  happened("silence", "a", 100, 200, "");
  happened("silence", "b", 100, 200, "");
  happened("login_failures", "a", 100, 200, "");
  raised("silent", "a", 120);
  raised("silent", "c", 120);         // nothing is wrong with it
  raised("silent", "b", 99);          // before it began
  raised("silent", "b", 261);         // after its grace
  raised("message rate", "b", 150);   // not what silence is found by
  raised("login failures", "a", 260); // the last moment of the grace
  run();
  expect_truths("silent", 1, 1);
  expect_raises("silent", 1, 3, 0, 0);
  expect_truths("login failures", 1, 0);
  expect_raises("message rate", 0, 1, 0, 0);
  assert_true(of("silent")->delay_median == 20.0 && of("login failures")->delay_median == 160.0);
}

// Of several kinds any will do, and the fault counts with the one that came.
static void any_kind_will_do(void **state) {
  (void)state;
  happened("crash", "a", 0, 100, "");
  happened("crash", "b", 0, 100, "");
  happened("crash", "c", 0, 100, "");
  happened("flood", "a", 200, 300, "");
  raised("silent", "a", 30);
  raised("link lost", "b", 10);
  raised("silent", "b", 30);
  raised("message volume", "a", 220);
  run();
  expect_truths("silent", 1, 0);
  expect_truths("link lost", 1, 1);
  expect_raises("silent", 1, 0, 1, 0);
  expect_truths("message volume", 1, 0);
  expect_truths("message rate", 0, 0);
}

static void the_first_counts_for_the_delay(void **state) {
  (void)state;
  happened("flap", "a", 0, 100, "");
  raised("flapping", "a", 50);
  raised("flapping", "a", 20);
  raised("flapping", "a", 130);
  run();
  expect_truths("flapping", 1, 0);
  expect_raises("flapping", 1, 0, 2, 0);
  assert_true(of("flapping")->delay_median == 20.0 && of("flapping")->delay_p95 == 20.0);
}

// What is raised during a fault is of that one, not of one before that is in its grace; of several that go on, it is of all.
static void faults_that_overlap(void **state) {
  (void)state;
  happened("silence", "a", 0, 50, "");
  happened("silence", "a", 80, 200, "");
  happened("crash", "b", 0, 100, "");
  happened("silence", "b", 10, 100, "");
  raised("silent", "a", 100);
  raised("silent", "a", 105);
  raised("silent", "b", 40);
  run();
  expect_truths("silent", 3, 1);
  expect_raises("silent", 2, 0, 1, 0);
  assert_int_equal(match.judged[0].fate, FATE_MISSED);
  assert_int_equal(match.judged[1].fate, FATE_FOUND);
}

static void in_its_grace_the_last_that_ended(void **state) {
  (void)state;
  happened("silence", "a", 0, 10, "");
  happened("silence", "a", 20, 30, "");
  raised("silent", "a", 40);
  raised("silent", "a", 41);
  raised("silent", "a", 42);
  run();
  expect_truths("silent", 2, 0);
  expect_raises("silent", 2, 0, 1, 0);
  assert_true(of("silent")->delay_median == (20.0 + 41.0) / 2);
}

static void children_are_excused(void **state) {
  (void)state;
  happened("crash", "gw", 0, 100, "");
  happened("crash", "child", 0, 100, ",\"through\":\"gw\"");
  raised("link lost", "gw", 10);
  raised("silent", "child", 20);
  raised("frozen", "child", 120);
  raised("silent", "child", 200);
  run();
  expect_truths("link lost", 1, 0);
  expect_truths("silent", 0, 0);
  expect_raises("silent", 0, 1, 0, 1);
  expect_raises("frozen", 0, 0, 0, 1);
  assert_int_equal(match.judged[0].fate, FATE_CHILD);
}

static void open_ends_last(void **state) {
  (void)state;
  happened("silence", "a", 0, -1, "");
  happened("crash", "b", 0, 300, "");
  raised("silent", "a", 1000);
  run();
  expect_truths("silent", 1, 0); // until the newest, which is the raise itself
  assert_true(match.judged[0].end == base + 1000 * second);
}

static void open_ends_last_to_until(void **state) {
  (void)state;
  happened("silence", "a", 0, -1, "");
  happened("silence", "b", 0, -1, "");
  window.until = base + 500 * second;
  raised("silent", "a", 550);
  raised("silent", "b", 561);
  raised("silent", "c", 501); // of nothing, and after the window
  run();
  expect_truths("silent", 1, 1);
  expect_raises("silent", 1, 0, 0, 0);
}

// What began before the window is not judged, and what is raised for it is not false.
static void since(void **state) {
  (void)state;
  happened("silence", "a", 0, 300, "");
  happened("silence", "b", 0, 300, "");
  happened("silence", "c", 200, 300, "");
  window.since = base + 100 * second;
  raised("silent", "a", 50);
  raised("silent", "a", 150);
  raised("silent", "b", 90);
  raised("silent", "c", 210);
  raised("login failures", "a", 150);
  raises[0].alert = raises[1].alert = true;
  run();
  expect_truths("silent", 1, 0);
  expect_raises("silent", 1, 0, 0, 1);
  expect_raises("login failures", 0, 1, 0, 0);
  assert_int_equal(of("silent")->alerts, 1);
}

static void until(void **state) {
  (void)state;
  happened("silence", "a", 0, 100, "");
  happened("silence", "b", 150, 300, "");
  window.until = base + 100 * second;
  raised("silent", "a", 110);
  raised("silent", "b", 155);
  run();
  expect_truths("silent", 1, 0);
  expect_raises("silent", 1, 0, 0, 0);
}

static void nothing_is_expected(void **state) {
  (void)state;
  happened("duplicate", "a", 0, 100, "");
  happened("value", "b", 0, 100, "");
  raised("message rate", "a", 10);
  raised("message rate", "c", 10);
  run();
  expect_raises("message rate", 0, 1, 0, 1);
  assert_int_equal(match.judged[0].fate, FATE_UNJUDGED);
  assert_int_equal(match.judged[1].fate, FATE_UNJUDGED);
}

// Whether it overslept the truth does not say: found if it was raised, else not judged.
static void not_sure(void **state) {
  (void)state;
  happened("sleep", "a", 0, 100, "");
  happened("sleep", "b", 0, 100, "");
  happened("reboot", "c", 0, 100, "");
  raised("silent", "a", 50);
  raised("asleep", "a", 1);
  raised("asleep", "z", 1);
  run();
  expect_truths("silent", 1, 0);
  expect_truths("reboot loop", 0, 0);
  expect_raises("asleep", 0, 0, 0, 2);
  assert_int_equal(match.judged[1].fate, FATE_UNSURE);
  assert_int_equal(match.judged[2].fate, FATE_UNSURE);
}

static void expect_overrides(void **state) {
  (void)state;
  happened("traffic", "a", 0, 100, ",\"expect\":\"message volume\"");
  happened("sleep", "b", 0, 100, ",\"expect\":\"silent\"");
  happened("silence", "c", 0, 100, ",\"expect\":\"none\"");
  happened("value", "d", 0, 100, ",\"expect\":\"something new\",\"cohort\":\"north\"");
  raised("message volume", "a", 10);
  raised("silent", "c", 10);
  raised("asleep", "c", 10);
  raised("something new", "d", 30);
  run();
  expect_truths("message volume", 1, 0);
  expect_truths("silent", 0, 1);
  expect_raises("silent", 0, 1, 0, 0);
  expect_raises("asleep", 0, 0, 0, 1);
  expect_truths("something new", 1, 0);
  assert_int_equal(match.judged[2].fate, FATE_NOTHING);
}

static void the_system_is_only_listed(void **state) {
  (void)state;
  happened("crash", "vedette", 0, 100, ",\"expect\":\"cohort silent\"");
  happened("pace", "vedette", 500, 600, ",\"expect\":\"none\"");
  raised("cohort silent", "vedette", 10);
  raised("cohort silent", "vedette", 300);
  raised("blind", "vedette", 10);
  raised("blind", "vedette", 510);
  run();
  expect_truths("cohort silent", 1, 0);
  expect_raises("cohort silent", 1, 0, 0, 0);
  expect_raises("blind", 0, 1, 0, 0);
  assert_int_equal(raises[2].verdict, VERDICT_LISTED);
}

static void alerts_of_states_are_only_counted(void **state) {
  (void)state;
  happened("silence", "a", 0, 100, "");
  raised("silent", "a", 10);
  raised("silent", "a", 10);
  raises[1].alert = true;
  raises[1].judged = false;
  run();
  expect_raises("silent", 1, 0, 0, 0);
  assert_int_equal(of("silent")->alerts, 1);
}

static void nothing_at_all(void **state) {
  (void)state;
  assert_true(match_run(&truths, NULL, 0, &window, &match));
  assert_int_equal(match.figures_count, kinds_count);
  expect_truths("silent", 0, 0);
}

static void quantiles(void **state) {
  (void)state;
  double values[20];
  for (size_t i = 0; i < 20; i++) {
    values[i] = (double)(i + 1);
  }
  assert_true(match_quantile(values, 1, 0.5) == 1.0 && match_quantile(values, 1, 0.95) == 1.0);
  assert_true(match_quantile(values, 2, 0.5) == 1.5 && match_quantile(values, 3, 0.5) == 2.0);
  assert_true(match_quantile(values, 20, 0.95) == 19.0 && match_quantile(values, 19, 0.95) == 19.0);
}

static void the_last_line_counts(void **state) {
  (void)state;
  happened("silence", "b", 10, -1, "");
  happened("silence", "a", 10, -1, "");
  happened("silence", "b", 10, 20, "");
  happened("silence", "b", 11, -1, "");
  strcat(file, "\r\n\n"); // empty lines are none
  assert_true(read_bytes(file, strlen(file)));
  file[0] = '\0';
  assert_int_equal(truths.count, 3);
  assert_string_equal(truths.list[0].device, "a");
  assert_true(truths.list[0].end == TRUTH_OPEN);
  assert_true(truths.list[1].end == base + 20 * second && truths.list[1].line == 3);
  assert_true(truths.newest == base + 20 * second);
}

#define GOOD "{\"fault\":\"f\",\"kind\":\"crash\",\"device\":\"d\",\"start\":\"2026-01-31T10:00:00Z\"}\n"

static void refuses(const char *text, size_t size, const char *why) {
  assert_false(read_bytes(text, size));
  if (strstr(error, why) == NULL) {
    fail_msg("'%s' does not say '%s'", error, why);
  }
  assert_int_equal(truths.count, 0);
}

static void what_is_wrong_is_named(void **state) {
  (void)state;
  static const struct {
    const char *line, *why;
  } wrong[] = {
      {"{", "truth.jsonl, line 2: is not JSON"},
      {"[]", "line 2: has to be a JSON object"},
      {"{\"kind\":\"k\",\"device\":\"d\",\"start\":\"2026-01-31T10:00:00Z\"}", "`fault` is missing"},
      {"{\"fault\":1}", "`fault` has to be a text"},
      {"{\"fault\":\"\"}", "`fault` has to have 1 to 512 bytes"},
      {"{\"fault\":\"f\",\"fault\":\"g\"}", "is not JSON: duplicate"},
      {"{\"fault\":\"f\\u0000g\"}", "is not JSON"},
      {"{\"fault\":\"\xff\"}", "is not JSON"},
      {"{\"fault\":\"f\",\"kind\":\"k\",\"device\":\"d\"}", "`start` is missing"},
      {"{\"fault\":\"f\",\"kind\":\"k\",\"device\":\"d\",\"start\":\"now\"}", "`start` has to be a time"},
      {"{\"fault\":\"f\",\"kind\":\"k\",\"device\":\"d\",\"start\":\"2026-01-31T10:00:00\"}", "`start` has to be a time"},
      {"{\"fault\":\"f\",\"kind\":\"k\",\"device\":\"d\",\"start\":1}", "`start` has to be a time"},
      {"{\"fault\":\"f\",\"kind\":\"k\",\"device\":\"d\",\"start\":\"2026-01-31T10:00:00Z\",\"end\":\"2026-01-31T09:00:00Z\"}",
       "`end` is before `start`"},
      {"{\"fault\":\"f\",\"kind\":\"k\",\"device\":\"d\",\"through\":7,\"start\":\"2026-01-31T10:00:00Z\"}",
       "`through` has to be a text"},
      {"{\"fault\":\"f\",\"kind\":\"k\",\"device\":\"d\",\"expect\":[],\"start\":\"2026-01-31T10:00:00Z\"}",
       "`expect` has to be a text"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char text[1024];
    snprintf(text, sizeof text, "%s%s", GOOD, wrong[i].line);
    refuses(text, strlen(text), wrong[i].why);
  }
  static const char nul[] = GOOD "{\"fault\":\"f\0g\"}";
  refuses(nul, sizeof nul - 1, "line 2: is not JSON");
}

static void lines_are_bounded(void **state) {
  (void)state;
  static char text[TRUTH_LINE + 200];
  memset(text, ' ', sizeof text);
  memcpy(text, GOOD, sizeof GOOD - 1);
  refuses(text, sizeof text, "line 2: is longer than 16384 bytes");
  memset(text, '[', sizeof text);
  refuses(text, TRUTH_LINE, "line 1: is not JSON");
}

static void expected_kinds_are_bounded(void **state) {
  (void)state;
  static char text[(TRUTH_EXPECTS + 1) * 200];
  for (int i = 0; i <= TRUTH_EXPECTS; i++) {
    char more[40];
    snprintf(more, sizeof more, ",\"expect\":\"kind %d\"", i);
    line(text, sizeof text, "value", "d", i, -1, more);
  }
  refuses(text, strlen(text), "line 65: more than 64 different kinds");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(finds_misses_and_false),
      TEST(any_kind_will_do),
      TEST(the_first_counts_for_the_delay),
      TEST(faults_that_overlap),
      TEST(in_its_grace_the_last_that_ended),
      TEST(children_are_excused),
      TEST(open_ends_last),
      TEST(open_ends_last_to_until),
      TEST(since),
      TEST(until),
      TEST(nothing_is_expected),
      TEST(not_sure),
      TEST(expect_overrides),
      TEST(the_system_is_only_listed),
      TEST(alerts_of_states_are_only_counted),
      TEST(nothing_at_all),
      TEST(quantiles),
      TEST(the_last_line_counts),
      TEST(what_is_wrong_is_named),
      TEST(lines_are_bounded),
      TEST(expected_kinds_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
