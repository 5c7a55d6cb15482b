// The agent's reading of authentication logs: lines, hostile lines, the tally, and following a file across rotation.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "docs/examples/agent/authlog.h"
#include "docs/examples/agent/follow.h"

static void sshd_lines(void **state) {
  (void)state;
  struct authlog_failure failure;
  static const uint8_t source[] = {203, 0, 113, 7};
  assert_true(authlog_parse(
      text_of("Nov  3 10:15:01 gw sshd[811]: Failed password for invalid user admin from 203.0.113.7 port 4242 ssh2"), &failure));
  assert_string_equal(failure.subject, "admin");
  assert_int_equal(failure.count, 1);
  assert_int_equal(failure.source_size, 4);
  assert_memory_equal(failure.source, source, 4);
  assert_true(authlog_parse(
      text_of("2026-11-03T10:15:01.123456+01:00 gw sshd-session[811]: Failed password for root from 2001:db8::1 port 1 ssh2"),
      &failure));
  assert_string_equal(failure.subject, "root");
  assert_int_equal(failure.source_size, 16);
  assert_true(authlog_parse(
      text_of("Nov  3 10:15:01 gw sshd[811]: message repeated 3 times: [ Failed password for root from 203.0.113.7 port 1 ssh2]"),
      &failure));
  assert_int_equal(failure.count, 3);
  assert_string_equal(failure.subject, "root");
  assert_true(authlog_parse(
      text_of("Nov  3 10:15:01 gw sshd[811]: message repeated 0 times: [ Failed password for root from 203.0.113.7 port 1 ssh2]"),
      &failure));
  assert_int_equal(failure.count, 1);
}

static void names_that_lie(void **state) {
  (void)state;
  struct authlog_failure failure;
  static const uint8_t source[] = {203, 0, 113, 7};
  assert_true(authlog_parse(text_of("Nov  3 10:15:01 gw sshd[8]: Failed password for invalid user x from 192.0.2.1 port 9 ssh2 "
                                    "from 203.0.113.7 port 4 ssh2"),
                            &failure));
  assert_memory_equal(failure.source, source, 4);
  assert_string_equal(failure.subject, "x from 192.0.2.1 port 9 ssh2");
  assert_true(authlog_parse(
      text_of("Nov  3 10:15:01 gw sshd[8]: Failed password for invalid user \x01\x7f\xff\xc3\xa4 from 203.0.113.7 port 4"),
      &failure));
  assert_string_equal(failure.subject, "???\xc3\xa4");
  assert_true(authlog_parse(text_of("Nov  3 10:15:01 gw sshd[8]: Failed password for invalid user  from 203.0.113.7 port 4 ssh2"),
                            &failure));
  assert_string_equal(failure.subject, "");
  assert_memory_equal(failure.source, source, 4);
}

static void long_names_are_cut_between_characters(void **state) {
  (void)state;
  char line[600] = "Nov  3 10:15:01 gw sshd[8]: Failed password for ";
  for (int i = 0; i < 100; i++) {
    strcat(line, "\xe2\x82\xac");
  }
  strcat(line, " from 203.0.113.7 port 4 ssh2");
  struct authlog_failure failure;
  assert_true(authlog_parse(text_of(line), &failure));
  assert_int_equal(strlen(failure.subject), 126);
}

static void pam_lines(void **state) {
  (void)state;
  struct authlog_failure failure;
  assert_true(
      authlog_parse(text_of("Nov  3 10:15:01 gw login[22]: pam_unix(login:auth): authentication failure; logname=LOGIN uid=0 "
                            "euid=0 tty=/dev/tty1 ruser= rhost=  user=operator"),
                    &failure));
  assert_string_equal(failure.subject, "operator");
  assert_int_equal(failure.source_size, 0);
  assert_true(
      authlog_parse(text_of("Nov  3 10:15:01 gw vsftpd: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 "
                            "tty=ftp ruser=a rhost=198.51.100.4"),
                    &failure));
  assert_string_equal(failure.subject, "");
  assert_int_equal(failure.source_size, 4);
}

static void other_lines(void **state) {
  (void)state;
  static const char *const other[] = {
      "",
      "garbage",
      ": ",
      "sshd[1]: ",
      "Nov  3 10:15:01 gw sshd[8]: Accepted password for root from 203.0.113.7 port 4 ssh2",
      "Nov  3 10:15:01 gw sshd[8]: Invalid user admin from 203.0.113.7 port 4",
      "Nov  3 10:15:01 gw sshd[8]: Failed password for root",
      "Nov  3 10:15:01 gw sshd[8]: Failed password for root from ",
      "Nov  3 10:15:01 gw sshd[8]: message repeated 99999999999999999999 times: [ x]",
      "Nov  3 10:15:01 gw cron[8]: Failed password for root from 203.0.113.7 port 4 ssh2",
      "Nov  3 10:15:01 gw sshd[8]: pam_unix(sshd:auth): authentication failure; logname= uid=0 rhost=203.0.113.7  user=root",
      "Nov  3 10:15:01 gw x: pam_unix(sshd:auth): authentication failure; logname= uid=0 rhost=203.0.113.7  user=root",
      "Nov  3 10:15:01 gw sudo: pam_unix(sudo:session): session opened for user root",
  };
  struct authlog_failure failure;
  for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
    assert_false(authlog_parse(text_of(other[i]), &failure));
  }
}

static void tally_is_bounded(void **state) {
  (void)state;
  static struct authlog_tally tally;
  uint64_t sum = 0;
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 200; i++) {
      struct authlog_failure failure = {.count = 1};
      snprintf(failure.subject, sizeof failure.subject, "user%d", i);
      authlog_tally_add(&tally, &failure);
    }
  }
  assert_int_equal(tally.count, AUTHLOG_TALLY_MAX);
  assert_int_equal(tally.failures[0].count, 2);
  assert_string_equal(tally.failures[AUTHLOG_TALLY_MAX - 1].subject, "");
  for (size_t i = 0; i < tally.count; i++) {
    sum += tally.failures[i].count;
  }
  assert_int_equal(sum, 400);
}

static void append(const char *path, const char *text) {
  FILE *file = fopen(path, "a");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(fclose(file), 0);
}

static void collect(void *context, struct text line) {
  char *all = context;
  size_t used = strlen(all);
  used += text_copy(line, all + used, 4000 - used);
  strcpy(all + used, "|");
}

static void follows_a_file_across_rotation(void **state) {
  (void)state;
  char folder[] = "/tmp/agent-follow-XXXXXX";
  char path[64];
  char rotated[64];
  char all[4096] = "";
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/auth.log", folder);
  snprintf(rotated, sizeof rotated, "%s/auth.log.1", folder);
  append(path, "old\n");
  struct follow *follow = follow_file(path);
  assert_non_null(follow);
  assert_int_equal(follow_read(follow, collect, all), 0);
  assert_string_equal(all, "");
  append(path, "one\ntw");
  assert_int_equal(follow_read(follow, collect, all), 0);
  append(path, "o\n");
  assert_int_equal(follow_read(follow, collect, all), 0);
  assert_int_equal(follow_read(follow, collect, all), 0);
  assert_string_equal(all, "one|two|");
  append(path, "three\n");
  assert_int_equal(rename(path, rotated), 0);
  append(path, "four\n");
  assert_int_equal(follow_read(follow, collect, all), 0);
  assert_string_equal(all, "one|two|three|four|");
  assert_int_equal(truncate(path, 0), 0);
  append(path, "5\n");
  assert_int_equal(follow_read(follow, collect, all), 0);
  assert_string_equal(all, "one|two|three|four|5|");
  follow_close(follow);
  assert_int_equal(unlink(path), 0);
  follow = follow_file(path);
  assert_int_equal(follow_read(follow, collect, all), -1);
  append(path, "new\n");
  assert_int_equal(follow_read(follow, collect, all), 0);
  assert_string_equal(all, "one|two|three|four|5|new|");
  follow_close(follow);
  assert_int_equal(unlink(path) | unlink(rotated) | rmdir(folder), 0);
}

static void long_lines_are_passed_over(void **state) {
  (void)state;
  char folder[] = "/tmp/agent-follow-XXXXXX";
  char path[64];
  char all[4096] = "";
  char line[6000];
  memset(line, 'x', sizeof line);
  line[sizeof line - 1] = '\0';
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/auth.log", folder);
  append(path, "");
  struct follow *follow = follow_file(path);
  append(path, line);
  assert_int_equal(follow_read(follow, collect, all), 0);
  append(path, "rest\nshort\n");
  assert_int_equal(follow_read(follow, collect, all), 0);
  assert_string_equal(all, "short|");
  follow_close(follow);
  assert_int_equal(unlink(path) | rmdir(folder), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sshd_lines),
      cmocka_unit_test(names_that_lie),
      cmocka_unit_test(long_names_are_cut_between_characters),
      cmocka_unit_test(pam_lines),
      cmocka_unit_test(other_lines),
      cmocka_unit_test(tally_is_bounded),
      cmocka_unit_test(follows_a_file_across_rotation),
      cmocka_unit_test(long_lines_are_passed_over),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
