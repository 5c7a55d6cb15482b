// vedette-sim: simulated devices, recorded series and a load generator.
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "simulator/models.h"
#include "simulator/options.h"
#include "simulator/run.h"

enum { ERROR_SIZE = 512 };

static int complain(const char *error) {
  fprintf(stderr, "vedette-sim: %s\n", error);
  return 2;
}

static struct fleet *make_fleet(const struct options *options, const struct recordings *recordings) {
  const char **recorded = calloc(recordings->count + 1, sizeof *recorded);
  if (recorded == NULL) {
    return NULL;
  }
  for (size_t i = 0; i < recordings->count; i++) {
    recorded[i] = recordings->items[i]->credential;
  }
  struct fleet_settings settings = {.devices = options->devices,
                                    .prefix = options->prefix,
                                    .model = options->model,
                                    .seed = options->seed,
                                    .recorded = recorded,
                                    .recorded_count = recordings->count};
  struct fleet *fleet = fleet_new(&settings);
  free(recorded);
  return fleet;
}

// The scenario and its plan, both NULL without --scenario. 0, or an exit code.
static int make_plan(struct run_settings *settings, struct scenario **scenario, struct plan **plan) {
  char error[ERROR_SIZE];
  const struct options *options = settings->options;
  if (options->scenario == NULL) {
    return 0;
  }
  *scenario = scenario_load(options->scenario, error, sizeof error);
  if (*scenario == NULL) {
    return complain(error);
  }
  struct plan_settings wanted = {.scenario = *scenario,
                                 .fleet = settings->fleet,
                                 .recordings = settings->recordings,
                                 .samples = options->samples,
                                 .seed = options->seed};
  *plan = plan_new(&wanted, error, sizeof error);
  settings->scenario = *scenario;
  settings->plan = *plan;
  return *plan != NULL ? 0 : complain(error);
}

static int work(struct run_settings *settings) {
  switch (settings->options->task) {
  case TASK_LIST_CREDENTIALS: fleet_print(settings->fleet, stdout); return 0;
  case TASK_CHECK:
    if (settings->plan != NULL) {
      plan_print(settings->plan, stdout);
    }
    printf("%zu devices, %zu recordings\n", settings->fleet->count, settings->recordings->count);
    return 0;
  default: return run_simulation(settings);
  }
}

static int simulate(const struct options *options) {
  char error[ERROR_SIZE];
  struct recordings recordings = {0};
  struct scenario *scenario = NULL;
  struct plan *plan = NULL;
  if (options->replay != NULL &&
      recordings_find(options->replay, options->replay_prefix, &recordings, error, sizeof error) != 0) {
    return complain(error);
  }
  struct fleet *fleet = make_fleet(options, &recordings);
  struct run_settings settings = {.options = options, .fleet = fleet, .recordings = &recordings};
  int code = fleet != NULL ? make_plan(&settings, &scenario, &plan) : complain("out of memory");
  if (code == 0) {
    code = work(&settings);
  }
  plan_free(plan);
  scenario_free(scenario);
  fleet_free(fleet);
  recordings_free(&recordings);
  return code;
}

int main(int argc, char **argv) {
  struct options options;
  if (options_read(argc, argv, &options) != 0) {
    return 2;
  }
  log_open("vedette-sim", options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
  int code = 0;
  if (options.task == TASK_LIST_FIRMWARE) {
    if (options.model != NULL) {
      models_custom(options.model);
    }
    models_print_firmware(stdout);
  } else if (options.task != TASK_EXIT) {
    code = simulate(&options);
  }
  if (fflush(stdout) != 0) {
    return 1;
  }
  return code;
}
