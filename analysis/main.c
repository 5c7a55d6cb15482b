// vedette-analysis: committed batches → detectors → alerts.
#include "analysis/worker.h"
#include "common/daemon.h"
#include "common/http.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

struct analysis {
  struct config *config;
  struct loop *loop;
  struct worker *worker;
  struct http *http;
};

static void on_stopped(void *arg) {
  struct analysis *analysis = arg;
  loop_exit(analysis->loop);
}

static void on_stop(void *arg) {
  struct analysis *analysis = arg;
  worker_stop(analysis->worker, on_stopped, analysis);
}

static void on_reload(void *arg) {
  (void)arg; // certificates of the store are read at each connect
}

static void write_metrics(struct evbuffer *out, void *arg) {
  const struct analysis *analysis = arg;
  struct worker_stats stats = worker_stats(analysis->worker);
  double lag = stats.now ? (double)(clock_wall_us() - stats.now) / 1e6 : 0;
  http_metric(out, "vedette_analysis_batches_total", "counter", "Batches analysed.", "", (double)stats.batches);
  http_metric(out, "vedette_analysis_reports_total", "counter", "Reports analysed.", "", (double)stats.reports);
  http_metric(out, "vedette_analysis_alerts_raised_total", "counter", "Alerts raised.", "", (double)stats.alerts_raised);
  http_metric(out, "vedette_analysis_alerts_cleared_total", "counter", "Alerts cleared.", "", (double)stats.alerts_cleared);
  http_metric(out, "vedette_analysis_lag_seconds", "gauge", "How far event time is behind the wall clock.", "", lag);
  http_metric(out, "vedette_analysis_devices", "gauge", "Devices in memory.", "", (double)stats.devices);
  http_metric(out, "vedette_analysis_store_connected", "gauge", "1 while connected to PostgreSQL.", "", stats.connected);
}

static bool is_ready(char *why, size_t size, void *arg) {
  const struct analysis *analysis = arg;
  struct worker_stats stats = worker_stats(analysis->worker);
  snprintf(why, size, "%s", stats.connected ? "replaying since the last checkpoint" : "not connected to PostgreSQL");
  return stats.connected && !stats.replaying;
}

static bool start(struct analysis *analysis) {
  struct http_source source = {.metrics = write_metrics, .ready = is_ready, .arg = analysis};
  analysis->loop = loop_new(on_stop, on_reload, analysis);
  if (analysis->loop == NULL || (analysis->worker = worker_new(analysis->loop, analysis->config)) == NULL) {
    return false;
  }
  analysis->http = http_open(analysis->loop, &analysis->config->analysis.http, &source);
  return analysis->http != NULL;
}

int main(int argc, char **argv) {
  struct analysis analysis = {0};
  int status;
  analysis.config = daemon_start(argc, argv, "vedette-analysis",
                                 "watches the stored telemetry and raises alerts that explain themselves", &status);
  if (analysis.config == NULL) {
    return status;
  }
  bool started = start(&analysis);
  if (started) {
    log_info("started", "worker=%s version=%s", analysis.config->analysis.worker, VEDETTE_VERSION);
    loop_run(analysis.loop);
    log_info("stopped", "");
  }
  http_close(analysis.http);
  worker_free(analysis.worker);
  loop_free(analysis.loop);
  config_free(analysis.config);
  return started ? EXIT_SUCCESS : EXIT_FAILURE;
}
