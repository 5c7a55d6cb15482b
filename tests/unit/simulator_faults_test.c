// What faults do to a device's clock, pace, radio, reconnecting and values. The device is made by hand and never connects.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simulator/sim.h"

static struct options options = {.cadence = 5, .devices = 10, .backoff_least = 0.5, .backoff_most = 10};
static struct sim sim = {.options = &options, .random = {1}};
static struct member member = {.seed = 1, .credential = "sim-00001"};
static struct fault fault;
static struct fault_run run;
static struct device device;

// A device on which one fault is on since now.
static struct fault_parameters *on(enum fault_kind kind) {
  fault = (struct fault){.name = "x", .kind = kind, .duration = -1};
  run = (struct fault_run){.sim = &sim,
                           .device = &device,
                           .fault = &fault,
                           .started = sim_time(),
                           .began = sim_monotonic(),
                           .level = NAN,
                           .random = {7}};
  device = (struct device){.sim = &sim, .member = &member, .backoff = 0.5, .active = {&run}, .active_count = 1};
  return &fault.with;
}

static void clocks_drift(void **state) {
  (void)state;
  on(FAULT_CLOCK)->drift = 100000;
  run.started = sim_time() - 10000000;
  int64_t ahead = device_clock(&device) - sim_time();
  assert_in_range(ahead, 990000, 1010000); // 10 s at one tenth too fast
  fault.with.drift = -100000;
  assert_in_range(sim_time() - device_clock(&device), 990000, 1010000);
}

static void pace_changes_the_interval(void **state) {
  (void)state;
  on(FAULT_PACE)->factor = 0.5;
  assert_true(habits_interval(&device) == 10);
  options.rate = 4; // the load generator: 10 devices, 4 reports a second
  assert_true(habits_interval(&device) == 5);
  device.active_count = 0;
  assert_true(habits_interval(&device) < 0);
  options.rate = 0;
  assert_true(habits_interval(&device) == 5);
}

static void rejoins_without_jitter(void **state) {
  (void)state;
  on(FAULT_REJOIN)->after = 5;
  for (int i = 0; i < 10; i++) {
    assert_true(habits_retry_wait(&device) == 5);
  }
  fault.with.jitter = true;
  double wait = habits_retry_wait(&device);
  assert_true(wait >= 2.5 && wait < 7.5 && wait != 5);
  assert_true(device.backoff == 0.5);
  device.active_count = 0;
  wait = habits_retry_wait(&device);
  assert_true(wait >= 0.25 && wait < 0.75 && device.backoff == 1);
}

static void check_loss(double share, double burst) {
  enum { REPORTS = 200000 };
  struct fault_parameters *with = on(FAULT_LOSS);
  with->share = share;
  with->burst = burst;
  unsigned lost = 0;
  unsigned bursts = 0;
  bool before = false;
  for (int i = 0; i < REPORTS; i++) {
    bool now = habits_lose_report(&device);
    lost += now;
    bursts += now && !before;
    before = now;
  }
  assert_true(fabs((double)lost / REPORTS / share - 1) < 0.06);
  assert_true(fabs((double)lost / bursts / burst - 1) < 0.06);
}

static void loses_a_share_in_bursts(void **state) {
  (void)state;
  check_loss(0.1, 1);
  check_loss(0.5, 1);
  check_loss(0.2, 4);
  check_loss(0.75, 8);
  device.active_count = 0;
  assert_false(habits_lose_report(&device));
}

static void compose(struct draft *draft, double temperature, int64_t queue, double battery) {
  draft_begin(draft, 1, 1, 1);
  draft_sample(draft, "temperature", &(struct value){.type = VALUE_NUMBER, .number = temperature});
  draft_sample(draft, "queue", &(struct value){.type = VALUE_INTEGER, .integer = queue});
  draft_sample(draft, "battery", &(struct value){.type = VALUE_NUMBER, .number = battery});
  draft_sample(draft, "mode", &(struct value){.type = VALUE_TEXT, .text = "eco"});
}

static double number(const struct draft *draft, size_t index) {
  struct value value = {0};
  const char *metric = NULL;
  assert_true(draft_value(draft, index, &metric, &value));
  return value.type == VALUE_INTEGER ? (double)value.integer : value.number;
}

static void frozen_values_repeat(void **state) {
  (void)state;
  struct draft *draft = draft_new();
  on(FAULT_FROZEN);
  compose(draft, 20, 3, 50);
  shape_values(&device, draft);
  compose(draft, 21, 4, 49);
  draft_sample(draft, "late", &(struct value){.type = VALUE_FLAG, .flag = true}); // seen for the first time: held from now on
  shape_values(&device, draft);
  assert_true(number(draft, 0) == 20 && number(draft, 1) == 3 && number(draft, 2) == 50);
  draft_begin(draft, 1, 3, 1); // in another order, and fewer
  draft_sample(draft, "late", &(struct value){.type = VALUE_FLAG, .flag = false});
  draft_sample(draft, "queue", &(struct value){.type = VALUE_INTEGER, .integer = 9});
  shape_values(&device, draft);
  struct value value = {0};
  const char *metric = NULL;
  assert_true(draft_value(draft, 0, &metric, &value) && value.flag);
  assert_true(number(draft, 1) == 3);
  shape_values_forget(&run);
  fault.with.metric = (char[]){"queue"};
  compose(draft, 22, 5, 48);
  shape_values(&device, draft);
  compose(draft, 23, 6, 47);
  shape_values(&device, draft);
  assert_true(number(draft, 0) == 23 && number(draft, 1) == 5 && number(draft, 2) == 47);
  shape_values_forget(&run);
  draft_free(draft);
}

static void frozen_is_bounded(void **state) {
  (void)state;
  struct draft *draft = draft_new();
  on(FAULT_FROZEN);
  for (int turn = 0; turn < 3; turn++) {
    draft_begin(draft, 1, 1, 1);
    for (int i = 0; i < 1000; i++) {
      char name[32];
      snprintf(name, sizeof name, "turn-%d/%d", turn, i);
      draft_sample(draft, name, &(struct value){.type = VALUE_NUMBER, .number = i});
    }
    shape_values(&device, draft);
    assert_true(run.held_count <= DRAFT_SAMPLES);
  }
  shape_values_forget(&run);
  draft_free(draft);
}

static void batteries_drain(void **state) {
  (void)state;
  struct draft *draft = draft_new();
  on(FAULT_DRAIN)->rate = 10;
  compose(draft, 20, 3, 50);
  shape_values(&device, draft);
  assert_true(number(draft, 2) == 50);
  run.began -= 3600;
  compose(draft, 20, 3, 90); // what it would be otherwise does not matter
  shape_values(&device, draft);
  assert_true(number(draft, 2) == 40 && number(draft, 0) == 20);
  run.began -= 36000;
  compose(draft, 20, 3, 90);
  shape_values(&device, draft);
  assert_true(number(draft, 2) == 0);
  draft_begin(draft, 1, 1, 1); // a report without it
  shape_values(&device, draft);
  assert_int_equal(draft_samples(draft), 0);
  draft_free(draft);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(clocks_drift),           cmocka_unit_test(pace_changes_the_interval),
      cmocka_unit_test(rejoins_without_jitter), cmocka_unit_test(loses_a_share_in_bursts),
      cmocka_unit_test(frozen_values_repeat),   cmocka_unit_test(frozen_is_bounded),
      cmocka_unit_test(batteries_drain),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
