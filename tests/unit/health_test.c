// Monitoring health on made event time: when we are blind, since when, and what is said of it.
#include "stage.h"

#include "analysis/health.h"

static struct health health;

static int setup(void **state) {
  health = (struct health){0};
  return stage_setup(state);
}

// A heartbeat of ingest at `at`, second by second; `sees`: it has its session.
static void beat(int64_t from, int64_t to, bool sees) {
  for (int64_t at = from; at <= to; at += second) {
    seeing = sees ? seeing : at;
    context_advance(&context, at, seeing);
    health_advance(&health, &context, at, seeing);
    health_check(&health, &context, at, NULL, 0);
  }
}

static int blinds(void) {
  int count = 0;
  for (size_t i = 0; i < context.count; i++) {
    count += context.effects[i].kind == EFFECT_BLIND;
  }
  return count;
}

static const struct effect *last_blind(void) {
  size_t at = context.count;
  while (at > 0 && context.effects[at - 1].kind != EFFECT_BLIND) {
    at--;
  }
  assert_true(at > 0);
  return &context.effects[at - 1];
}

static void expect_interval(int64_t began, int64_t ended, const char *away) {
  const struct effect *effect = last_blind();
  assert_int_equal(effect->at, began);
  assert_int_equal(effect->until, ended);
  assert_string_equal(effect->name, away);
}

static void a_broker_that_is_away_is_told_while_it_is(void **state) {
  (void)state;
  beat(start, start + 100 * second, true);
  beat(start + 101 * second, start + 155 * second, false);
  assert_int_equal(raised("blind"), 0);
  expect_interval(start + 100 * second, 0, "broker");
  beat(start + 156 * second, start + 700 * second, false);
  assert_int_equal(raised("blind"), 1);
  seeing = start + 701 * second; // a session again
  beat(start + 702 * second, start + 720 * second, true);
  expect_interval(start + 100 * second, start + 701 * second, "broker");
  beat(start + 721 * second, start + 800 * second, true);
  assert_false(live(0, "blind"));
  assert_int_equal(raised("blind"), 1);
  assert_int_equal(blinds(), 2);
}

static void an_ingest_that_is_away_is_told_by_the_wall_clock(void **state) {
  (void)state;
  beat(start, start + 100 * second, true);
  for (int i = 1; i < 600; i++) { // nothing is committed
    health_check(&health, &context, start + (100 + i) * second, NULL, 0);
  }
  assert_int_equal(raised("blind"), 1);
  expect_interval(start + 100 * second, 0, "ingest");
  seeing = start + 701 * second;
  beat(start + 701 * second + 1, start + 800 * second, true);
  expect_interval(start + 100 * second, start + 701 * second, "ingest");
  assert_false(live(0, "blind"));
  assert_int_equal(raised("blind"), 1);
}

static void a_worker_that_starts_again_quickly_is_no_alert(void **state) {
  (void)state;
  beat(start, start + 100 * second, true);
  seeing = start + 103 * second;
  beat(start + 104 * second, start + 200 * second, true);
  assert_int_equal(blinds(), 0);
  seeing = start + 220 * second; // twenty seconds: a row, and no alert
  beat(start + 221 * second, start + 300 * second, true);
  expect_interval(start + 200 * second, start + 220 * second, "ingest");
  assert_int_equal(raised("blind"), 0);
}

static void a_store_that_was_away_is_one_alert(void **state) {
  (void)state;
  beat(start, start + 100 * second, true);
  for (int i = 1; i <= 600; i++) { // what was journaled comes late, all at once
    int64_t at = start + (100 + i) * second;
    const struct feed_batch batch = {.received_to = at, .committed_at = start + 701 * second};
    health_check(&health, &context, start + 701 * second, &batch, i == 1 ? start + 101 * second : 0);
    context_advance(&context, at, seeing);
    health_advance(&health, &context, at, seeing);
    health_batch(&health, &context, batch.received_to, batch.committed_at);
  }
  assert_int_equal(raised("blind"), 1);
  beat(start + 701 * second, start + 760 * second, true);
  assert_false(live(0, "blind"));
  assert_int_equal(raised("blind"), 1);
  assert_string_equal(last_blind()->name, "store");
  assert_int_equal(last_blind()->at, start + 101 * second);
  assert_true(last_blind()->until > start + 690 * second);
}

static void batches_that_wait_for_analysis_are_told(void **state) {
  (void)state;
  beat(start, start + 100 * second, true);
  const struct feed_batch batch = {.received_to = start + 101 * second, .committed_at = start + 101 * second};
  health_check(&health, &context, start + 900 * second, &batch, 0);
  assert_int_equal(raised("blind"), 1);
  expect_interval(start + 100 * second, 0, "analysis");
  beat(start + 101 * second, start + 900 * second, true);
  assert_false(live(0, "blind"));
}

// After a start the store says what was open, and its alert is cleared though nobody remembers the interval.
static void what_was_open_is_taken_up(void **state) {
  (void)state;
  beat(start, start + 10 * second, true);
  health_resume(&health, start - 100 * second, "broker");
  assert_string_equal(health.away, "broker");
  seeing = start + 11 * second;
  beat(start + 12 * second, start + 100 * second, true);
  expect_interval(start - 100 * second, start + 11 * second, "broker");
  fleet_find(&fleet, 0)->live |= UINT32_C(1) << ALERT_BLIND;
  beat(start + 101 * second, start + 102 * second, true);
  assert_false(live(0, "blind"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, stage_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_broker_that_is_away_is_told_while_it_is),      TEST(an_ingest_that_is_away_is_told_by_the_wall_clock),
      TEST(a_worker_that_starts_again_quickly_is_no_alert), TEST(a_store_that_was_away_is_one_alert),
      TEST(batches_that_wait_for_analysis_are_told),        TEST(what_was_open_is_taken_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
