// Begins and ends faults, and writes down when.
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "simulator/sim.h"

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
  }
  free(sim->runs);
}

void fault_schedule(struct sim *sim) {
  for (size_t i = 0; sim->runs != NULL && i < sim->plan->count; i++) {
    sim_timer(&sim->runs[i].timer, sim->runs[i].start);
  }
}

static bool stops_children(const struct fault *fault) {
  return fault->kind == FAULT_SILENCE || fault->kind == FAULT_CRASH || fault->kind == FAULT_SLEEP;
}

// The line of the device, and those of the children that fell silent with their gateway.
static void tell(const struct fault_run *run, int64_t end) {
  const struct member *member = run->device->member;
  struct truth_line line = {.fault = run->fault->name,
                            .kind = fault_kind_name(run->fault->kind),
                            .device = member->credential,
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
  run->state = RUN_DONE;
  run->sim->counters.faults--;
  tell(run, sim_time());
  log_info("fault ends", "fault=\"%s\" kind=%s device=%s", run->fault->name, fault_kind_name(run->fault->kind),
           device->member->credential);
}

static void restart(struct device *device, bool hard, const char *reason, double down) {
  if (hard) {
    device_crash(device, NEXT_REBOOT, down);
  } else {
    device_leave(device, VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE, reason, 0, NEXT_REBOOT, down);
  }
}

// Runs another image from now on, after a restart or just so.
static void change_firmware(const struct fault_run *run, const char *version, bool known) {
  struct device *device = run->device;
  device->version = version;
  device->version_known = known;
  if (run->fault->with.reboot) {
    restart(device, false, "update", run->fault->with.down);
  } else {
    device->firmware_told = false;
  }
}

// The version a firmware fault brings: a release that is not the device's own, or a number that looks like one.
static const char *other_version(const struct fault_run *run) {
  const struct fault_parameters *with = &run->fault->with;
  const struct member *member = run->device->member;
  if (with->version != NULL) {
    return with->version;
  }
  if (!with->known) {
    return member->version; // the usual number, another image: what a tampered one looks like
  }
  return strcmp(member->model->releases[0], member->version) == 0 ? member->model->releases[1] : member->model->releases[0];
}

static void sleep_now(struct fault_run *run) {
  const struct fault *fault = run->fault;
  double seconds = fault->with.until >= 0 ? fault->with.until : fault->duration >= 0 ? fault->duration : 86400;
  int64_t until = device_clock(run->device) + (int64_t)(seconds * 1e6);
  device_leave(run->device, VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ASLEEP, "sleep", until, NEXT_DOWN, 0);
}

static void start_effect(struct fault_run *run) {
  const struct fault_parameters *with = &run->fault->with;
  switch (run->fault->kind) {
  case FAULT_CRASH: device_crash(run->device, NEXT_DOWN, 0); break;
  case FAULT_SLEEP: sleep_now(run); break;
  case FAULT_FLOOD: device_reschedule(run->device, true); break;
  case FAULT_FIRMWARE: change_firmware(run, other_version(run), with->known); break;
  case FAULT_REBOOT: restart(run->device, with->how == REBOOT_HARD, "reboot", with->down); break;
  default: break; // these only change what is sent
  }
}

static void end_effect(struct fault_run *run) {
  struct device *device = run->device;
  switch (run->fault->kind) {
  case FAULT_CRASH: device_wake(device, run->fault->with.reboot); break;
  case FAULT_SLEEP: device_wake(device, false); break;
  case FAULT_FLOOD: device_reschedule(device, false); break;
  case FAULT_FIRMWARE: change_firmware(run, device->member->version, true); break;
  default: break;
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
  run->sim->counters.faults++;
  tell(run, 0);
  log_info("fault begins", "fault=\"%s\" kind=%s device=%s", run->fault->name, fault_kind_name(run->fault->kind),
           device->member->credential);
  const struct fault_parameters *with = &run->fault->with;
  if (run->fault->kind == FAULT_REBOOT && with->interval > 0) {
    sim_timer(&run->timer, with->interval);
  } else if (run->fault->kind != FAULT_REBOOT && run->fault->duration >= 0) {
    sim_timer(&run->timer, run->fault->duration);
  }
  start_effect(run);
}

// A repeated reboot: again, until the duration is over.
static void reboot_again(struct fault_run *run) {
  double passed = (double)(sim_time() - run->started) / 1e6;
  if (run->fault->duration >= 0 && passed >= run->fault->duration) {
    deactivate(run);
    return;
  }
  sim_timer(&run->timer, run->fault->with.interval);
  if (run->device->state == DEVICE_ONLINE) {
    start_effect(run);
  }
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
  } else if (run->state == RUN_ACTIVE && run->fault->kind == FAULT_REBOOT) {
    reboot_again(run);
  } else if (run->state == RUN_ACTIVE) {
    end_effect(run);
    deactivate(run);
  }
}

void fault_device_online(struct device *device) {
  for (struct fault_run *run = device->runs; run != NULL; run = run->next) {
    if (run->state == RUN_ACTIVE && run->fault->kind == FAULT_REBOOT && run->fault->with.interval <= 0) {
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
    } else if (run->state != RUN_DONE) {
      log_warn("fault never began", "fault=\"%s\" device=%s", run->fault->name, run->device->member->credential);
    }
  }
}
