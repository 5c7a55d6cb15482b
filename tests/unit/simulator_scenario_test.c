// The scenario language: what it accepts, what it refuses and how it says so, and which devices it chooses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "simulator/fleet.h"
#include "simulator/plan.h"
#include "simulator/scenario.h"

static char file[64];
static char error[512];

static struct scenario *load(const char *text) {
  snprintf(file, sizeof file, "/tmp/vedette-scenario-XXXXXX");
  int descriptor = mkstemp(file);
  assert_true(descriptor >= 0);
  assert_int_equal(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
  assert_int_equal(close(descriptor), 0);
  struct scenario *scenario = scenario_load(file, error, sizeof error);
  assert_int_equal(unlink(file), 0);
  return scenario;
}

static void reads_wear_and_loss(void **state) {
  (void)state;
  struct scenario *scenario =
      load("version: 1\ndefaults: {start: 1, devices: {share: 1, firmware: 1.9.2}}\nfaults:\n"
           "- {name: a, kind: unplug, how: goodbye, nights: true, duration: 20, period: 60, expect: link lost}\n"
           "- {name: b, kind: loss, share: 0.6, burst: 3}\n- {name: c, kind: flap, every: 5, down: 0.5, expect: none}\n"
           "- {name: d, kind: clock, drift: -200}\n- {name: e, kind: drain}\n- {name: f, kind: rejoin}\n"
           "- {name: g, kind: pace, factor: 0.5, announce: true}\n- {name: h, kind: frozen, metric: door_open}\n");
  assert_non_null(scenario);
  const struct fault *faults = scenario->faults;
  assert_true(faults[0].with.how == UNPLUG_GOODBYE && faults[0].with.nights && faults[0].with.period == 60);
  assert_string_equal(faults[0].expect, "link lost");
  assert_string_equal(faults[0].devices.firmware, "1.9.2");
  assert_true(faults[1].with.share == 0.6 && faults[1].with.burst == 3 && faults[1].expect == NULL);
  assert_true(faults[2].with.interval == 5 && faults[2].with.down == 0.5);
  assert_true(faults[3].with.drift == -200 && faults[3].with.offset == 0);
  assert_true(faults[4].with.rate == 10);
  assert_true(faults[5].with.after == 5 && !faults[5].with.jitter);
  assert_true(faults[6].with.factor == 0.5 && faults[6].with.announce);
  assert_string_equal(faults[7].with.metric, "door_open");
  scenario_free(scenario);
}

static void accepts_every_kind_with_defaults(void **state) {
  (void)state;
  char text[256];
  for (int kind = 0; kind < FAULT_KINDS; kind++) {
    const char *more = kind == FAULT_CLOCK ? "offset: -5" : kind == FAULT_VALUE ? "metric: queue\n    offset: 1" : "";
    snprintf(text, sizeof text, "version: 1\nfaults:\n  - name: x\n    kind: %s\n    devices: 1\n    start: 3\n    %s\n",
             fault_kind_name((enum fault_kind)kind), more);
    struct scenario *scenario = load(text);
    if (scenario == NULL) {
      fail_msg("%s", error);
      return;
    }
    assert_int_equal(scenario->faults[0].kind, kind);
    assert_true(scenario->faults[0].duration < 0);
    scenario_free(scenario);
  }
}

static void reads_fields(void **state) {
  (void)state;
  struct scenario *scenario =
      load("version: 1\nfrom: start\ndefaults: {duration: 7.5, devices: [4]}\nfaults:\n"
           "- {name: a, kind: flood, start: 1, rate: 50, spread: 2}\n"
           "- {name: b, kind: malformed, start: 2, how: oversized, duration: 1, instead: yes,\n"
           "   devices: {share: 0.25, model: meter-a}}\n"
           "- {name: c, kind: firmware, start: 0, known: true, version: 9.9, reboot: false, devices: [sim-1, 2]}\n");
  assert_non_null(scenario);
  assert_true(scenario->from_start);
  assert_int_equal(scenario->fault_count, 3);
  const struct fault *faults = scenario->faults;
  assert_true(faults[0].with.rate == 50 && faults[0].with.factor == 0 && faults[0].duration == 7.5 && faults[0].spread == 2);
  assert_int_equal(faults[0].devices.by, SELECT_NAMES);
  assert_string_equal(faults[0].devices.names[0], "4");
  assert_int_equal(faults[1].with.how, MALFORMED_OVERSIZED);
  assert_int_equal(faults[1].with.bytes, 70000);
  assert_true(faults[1].with.instead && faults[1].devices.by == SELECT_SHARE && faults[1].devices.share == 0.25);
  assert_string_equal(faults[1].devices.model, "meter-a");
  assert_true(faults[2].with.known && !faults[2].with.reboot);
  assert_string_equal(faults[2].with.version, "9.9");
  assert_int_equal(faults[2].devices.name_count, 2);
  scenario_free(scenario);
}

struct bad {
  const char *text;
  const char *where; // has to be in the error
  const char *what;
};

#define HEAD "version: 1\nfaults:\n- name: x\n  kind: "
#define REST "\n  devices: 1\n  start: 1\n"

static const struct bad bad_files[] = {
    {"", ":1:", "empty"},
    {"faults: []\n", ":1:", "`version`: is missing"},
    {"version: 2\nfaults: []\n", ":1:", "from 1 to 1"},
    {"version: 1\n", ":1:", "`faults`"},
    {"version: 1\nfaults: []\nspeed: 3\n", ":3:", "`speed`: is no field"},
    {"version: 1\nfaults: [\n", ":", "not YAML"},
    {"version: 1\nfrom: monday\nfaults: []\n", ":2:", "connected"},
    {"version: 1\nfaults:\n- kind: silence\n", ":3:", "`name`: is missing"},
    {HEAD "tornado" REST, ":4:", "silence, crash"},
    {HEAD "silence\n  devices: 1\n", ":3:", "`start`: is missing"},
    {HEAD "silence\n  start: 1\n", ":3:", "`devices`: is missing"},
    {HEAD "silence" REST "  factor: 2\n", ":7:", "`factor`: is no field of a fault of kind `silence`"},
    {HEAD "silence" REST "  start: 2\n", ":7:", "there twice"},
    {HEAD "flood" REST "  factor: much\n", ":7:", "a number from"},
    {HEAD "flood" REST "  factor: 3\n  rate: 2\n", ":3:", "not both"},
    {HEAD "malformed" REST "  count: 1.5\n", ":7:", "whole number"},
    {HEAD "malformed" REST "  how: pretty\n", ":7:", "random, truncated, oversized"},
    {HEAD "crash" REST "  reboot: perhaps\n", ":7:", "true or false"},
    {HEAD "clock" REST, ":3:", "exactly one"},
    {HEAD "clock" REST "  offset: 3\n  unset: true\n", ":3:", "exactly one"},
    {HEAD "clock" REST "  offset: 3\n  drift: 20\n", ":3:", "exactly one"},
    {HEAD "clock" REST "  drift: 1e6\n", ":7:", "`drift`: has to be a number from -500000 to 500000"},
    {HEAD "unplug" REST "  how: gently\n", ":7:", "power, goodbye"},
    {HEAD "unplug" REST "  nights: true\n", ":3:", "`duration`: has to be given"},
    {HEAD "unplug" REST "  nights: true\n  period: 60\n  duration: 60\n", ":3:", "below the `period` of 60 s"},
    {HEAD "unplug" REST "  period: 60\n", ":3:", "`period`: needs `nights: true`"},
    {HEAD "loss" REST "  share: 1\n", ":7:", "`share`"},
    {HEAD "loss" REST "  burst: 0.5\n", ":7:", "`burst`"},
    {HEAD "loss" REST "  share: 0.6\n", ":3:", "`share`: can be 0.5 at most"},
    {HEAD "flap" REST "  every: 1\n", ":3:", "`down`: has to be below `every`"},
    {HEAD "pace" REST "  factor: 0.001\n", ":7:", "from 0.01 to 100"},
    {HEAD "pace" REST "  announce: loudly\n", ":7:", "true or false"},
    {HEAD "drain" REST "  rate: -1\n", ":7:", "`rate`"},
    {HEAD "rejoin" REST "  after: 0\n", ":7:", "`after`"},
    {HEAD "frozen" REST "  metric: BAD\n", ":3:", "`metric`"},
    {HEAD "silence" REST "  expect: Link!\n", ":7:", "`expect`: has to be a kind of alert"},
    {HEAD "silence" REST "  expect: []\n", ":7:", "`expect`"},
    {HEAD "silence\n  start: 1\n  devices: {firmware: []}\n", ":6:", "`firmware`"},
    {HEAD "value" REST "  offset: 3\n", ":3:", "`metric`"},
    {HEAD "value" REST "  metric: BAD\n  offset: 3\n", ":3:", "`metric`"},
    {HEAD "login_failures" REST "  source: here\n", ":3:", "not an IPv4"},
    {HEAD "silence\n  start: 1\n  devices: []\n", ":6:", "empty"},
    {HEAD "silence\n  start: 1\n  devices: {count: 1, share: 0.1}\n", ":6:", "only one of"},
    {HEAD "silence\n  start: 1\n  devices: {colour: red}\n", ":6:", "`colour`"},
    {HEAD "silence\n  start: -1\n  devices: 1\n", ":5:", "`start`"},
    {HEAD "silence" REST "- name: x\n  kind: crash" REST, ":7:", "another fault (line 3)"},
};

static void refuses_with_line_and_field(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
    const struct bad *bad = &bad_files[i];
    struct scenario *scenario = load(bad->text);
    if (scenario != NULL || strstr(error, bad->what) == NULL || strstr(error, bad->where) == NULL ||
        strstr(error, file) == NULL) {
      scenario_free(scenario);
      fail_msg("case %zu: expected `%s` and `%s` in: %s", i, bad->where, bad->what, error);
    }
  }
}

static void refuses_missing_file(void **state) {
  (void)state;
  assert_null(scenario_load("/nonexistent/x.yaml", error, sizeof error));
  assert_non_null(strstr(error, "/nonexistent/x.yaml"));
}

static struct fleet *fleet_of(uint32_t devices) {
  const char *const recorded[] = {"rec-one"};
  struct fleet_settings settings = {.devices = devices, .prefix = "sim-", .seed = 1, .recorded = recorded, .recorded_count = 1};
  struct fleet *fleet = fleet_new(&settings);
  assert_non_null(fleet);
  return fleet;
}

static struct plan *plan_of(const struct scenario *scenario, const struct fleet *fleet) {
  struct plan_settings settings = {.scenario = scenario, .fleet = fleet, .samples = 8, .seed = 1};
  return plan_new(&settings, error, sizeof error);
}

static void chooses_devices(void **state) {
  (void)state;
  struct fleet *fleet = fleet_of(100);
  assert_int_equal(fleet->count, 100 + 2 * FLEET_CHILDREN + 1);
  struct scenario *scenario = load("version: 1\ndefaults: {start: 1}\nfaults:\n- {name: drawn, kind: silence, devices: 90}\n"
                                   "- {name: named, kind: crash, devices: [1, sim-00002, rec-one]}\n"
                                   "- {name: tens, kind: reboot, devices: {every: 10}}\n");
  assert_non_null(scenario);
  struct plan *plan = plan_of(scenario, fleet);
  assert_non_null(plan);
  assert_int_equal(plan->count, 3 + 90 + 10);
  assert_string_equal(plan->items[2].member->credential, "rec-one");
  for (size_t i = 3; i < 93; i++) { // lots avoid named devices, gateways and recordings
    assert_string_equal(plan->items[i].fault->name, "drawn");
    assert_true(plan->items[i].member->number > 2 && plan->items[i].member->number % FLEET_GATEWAY_EVERY != 0);
  }
  assert_int_equal(plan->items[93].member->number, 10);
  struct plan *again = plan_of(scenario, fleet);
  assert_memory_equal(plan->items, again->items, plan->count * sizeof *plan->items);
  plan_free(again);
  plan_free(plan);
  scenario_free(scenario);
  fleet_free(fleet);
}

static void chooses_by_firmware(void **state) {
  (void)state;
  struct fleet *fleet = fleet_of(100);
  struct scenario *scenario =
      load("version: 1\ndefaults: {start: 1}\nfaults:\n"
           "- {name: old, kind: frozen, metric: door_open, devices: {model: sensor-b, firmware: 1.8.0}}\n");
  assert_non_null(scenario);
  struct plan *plan = plan_of(scenario, fleet);
  assert_non_null(plan);
  size_t matching = 0;
  for (size_t i = 0; i < fleet->count; i++) {
    matching += fleet->members[i].number > 0 && strcmp(fleet->members[i].version, "1.8.0") == 0;
  }
  assert_true(matching > 0);
  assert_int_equal(plan->count, matching);
  for (size_t i = 0; i < plan->count; i++) {
    assert_string_equal(plan->items[i].member->version, "1.8.0");
  }
  plan_free(plan);
  scenario_free(scenario);
  fleet_free(fleet);
}

static void refuses_unfit_devices(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"kind: silence, devices: [51]", "no device `51`"},
      {"kind: silence, devices: [sim-00050-1]", "child"},
      {"kind: flood, devices: [rec-one]", "recording"},
      {"kind: traffic, devices: [2]", "does not report its traffic"},
      {"kind: silence, devices: 51", "too few"},
      {"kind: silence, devices: {region: moon}", "too few"},
      {"kind: silence, devices: {firmware: 9.9.9}", "too few"},
      {"kind: pace, devices: [rec-one]", "recording"},
      {"kind: value, metric: x, offset: 1, devices: [1]", "no number"},
      {"kind: value, metric: door_open, offset: 1, devices: [1]", "no number"},
      {"kind: frozen, metric: x, devices: [1]", "could freeze"},
      {"kind: drain, devices: [rec-one]", "`battery`"},
  };
  struct fleet *fleet = fleet_of(50);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[256];
    snprintf(text, sizeof text, "version: 1\nfaults:\n- {name: x, start: 0, %s}\n", cases[i][0]);
    struct scenario *scenario = load(text);
    assert_non_null(scenario);
    struct plan *plan = plan_of(scenario, fleet);
    if (plan != NULL || strstr(error, cases[i][1]) == NULL || strstr(error, ":3: fault `x`") == NULL) {
      fail_msg("case %zu: expected `%s` in: %s", i, cases[i][1], error);
    }
    scenario_free(scenario);
  }
  fleet_free(fleet);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepts_every_kind_with_defaults),
      cmocka_unit_test(reads_fields),
      cmocka_unit_test(reads_wear_and_loss),
      cmocka_unit_test(refuses_with_line_and_field),
      cmocka_unit_test(refuses_missing_file),
      cmocka_unit_test(chooses_devices),
      cmocka_unit_test(chooses_by_firmware),
      cmocka_unit_test(refuses_unfit_devices),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
