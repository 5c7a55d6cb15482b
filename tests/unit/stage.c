#include "stage.h"

const int64_t second = 1000000;
const int64_t start = INT64_C(1790000000) * 1000000;

struct config_analysis config = {
    .alerts_a_day = 5,
    .series_most = 1000,
    .connectivity =
        {.rate = 0.0001, .slack_s = 1.5, .young = 1, .guard_s = 10, .frozen_learn_h = 24, .never_seen_h = 168, .blind_s = 60},
    .rate = {.window_s = 10, .deviations = 6, .ratio = 3},
    .security = {.window_s = 300, .malformed = 5, .login_failures = 5},
};
struct fleet fleet;
struct context context;
int64_t seeing;

int stage_setup(void **state) {
  static const struct device_facts devices[] = {
      {.credential = "vedette"},
      {.id = 1, .credential = "a", .model = 1, .active = true},
      {.id = 2, .credential = "gw", .model = 1, .active = true, .critical = true},
      {.id = 3, .credential = "child", .model = 1, .gateway = 2, .active = true},
  };
  (void)state;
  fleet = (struct fleet){0};
  context = (struct context){.config = &config, .fleet = &fleet};
  seeing = start - 3600 * second;
  for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
    assert_non_null(fleet_put(&fleet, &devices[i]));
  }
  return 0;
}

int stage_teardown(void **state) {
  (void)state;
  fleet_clear(&fleet);
  context_free(&context);
  return 0;
}

void advance(int64_t to) {
  for (int64_t t = context.now ? context.now : to; t <= to; t += second) {
    context_advance(&context, t, seeing);
  }
  context_advance(&context, to, seeing);
}

void show(struct observation o) {
  advance(o.received);
  context_observe(&context, &o);
}

void observe(enum observation_kind kind, int32_t device, int64_t at, int code, int32_t count) {
  struct observation o = {.kind = kind,
                          .device = device,
                          .publisher = device,
                          .time = at,
                          .received = at,
                          .boot = 1,
                          .sequence = 1,
                          .size = 100,
                          .code = code,
                          .count = count};
  snprintf(o.text, sizeof o.text, "text");
  show(o);
}

void report(int32_t device, int64_t at) {
  observe(OBSERVE_REPORT, device, at, 0, 0);
}

int64_t steady(int32_t device, int64_t from, double gap, int count) {
  int64_t at = from;
  for (int i = 0; i < count; i++) {
    at = from + (int64_t)(i * gap * 1e6);
    report(device, at);
  }
  return at;
}

void connectivity(int32_t device, int64_t at, int code, int64_t connection, bool will) {
  show((struct observation){.kind = OBSERVE_CONNECTIVITY,
                            .device = device,
                            .publisher = device,
                            .time = at,
                            .received = at,
                            .boot = 1,
                            .sequence = connection,
                            .code = code,
                            .will = will});
}

bool live(int32_t device, const char *kind) {
  enum alert_kind known = alert_kind_find(kind);
  assert_int_not_equal(known, ALERT_KINDS);
  return alert_live(fleet_find(&fleet, device), known);
}

const char *is(int32_t device) {
  return device_connectivity(fleet_find(&fleet, device));
}

int raised(const char *kind) {
  int count = 0;
  for (size_t i = 0; i < context.count; i++) {
    count += context.effects[i].kind == EFFECT_RAISE && strcmp(context.effects[i].name, kind) == 0;
  }
  return count;
}

int became(int32_t device, const char *state) {
  int count = 0;
  for (size_t i = 0; i < context.count; i++) {
    count += context.effects[i].kind == EFFECT_CONNECTIVITY && context.effects[i].device == device &&
             strcmp(context.effects[i].name, state) == 0;
  }
  return count;
}
