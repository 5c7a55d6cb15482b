// What the connectivity model costs: memory a device, observations a second, advances of time. Run under callgrind for
// instructions (`--toggle-collect=cost_counted`), and alone for time.
//
//   bench_connectivity_cost --config FILE --devices N [--warm MINUTES] [--minutes N]
//
// Each device reports once a minute, at a second of its own, and is known after the warm-up. Prints one line of JSON.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "analysis/context.h"
#include "analysis/detectors/connectivity.h"
#include "tests/bench/connectivity/chance.h"
#include "tests/bench/options.h"

enum { MINUTE = 60, IDLE_ADVANCES = 1000000 };
static const int64_t second = 1000000;
static const int64_t start = INT64_C(20000) * 86400 * 1000000;

struct cost {
  struct fleet fleet;
  struct context context;
  struct chance chance;
  int32_t devices;
  int64_t at; // the second that is next
};

struct times {
  double observing, advancing; // seconds
};

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double resident_bytes(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) {
    pages = 0;
  }
  if (file != NULL) {
    fclose(file);
  }
  return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static bool populate(struct cost *cost) {
  for (int32_t id = 1; id <= cost->devices; id++) {
    char name[32];
    snprintf(name, sizeof name, "device-%07" PRId32, id);
    const struct device_facts facts = {
        .id = id, .credential = name, .model = 1, .active = true, .created_at = start - 86400 * second};
    if (fleet_put(&cost->fleet, &facts) == NULL) {
      return false;
    }
  }
  return true;
}

// Functions of their own and not static, so that callgrind finds them by their names however the rest is optimised.
void cost_observe(struct context *context, const struct observation *observation);
__attribute__((noinline)) void cost_observe(struct context *context, const struct observation *observation) {
  context_observe(context, observation);
}

void cost_advance(struct context *context, int64_t now);
__attribute__((noinline)) void cost_advance(struct context *context, int64_t now) {
  context_advance(context, now, start - 3600 * second);
}

static void report(struct cost *cost, int32_t id, int64_t minute) {
  const int64_t received = cost->at + (int64_t)(chance_bits(&cost->chance) % 1000000);
  const struct observation o = {.kind = OBSERVE_REPORT,
                                .device = id,
                                .publisher = id,
                                .time = received - 50000,
                                .received = received,
                                .boot = 1,
                                .sequence = minute + 1,
                                .size = 150,
                                .code = (int)(chance_bits(&cost->chance) & 0x7fffffff) | 1};
  cost_observe(&cost->context, &o);
}

void cost_counted(struct cost *cost, long minutes, struct times *times);

// One second of event time: those whose second it is, spread over memory, then the advance.
static void pass_second(struct cost *cost, struct times *times) {
  const int64_t minute = (cost->at - start) / second / MINUTE;
  const int64_t of_minute = (cost->at - start) / second % MINUTE;
  const double begun = seconds_now();
  for (int32_t id = 1 + (int32_t)of_minute; id <= cost->devices; id += MINUTE) {
    report(cost, id, minute);
  }
  const double observed = seconds_now();
  cost->at += second;
  cost_advance(&cost->context, cost->at);
  context_settle(&cost->context);
  times->observing += observed - begun;
  times->advancing += seconds_now() - observed;
}

__attribute__((noinline)) void cost_counted(struct cost *cost, long minutes, struct times *times) {
  for (long i = 0; i < minutes * MINUTE; i++) {
    pass_second(cost, times);
  }
}

// Nanoseconds of an advance for which no device is due.
static double idle_advance_ns(struct cost *cost) {
  const double begun = seconds_now();
  for (int i = 0; i < IDLE_ADVANCES; i++) {
    context_advance(&cost->context, cost->context.now, start - 3600 * second);
  }
  return (seconds_now() - begun) / IDLE_ADVANCES * 1e9;
}

static void measure(struct cost *cost, long warm, long minutes, double empty) {
  struct times times = {0};
  for (long i = 0; i < warm * MINUTE; i++) {
    pass_second(cost, &times);
  }
  const double full = resident_bytes();
  times = (struct times){0};
  cost_counted(cost, minutes, &times);
  const double observations = (double)minutes * cost->devices;
  const double took = times.observing + times.advancing;
  printf("{\"devices\": %" PRId32
         ", \"observations\": %.0f, \"state_bytes\": %zu, \"states_bytes\": %zu, \"device_bytes\": %.1f, "
         "\"per_s\": %.1f, \"observe_ns\": %.2f, \"advance_ns\": %.2f, \"idle_advance_ns\": %.2f, \"times_real\": %.3f}\n",
         cost->devices, observations, sizeof(struct connectivity), fleet_state_size(), (full - empty) / cost->devices,
         observations / took, times.observing / observations * 1e9, times.advancing / observations * 1e9, idle_advance_ns(cost),
         (double)minutes * MINUTE / took);
}

int main(int argc, char **argv) {
  const char *path = NULL;
  char error[512];
  long devices = 0;
  long warm = 20;
  long minutes = 5;
  const struct option_row table[] = {{"config", &path, NULL, NULL},
                                     {"devices", NULL, &devices, NULL},
                                     {"warm", NULL, &warm, NULL},
                                     {"minutes", NULL, &minutes, NULL},
                                     {NULL, NULL, NULL, NULL}};
  if (!options_take(argc, argv, table) || path == NULL || devices < 1 || devices > 100000000 || minutes < 1) {
    fprintf(stderr, "bench_connectivity_cost: --config and --devices are needed\n");
    return 2;
  }
  struct config *config = config_load(path, error, sizeof error);
  if (config == NULL) {
    fprintf(stderr, "bench_connectivity_cost: %s\n", error);
    return 2;
  }
  struct cost cost = {.devices = (int32_t)devices, .at = start};
  cost.context = (struct context){.config = &config->analysis, .fleet = &cost.fleet};
  const double empty = resident_bytes();
  const bool ok = populate(&cost);
  if (ok) {
    measure(&cost, warm, minutes, empty);
  } else {
    fprintf(stderr, "bench_connectivity_cost: out of memory\n");
  }
  fleet_clear(&cost.fleet);
  context_free(&cost.context);
  config_free(config);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
