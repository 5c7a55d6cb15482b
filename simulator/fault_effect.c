// What faults do to their devices, other than changing what is sent.
#include <string.h>

#include "simulator/sim.h"

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

static void unplug(struct device *device, uint32_t how) {
  if (how == UNPLUG_POWER) {
    device_crash(device, NEXT_DOWN, 0);
  } else {
    device_leave(device, VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE, "shutdown", 0, NEXT_DOWN, 0);
  }
}

// Announced, the last report of the old pace says so.
static void change_pace(struct device *device, bool announce) {
  device->pace_changed = device->pace_changed || announce;
  if (announce && device->state == DEVICE_ONLINE) {
    report_send(device);
  }
  device_reschedule(device, false);
}

void fault_effect_again(struct fault_run *run) {
  const struct fault_parameters *with = &run->fault->with;
  if (run->device->state != DEVICE_ONLINE) {
    return; // it is away already
  }
  if (run->fault->kind == FAULT_FLAP) {
    device_crash(run->device, NEXT_CONNECT, with->down);
  } else {
    restart(run->device, with->how == REBOOT_HARD, "reboot", with->down);
  }
}

void fault_effect_begin(struct fault_run *run) {
  const struct fault_parameters *with = &run->fault->with;
  switch (run->fault->kind) {
  case FAULT_CRASH: device_crash(run->device, NEXT_DOWN, 0); break;
  case FAULT_SLEEP: sleep_now(run); break;
  case FAULT_FLOOD: device_reschedule(run->device, true); break;
  case FAULT_FIRMWARE: change_firmware(run, other_version(run), with->known); break;
  case FAULT_UNPLUG: unplug(run->device, with->how); break;
  case FAULT_PACE: change_pace(run->device, with->announce); break;
  case FAULT_LOSS: run->losing = random_unit(random_next(&run->random)) < with->share; break;
  case FAULT_REBOOT:
  case FAULT_FLAP: fault_effect_again(run); break;
  default: break; // these only change what is sent
  }
}

void fault_effect_end(struct fault_run *run) {
  struct device *device = run->device;
  switch (run->fault->kind) {
  case FAULT_CRASH: device_wake(device, run->fault->with.reboot); break;
  case FAULT_UNPLUG: device_wake(device, true); break;
  case FAULT_SLEEP: device_wake(device, false); break;
  case FAULT_FLOOD: device_reschedule(device, false); break;
  case FAULT_PACE: change_pace(device, run->fault->with.announce); break;
  case FAULT_FIRMWARE: change_firmware(run, device->member->version, true); break;
  default: break;
  }
}
