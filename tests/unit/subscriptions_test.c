#include "unit.h"

#include "ingest/subscriptions.h"

#include <unistd.h>

static char folder[] = "/tmp/vedette-subscriptions-XXXXXX";
static char *const before[] = {(char *)"$share/v/a/+", (char *)"$share/v/b", (char *)"c"};
static char *const after[] = {(char *)"$share/v/a/+", (char *)"c", (char *)"d"};

static size_t stale_count(struct subscriptions *s) {
  size_t count;
  subscriptions_stale(s, &count);
  return count;
}

static void remembers_what_is_no_longer_wanted_until_it_is_unsubscribed(void **state) {
  size_t count;
  (void)state;
  struct subscriptions *s = subscriptions_open(folder, before, 3);
  assert_non_null(s);
  assert_int_equal(stale_count(s), 0); // nothing was there
  subscriptions_free(s);
  for (int run = 0; run < 2; run++) { // the first run did not come to unsubscribe
    s = subscriptions_open(folder, after, 3);
    char *const *stale = subscriptions_stale(s, &count);
    assert_int_equal(count, 1);
    assert_string_equal(stale[0], "$share/v/b");
    if (run == 1) {
      subscriptions_settle(s);
      assert_int_equal(stale_count(s), 0);
    }
    subscriptions_free(s);
  }
  s = subscriptions_open(folder, after, 3);
  assert_int_equal(stale_count(s), 0);
  subscriptions_free(s);
  s = subscriptions_open(folder, before, 3); // back again: `d` is stale, `b` is new
  assert_int_equal(stale_count(s), 1);
  subscriptions_free(s);
}

static void does_without_a_file_that_cannot_be_written(void **state) {
  (void)state;
  assert_null(subscriptions_open("/nonexistent", after, 3));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(remembers_what_is_no_longer_wanted_until_it_is_unsubscribed),
      cmocka_unit_test(does_without_a_file_that_cannot_be_written),
  };
  if (mkdtemp(folder) == NULL) {
    return 1;
  }
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  char path[64];
  snprintf(path, sizeof path, "%s/subscriptions", folder);
  unlink(path);
  rmdir(folder);
  return failed;
}
