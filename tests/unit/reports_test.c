// What reports say beside their values, on made event time: losses, clocks, batteries, who was never heard, and what is missing
// of an hour.
#include "stage.h"

#include <math.h>

enum { AHEAD = MARK_AHEAD, BEHIND = MARK_BEHIND };
static const int64_t hour = INT64_C(3600) * 1000000, day = INT64_C(86400) * 1000000;

// A report of boot `boot`, sent at `time` by the device's clock.
static void sent(int32_t device, int64_t received, int64_t time, int64_t boot, int64_t sequence, int marks) {
  show((struct observation){.kind = OBSERVE_REPORT,
                            .device = device,
                            .publisher = device,
                            .time = time,
                            .received = received,
                            .boot = boot,
                            .sequence = sequence,
                            .marks = marks,
                            .size = 100});
}

static void rejected(int64_t at, int64_t sequence) {
  show((struct observation){.kind = OBSERVE_DEAD_LETTER,
                            .device = 1,
                            .publisher = 1,
                            .received = at,
                            .boot = 1,
                            .sequence = sequence,
                            .count = 1,
                            .code = VEDETTE__V1__REASON__REASON_VALUE});
}

// Numbered reports, one every ten seconds, for `seconds`; of each ten `lost` never come. Returns the time after the last.
static int64_t numbered(int64_t from, int seconds, int lost, int64_t *sequence) {
  int64_t at = from;
  for (int i = 0; i < seconds / 10; i++, at += 10 * second) {
    ++*sequence;
    if (i % 10 >= lost) {
      sent(1, at, at, 1, *sequence, 0);
    }
  }
  return at;
}

// --- partial loss

static void losses_are_found_at_the_end_of_the_hour_and_cleared_after_two(void **state) {
  int64_t sequence = 0;
  (void)state;
  int64_t at = numbered(start, 3 * 3600, 0, &sequence);
  assert_int_equal(raised("partial loss"), 0);
  at = numbered(at, 2 * 3600, 1, &sequence);
  assert_true(live(1, "partial loss"));
  at = numbered(at, 3 * 3600, 0, &sequence);
  assert_int_equal(raised("partial loss"), 1);
  assert_false(live(1, "partial loss"));
}

static void a_gross_loss_is_not_awaited(void **state) {
  (void)state;
  for (int i = 1; i <= 10; i++) {
    sent(1, start + i * second, start + i * second, 1, i, 0);
  }
  sent(1, start + 12 * second, start + 12 * second, 1, 60, 0);
  advance(start + 30 * second);
  assert_false(live(1, "partial loss"));
  advance(start + 43 * second);
  assert_true(live(1, "partial loss"));
}

static void what_was_overtaken_is_not_lost(void **state) {
  (void)state;
  sent(1, start, start, 1, 10, 0);
  sent(1, start + second, start, 1, 60, 0);
  for (int i = 11; i < 60; i++) {
    sent(1, start + 2 * second, start, 1, i, 0);
  }
  advance(start + 2 * hour);
  assert_int_equal(raised("partial loss"), 0);
}

static void what_was_rejected_or_shed_is_not_lost(void **state) {
  int64_t at = start;
  (void)state;
  for (int64_t i = 1; i <= 400; i++, at += 5 * second) {
    if (i % 3 == 0) {
      rejected(at, i);
    } else if (i % 3 == 1) {
      sent(1, at, at, 1, i, 0);
    } else {
      observe(OBSERVE_UNKEPT, 1, at, VEDETTE__V1__REASON__REASON_SHED, 1);
    }
  }
  advance(at + 2 * hour);
  assert_int_equal(raised("partial loss"), 0);
}

static void a_new_boot_and_what_has_no_number_are_no_loss(void **state) {
  int64_t at = start;
  (void)state;
  for (int64_t i = 1; i <= 300; i++, at += 10 * second) {
    sent(1, at, at, i / 10 + 1, 100 * (i / 10) + i % 10 + 1, 0);
    sent(2, at, at, 1, 50 * i, MARK_NO_SEQUENCE);
    sent(3, at, at, 7, 50 * i, MARK_HISTORICAL); // of a boot that is over
  }
  advance(at + 2 * hour);
  assert_int_equal(raised("partial loss"), 0);
}

static void a_share_that_is_usual_is_learned(void **state) {
  int64_t sequence = 0;
  (void)state;
  numbered(start, 5 * 86400, 1, &sequence); // one of ten, always
  assert_int_equal(raised("partial loss"), 1);
  assert_false(live(1, "partial loss"));
}

static void losses_while_we_were_blind_wait_for_the_end_of_the_window(void **state) {
  int64_t sequence = 0;
  (void)state;
  int64_t at = numbered(start, 1800, 0, &sequence);
  seeing = at + 600 * second;
  sequence += 60;
  at = numbered(seeing + second, 1200, 0, &sequence);
  assert_int_equal(raised("partial loss"), 0);
  numbered(at, 100, 0, &sequence);
  assert_true(live(1, "partial loss"));
}

static void the_children_of_a_gateway_count_as_its_own(void **state) {
  int64_t at = start;
  (void)state;
  for (int64_t i = 1; i <= 370; i++, at += 10 * second) {
    show((struct observation){.kind = OBSERVE_REPORT,
                              .device = i % 2 ? 2 : 3,
                              .publisher = 2,
                              .time = at,
                              .received = at,
                              .boot = 1,
                              .sequence = i + i / 8, // one of nine is lost
                              .size = 100});
  }
  assert_true(live(2, "partial loss"));
  assert_false(live(3, "partial loss"));
}

// --- clock

// Reports every `gap` seconds for `seconds`, whose clock is `ahead` of ours and whose way takes a second, now and then longer.
static int64_t clocked(int64_t from, int seconds, int gap, double ahead, int marks) {
  int64_t at = from;
  for (int i = 0; i < seconds / gap; i++, at += gap * second) {
    int64_t way = (i % 7 == 3 ? 40 : 1) * second;
    sent(1, at, at + (int64_t)(ahead * 1e6) - way, 1, i, marks);
  }
  return at;
}

static void a_clock_ahead_is_bad_after_three_reports(void **state) {
  (void)state;
  sent(1, start, start + 400 * second, 1, 1, AHEAD);
  sent(1, start + second, start + 401 * second, 1, 2, AHEAD);
  assert_false(live(1, "clock"));
  sent(1, start + 2 * second, start + 402 * second, 1, 3, AHEAD);
  assert_true(live(1, "clock"));
  int64_t at = clocked(start + 3 * second, 590, 10, 0, 0);
  assert_true(live(1, "clock"));
  clocked(at, 60, 10, 0, 0);
  assert_false(live(1, "clock"));
}

static void a_device_without_a_clock_is_none_that_lost_it(void **state) {
  int64_t at = start;
  (void)state;
  for (int i = 0; i < 10; i++, at += 10 * second) {
    sent(1, at, 0, 1, i, MARK_NO_CLOCK);
  }
  at = clocked(at, 600, 10, 0, 0);
  for (int i = 0; i < 10; i++, at += 10 * second) {
    sent(1, at, 0, 2, i, MARK_NO_CLOCK); // another boot: it has to ask for the time first
  }
  assert_int_equal(raised("clock"), 0);
  at = clocked(at, 60, 10, 0, 0);
  for (int i = 0; i < 3; i++, at += 10 * second) {
    sent(1, at, 0, 1, i, MARK_NO_CLOCK);
  }
  assert_true(live(1, "clock"));
}

static void a_jump_forward_is_found_at_once_and_cleared_when_it_is_back(void **state) {
  (void)state;
  seeing = start - day;
  int64_t at = clocked(start, 1800, 10, -20, 0);
  sent(1, at, at + 100 * second, 1, 1, 0);
  assert_true(live(1, "clock"));
  at = clocked(at, 1800, 10, 100, 0);
  assert_true(live(1, "clock"));
  at = clocked(at, 1100, 10, -20, 0);
  assert_true(live(1, "clock"));
  clocked(at, 200, 10, -20, 0);
  assert_false(live(1, "clock"));
  assert_int_equal(raised("clock"), 1);
}

static void a_jump_backward_has_to_last(void **state) {
  (void)state;
  seeing = start - day;
  int64_t at = clocked(start, 1800, 10, 0, 0);
  at = clocked(at, 590, 10, -300, 0);
  assert_false(live(1, "clock"));
  at = clocked(at, 1000, 10, -300, 0);
  assert_true(live(1, "clock"));
  clocked(at, 3700, 10, -300, 0); // its new time is kept for an hour
  assert_false(live(1, "clock"));
  assert_int_equal(raised("clock"), 1);
}

// The device was cut off for two hours and hands over what it kept, four times as fast as it was made.
static void a_backlog_is_no_jump(void **state) {
  (void)state;
  seeing = start - day;
  int64_t at = clocked(start, 1800, 10, 0, 0);
  int64_t time = at;
  at += 7200 * second;
  for (; time < at; at += 5 * second, time += 20 * second) {
    sent(1, at, time, 1, 1, 0);
  }
  clocked(at, 3600, 10, 0, 0);
  assert_int_equal(raised("clock"), 0);
}

// Likewise, of more than a week.
static void an_old_backlog_is_no_bad_clock(void **state) {
  (void)state;
  seeing = start - day;
  for (int i = 0; i < 1000; i++) {
    sent(1, start + i * second, start - 9 * day + i * 60 * second, 1, i, BEHIND);
  }
  assert_int_equal(raised("clock"), 0);
  for (int i = 0; i < 40; i++) { // but one that stands nine days behind is
    sent(1, start + (1000 + i * 5) * second, start - 9 * day + (60000 + i * 5) * second, 1, 2000 + i, BEHIND);
  }
  assert_false(live(1, "clock"));
  sent(1, start + 2000 * second, start + 2000 * second, 1, 3000, 0);
  for (int i = 0; i < 3; i++) {
    sent(1, start + (2010 + i * 5) * second, start - 9 * day + i * 5 * second, 1, 4000 + i, BEHIND);
  }
  assert_true(live(1, "clock"));
}

static void what_waited_while_we_were_blind_is_no_clock_problem(void **state) {
  (void)state;
  seeing = start - day;
  int64_t at = clocked(start, 1800, 10, 0, 0);
  seeing = at + 7200 * second;
  clocked(seeing + second, 800, 10, -7200, 0);
  clocked(seeing + 801 * second, 3600, 10, 0, 0);
  assert_int_equal(raised("clock"), 0);
}

static void a_clock_that_is_set_right_has_not_jumped(void **state) {
  (void)state;
  seeing = start - day;
  int64_t at = clocked(start, 1800, 10, -900, 0);
  clocked(at, 1800, 10, 0, 0);
  assert_int_equal(raised("clock"), 0);
}

static void a_clock_that_drifts_is_found_after_a_day(void **state) {
  int64_t at = start;
  (void)state;
  seeing = start - day;
  for (int i = 0; i < 2 * 1440; i++, at += 60 * second) {
    sent(1, at, at - second + i * 60 * 500, 1, i, 0); // 500 ppm
    sent(2, at, at - second + i * 60 * 20, 1, i, 0);  // a usual crystal
    sent(3, at, at - (1 + i % 5) * second, 1, i, 0);  // its way scatters
  }
  assert_true(live(1, "clock"));
  assert_int_equal(raised("clock"), 1);
}

// --- battery

static void level(int64_t at, double percent) {
  struct observation o = {.kind = OBSERVE_LEVEL, .device = 1, .publisher = 1, .time = at, .received = at, .level = percent};
  context_advance(&context, at, seeing);
  context_observe(&context, &o);
}

// Whole percents every half an hour, falling by `a_day`, colder at night by `cold`.
static int64_t discharged(int64_t from, int days, double *left, double a_day, double cold) {
  int64_t at = from;
  for (int i = 0; i < days * 48; i++, at += 1800 * second) {
    level(at, fmax(round(*left - cold * (1 + sin(i * M_PI / 24)) / 2), 0));
    *left -= a_day / 48;
  }
  return at;
}

static void a_battery_that_does_not_last_is_found(void **state) {
  double left = 90;
  (void)state;
  int64_t at = discharged(start, 1, &left, 6, 0);
  assert_false(live(1, "battery")); // too soon to say
  at = discharged(at, 1, &left, 6, 0);
  assert_true(live(1, "battery"));
  left = 100; // a new one
  discharged(at, 5, &left, 0.1, 0);
  assert_false(live(1, "battery"));
  assert_int_equal(raised("battery"), 1);
}

static void a_battery_that_lasts_until_the_next_visit_is_none(void **state) {
  double left = 90;
  (void)state;
  fleet_find(&fleet, 1)->next_visit = start + 12 * day;
  int64_t at = discharged(start, 8, &left, 5, 0);
  assert_int_equal(raised("battery"), 0);
  fleet_find(&fleet, 1)->next_visit = at + 20 * day; // it is put off
  discharged(at, 1, &left, 5, 0);
  assert_int_equal(raised("battery"), 1);
}

static void below_ten_percent_is_said_at_once(void **state) {
  (void)state;
  level(start, 12);
  assert_false(live(1, "battery"));
  level(start + second, 9);
  assert_true(live(1, "battery"));
  assert_int_equal(context.effects[context.count - 1].severity, SEVERITY_MAJOR);
  level(start + hour, 14);
  assert_true(live(1, "battery"));
  level(start + 2 * hour, 15);
  assert_false(live(1, "battery"));
  level(start + 3 * hour, NAN);
  level(start + 3 * hour, 200);
  level(start + 3 * hour, -1);
  assert_false(live(1, "battery"));
}

static void what_is_charged_every_day_or_every_third_is_no_dying_battery(void **state) {
  double left;
  (void)state;
  int64_t at = start;
  for (int i = 0; i < 20; i++, at += 86400 * second) {
    for (int h = 0; h < 24; h++) { // by the sun: 16 hours down, 8 up
      level(at + h * hour, h < 16 ? 95 - 2.5 * h : 55 + 5 * (h - 16));
    }
  }
  assert_int_equal(raised("battery"), 0);
  for (int i = 0; i < 10; i++) {
    left = 100;
    at = discharged(at, 3, &left, 25, 0);
  }
  assert_true(raised("battery") <= 1); // until the habit is known
  assert_false(live(1, "battery"));
}

static void cold_nights_are_no_trend(void **state) {
  double left = 80;
  (void)state;
  discharged(start, 60, &left, 0.15, 8);
  assert_int_equal(raised("battery"), 0);
}

// --- never seen

static void a_critical_device_that_was_never_heard_is_told(void **state) {
  (void)state;
  for (int32_t id = 1; id <= 2; id++) {
    fleet_find(&fleet, id)->created_at = start - 167 * hour;
    device_wake(&context, fleet_find(&fleet, id), 0);
  }
  advance(start + hour - second);
  assert_int_equal(raised("never seen"), 0);
  advance(start + hour + second);
  assert_true(live(2, "never seen"));
  assert_false(live(1, "never seen")); // it is not critical
  report(2, start + 2 * hour);
  assert_false(live(2, "never seen"));
}

// --- completeness

static int32_t missing(int32_t device, int64_t of_hour, const char *reason) {
  for (size_t i = 0; i < context.count; i++) {
    const struct effect *e = &context.effects[i];
    if (e->kind == EFFECT_COMPLETENESS && e->device == device && e->at == of_hour && strcmp(e->name, reason) == 0) {
      return e->counts.missing;
    }
  }
  return 0;
}

static int rows(void) {
  int count = 0;
  for (size_t i = 0; i < context.count; i++) {
    count += context.effects[i].kind == EFFECT_COMPLETENESS;
  }
  return count;
}

static int64_t next_hour(int64_t at) {
  return (at / hour + 1) * hour;
}

static void jitter_makes_no_rows(void **state) {
  int64_t at[] = {0, start, start + second, start + 2 * second};
  int64_t sequence = 0;
  (void)state;
  srand(5);
  for (int64_t now = start; now < start + 2 * day;) {
    int first = at[1] <= at[2] && at[1] <= at[3] ? 1 : at[2] <= at[3] ? 2 : 3;
    now = at[first];
    sent(first, now, now - second, 1, ++sequence, MARK_NO_SEQUENCE);
    double u = (rand() % 1000 + 0.5) / 1000;
    double gap = first == 1 ? 5 * (0.8 + 0.4 * u) : first == 2 ? 60 * (0.7 + 0.6 * u) : -30 * log(u);
    at[first] += (int64_t)(gap * 1e6);
  }
  assert_int_equal(rows(), 0);
}

static void what_the_network_lost_and_what_was_never_sent_is_told_apart(void **state) {
  int64_t sequence = 0;
  (void)state;
  const int64_t from = next_hour(start);
  int64_t at = numbered(from, 3 * 3600, 0, &sequence);
  assert_int_equal(rows(), 0);
  at = numbered(at, 1800, 2, &sequence);                // a fifth of half an hour
  at = numbered(at + 600 * second, 1200, 0, &sequence); // and ten minutes that it did not report
  numbered(at, 600, 0, &sequence);
  assert_int_equal(missing(1, from + 3 * hour, "network"), 36);
  assert_int_equal(missing(1, from + 3 * hour, "device"), 60);
  assert_int_equal(rows(), 2);
}

static void what_was_rejected_and_shed_has_its_reason(void **state) {
  int64_t sequence = 0;
  (void)state;
  const int64_t from = next_hour(start);
  int64_t at = numbered(from, 2 * 3600, 0, &sequence);
  for (int i = 0; i < 360; i++, at += 10 * second) {
    ++sequence;
    if (i % 20 == 0) {
      rejected(at, sequence);
    } else if (i % 20 == 1) {
      observe(OBSERVE_UNKEPT, 1, at, VEDETTE__V1__REASON__REASON_SHED, 1);
    } else {
      sent(1, at, at, 1, sequence, 0);
    }
  }
  numbered(at, 300, 0, &sequence);
  assert_int_equal(missing(1, from + 2 * hour, "rejected"), 18);
  assert_int_equal(missing(1, from + 2 * hour, "shed"), 18);
  assert_int_equal(rows(), 2);
}

static void what_we_did_not_see_is_ours_unless_it_came_later(void **state) {
  int64_t sequence = 0;
  (void)state;
  const int64_t from = next_hour(start);
  int64_t at = numbered(from, 2 * 3600, 0, &sequence);
  seeing = at + 90 * 60 * second; // an hour and a half, of which the broker kept the second half hour on
  context_advance(&context, seeing, seeing);
  for (int64_t time = at + 1800 * second; time < seeing; time += 10 * second) {
    sent(1, seeing + second, time, 1, ++sequence, 0);
  }
  numbered(seeing + 2 * second, 3600, 0, &sequence);
  assert_int_equal(missing(1, from + 2 * hour, "us"), 180);
  assert_int_equal(missing(1, from + 3 * hour, "us"), 0);
  assert_int_equal(rows(), 1);
}

static void who_sleeps_or_said_goodbye_misses_nothing(void **state) {
  int64_t sequence = 0;
  (void)state;
  const int64_t from = next_hour(start);
  connectivity(1, from - second, ONLINE_MESSAGE, 1, false);
  int64_t at = numbered(from, 2 * 3600 + 600, 0, &sequence);
  connectivity(1, at, OFFLINE_MESSAGE, 1, false);
  connectivity(1, at + 5 * hour, ONLINE_MESSAGE, 2, false);
  numbered(at + 5 * hour, 2 * 3600, 0, &sequence);
  assert_int_equal(rows(), 0);
}

static void who_is_gone_misses_all_for_a_week(void **state) {
  int64_t sequence = 0;
  (void)state;
  seeing = start - 40 * day;
  const int64_t from = next_hour(start);
  int64_t at = numbered(from, 2 * 3600, 0, &sequence);
  advance(at + 9 * day);
  assert_int_equal(missing(1, at, "device"), 360);
  assert_int_equal(rows(), 168);
}

static void a_slow_rhythm_is_not_judged(void **state) {
  (void)state;
  int64_t last = steady(1, start, 2000, 100);
  advance(last + day);
  assert_int_equal(rows(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(losses_are_found_at_the_end_of_the_hour_and_cleared_after_two),
      TEST(a_gross_loss_is_not_awaited),
      TEST(what_was_overtaken_is_not_lost),
      TEST(what_was_rejected_or_shed_is_not_lost),
      TEST(a_new_boot_and_what_has_no_number_are_no_loss),
      TEST(a_share_that_is_usual_is_learned),
      TEST(losses_while_we_were_blind_wait_for_the_end_of_the_window),
      TEST(the_children_of_a_gateway_count_as_its_own),
      TEST(a_clock_ahead_is_bad_after_three_reports),
      TEST(a_device_without_a_clock_is_none_that_lost_it),
      TEST(a_jump_forward_is_found_at_once_and_cleared_when_it_is_back),
      TEST(a_jump_backward_has_to_last),
      TEST(a_backlog_is_no_jump),
      TEST(an_old_backlog_is_no_bad_clock),
      TEST(what_waited_while_we_were_blind_is_no_clock_problem),
      TEST(a_clock_that_is_set_right_has_not_jumped),
      TEST(a_clock_that_drifts_is_found_after_a_day),
      TEST(a_battery_that_does_not_last_is_found),
      TEST(a_battery_that_lasts_until_the_next_visit_is_none),
      TEST(below_ten_percent_is_said_at_once),
      TEST(what_is_charged_every_day_or_every_third_is_no_dying_battery),
      TEST(cold_nights_are_no_trend),
      TEST(a_critical_device_that_was_never_heard_is_told),
      TEST(jitter_makes_no_rows),
      TEST(what_the_network_lost_and_what_was_never_sent_is_told_apart),
      TEST(what_was_rejected_and_shed_has_its_reason),
      TEST(what_we_did_not_see_is_ours_unless_it_came_later),
      TEST(who_sleeps_or_said_goodbye_misses_nothing),
      TEST(who_is_gone_misses_all_for_a_week),
      TEST(a_slow_rhythm_is_not_judged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
