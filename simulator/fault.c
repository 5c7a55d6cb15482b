// Begins and ends faults, and writes down when.
#include <math.h>
#include <stdlib.h>

#include "common/log.h"
#include "simulator/sim.h"

static const double timer_slack = 0.005; // seconds: a timer may end so much too early

static void on_timer(evutil_socket_t socket, short what, void *arg);

struct fault_run *fault_of(const struct device *device, enum fault_kind kind) {
  for (size_t i = 0; i < device->active_count; i++) {
    if (device->active[i]->fault->kind == kind) {
      return device->active[i];
    }
  }
  return NULL;
}

static struct device *device_of(const struct sim *sim, const struct member *member) {
  for (size_t i = 0; i < sim->device_count; i++) {
    if (sim->devices[i].member == member) {
      return &sim->devices[i];
    }
  }
  return NULL;
}

int fault_prepare(struct sim *sim) {
  if (sim->plan == NULL || sim->plan->count == 0) {
    return 0;
  }
  sim->runs = calloc(sim->plan->count, sizeof *sim->runs);
  if (sim->runs == NULL) {
    return -1;
  }
  for (size_t i = 0; i < sim->plan->count; i++) {
    const struct assignment *item = &sim->plan->items[i];
    struct fault_run *run = &sim->runs[i];
    struct device *device = device_of(sim, item->member);
    *run = (struct fault_run){.sim = sim, .device = device, .fault = item->fault, .start = item->start, .next = device->runs};
    run->random.state = random_text(random_pair(sim->options->seed, item->member->seed), item->fault->name);
    device->runs = run;
    if (evtimer_assign(&run->timer, sim->base, on_timer, run) != 0) {
      return -1;
    }
  }
  return 0;
}

void fault_free(struct sim *sim) {
  for (size_t i = 0; sim->runs != NULL && i < sim->plan->count; i++) {
    if (evtimer_initialized(&sim->runs[i].timer)) {
      evtimer_del(&sim->runs[i].timer);
    }
    shape_values_forget(&sim->runs[i]);
  }
  free(sim->runs);
}

void fault_schedule(struct sim *sim) {
  sim->scenario_began = sim_monotonic();
  for (size_t i = 0; sim->runs != NULL && i < sim->plan->count; i++) {
    sim_timer(&sim->runs[i].timer, sim->runs[i].start);
  }
}

static bool stops_children(const struct fault *fault) {
  return fault->kind == FAULT_SILENCE || fault->kind == FAULT_CRASH || fault->kind == FAULT_SLEEP || fault->kind == FAULT_UNPLUG;
}

// The line of the device, and those of the children that fell silent with their gateway.
static void tell(const struct fault_run *run, int64_t end) {
  const struct member *member = run->device->member;
  struct truth_line line = {.fault = run->fault->name,
                            .kind = fault_kind_name(run->fault->kind),
                            .device = member->credential,
                            .expect = run->fault->expect,
                            .start = run->started,
                            .end = end};
  truth_write(run->sim->truth, &line);
  line.through = member->credential;
  for (size_t i = 0; stops_children(run->fault) && i < FLEET_CHILDREN; i++) {
    if (member->children[i] != NULL) {
      line.device = member->children[i]->credential;
      truth_write(run->sim->truth, &line);
    }
  }
}

static void deactivate(struct fault_run *run) {
  struct device *device = run->device;
  for (size_t i = 0; i < device->active_count; i++) {
    if (device->active[i] == run) {
      device->active[i] = device->active[--device->active_count];
      break;
    }
  }
  shape_values_forget(run);
  run->state = RUN_DONE;
  run->sim->counters.faults--;
  tell(run, sim_time());
  log_info("fault ends", "fault=\"%s\" kind=%s device=%s", run->fault->name, fault_kind_name(run->fault->kind),
           device->member->credential);
}

// Seconds after which a fault that strikes again and again does so; 0: it does not.
static double strikes_every(const struct fault *fault) {
  return fault->kind == FAULT_REBOOT || fault->kind == FAULT_FLAP ? fault->with.interval : 0;
}

static bool lasts_until_back(const struct fault *fault) {
  return fault->kind == FAULT_REBOOT && strikes_every(fault) <= 0;
}

static double seconds_left(const struct fault_run *run) {
  return run->fault->duration >= 0 ? run->fault->duration - (sim_monotonic() - run->began) : INFINITY;
}

// Sets the timer for the fault's end, or for when it strikes again before that.
static void arm(struct fault_run *run) {
  double wait = seconds_left(run);
  if (lasts_until_back(run->fault)) {
    return;
  }
  if (strikes_every(run->fault) > 0) {
    wait = fmin(wait, strikes_every(run->fault));
  }
  if (isfinite(wait)) {
    sim_timer(&run->timer, wait);
  }
}

static void begin(struct fault_run *run) {
  struct device *device = run->device;
  if (device->active_count == DEVICE_FAULTS) {
    log_warn("fault left out: the device has too many at a time", "fault=\"%s\" device=%s limit=%d", run->fault->name,
             device->member->credential, DEVICE_FAULTS);
    run->state = RUN_DONE;
    return;
  }
  device->active[device->active_count++] = run;
  run->state = RUN_ACTIVE;
  run->started = sim_time();
  run->began = sim_monotonic();
  run->level = NAN;
  run->sim->counters.faults++;
  tell(run, 0);
  log_info("fault begins", "fault=\"%s\" kind=%s device=%s", run->fault->name, fault_kind_name(run->fault->kind),
           device->member->credential);
  arm(run);
  fault_effect_begin(run);
}

// The next night counts from when this one was to begin, so that nights do not wander.
static void await_next_night(struct fault_run *run) {
  double period = run->fault->with.period;
  double now = sim_monotonic() - run->sim->scenario_began;
  run->start += period * fmax(1, ceil((now - run->start) / period));
  run->state = RUN_PENDING;
  sim_timer(&run->timer, run->start - now);
}

static void end(struct fault_run *run) {
  deactivate(run);
  fault_effect_end(run);
  if (run->fault->kind == FAULT_UNPLUG && run->fault->with.nights) {
    await_next_night(run);
  }
}

static void strike_again(struct fault_run *run) {
  if (seconds_left(run) <= timer_slack) {
    end(run);
    return;
  }
  fault_effect_again(run);
  arm(run);
}

static void on_timer(evutil_socket_t socket, short what, void *arg) {
  (void)socket;
  (void)what;
  struct fault_run *run = arg;
  if (run->sim->stopping || run->device->state == DEVICE_GONE) {
    return;
  }
  if (run->state == RUN_PENDING) {
    run->state = RUN_DUE;
    if (run->device->state == DEVICE_ONLINE) {
      begin(run);
    }
  } else if (run->state == RUN_ACTIVE && strikes_every(run->fault) > 0) {
    strike_again(run);
  } else if (run->state == RUN_ACTIVE) {
    end(run);
  }
}

void fault_device_online(struct device *device) {
  for (struct fault_run *run = device->runs; run != NULL; run = run->next) {
    if (run->state == RUN_ACTIVE && lasts_until_back(run->fault)) {
      deactivate(run); // it is back
    } else if (run->state == RUN_DUE && device->state == DEVICE_ONLINE) {
      begin(run);
    }
  }
}

void fault_stop(struct sim *sim) {
  for (size_t i = 0; sim->runs != NULL && i < sim->plan->count; i++) {
    struct fault_run *run = &sim->runs[i];
    evtimer_del(&run->timer);
    if (run->state == RUN_ACTIVE) {
      deactivate(run);
    } else if (run->state != RUN_DONE && run->started == 0) {
      log_warn("fault never began", "fault=\"%s\" device=%s", run->fault->name, run->device->member->credential);
    }
  }
}
