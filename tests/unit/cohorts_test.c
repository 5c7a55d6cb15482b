// Cohorts and reconnect storms on made event time: one cause is one alert, and it is named.
#include "stage.h"

#include "analysis/cohorts.h"
#include "analysis/fleet_alerts.h"
#include "analysis/storms.h"
#include "storage/feed.h"

enum {
  FIRST = 100,
  SITES = 20,
  A_SITE = 20,
  MANY = SITES * A_SITE
}; // four hundred devices, of two regions, two models, three firmwares

static int setup(void **state) {
  char name[32], site[32], version[32];
  stage_setup(state);
  context.cohorts = cohorts_new();
  context.storms = storms_new();
  assert_non_null(context.cohorts);
  assert_non_null(context.storms);
  for (int i = 0; i < MANY; i++) {
    snprintf(name, sizeof name, "d-%d", i);
    snprintf(site, sizeof site, "site-%d", i / A_SITE);
    snprintf(version, sizeof version, "1.%d", i % 3);
    struct device *device = fleet_put(&fleet, &(struct device_facts){.id = FIRST + i,
                                                                     .credential = name,
                                                                     .model = 1 + i % 2,
                                                                     .region = i < MANY / 2 ? "north" : "south",
                                                                     .site = site,
                                                                     .active = true});
    assert_non_null(device);
    device->firmware = fleet_label(&fleet, version);
    device->model->name = fleet_label(&fleet, i % 2 ? "odd" : "even");
    connectivity_set(&context, device, "online", start, "test");
  }
  context_settle(&context);
  advance(start);
  return 0;
}

static int teardown(void **state) {
  cohorts_free(context.cohorts);
  storms_free(context.storms);
  return stage_teardown(state);
}

static struct device *at_place(int i) {
  return fleet_find(&fleet, FIRST + i);
}

static void goes(int i, int64_t at) {
  advance(at);
  connectivity_set(&context, at_place(i), "silent", at, "test");
}

static void comes(int i, int64_t at) {
  advance(at);
  connectivity_set(&context, at_place(i), "online", at, "test");
}

static const char *sentence_of(const char *kind) {
  for (size_t i = 0; i < context.count; i++) {
    if (context.effects[i].kind == EFFECT_RAISE && strcmp(context.effects[i].name, kind) == 0) {
      return context.effects[i].sentence;
    }
  }
  return "";
}

static void a_site_that_goes_is_one_alert(void **state) {
  (void)state;
  int64_t at = start + 100 * second;
  for (int i = 0; i < A_SITE; i++) {
    goes(3 * A_SITE + i, at + i * second);
  }
  assert_int_equal(raised("cohort silent"), 0); // it is gathered first
  advance(at + 120 * second);
  assert_int_equal(raised("cohort silent"), 1);
  assert_true(fleet_alert_live(&context, ALERT_COHORT_SILENT, "site:site-3"));
  for (int i = 0; i < A_SITE; i++) {
    comes(3 * A_SITE + i, at + (200 + i) * second);
  }
  advance(at + 230 * second);
  assert_false(fleet_alert_live(&context, ALERT_COHORT_SILENT, "site:site-3"));
}

static void a_site_that_is_worked_on_is_no_alert(void **state) {
  (void)state;
  int64_t at = start + 100 * second;
  struct feed_window window = {
      .id = 1, .site = "site-3", .begins = at - second, .ends = at + 60 * second, .reason = "new switch"};
  maintenance_put(&context, &window);
  maintenance_put(&context, NULL);
  for (int i = 0; i < A_SITE; i++) {
    goes(3 * A_SITE + i, at + i * second);
  }
  for (int i = 0; i < A_SITE; i++) {
    comes(3 * A_SITE + i, at + 30 * second);
  }
  advance(at + 300 * second);
  assert_int_equal(raised("cohort silent"), 0);
  for (int i = 0; i < A_SITE; i++) { // and once it is not any more
    goes(3 * A_SITE + i, at + (300 + i) * second);
  }
  advance(at + 500 * second);
  assert_true(fleet_alert_live(&context, ALERT_COHORT_SILENT, "site:site-3"));
}

static void a_region_is_named_and_not_its_sites(void **state) {
  (void)state;
  int64_t at = start + 100 * second;
  for (int i = 0; i < MANY / 2; i++) {
    if (i % 20 != 7) { // a few go on
      goes(i, at + i * second / 5);
    }
  }
  goes(MANY - 1, at + 45 * second); // and some others go too
  goes(MANY - 50, at + 46 * second);
  advance(at + 200 * second);
  assert_int_equal(raised("cohort silent"), 1);
  assert_true(fleet_alert_live(&context, ALERT_COHORT_SILENT, "region:north"));
  assert_non_null(strstr(sentence_of("cohort silent"), "region north"));
}

static void two_causes_are_two_alerts(void **state) {
  (void)state;
  int64_t at = start + 100 * second;
  for (int i = 0; i < MANY / 2; i++) {
    goes(i, at + i * second / 10);
  }
  for (int i = MANY / 2; i < MANY; i++) {
    if (i % 3 == 1) { // a firmware, in the rest
      goes(i, at + 20 * second + i * second / 20);
    }
  }
  advance(at + 200 * second);
  assert_true(fleet_alert_live(&context, ALERT_COHORT_SILENT, "region:north"));
  assert_int_equal(raised("cohort silent"), 2);
}

static void usual_churn_is_no_alert(void **state) {
  (void)state;
  int64_t at = start + 100 * second;
  for (int i = 0; i < 200; i++) { // one each ten minutes, here and there, for a day and a half
    goes(i * 7919 % MANY, at + i * 600 * second);
    comes(i * 7919 % MANY, at + (i * 600 + 300) * second);
  }
  assert_int_equal(raised("cohort silent"), 0);
}

static void a_holiday_is_no_alert(void **state) {
  (void)state;
  int64_t at = start + 100 * second;
  for (int i = 0; i < MANY / 4; i++) { // a quarter of all within two days
    goes(i * 4, at + i * 1700 * second);
  }
  assert_int_equal(raised("cohort silent"), 0);
}

// --- storms

static void births(int from, int to, int64_t at, int64_t apart, bool absent) {
  for (int i = from; i < to; i++) {
    advance(at + (i - from) * apart);
    storms_birth(context.storms, at_place(i), at + (i - from) * apart, absent);
  }
}

static void learn_usual(void) {
  for (int i = 0; i < 30; i++) {
    births(i, i + 1, start + i * 60 * second, 0, false);
  }
}

static void expect_storm(int64_t at, const char *key) {
  advance(at);
  assert_int_equal(raised("reconnect storm"), 1);
  assert_true(fleet_alert_live(&context, ALERT_RECONNECT_STORM, key));
  advance(at + 400 * second);
  assert_false(fleet_alert_live(&context, ALERT_RECONNECT_STORM, key));
}

static void a_restart_of_the_broker_is_told_from_the_rest(void **state) {
  (void)state;
  learn_usual();
  int64_t at = start + 2000 * second;
  advance(at);
  seeing = at + 20 * second;
  births(0, MANY, at + 21 * second, second / 10, false);
  expect_storm(at + 150 * second, "broker");
}

static void a_return_names_where_from(void **state) {
  (void)state;
  learn_usual();
  int64_t at = start + 2000 * second;
  births(0, MANY / 2, at, second / 5, true);
  advance(at + 150 * second);
  assert_non_null(strstr(sentence_of("reconnect storm"), "region north"));
  expect_storm(at + 151 * second, "return");
}

static void the_same_devices_again_and_again(void **state) {
  (void)state;
  learn_usual();
  int64_t at = start + 2000 * second;
  for (int round = 0; round < 40; round++) {
    births(0, 10, at + round * 2 * second, second / 20, false);
  }
  expect_storm(at + 150 * second, "repeated");
}

static void what_nothing_explains_may_be_an_attack(void **state) {
  (void)state;
  learn_usual();
  int64_t at = start + 2000 * second;
  for (int i = 0; i < MANY; i += 3) {
    births(i, i + 1, at + i * second / 10, 0, false);
  }
  expect_storm(at + 150 * second, "unexplained");
}

static void firmware_without_jitter_is_named(void **state) {
  (void)state;
  learn_usual();
  int64_t at = start + 2000 * second;
  advance(at);
  seeing = at + 20 * second;
  for (int tick = 0; tick < 40; tick++) { // all of 1.0 after five seconds, the others within forty
    for (int i = 0; i < MANY; i++) {
      if (i % 3 == 0 ? tick == 5 : i % 40 == tick) {
        births(i, i + 1, at + (21 + tick) * second, 0, false);
      }
    }
  }
  advance(at + 150 * second);
  assert_non_null(strstr(sentence_of("reconnect storm"), "Without jitter came firmware 1.0"));
  assert_null(strstr(sentence_of("reconnect storm"), "1.1"));
}

static void usual_connecting_is_no_storm(void **state) {
  (void)state;
  for (int i = 0; i < 3000; i++) {
    births(i % MANY, i % MANY + 1, start + i * 20 * second, 0, false);
  }
  assert_int_equal(raised("reconnect storm"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_site_that_goes_is_one_alert),
      TEST(a_site_that_is_worked_on_is_no_alert),
      TEST(a_region_is_named_and_not_its_sites),
      TEST(two_causes_are_two_alerts),
      TEST(usual_churn_is_no_alert),
      TEST(a_holiday_is_no_alert),
      TEST(a_restart_of_the_broker_is_told_from_the_rest),
      TEST(a_return_names_where_from),
      TEST(the_same_devices_again_and_again),
      TEST(what_nothing_explains_may_be_an_attack),
      TEST(firmware_without_jitter_is_named),
      TEST(usual_connecting_is_no_storm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
