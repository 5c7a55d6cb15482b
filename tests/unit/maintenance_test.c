// Maintenance windows on made event time: what is withheld, what is raised afterwards, and who did not return.
#include "stage.h"

#include "analysis/detectors/all.h"
#include "analysis/fleet_alerts.h"
#include "storage/feed.h"

static const int64_t hour = INT64_C(3600) * 1000000;
static const char key[] = "maintenance:7";

// The registry is read, and has this window alone.
static void read_window(struct feed_window window) {
  window.reason = "new switch";
  maintenance_put(&context, &window);
  maintenance_put(&context, NULL);
}

// Window 7, of model 1.
static void plan(int64_t begins, int64_t ends) {
  read_window((struct feed_window){.id = 7, .model = 1, .begins = begins, .ends = ends});
}

static struct window *find_window(uint32_t id) {
  struct window *window = NULL;
  HASH_FIND_INT(context.maintenance.windows, &id, window);
  return window;
}

static bool did_not_return(void) {
  return fleet_alert_live(&context, ALERT_DID_NOT_RETURN, key);
}

// It was off, and connects and reports again.
static void come_back(int32_t device, int64_t at) {
  static int64_t connection = 1;
  connectivity(device, at, ONLINE_MESSAGE, ++connection, false);
  report(device, at);
}

// The step is committed.
static void commit(void) {
  for (struct window *window = context.maintenance.windows; window != NULL; window = window->hh.next) {
    window->dirty = false;
  }
  context_settle(&context);
}

static const char *sentence_of(const char *kind) {
  for (size_t i = 0; i < context.count; i++) {
    if (context.effects[i].kind == EFFECT_RAISE && strcmp(context.effects[i].name, kind) == 0) {
      return context.effects[i].sentence;
    }
  }
  return "";
}

// Devices 1 and 2 report every minute for two hours, and are critical; 3 is its own.
static int64_t usual_life(void) {
  int64_t at = start;
  fleet_find(&fleet, 1)->critical = true;
  for (int i = 0; i < 120; i++, at += 60 * second) {
    report(1, at);
    report(2, at + second);
  }
  return at - 59 * second;
}

static void an_absence_in_a_window_is_a_state_and_no_alert(void **state) {
  (void)state;
  int64_t last = usual_life();
  plan(last + 10 * second, last + hour);
  advance(last + 1800 * second);
  assert_string_equal(is(1), "silent");
  assert_int_equal(raised("silent"), 0);
  assert_int_equal(find_window(7)->withheld, 2);
  come_back(1, last + 1900 * second);
  come_back(2, last + 1900 * second);
  assert_string_equal(is(1), "online");
  advance(last + 2400 * second); // once more: each counts once
  assert_string_equal(is(1), "silent");
  assert_int_equal(find_window(7)->withheld, 2);
  come_back(1, last + hour + 30 * second);
  come_back(2, last + hour + 31 * second);
  steady(1, last + hour + 90 * second, 60, 8);
  assert_int_equal(raised("did not return"), 0);
  assert_int_equal(raised("silent"), 1); // 2, which is judged as usual from here on
  assert_true(live(2, "silent"));
}

static void who_does_not_return_is_one_alert(void **state) {
  (void)state;
  int64_t last = usual_life();
  int64_t ends = last + hour;
  plan(last + 10 * second, ends);
  advance(ends + 60 * second); // they have their patience from its end on
  assert_int_equal(raised("silent") + raised("did not return"), 0);
  advance(ends + 200 * second);
  assert_true(did_not_return());
  assert_string_equal(sentence_of("did not return"), "2 of 2 devices did not come back from maintenance (new switch): a, gw.");
  assert_int_equal(find_window(7)->missing, 2);
  assert_true(context.maintenance.result);
  assert_int_equal(raised("silent") + raised("link lost"), 0);
  commit();
  advance(ends + 5 * hour);
  assert_int_equal(raised("silent") + raised("did not return"), 0);
  come_back(1, ends + 5 * hour + second);
  advance(ends + 5 * hour + 3 * second);
  assert_true(did_not_return()); // one of two
  come_back(2, ends + 5 * hour + 4 * second);
  advance(ends + 5 * hour + 5 * second);
  assert_false(did_not_return());
  assert_null(find_window(7));
  advance(ends + 6 * hour); // from here on they are as all others
  assert_true(live(1, "silent"));
}

static void all_who_return_in_time_are_nobodys_business(void **state) {
  (void)state;
  int64_t last = usual_life();
  int64_t ends = last + hour;
  plan(last + 10 * second, ends);
  report(1, ends + 50 * second);
  report(2, ends + 51 * second);
  report(1, ends + 110 * second);
  report(2, ends + 111 * second);
  advance(ends + 200 * second);
  assert_int_equal(raised("silent") + raised("did not return"), 0);
  assert_true(find_window(7)->judged);
  assert_int_equal(find_window(7)->missing, 0);
  commit();
  advance(ends + 201 * second);
  assert_null(find_window(7));
}

static void who_was_silent_long_before_is_told_at_its_end(void **state) {
  (void)state;
  int64_t last = usual_life();
  int64_t begins = last + 30 * hour;
  fleet_find(&fleet, 1)->critical = fleet_find(&fleet, 2)->critical = false;
  advance(begins);
  plan(begins, begins + hour);
  advance(begins + second);
  fleet_find(&fleet, 2)->critical = true; // as the registry says now
  device_wake(&context, fleet_find(&fleet, 2), 0);
  advance(begins + hour - second);
  assert_int_equal(find_window(7)->withheld, 1);
  assert_int_equal(raised("silent"), 0);
  advance(begins + hour);
  assert_int_equal(raised("silent"), 1);
  assert_int_equal(raised("did not return"), 0);
  assert_int_equal(find_window(7)->missing, 0);
}

// A connection of device 1 is lost every half a minute; the last message was received then.
static int64_t flap(int64_t at, int64_t connection, int times) {
  for (int i = 0; i < times; i++, at += 30 * second) {
    connectivity(1, at, OFFLINE_MESSAGE, connection + i, true);
    connectivity(1, at + 5 * second, ONLINE_MESSAGE, connection + i + 1, false);
    report(1, at + 6 * second);
  }
  return at;
}

static void flapping_in_a_window_is_a_state_and_an_alert_afterwards(void **state) {
  (void)state;
  int64_t last = usual_life();
  connectivity(1, last, ONLINE_MESSAGE, 1, false);
  plan(last + 10 * second, last + 1200 * second);
  int64_t at = flap(last + 20 * second, 1, 38);
  assert_string_equal(is(1), "flapping");
  assert_int_equal(raised("flapping"), 0);
  assert_int_equal(find_window(7)->withheld, 2); // and the silence of 2
  flap(at + 60 * second, 39, 2);
  assert_int_equal(raised("flapping"), 1);
  assert_string_equal(is(1), "flapping");
}

static void an_alert_from_before_stays(void **state) {
  (void)state;
  int64_t last = usual_life();
  advance(last + 200 * second);
  assert_int_equal(raised("silent"), 2);
  plan(last + 210 * second, last + hour);
  advance(last + 400 * second);
  assert_int_equal(find_window(7)->withheld, 0);
  assert_true(live(1, "silent"));
  report(1, last + 500 * second);
  assert_false(live(1, "silent"));
}

static void only_what_meets_all_conditions_is_in_it(void **state) {
  (void)state;
  int64_t last = usual_life();
  fleet_find(&fleet, 1)->region = fleet_label(&fleet, "north");
  fleet_find(&fleet, 2)->region = fleet_label(&fleet, "south");
  observe(OBSERVE_FIRMWARE, 1, last + second, 0, 0); // "text"
  int64_t now = last + 2 * second;
  struct feed_window window = {.id = 7, .begins = now, .ends = last + hour, .region = "north", .firmware = "text"};
  read_window(window);
  advance(now);
  assert_true(context_in_maintenance(&context, fleet_find(&fleet, 1)));
  assert_false(context_in_maintenance(&context, fleet_find(&fleet, 2)));
  window.site = "attic";
  read_window(window);
  assert_false(context_in_maintenance(&context, fleet_find(&fleet, 1)));
  read_window((struct feed_window){.id = 7, .begins = now, .ends = last + hour}); // of nothing: no window
  assert_null(find_window(7));
  read_window((struct feed_window){.id = 7, .device = 2, .begins = now, .ends = last + hour});
  assert_true(context_in_maintenance(&context, fleet_find(&fleet, 2)));
  assert_false(context_in_maintenance(&context, fleet_find(&fleet, 0)));
}

static void security_is_never_withheld(void **state) {
  (void)state;
  int64_t last = usual_life();
  plan(last, last + hour);
  observe(OBSERVE_DEAD_LETTER, 1, last + second, VEDETTE__V1__REASON__REASON_IDENTITY, 1);
  assert_true(live(1, "identity mismatch"));
  assert_int_equal(raised("identity mismatch"), 1);
}

static void a_window_that_is_taken_back_withholds_no_longer(void **state) {
  (void)state;
  int64_t last = usual_life();
  plan(last + 10 * second, last + hour);
  advance(last + 200 * second);
  assert_int_equal(raised("silent"), 0);
  maintenance_put(&context, NULL);
  advance(last + 201 * second);
  assert_int_equal(raised("silent"), 2);
}

static void an_end_that_comes_early_counts(void **state) {
  (void)state;
  int64_t last = usual_life();
  plan(last + 10 * second, last + 10 * hour);
  advance(last + 600 * second);
  plan(last + 10 * second, last + 600 * second);
  advance(last + 900 * second);
  assert_true(did_not_return());
}

static void of_two_windows_the_later_end_counts(void **state) {
  (void)state;
  int64_t last = usual_life();
  struct feed_window second_one = {.id = 8, .device = 1, .begins = last + 10 * second, .ends = last + 2 * hour, .reason = "disk"};
  maintenance_put(&context, &second_one);
  plan(last + 10 * second, last + hour);
  advance(last + hour + 200 * second);
  assert_string_equal(sentence_of("did not return"), "1 of 2 devices did not come back from maintenance (new switch): gw.");
  assert_int_equal(find_window(7)->withheld, 2);
  assert_int_equal(find_window(8)->withheld, 1); // from when the older one was over
  advance(last + 2 * hour + 200 * second);
  assert_true(fleet_alert_live(&context, ALERT_DID_NOT_RETURN, "maintenance:8"));
  assert_int_equal(raised("silent"), 0);
}

static void while_we_were_blind_nobody_is_missed(void **state) {
  (void)state;
  int64_t last = usual_life();
  int64_t ends = last + hour;
  plan(last + 10 * second, ends);
  advance(ends - 600 * second);
  seeing = ends + 600 * second; // we come back after the end
  context_advance(&context, seeing, seeing);
  advance(seeing + 60 * second);
  assert_int_equal(raised("did not return"), 0);
  report(1, seeing + 61 * second);
  advance(seeing + 200 * second);
  assert_string_equal(sentence_of("did not return"), "1 of 2 devices did not come back from maintenance (new switch): gw.");
}

// All in memory is lost, but for the states of a checkpoint; the store says what is live.
static void restart(bool listed) {
  struct device *device;
  struct device *next;
  maintenance_forget(&context);
  fleet_alerts_forget(&context);
  context_settle(&context);
  HASH_ITER(hh, fleet.devices, device, next) {
    device->live = device->withheld = 0;
  }
  context_resume(&context);
  maintenance_resume(&context);
  if (listed) {
    fleet_alert_load(&context, ALERT_DID_NOT_RETURN, key);
    maintenance_expect(&context, ALERT_DID_NOT_RETURN, key);
  }
}

static void a_restart_in_a_window_counts_nothing_twice(void **state) {
  (void)state;
  int64_t last = usual_life();
  struct feed_window window = {.id = 7, .model = 1, .begins = last + 10 * second, .ends = last + hour};
  read_window(window);
  advance(last + 600 * second);
  assert_int_equal(find_window(7)->withheld, 2);
  restart(false);
  window.withheld = 2; // its row, as of the checkpoint
  read_window(window);
  advance(last + 700 * second);
  assert_int_equal(find_window(7)->withheld, 2);
  assert_int_equal(context.count, 0);
}

static void a_restart_after_it_still_knows_who_is_missing(void **state) {
  (void)state;
  int64_t last = usual_life();
  int64_t ends = last + hour;
  plan(last + 10 * second, ends);
  advance(ends + 200 * second);
  restart(true);
  advance(ends + 300 * second);
  assert_int_equal(raised("silent") + raised("did not return"), 0);
  report(1, ends + 400 * second);
  advance(ends + 401 * second);
  assert_true(did_not_return());
  fleet_find(&fleet, 2)->active = false; // retired
  maintenance_returned(&context, fleet_find(&fleet, 2));
  advance(ends + 402 * second);
  assert_false(did_not_return());
}

static void a_replay_judges_nothing(void **state) {
  (void)state;
  int64_t last = usual_life();
  int64_t ends = last + hour;
  plan(last + 10 * second, ends);
  advance(ends);
  context.suppressed = true;
  advance(ends + 200 * second);
  assert_false(find_window(7)->judged);
  context.suppressed = false;
  advance(ends + 201 * second);
  assert_int_equal(raised("did not return"), 1);
}

static void more_windows_than_are_taken_are_left_out(void **state) {
  (void)state;
  for (int id = 1; id <= FEED_WINDOWS + 1; id++) {
    maintenance_put(&context, &(struct feed_window){.id = id, .device = 1, .begins = start, .ends = start + hour, .reason = "r"});
  }
  maintenance_put(&context, NULL);
  assert_int_equal(HASH_COUNT(context.maintenance.windows), FEED_WINDOWS);
  assert_null(find_window(FEED_WINDOWS + 1));
  maintenance_put(&context, NULL);
  assert_int_equal(HASH_COUNT(context.maintenance.windows), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(an_absence_in_a_window_is_a_state_and_no_alert),
      TEST(who_does_not_return_is_one_alert),
      TEST(all_who_return_in_time_are_nobodys_business),
      TEST(who_was_silent_long_before_is_told_at_its_end),
      TEST(flapping_in_a_window_is_a_state_and_an_alert_afterwards),
      TEST(an_alert_from_before_stays),
      TEST(only_what_meets_all_conditions_is_in_it),
      TEST(security_is_never_withheld),
      TEST(a_window_that_is_taken_back_withholds_no_longer),
      TEST(an_end_that_comes_early_counts),
      TEST(of_two_windows_the_later_end_counts),
      TEST(while_we_were_blind_nobody_is_missed),
      TEST(a_restart_in_a_window_counts_nothing_twice),
      TEST(a_restart_after_it_still_knows_who_is_missing),
      TEST(a_replay_judges_nothing),
      TEST(more_windows_than_are_taken_are_left_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
