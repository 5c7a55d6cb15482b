// Connectivity on made event time: what is silent, link lost, late, asleep, flapping, frozen, and what is none of it.
#include "stage.h"

#include "analysis/detectors/connectivity.h"
#include "analysis/timers.h"

static const int64_t day = INT64_C(86400) * 1000000;

// A report of boot `boot` with values that hash to `values`.
static void said(int32_t device, int64_t at, int64_t boot, int64_t sequence, int values) {
  show((struct observation){.kind = OBSERVE_REPORT,
                            .device = device,
                            .publisher = device,
                            .time = at,
                            .received = at,
                            .boot = boot,
                            .sequence = sequence,
                            .size = 100,
                            .code = values});
}

static void make_critical(int32_t device) {
  fleet_find(&fleet, device)->critical = true;
}

static void silence_is_found_by_the_devices_own_rhythm(void **state) {
  (void)state;
  int64_t last = steady(1, start, 60, 200);
  advance(last + 80 * second);
  assert_string_equal(is(1), "online");
  advance(last + 100 * second);
  assert_string_equal(is(1), "late");
  advance(last + 130 * second);
  assert_string_equal(is(1), "late");
  advance(last + 145 * second);
  assert_string_equal(is(1), "silent");
  assert_int_equal(raised("silent"), 0); // a state, and no alert
  report(1, last + 400 * second);
  assert_string_equal(is(1), "online");
}

static void only_the_silence_of_critical_devices_is_an_alert(void **state) {
  (void)state;
  make_critical(1);
  int64_t last = steady(1, start, 60, 200);
  advance(last + 145 * second);
  assert_true(live(1, "silent"));
  report(1, last + 200 * second);
  assert_false(live(1, "silent"));
  assert_int_equal(raised("silent"), 1);
}

static void a_slow_device_gets_its_time(void **state) {
  (void)state;
  seeing = start - 40 * day;
  int64_t last = steady(1, start, 3600, 100);
  advance(last + 2 * 3600 * second);
  assert_string_equal(is(1), "late");
  advance(last + 3 * 3600 * second);
  assert_string_equal(is(1), "silent");
}

static void a_flood_does_not_teach_impatience(void **state) {
  (void)state;
  int64_t last = steady(1, start, 60, 100);
  last = steady(1, last, 0.1, 600);
  advance(last + 120 * second);
  assert_int_equal(became(1, "silent"), 0);
}

static void who_has_shown_no_rhythm_is_not_judged_unless_the_registry_knows_it(void **state) {
  (void)state;
  int64_t last = steady(1, start, 60, 3);
  advance(last + 3600 * second);
  assert_string_equal(is(1), "online");
  fleet_model(&fleet, 1)->cadence = 60;
  last = steady(2, last + 3601 * second, 60, 3);
  advance(last + 240 * second);
  assert_int_equal(became(2, "silent"), 0);
  advance(last + 260 * second);
  assert_string_equal(is(2), "silent");
}

static void what_the_registry_says_overrides_what_was_learned(void **state) {
  (void)state;
  fleet_model(&fleet, 1)->patience = 1000;
  int64_t last = steady(1, start, 60, 100);
  advance(last + 990 * second);
  assert_int_equal(became(1, "silent"), 0);
  advance(last + 1005 * second);
  assert_string_equal(is(1), "silent");
}

static void whose_rhythm_nobody_knows_is_not_late(void **state) {
  (void)state;
  fleet_model(&fleet, 1)->patience = 1000;
  report(1, start);
  advance(start + 990 * second);
  assert_string_equal(is(1), "online");
  advance(start + 1005 * second);
  assert_string_equal(is(1), "silent");
}

static void one_wrong_silence_makes_the_model_more_patient(void **state) {
  (void)state;
  double trust = (double)fleet_model(&fleet, 1)->learned.trust;
  int64_t last = steady(1, start, 60, 100);
  report(1, last + 200 * second); // it was up all the time: same boot, same connection
  assert_int_equal(became(1, "silent"), 1);
  assert_true((double)fleet_model(&fleet, 1)->learned.trust > trust);
  last = steady(1, last + 260 * second, 60, 10);
  advance(last + 190 * second);
  assert_int_equal(became(1, "silent"), 1); // learned
}

static void a_real_outage_teaches_nothing(void **state) {
  (void)state;
  int64_t last = start;
  for (int i = 0; i < 100; i++, last += 60 * second) {
    said(1, last, 1, i + 1, 0);
  }
  said(1, last + 3000 * second, 2, 1, 0); // it was off: another boot
  assert_true((double)fleet_model(&fleet, 1)->learned.trust == 1);
  const struct connectivity *c = device_state_of(fleet_find(&fleet, 1), detectors[0]);
  assert_true(cadence_longest(&c->reports) < 61);
}

// As devices do come back: with a connection, and then a report.
static void an_outage_that_ends_with_a_connection_teaches_nothing(void **state) {
  (void)state;
  const struct connectivity *c = device_state_of(fleet_find(&fleet, 1), detectors[0]);
  connectivity(1, start, ONLINE_MESSAGE, 1, false);
  int64_t last = steady(1, start, 60, 100);
  connectivity(1, last + 3000 * second, ONLINE_MESSAGE, 2, false); // silent until then
  last = steady(1, last + 3001 * second, 60, 100);
  connectivity(1, last + second, OFFLINE_MESSAGE, 2, true); // link lost
  connectivity(1, last + 3000 * second, ONLINE_MESSAGE, 3, false);
  last = steady(1, last + 3001 * second, 60, 100);
  connectivity(1, last + second, OFFLINE_MESSAGE, 3, false); // goodbye
  connectivity(1, last + 3000 * second, ONLINE_MESSAGE, 4, false);
  last = steady(1, last + 3001 * second, 60, 100);
  assert_true(cadence_longest(&c->reports) < 61);
  advance(last + 145 * second);
  assert_string_equal(is(1), "silent");
}

static void what_a_gateway_kept_away_teaches_nothing(void **state) {
  (void)state;
  const struct connectivity *c = device_state_of(fleet_find(&fleet, 3), detectors[0]);
  int64_t at = start;
  for (int i = 0; i < 100; i++, at += 60 * second) {
    report(2, at);
    report(3, at + second);
  }
  report(2, at + 3000 * second);
  steady(3, at + 3001 * second, 60, 10);
  assert_true(cadence_longest(&c->reports) < 61);
}

static void an_announced_change_of_rhythm_is_no_silence(void **state) {
  (void)state;
  int64_t last = steady(1, start, 10, 300);
  observe(OBSERVE_EVENT, 1, last + second, VEDETTE__V1__EVENT_KIND__EVENT_KIND_CONFIGURATION_CHANGED, 1);
  steady(1, last + 60 * second, 60, 50);
  assert_int_equal(became(1, "silent"), 0);
}

static void while_we_were_blind_nobody_is_judged(void **state) {
  (void)state;
  int64_t last = start;
  for (int i = 0; i < 100; i++) {
    last = start + i * 60 * second;
    report(1, last);
    report(2, last + second);
  }
  seeing = last + 1200 * second; // we come back after twenty minutes
  context_advance(&context, last + 1200 * second, seeing);
  assert_true(context_recovering(&context));
  report(2, seeing + 10 * second);
  advance(seeing + 100 * second);
  assert_int_equal(became(1, "silent"), 0);
  report(2, seeing + 70 * second);
  advance(seeing + 121 * second); // but whoever died meanwhile is found within two of its gaps
  assert_false(context_recovering(&context));
  assert_string_equal(is(1), "silent");
  assert_string_equal(is(2), "online");
}

// A worker that starts again each hour keeps nobody from being missed.
static void a_moment_of_blindness_is_no_reprieve(void **state) {
  (void)state;
  seeing = start - 100 * day;
  int64_t last = steady(1, start - 60 * day, 86400, 20);
  for (int hour = 1; hour < 80; hour++) {
    int64_t at = last + hour * 3600 * second;
    context_advance(&context, at - 5 * second, seeing);
    seeing = at;
    for (int i = 1; i <= 120; i++) {
      context_advance(&context, at + i * second, seeing);
    }
  }
  assert_string_equal(is(1), "silent");
}

// The queue of the broker holds what a device sent before it died: received now, and old.
static void who_died_while_we_were_blind_is_found_by_its_own_clock(void **state) {
  (void)state;
  int64_t last = steady(1, start, 60, 100);
  seeing = last + 1200 * second;
  context_advance(&context, seeing, seeing);
  for (int i = 1; i <= 5; i++) {
    show((struct observation){.kind = OBSERVE_REPORT,
                              .device = 1,
                              .publisher = 1,
                              .time = last + i * 60 * second,
                              .received = seeing + i * 1000,
                              .boot = 1,
                              .sequence = 1,
                              .size = 100});
  }
  advance(seeing + 60 * second);
  assert_int_equal(became(1, "silent"), 0);
  advance(seeing + 120 * second);
  assert_string_equal(is(1), "silent");
}

// What is sent now comes after all that waited: until then nobody is judged, however long that takes.
static void a_backlog_that_comes_slowly_makes_nobody_absent(void **state) {
  (void)state;
  int64_t last = steady(1, start, 60, 100);
  seeing = last + 1200 * second;
  context_advance(&context, seeing, seeing);
  for (int i = 1; i <= 25; i++) {
    show((struct observation){.kind = OBSERVE_REPORT,
                              .device = 1,
                              .publisher = 1,
                              .time = last + i * 60 * second,
                              .received = seeing + i * 15 * second,
                              .boot = 1,
                              .sequence = 1,
                              .size = 100});
    assert_true(context_recovering(&context));
  }
  assert_int_equal(became(1, "silent"), 0);
  report(1, seeing + 390 * second);
  advance(seeing + 391 * second);
  assert_false(context_recovering(&context));
}

static void a_lost_connection_teaches_no_patience(void **state) {
  int64_t at = steady(1, start, 60, 100);
  (void)state;
  for (int connection = 2; connection <= 3; connection++) {
    connectivity(1, at + (60 + 50 * connection) * second, ONLINE_MESSAGE, connection, false); // gaps of some minutes
    at = steady(1, at + (61 + 50 * connection) * second, 60, 60);
  }
  advance(at + 119 * second);
  assert_string_equal(is(1), "late");
  advance(at + 240 * second);
  assert_string_equal(is(1), "silent");
}

// Outages that are alike, now and then, are none either.
static void rare_outages_are_no_rhythm(void **state) {
  int64_t at = start;
  (void)state;
  for (int boot = 1; boot <= 12; boot++) {
    for (int i = 0; i < 150; i++, at += 60 * second) {
      said(1, at, boot, i + 1, 0);
    }
    at += 600 * second;
  }
  const struct connectivity *c = device_state_of(fleet_find(&fleet, 1), detectors[0]);
  assert_true(cadence_longest(&c->reports) < 61);
}

static void a_will_counts_after_its_guard_time_unless_overruled(void **state) {
  (void)state;
  make_critical(1);
  connectivity(1, start, ONLINE_MESSAGE, 1, false);
  int64_t last = steady(1, start, 60, 10);
  connectivity(1, last + second, OFFLINE_MESSAGE, 1, true);
  advance(last + 9 * second);
  assert_false(live(1, "link lost"));
  report(1, last + 10 * second); // newer data overrules it
  advance(last + 30 * second);
  assert_false(live(1, "link lost"));
  connectivity(1, last + 31 * second, OFFLINE_MESSAGE, 1, true);
  advance(last + 42 * second);
  assert_true(live(1, "link lost"));
  assert_string_equal(is(1), "link lost");
  connectivity(1, last + 50 * second, ONLINE_MESSAGE, 2, false);
  assert_false(live(1, "link lost"));
  connectivity(1, last + 51 * second, OFFLINE_MESSAGE, 1, true); // of the session before: stale
  advance(last + 70 * second);
  assert_false(live(1, "link lost"));
}

static void a_goodbye_is_no_outage(void **state) {
  (void)state;
  make_critical(1);
  connectivity(1, start, ONLINE_MESSAGE, 1, false);
  int64_t last = steady(1, start, 5, 20);
  connectivity(1, last + second, OFFLINE_MESSAGE, 1, false);
  advance(last + 3600 * second);
  assert_int_equal(raised("silent") + raised("link lost"), 0);
  assert_string_equal(is(1), "offline");
}

static void sleep(int64_t at, int64_t until) {
  show((struct observation){.kind = OBSERVE_CONNECTIVITY,
                            .device = 1,
                            .publisher = 1,
                            .received = at,
                            .boot = 1,
                            .sequence = 1,
                            .code = ASLEEP_MESSAGE,
                            .until = until});
}

static void a_sleeper_is_awaited_at_its_wake(void **state) {
  (void)state;
  connectivity(1, start, ONLINE_MESSAGE, 1, false);
  report(1, start + second); // it needs no rhythm for that
  sleep(start + 2 * second, start + 1000 * second);
  advance(start + 1200 * second);
  assert_string_equal(is(1), "asleep");
  advance(start + 1260 * second);
  assert_string_equal(is(1), "silent");
}

static void a_retained_message_at_subscription_raises_nothing(void **state) {
  (void)state;
  make_critical(1);
  show((struct observation){.kind = OBSERVE_CONNECTIVITY,
                            .device = 1,
                            .publisher = 1,
                            .received = start,
                            .boot = 1,
                            .sequence = 1,
                            .code = OFFLINE_MESSAGE,
                            .will = true,
                            .retained = true});
  advance(start + 600 * second);
  assert_int_equal(context.count, 0);
}

static void children_share_their_gateways_outage(void **state) {
  (void)state;
  int64_t at = start;
  for (int i = 0; i < 100; i++, at += 60 * second) {
    report(2, at);
    report(3, at + second);
  }
  advance(at + 180 * second);
  assert_true(live(2, "silent"));
  assert_string_equal(is(3), "silent");
  assert_false(live(3, "silent"));
  assert_int_equal(raised("silent"), 1);
  report(2, at + 600 * second);
  assert_string_equal(is(3), "online"); // until its own time is over
  advance(at + 800 * second);
  assert_string_equal(is(3), "silent");
}

static int64_t drop_and_return(int64_t at, int64_t connection, int64_t boot) {
  struct observation o = {.kind = OBSERVE_CONNECTIVITY,
                          .device = 1,
                          .publisher = 1,
                          .received = at,
                          .boot = 1,
                          .sequence = connection,
                          .code = OFFLINE_MESSAGE,
                          .will = true};
  o.boot = boot;
  show(o);
  return at + 5 * second;
}

static void flapping_is_one_alert(void **state) {
  (void)state;
  connectivity(1, start, ONLINE_MESSAGE, 1, false);
  int64_t at = steady(1, start, 60, 100);
  for (int i = 1; i <= 30; i++) {
    at = drop_and_return(at + 30 * second, i, 1);
    connectivity(1, at, ONLINE_MESSAGE, i + 1, false);
    report(1, at + second);
  }
  assert_true(live(1, "flapping"));
  assert_string_equal(is(1), "flapping");
  assert_int_equal(raised("flapping"), 1);
  assert_int_equal(became(1, "flapping"), 1);
  steady(1, at + 30 * second, 30, 60);
  assert_false(live(1, "flapping"));
  assert_string_equal(is(1), "online");
  assert_int_equal(raised("reboot loop"), 0);
}

static void a_reboot_loop_is_one_alert(void **state) {
  (void)state;
  connectivity(1, start, ONLINE_MESSAGE, 1, false);
  int64_t at = steady(1, start, 60, 100);
  for (int boot = 2; boot <= 30; boot++) {
    at = drop_and_return(at + 60 * second, 1, boot - 1);
    show((struct observation){.kind = OBSERVE_CONNECTIVITY,
                              .device = 1,
                              .publisher = 1,
                              .received = at,
                              .boot = boot,
                              .sequence = 1,
                              .code = ONLINE_MESSAGE});
    said(1, at + second, boot, 1, 0);
  }
  assert_true(live(1, "reboot loop"));
  assert_int_equal(raised("reboot loop"), 1);
  assert_int_equal(raised("flapping"), 0);
  for (int i = 0; i < 40; i++) {
    said(1, at + (2 + i * 60) * second, 30, 2 + i, 0);
  }
  assert_false(live(1, "reboot loop"));
}

static void a_sleeper_may_boot_at_each_wake(void **state) {
  int64_t at = start;
  (void)state;
  for (int boot = 1; boot <= 20; boot++) {
    struct observation o = {.kind = OBSERVE_CONNECTIVITY,
                            .device = 1,
                            .publisher = 1,
                            .received = at,
                            .boot = boot,
                            .sequence = 1,
                            .code = ONLINE_MESSAGE};
    show(o);
    said(1, at + second, boot, 1, boot);
    o.code = ASLEEP_MESSAGE;
    o.received = at + 2 * second;
    o.until = at += 600 * second;
    show(o);
  }
  assert_int_equal(raised("reboot loop"), 0);
}

static void frozen_values_are_found_and_constant_ones_are_not(void **state) {
  (void)state;
  int64_t at = start;
  for (int i = 0; i < 3000; i++, at += 60 * second) { // two days
    said(1, at, 1, i + 1, i + 1);
    said(2, at + second, 1, i + 1, 7);                 // constant by nature
    said(3, at + 2 * second, 1, i + 1, 100 + i / 700); // changes twice a day
  }
  for (int i = 0; i < 40; i++, at += 60 * second) {
    said(1, at, 1, 4000 + i, 4711);
    said(2, at + second, 1, 4000 + i, 7);
    said(3, at + 2 * second, 1, 4000 + i, 55);
  }
  assert_true(live(1, "frozen"));
  assert_string_equal(is(1), "frozen");
  assert_int_equal(raised("frozen"), 1);
  said(1, at, 1, 5000, 1);
  assert_false(live(1, "frozen"));
  assert_string_equal(is(1), "online");
}

static void timers_come_in_their_order(void **state) {
  enum { MANY = 500 };
  static struct timer many[MANY];
  struct timers timers = {0};
  int64_t before = -1;
  int count = 0;
  (void)state;
  for (int i = 0; i < MANY; i++) {
    assert_true(timers_arm(&timers, &many[i], 1000 + i * 7919 % 1009));
  }
  for (int i = 0; i < MANY; i += 3) {
    assert_true(timers_arm(&timers, &many[i], many[i].due - 500)); // sooner
    assert_true(timers_arm(&timers, &many[i], many[i].due + 500)); // later is not
  }
  for (int i = 1; i < MANY; i += 7) {
    timers_disarm(&timers, &many[i]);
    timers_disarm(&timers, &many[i]);
  }
  for (struct timer *timer; (timer = timers_next(&timers, 1 << 20)) != NULL; count++) {
    assert_true(timer->due >= before && timer->slot == 0);
    before = timer->due;
  }
  assert_int_equal(count, MANY - (MANY - 1 + 6) / 7);
  assert_null(timers_next(&timers, INT64_MAX));
  timers_free(&timers);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(silence_is_found_by_the_devices_own_rhythm),
      TEST(only_the_silence_of_critical_devices_is_an_alert),
      TEST(a_slow_device_gets_its_time),
      TEST(a_flood_does_not_teach_impatience),
      TEST(who_has_shown_no_rhythm_is_not_judged_unless_the_registry_knows_it),
      TEST(what_the_registry_says_overrides_what_was_learned),
      TEST(whose_rhythm_nobody_knows_is_not_late),
      TEST(one_wrong_silence_makes_the_model_more_patient),
      TEST(a_real_outage_teaches_nothing),
      TEST(an_outage_that_ends_with_a_connection_teaches_nothing),
      TEST(what_a_gateway_kept_away_teaches_nothing),
      TEST(an_announced_change_of_rhythm_is_no_silence),
      TEST(while_we_were_blind_nobody_is_judged),
      TEST(a_moment_of_blindness_is_no_reprieve),
      TEST(who_died_while_we_were_blind_is_found_by_its_own_clock),
      TEST(a_backlog_that_comes_slowly_makes_nobody_absent),
      TEST(a_lost_connection_teaches_no_patience),
      TEST(rare_outages_are_no_rhythm),
      TEST(a_will_counts_after_its_guard_time_unless_overruled),
      TEST(a_goodbye_is_no_outage),
      TEST(a_sleeper_is_awaited_at_its_wake),
      TEST(a_retained_message_at_subscription_raises_nothing),
      TEST(children_share_their_gateways_outage),
      TEST(flapping_is_one_alert),
      TEST(a_reboot_loop_is_one_alert),
      TEST(a_sleeper_may_boot_at_each_wake),
      TEST(frozen_values_are_found_and_constant_ones_are_not),
      TEST(timers_come_in_their_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
