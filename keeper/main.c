// vedette-keeper: keeps the store in order, so that it stays fast, small and right: partitions, retention, compression.
#include "common/daemon.h"
#include "common/http.h"
#include "common/log.h"
#include "keeper/keeper.h"

#include <stdio.h>
#include <stdlib.h>

struct program {
  struct config *config;
  struct loop *loop;
  struct keeper *keeper;
  struct http *http;
};

static void on_stopped(void *arg) {
  struct program *program = arg;
  loop_exit(program->loop);
}

static void on_stop(void *arg) {
  struct program *program = arg;
  keeper_stop(program->keeper, on_stopped, program);
}

static void on_reload(void *arg) {
  (void)arg; // certificates of the store are read at each connect
}

static void write_metrics(struct evbuffer *out, void *arg) {
  const struct program *program = arg;
  struct keeper_stats stats = keeper_stats(program->keeper);
  http_metric(out, "vedette_keeper_store_connected", "gauge", "1 while connected to PostgreSQL.", "", stats.connected);
  http_metric(out, "vedette_keeper_rollups_total", "counter", "Hours of devices that were rolled up.", "", (double)stats.rollups);
  http_metric(out, "vedette_keeper_reports_compressed_total", "counter", "Reports that were compressed.", "",
              (double)stats.reports_compressed);
  http_metric(out, "vedette_keeper_samples_compressed_total", "counter", "Samples in them.", "",
              (double)stats.samples_compressed);
  evbuffer_add_printf(
      out, "# HELP vedette_keeper_chores_total Turns of chores that were done.\n# TYPE vedette_keeper_chores_total counter\n");
  for (size_t i = 0; i < stats.chore_count; i++) {
    evbuffer_add_printf(out, "vedette_keeper_chores_total{chore=\"%s\"} %llu\n", stats.chores[i].name,
                        (unsigned long long)stats.chores[i].done);
  }
  evbuffer_add_printf(out, "# HELP vedette_keeper_chores_failed_total Turns of chores that failed; they are tried again.\n"
                           "# TYPE vedette_keeper_chores_failed_total counter\n");
  for (size_t i = 0; i < stats.chore_count; i++) {
    evbuffer_add_printf(out, "vedette_keeper_chores_failed_total{chore=\"%s\"} %llu\n", stats.chores[i].name,
                        (unsigned long long)stats.chores[i].failed);
  }
}

static bool is_ready(char *why, size_t size, void *arg) {
  const struct program *program = arg;
  struct keeper_stats stats = keeper_stats(program->keeper);
  if (!stats.connected) {
    snprintf(why, size, "not connected to PostgreSQL");
    return false;
  }
  for (size_t i = 0; i < stats.chore_count; i++) {
    if (stats.chores[i].overdue) {
      snprintf(why, size, "the chore \"%s\" %s", stats.chores[i].name, stats.chores[i].failed ? "failed" : "is still to be done");
      return false;
    }
  }
  return true;
}

static bool start(struct program *program) {
  struct http_source source = {.metrics = write_metrics, .ready = is_ready, .arg = program};
  program->loop = loop_new(on_stop, on_reload, program);
  if (program->loop == NULL || (program->keeper = keeper_new(program->loop, program->config)) == NULL) {
    return false;
  }
  program->http = http_open(program->loop, &program->config->keeper.http, &source);
  return program->http != NULL;
}

int main(int argc, char **argv) {
  struct program program = {0};
  int status;
  program.config =
      daemon_start(argc, argv, "vedette-keeper", "keeps the store in order: partitions, compression, retention", &status);
  if (program.config == NULL) {
    return status;
  }
  bool started = start(&program);
  if (started) {
    log_info("started", "version=%s", VEDETTE_VERSION);
    loop_run(program.loop);
    log_info("stopped", "");
  }
  http_close(program.http);
  keeper_free(program.keeper);
  loop_free(program.loop);
  config_free(program.config);
  return started ? EXIT_SUCCESS : EXIT_FAILURE;
}
