// A running simulation: ramp-up, load generator, the sweep once a second, and the end.
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "simulator/run.h"
#include "simulator/sim.h"
#include "simulator/status.h"

static const double ramp_tick = 0.02; // seconds
static const double load_tick = 0.002;
static const double connect_limit = 60; // the scenario starts after this even when a device is missing
static const double stop_limit = 4.5;
static const double drain_limit = 5;
static const double sweep_slack = 0.05; // the sweep that is due at the end may come a moment early

int64_t sim_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

double sim_monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct timeval interval_of(double seconds) {
  double whole = floor(fmax(seconds, 0));
  return (struct timeval){.tv_sec = (time_t)whole, .tv_usec = (suseconds_t)((fmax(seconds, 0) - whole) * 1e6)};
}

void sim_timer(struct event *timer, double seconds) {
  struct timeval wait = interval_of(seconds);
  if (evtimer_add(timer, &wait) != 0) {
    log_error("a timer could not be set: out of memory", "seconds=%.3f", seconds);
  }
}

bool sim_may_report(const struct sim *sim) {
  return !sim->draining && !sim->stopping && (sim->options->count == 0 || sim->counters.published < sim->options->count);
}

static void stop(struct sim *sim, const char *why) {
  if (sim->stopping) {
    return;
  }
  log_info("stopping", "reason=\"%s\" published=%llu acknowledged=%llu", why, (unsigned long long)sim->counters.published,
           (unsigned long long)sim->counters.acknowledged);
  sim->stopping = true;
  fault_stop(sim);
  event_del(sim->ramp);
  event_del(sim->load);
  sim_timer(sim->stop_timer, stop_limit);
  for (size_t i = 0; i < sim->device_count; i++) {
    device_leave(&sim->devices[i], VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE, "shutdown", 0, NEXT_GONE, 0);
  }
}

void sim_gone(struct sim *sim) {
  sim->gone++;
  if (sim->gone == sim->device_count) {
    event_base_loopbreak(sim->base);
  }
}

static void start_scenario(struct sim *sim) {
  if (!sim->scenario_running && sim->plan != NULL) {
    sim->scenario_running = true;
    log_info("scenario starts", "faults=%zu connected=%zu devices=%zu", sim->plan->count, sim->first_connected,
             sim->device_count);
    fault_schedule(sim);
  }
}

void sim_connected(struct sim *sim) {
  sim->first_connected++;
  if (sim->first_connected == sim->device_count) {
    log_info("all devices are connected", "devices=%zu seconds=%.1f", sim->device_count, sim_monotonic() - sim->started);
    start_scenario(sim);
  }
}

// Starts devices at the rate asked for.
static void on_ramp(evutil_socket_t socket, short what, void *arg) {
  (void)socket;
  (void)what;
  struct sim *sim = arg;
  double due = (sim_monotonic() - sim->started) * sim->options->connect_rate + 1;
  while (sim->device_started < sim->device_count && (double)sim->device_started < due) {
    device_connect(&sim->devices[sim->device_started++]);
  }
  if (sim->device_started == sim->device_count) {
    event_del(sim->ramp);
  }
}

// The load generator: reports in turn from every simulated device that can take one. Looks at no more than a bounded number of
// devices.
static void on_load(evutil_socket_t socket, short what, void *arg) {
  (void)socket;
  (void)what;
  struct sim *sim = arg;
  double now = sim_monotonic();
  double rate = sim->options->rate;
  sim->load_credit = fmin(sim->load_credit + rate * (now - sim->loaded), rate * 0.1 + 1);
  sim->loaded = now;
  size_t devices = sim->options->devices;
  size_t looks = (size_t)sim->load_credit + 100;
  for (; devices > 0 && sim->load_credit >= 1 && looks > 0 && sim_may_report(sim); looks--) {
    struct device *device = &sim->devices[sim->load_next];
    sim->load_next = (sim->load_next + 1) % devices;
    bool paced = fault_of(device, FAULT_PACE) != NULL; // has a timer of its own
    if (device->state == DEVICE_ONLINE && !paced && link_has_room(device->link)) {
      uint64_t before = sim->counters.published + sim->counters.vanished;
      report_send(device);
      sim->load_credit -= (double)(sim->counters.published + sim->counters.vanished - before);
    }
  }
}

static void tell_losses(struct sim *sim) {
  const struct counters *c = &sim->counters;
  if (c->lost > sim->lost_told || c->failed > sim->failed_told) {
    char quoted[LINK_ERROR + 16];
    log_warn("connections broke or could not be made", "lost=%llu failed=%llu connected=%u last=%s",
             (unsigned long long)(c->lost - sim->lost_told), (unsigned long long)(c->failed - sim->failed_told), c->connected,
             log_quote(quoted, sizeof quoted, sim->failure));
    sim->lost_told = c->lost;
    sim->failed_told = c->failed;
  }
}

// Begins to wait for what is still under way.
static void drain(struct sim *sim) {
  if (!sim->draining) {
    sim->draining = true;
    sim_timer(sim->stop_timer, sim->options->keep ? sim->options->linger : drain_limit);
  }
}

static const char *end_reason(const struct sim *sim) {
  return sim->options->count > 0 && sim->counters.published >= sim->options->count ? "count reached" : "duration over";
}

static void check_end(struct sim *sim, double now) {
  const struct counters *c = &sim->counters;
  bool keep = sim->options->keep;
  bool over = sim->options->duration > 0 && now - sim->started >= sim->options->duration - sweep_slack;
  if ((sim->options->count > 0 && c->published >= sim->options->count) || (over && keep)) {
    drain(sim);
  }
  bool settled = keep ? c->kept == 0 : c->acknowledged + c->forgotten >= c->published;
  if ((sim->draining && settled) || (over && !keep)) {
    stop(sim, end_reason(sim));
  }
}

// Once a second: keepalives, files, the log, and whether it is time to end. O(devices).
static void on_sweep(evutil_socket_t socket, short what, void *arg) {
  (void)socket;
  (void)what;
  struct sim *sim = arg;
  double now = sim_monotonic();
  for (size_t i = 0; i < sim->device_count; i++) {
    link_sweep(sim->devices[i].link, now);
    keeper_sweep(&sim->devices[i], now);
  }
  tell_losses(sim);
  if (sim->options->status != NULL && status_write(sim, sim->options->status) != 0) {
    log_warn("status file could not be written", "file=%s reason=\"%s\"", sim->options->status, strerror(errno));
  }
  if (sim->stored_log != NULL && fflush(sim->stored_log) != 0) {
    log_warn("stored log could not be written", "file=%s reason=\"%s\"", sim->options->stored_log, strerror(errno));
  }
  if (now - sim->started > connect_limit && !sim->stopping) {
    start_scenario(sim);
  }
  check_end(sim, now);
}

static void on_stop_timer(evutil_socket_t socket, short what, void *arg) {
  (void)socket;
  (void)what;
  struct sim *sim = arg;
  if (!sim->stopping) {
    if (!sim->options->keep) { // otherwise the end tells
      log_warn("not all reports were acknowledged in time", "published=%llu acknowledged=%llu",
               (unsigned long long)sim->counters.published, (unsigned long long)sim->counters.acknowledged);
    }
    stop(sim, end_reason(sim));
    return;
  }
  log_warn("not all devices could say goodbye", "left=%zu", sim->device_count - sim->gone);
  event_base_loopbreak(sim->base);
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
  (void)what;
  struct sim *sim = arg;
  if (sim->stopping) {
    event_base_loopbreak(sim->base); // the second one does not wait
    return;
  }
  sim->interrupted = true;
  stop(sim, number == SIGINT ? "SIGINT" : "SIGTERM");
}

// Descriptors: one a device, and some for files.
static int raise_limit(size_t devices) {
  struct rlimit limit;
  rlim_t needed = (rlim_t)devices + 64;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < needed) {
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < needed) {
      fprintf(stderr, "vedette-sim: %zu devices need %lu file descriptors, the limit is %lu; raise it (ulimit -n)\n", devices,
              (unsigned long)needed, (unsigned long)limit.rlim_max);
      return -1;
    }
  }
  return 0;
}

static int check_certificates(const struct run_settings *settings) {
  for (size_t i = 0; i < settings->fleet->count; i++) {
    const struct member *member = &settings->fleet->members[i];
    static const char *const suffixes[] = {"crt", "key"};
    for (size_t s = 0; s < 2 && member->gateway == NULL; s++) {
      char path[1024];
      snprintf(path, sizeof path, "%s/%s.%s", settings->options->certificates, member->credential, suffixes[s]);
      if (access(path, R_OK) != 0) {
        fprintf(stderr, "vedette-sim: %s: %s; make certificates for all devices that --list-credentials prints\n", path,
                strerror(errno));
        return -1;
      }
    }
  }
  return 0;
}

static int open_files(struct sim *sim, char *error, size_t error_size) {
  const struct options *options = sim->options;
  if (options->truth != NULL && (sim->truth = truth_open(options->truth, error, error_size)) == NULL) {
    return -1;
  }
  if (options->stored_log != NULL && (sim->stored_log = fopen(options->stored_log, "ae")) == NULL) {
    snprintf(error, error_size, "%s: cannot be written: %s", options->stored_log, strerror(errno));
    return -1;
  }
  if (options->status != NULL && status_write(sim, options->status) != 0) {
    snprintf(error, error_size, "%s: cannot be written: %s", options->status, strerror(errno));
    return -1;
  }
  return 0;
}

static int make_events(struct sim *sim) {
  sim->base = event_base_new();
  if (sim->base == NULL) {
    return -1;
  }
  sim->ramp = event_new(sim->base, -1, EV_PERSIST, on_ramp, sim);
  sim->load = event_new(sim->base, -1, EV_PERSIST, on_load, sim);
  sim->sweep = event_new(sim->base, -1, EV_PERSIST, on_sweep, sim);
  sim->stop_timer = evtimer_new(sim->base, on_stop_timer, sim);
  sim->signals[0] = evsignal_new(sim->base, SIGINT, on_signal, sim);
  sim->signals[1] = evsignal_new(sim->base, SIGTERM, on_signal, sim);
  return sim->ramp != NULL && sim->load != NULL && sim->sweep != NULL && sim->stop_timer != NULL && sim->signals[0] != NULL &&
                 sim->signals[1] != NULL
             ? 0
             : -1;
}

static int make_links(struct sim *sim, char *error, size_t error_size) {
  const struct options *o = sim->options;
  struct link_settings settings = {.base = sim->base,
                                   .host = o->host,
                                   .port = o->port,
                                   .ca = o->ca,
                                   .certificates = o->certificates,
                                   .keepalive = o->keepalive,
                                   .window = o->window};
  sim->links = link_context_new(&settings, error, error_size);
  return sim->links != NULL ? 0 : -1;
}

static int make_devices(struct sim *sim) {
  sim->devices = calloc(sim->fleet->count + 1, sizeof *sim->devices);
  sim->draft = draft_new();
  if (sim->devices == NULL || sim->draft == NULL) {
    return -1;
  }
  size_t recorded = 0;
  for (size_t i = 0; i < sim->fleet->count; i++) {
    struct member *member = &sim->fleet->members[i];
    if (member->gateway != NULL) {
      continue; // a child has no connection
    }
    const struct recording *recording = member->number == 0 ? sim->recordings->items[recorded++] : NULL;
    if (device_init(&sim->devices[sim->device_count++], sim, member, recording) != 0) {
      return -1;
    }
  }
  return fault_prepare(sim);
}

static void start(struct sim *sim, const struct run_settings *settings) {
  struct timeval ramp = interval_of(ramp_tick);
  struct timeval sweep = interval_of(1);
  struct timeval load = interval_of(load_tick);
  sim->started = sim_monotonic();
  sim->loaded = sim->started;
  int rc = event_add(sim->ramp, &ramp) | event_add(sim->sweep, &sweep) | event_add(sim->signals[0], NULL) |
           event_add(sim->signals[1], NULL);
  if (sim->options->rate > 0) {
    rc |= event_add(sim->load, &load);
  }
  if (rc != 0) {
    log_error("timers could not be set: out of memory", "devices=%zu", sim->device_count);
  }
  log_info("simulation starts", "devices=%zu children=%zu boot=%llu broker=%s:%u", sim->device_count,
           sim->fleet->count - sim->device_count, (unsigned long long)sim->boot, sim->options->host, sim->options->port);
  if (settings->scenario != NULL && settings->scenario->from_start) {
    start_scenario(sim);
  }
}

static void finish(struct sim *sim) {
  struct event *const events[] = {sim->ramp, sim->load, sim->sweep, sim->stop_timer, sim->signals[0], sim->signals[1]};
  if (sim->options->status != NULL && sim->devices != NULL && status_write(sim, sim->options->status) != 0) {
    log_warn("status file could not be written", "file=%s", sim->options->status);
  }
  fault_free(sim);
  for (size_t i = 0; i < sim->device_count; i++) {
    device_free(&sim->devices[i]);
  }
  free(sim->devices);
  link_context_free(sim->links);
  draft_free(sim->draft);
  truth_close(sim->truth);
  if (sim->stored_log != NULL && fclose(sim->stored_log) != 0) {
    log_warn("stored log could not be written", "file=%s", sim->options->stored_log);
  }
  for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
    if (events[i] != NULL) {
      event_free(events[i]);
    }
  }
  if (sim->base != NULL) {
    event_base_free(sim->base);
  }
}

int run_simulation(const struct run_settings *settings) {
  const struct options *options = settings->options;
  char error[512] = "out of memory";
  struct sim sim = {.options = options, .fleet = settings->fleet, .recordings = settings->recordings, .plan = settings->plan};
  sim.random.state = random_pair(options->seed, (uint64_t)sim_time());
  sim.boot = options->boot > 0 ? options->boot : (uint64_t)(sim_time() / 100000); // tenths of seconds: more than it can reboot
  if (raise_limit(settings->fleet->count) != 0 || check_certificates(settings) != 0) {
    return 2;
  }
  int code = 2;
  if (make_events(&sim) == 0 && make_links(&sim, error, sizeof error) == 0 && open_files(&sim, error, sizeof error) == 0 &&
      make_devices(&sim) == 0) {
    signal(SIGPIPE, SIG_IGN); // a broken connection shows as an error of its write
    start(&sim, settings);
    code = event_base_dispatch(sim.base) >= 0 && sim.first_connected > 0 ? 0 : 1;
    log_info("simulation ended", "published=%llu acknowledged=%llu skipped=%llu lost=%llu",
             (unsigned long long)sim.counters.published, (unsigned long long)sim.counters.acknowledged,
             (unsigned long long)sim.counters.skipped, (unsigned long long)sim.counters.lost);
    code = keeper_tell(&sim) ? code : 1;
  } else {
    fprintf(stderr, "vedette-sim: %s\n", error);
  }
  finish(&sim);
  return code;
}
