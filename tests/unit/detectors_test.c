// Detectors of traffic and security on made event time: no store, no clock.
#include "stage.h"

#include "analysis/fleet_alerts.h"
#include "analysis/group.h"

static void a_flood_is_found_quickly_and_cleared(void **state) {
  (void)state;
  int64_t last = steady(1, start, 5, 24); // two minutes
  assert_false(live(1, "message rate"));
  last = steady(1, last + second, 0.25, 80); // twenty times as fast for 20 s
  assert_true(live(1, "message rate"));
  assert_int_equal(raised("message rate"), 1);
  assert_false(live(1, "message volume")); // one cause, one alert
  last = steady(1, last + 5 * second, 5, 12);
  assert_false(live(1, "message rate"));
}

static void a_usual_rate_raises_nothing_for_a_day(void **state) {
  (void)state;
  srand(7);
  int64_t at = start;
  while (at < start + 86400 * second) {
    report(1, at);
    at += 4 * second + rand() % (2 * second);
  }
  assert_int_equal(context.count, 1); // online
}

static void a_new_normal_is_learned(void **state) {
  (void)state;
  int64_t last = steady(1, start, 5, 100);
  last = steady(1, last, 0.2, 5 * 6000);
  assert_false(live(1, "message rate"));
  assert_int_equal(raised("message rate"), 1);
}

static void large_messages_are_found(void **state) {
  (void)state;
  int64_t at = steady(1, start, 5, 24);
  for (int i = 0; i < 8; i++) {
    struct observation o = {
        .kind = OBSERVE_REPORT, .device = 1, .publisher = 1, .time = at, .received = at, .boot = 1, .sequence = 1, .size = 30000};
    at += 5 * second;
    o.received = o.time = at;
    advance(at);
    context_observe(&context, &o);
  }
  assert_true(live(1, "message volume"));
  assert_false(live(1, "message rate"));
}

static void a_backlog_after_blindness_is_no_flood(void **state) {
  (void)state;
  int64_t last = steady(1, start, 5, 100);
  seeing = last + 300 * second;
  for (int i = 0; i < 60; i++) { // what waited at the broker arrives at once
    struct observation o = {.kind = OBSERVE_REPORT,
                            .device = 1,
                            .publisher = 1,
                            .time = last + i * 5 * second,
                            .received = seeing + i * 1000,
                            .boot = 1,
                            .sequence = i,
                            .size = 100};
    context_observe(&context, &o);
  }
  advance(seeing + 30 * second);
  assert_false(live(1, "message rate"));
}

static void security_signs_raise_and_clear(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    observe(OBSERVE_DEAD_LETTER, 1, start + i * second, VEDETTE__V1__REASON__REASON_MALFORMED, 1);
  }
  assert_false(live(1, "malformed burst"));
  observe(OBSERVE_DEAD_LETTER, 1, start + 4 * second, VEDETTE__V1__REASON__REASON_VALUE, 1);
  assert_true(live(1, "malformed burst"));
  observe(OBSERVE_DEAD_LETTER, 1, start + 5 * second, VEDETTE__V1__REASON__REASON_IDENTITY, 1);
  assert_true(live(1, "identity mismatch"));
  observe(OBSERVE_EVENT, 2, start + 6 * second, VEDETTE__V1__EVENT_KIND__EVENT_KIND_LOGIN_FAILED, 4);
  assert_false(live(2, "login failures"));
  observe(OBSERVE_EVENT, 2, start + 7 * second, VEDETTE__V1__EVENT_KIND__EVENT_KIND_LOGIN_FAILED, 1);
  assert_true(live(2, "login failures"));
  observe(OBSERVE_UNKEPT, 2, start + 7 * second, VEDETTE__V1__REASON__REASON_SHED, 900);
  assert_true(live(2, "messages shed"));
  advance(start + 700 * second);
  assert_false(live(1, "malformed burst"));
  assert_false(live(1, "identity mismatch"));
  assert_false(live(2, "login failures"));
  assert_false(live(2, "messages shed"));
}

// Past the dead letters that are kept a device's rejected messages are only counted: the burst goes on all the same.
static void rejected_messages_that_are_only_counted_count(void **state) {
  (void)state;
  observe(OBSERVE_DEAD_LETTER, 1, start, VEDETTE__V1__REASON__REASON_MALFORMED, 1);
  observe(OBSERVE_UNKEPT, 1, start + second, VEDETTE__V1__REASON__REASON_MALFORMED, 4);
  assert_true(live(1, "malformed burst"));
}

// Dead letters that an operator replays, and that are rejected again, are no present attack.
static void what_a_replay_brings_is_no_sign(void **state) {
  static const int codes[] = {VEDETTE__V1__REASON__REASON_MALFORMED, VEDETTE__V1__REASON__REASON_IDENTITY};
  (void)state;
  for (int i = 0; i < 40; i++) {
    struct observation o = {.kind = OBSERVE_DEAD_LETTER,
                            .device = 1,
                            .publisher = 1,
                            .time = start,
                            .received = start,
                            .code = codes[i % 2],
                            .count = 1,
                            .marks = 1};
    context_observe(&context, &o);
  }
  assert_false(live(1, "malformed burst"));
  assert_false(live(1, "identity mismatch"));
}

static void single_bad_messages_far_apart_are_no_burst(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) {
    observe(OBSERVE_DEAD_LETTER, 1, start + i * 120 * second, VEDETTE__V1__REASON__REASON_MALFORMED, 1);
  }
  assert_false(live(1, "malformed burst"));
}

static void firmware(int32_t device, int64_t at, uint8_t fill) {
  struct observation o = {
      .kind = OBSERVE_FIRMWARE, .device = device, .publisher = device, .time = at, .received = at, .hashed = true};
  memset(o.hash, fill, sizeof o.hash);
  snprintf(o.text, sizeof o.text, "2.0");
  advance(at);
  context_observe(&context, &o);
}

static void only_models_with_a_release_list_are_judged(void **state) {
  uint8_t hash[FIRMWARE_HASH];
  (void)state;
  firmware(1, start, 7);
  assert_false(live(1, "firmware not released"));
  memset(hash, 8, sizeof hash);
  assert_true(fleet_add_release(&fleet, 1, hash));
  firmware(1, start + second, 7);
  assert_true(live(1, "firmware not released"));
  memset(hash, 7, sizeof hash);
  assert_true(fleet_add_release(&fleet, 1, hash)); // it becomes a release
  advance(start + 5 * second);
  assert_false(live(1, "firmware not released"));
}

static void every_alert_explains_itself(void **state) {
  (void)state;
  fleet_find(&fleet, 1)->critical = true;
  int64_t last = steady(1, start, 5, 24);
  steady(1, last + second, 0.25, 80);
  observe(OBSERVE_DEAD_LETTER, 1, last + 60 * second, VEDETTE__V1__REASON__REASON_IDENTITY, 1);
  advance(last + 600 * second);
  int alerts = 0;
  for (size_t i = 0; i < context.count; i++) {
    if (context.effects[i].kind != EFFECT_RAISE) {
      continue;
    }
    alerts++;
    json_t *explanation = json_loads(context.effects[i].explanation, 0, NULL);
    static const char *const parts[] = {"observed", "expected", "baseline", "reports", "clears_when"};
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
      assert_non_null(json_object_get(explanation, parts[p]));
    }
    json_decref(explanation);
    assert_true(strlen(context.effects[i].sentence) > 20);
  }
  assert_true(alerts >= 3);
}

static void the_same_observations_give_the_same_effects(void **state) {
  char *sentences[64];
  size_t count = 0;
  (void)state;
  for (int round = 0; round < 2; round++) {
    int64_t last = steady(1, start, 5, 24);
    steady(1, last + second, 0.25, 80);
    advance(last + 600 * second);
    for (size_t i = 0; round == 0 && i < context.count; i++) {
      sentences[count++] = strdup(context.effects[i].sentence);
    }
    for (size_t i = 0; round == 1 && i < context.count; i++) {
      assert_string_equal(context.effects[i].sentence, sentences[i]);
    }
    if (round == 0) {
      stage_teardown(NULL);
      stage_setup(NULL);
    }
  }
  assert_int_equal(context.count, count);
  while (count > 0) {
    free(sentences[--count]);
  }
}

static void storm(const char *key, int64_t at) {
  fleet_alert_raise(&context, ALERT_RECONNECT_STORM, key, SEVERITY_WARNING, at, (struct explanation){.clears_when = "it is over"},
                    "Of %s all came at once.", key);
}

static void the_system_has_alerts_of_one_kind_by_key(void **state) {
  (void)state;
  storm("region:north", start);
  storm("region:south", start);
  storm("region:north", start + second); // it is live
  assert_int_equal(raised("reconnect storm"), 2);
  fleet_alert_clear(&context, ALERT_RECONNECT_STORM, "region:north", start + 2 * second, "calm");
  fleet_alert_clear(&context, ALERT_RECONNECT_STORM, "region:north", start + 3 * second, "calm"); // it is not
  assert_int_equal(context.count, 3);
  assert_string_equal(context.effects[2].key, "region:north");
  assert_int_equal(context.effects[2].device, 0);
  assert_false(fleet_alert_live(&context, ALERT_RECONNECT_STORM, "region:north"));
  fleet_alert_load(&context, ALERT_RECONNECT_STORM, "region:west"); // as after a start
  storm("region:west", start + 4 * second);
  assert_int_equal(context.count, 3);
  assert_true(fleet_alert_live(&context, ALERT_RECONNECT_STORM, "region:west"));
}

// In replay what was refused is asked for again from the last batch on: none may be taken in its place.
static void a_full_group_takes_no_later_batch(void **state) {
  static struct group group;
  (void)state;
  assert_true(group_add(&group, &(struct feed_batch){.step = 1, .rows = GROUP_ROWS - 100}));
  assert_false(group_add(&group, &(struct feed_batch){.step = 2, .rows = 200}));
  assert_false(group_add(&group, &(struct feed_batch){.step = 3, .rows = 50}));
  group_reset(&group);
  assert_true(group_add(&group, &(struct feed_batch){.step = 2, .rows = 2 * GROUP_ROWS})); // alone it always fits
  group_free(&group);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_flood_is_found_quickly_and_cleared),
      TEST(a_usual_rate_raises_nothing_for_a_day),
      TEST(a_new_normal_is_learned),
      TEST(large_messages_are_found),
      TEST(a_backlog_after_blindness_is_no_flood),
      TEST(security_signs_raise_and_clear),
      TEST(what_a_replay_brings_is_no_sign),
      TEST(single_bad_messages_far_apart_are_no_burst),
      TEST(rejected_messages_that_are_only_counted_count),
      TEST(only_models_with_a_release_list_are_judged),
      TEST(every_alert_explains_itself),
      TEST(the_same_observations_give_the_same_effects),
      TEST(the_system_has_alerts_of_one_kind_by_key),
      TEST(a_full_group_takes_no_later_batch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
