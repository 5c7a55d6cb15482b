#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

// The module itself, with a clock that the tests set.
#include "common/loop.h"
static int64_t now_us = 1;
static int64_t test_clock(void) {
  return now_us;
}
#define clock_steady_us test_clock
#include "common/log.c" // NOLINT(bugprone-suspicious-include)

static int saved_stderr;
static int captured; // a file that stderr goes to

static int begin(void **state) {
  char path[] = "/tmp/vedette-log-XXXXXX";
  (void)state;
  saved_stderr = dup(STDERR_FILENO);
  captured = mkstemp(path);
  unlink(path);
  dup2(captured, STDERR_FILENO);
  now_us += 10 * minute_us; // what earlier tests logged is over
  log_tell_left_out();
  assert_int_equal(ftruncate(captured, 0), 0);
  lseek(captured, 0, SEEK_SET);
  return 0;
}

static int end(void **state) {
  (void)state;
  dup2(saved_stderr, STDERR_FILENO);
  close(saved_stderr);
  close(captured);
  return 0;
}

// Lines written since the last call that hold `words`.
static unsigned lines(const char *words) {
  static char text[1 << 20];
  ssize_t length = pread(captured, text, sizeof text - 1, 0);
  unsigned count = 0;
  text[length > 0 ? length : 0] = '\0';
  for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    count += strstr(line, words) != NULL;
  }
  return count;
}

static void peer_speaks(void) {
  log_warn("a peer is a nuisance", "peer=%d", 1);
}

static void each_place_is_limited_and_says_what_it_left_out(void **state) {
  (void)state;
  uint64_t before = log_left_out();
  for (int i = 0; i < 1000; i++) {
    peer_speaks();
  }
  log_error("leaving", "");
  assert_int_equal(lines("nuisance\" peer=1"), LOG_LINES_MOST);
  assert_int_equal(lines("level=error"), 1); // another place is not touched
  assert_int_equal(log_left_out() - before, 1000 - LOG_LINES_MOST);
  now_us += minute_us - 1;
  log_tell_left_out();
  assert_int_equal(lines("were left out"), 0);
  now_us += 1;
  log_tell_left_out();
  log_tell_left_out();
  assert_int_equal(lines("level=warn program=vedette msg=\"log lines were left out\" count=980 like=\"a peer is a nuisance\""),
                   1);
  assert_int_equal(lines("were left out"), 1);
}

static void a_new_minute_begins_with_the_account_of_the_last(void **state) {
  (void)state;
  for (int minute = 0; minute < 3; minute++) {
    for (int i = 0; i < LOG_LINES_MOST + 5; i++) {
      peer_speaks();
    }
    now_us += minute_us;
  }
  assert_int_equal(lines("nuisance\" peer=1"), 3 * LOG_LINES_MOST);
  assert_int_equal(lines("count=5"), 2);
  log_info("anything else", "");
  assert_int_equal(lines("count=5"), 3);
}

static void several_places_are_told_of(void **state) {
  (void)state;
  for (int i = 0; i < LOG_LINES_MOST + 7; i++) {
    log_info("first", "");
    log_info("second", "");
    log_info("third", "");
  }
  now_us += minute_us;
  log_tell_left_out();
  assert_int_equal(lines("count=7"), 3);
}

static void debug_is_not_limited_and_errno_stays(void **state) {
  (void)state;
  log_open("unit", LOG_LEVEL_DEBUG);
  errno = EBADF;
  for (int i = 0; i < 100; i++) {
    log_debug("detail", "i=%d", i);
  }
  assert_int_equal(errno, EBADF);
  assert_int_equal(lines("program=unit msg=\"detail\""), 100);
  log_open("unit", LOG_LEVEL_WARN);
  log_info("not wanted", "");
  assert_int_equal(lines("not wanted"), 0);
  log_open("vedette", LOG_LEVEL_INFO);
}

static void *speak(void *arg) {
  (void)arg;
  for (int i = 0; i < 1000; i++) {
    peer_speaks();
  }
  return NULL;
}

static void threads_share_the_limit(void **state) {
  pthread_t threads[4];
  (void)state;
  uint64_t before = log_left_out();
  for (int i = 0; i < 4; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, speak, NULL), 0);
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
  }
  assert_int_equal(lines("nuisance"), LOG_LINES_MOST);
  assert_int_equal(log_left_out() - before, 4000 - LOG_LINES_MOST);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(each_place_is_limited_and_says_what_it_left_out, begin, end),
      cmocka_unit_test_setup_teardown(a_new_minute_begins_with_the_account_of_the_last, begin, end),
      cmocka_unit_test_setup_teardown(several_places_are_told_of, begin, end),
      cmocka_unit_test_setup_teardown(debug_is_not_limited_and_errno_stays, begin, end),
      cmocka_unit_test_setup_teardown(threads_share_the_limit, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
