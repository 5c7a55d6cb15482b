// A device's life: connects, says it is online, reports, loses its connection, comes back.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "simulator/sim.h"

static const double goodbye_limit = 3; // seconds to wait for the answer to a goodbye
static const double confirmation_check = 0.2;

static void on_timer(evutil_socket_t socket, short what, void *arg);
static void on_online(void *arg);
static void on_acknowledged(void *arg, const struct link_tag *tag);
static void on_down(void *arg, bool wanted, const char *reason);
static void on_received(void *arg, const uint8_t *bytes, size_t size);

static const struct link_owner link_calls = {on_online, on_acknowledged, on_down, on_received};

int device_init(struct device *device, struct sim *sim, struct member *member, const struct recording *recording) {
  *device = (struct device){.sim = sim, .member = member, .recording = recording, .replay_start = -1, .version_known = true};
  device->boot = sim->boot;
  device->booted = sim_time();
  device->version = member->version;
  device->backoff = sim->options->backoff_least;
  if (evtimer_assign(&device->timer, sim->base, on_timer, device) != 0) {
    return -1;
  }
  if (sim->options->keep && (device->keep = keep_new(&sim->options->keep_limits)) == NULL) {
    return -1;
  }
  device->link = link_new(sim->links, member->credential, &link_calls, device);
  return device->link != NULL ? 0 : -1;
}

void device_free(struct device *device) {
  if (device->link != NULL) {
    evtimer_del(&device->timer);
    link_free(device->link);
  }
  keep_free(device->keep);
}

static void wait_and_connect(struct device *device, double seconds) {
  device->state = DEVICE_WAITING;
  sim_timer(&device->timer, seconds);
}

static void back_off(struct device *device) {
  wait_and_connect(device, habits_retry_wait(device));
}

static void failed(struct device *device, const char *reason) {
  struct sim *sim = device->sim;
  sim->counters.failed++;
  snprintf(sim->failure, sizeof sim->failure, "%s: %s", device->member->credential, reason);
  back_off(device);
}

// Lets go of what the library would send again.
static void forget_link(struct device *device) {
  device->sim->counters.forgotten += link_reports_waiting(device->link);
  if (link_forget(device->link) != 0) {
    log_error("out of memory; a device sends its unacknowledged reports again", "device=%s", device->member->credential);
  }
}

void device_connect(struct device *device) {
  if (device->state == DEVICE_GONE || device->sim->stopping) {
    return;
  }
  if (device->keep != NULL && device->was_online) {
    forget_link(device); // it sends them again by itself, in order
  }
  uint8_t will[128];
  char topic[REPORT_TOPIC];
  device->connection++;
  report_topic(device->member->credential, "connectivity", topic);
  device->state = DEVICE_CONNECTING;
  const char *failure = link_open(device->link, topic, will, report_will(device, will));
  if (failure != NULL) {
    failed(device, failure);
  }
}

static void schedule(struct device *device, double seconds) {
  device->due = sim_monotonic() + seconds;
  sim_timer(&device->timer, seconds);
}

void device_reschedule(struct device *device, bool soon) {
  if (device->state != DEVICE_ONLINE) {
    return;
  }
  if (device->recording != NULL) {
    schedule(device, 0);
    return;
  }
  double usual = habits_interval(device);
  if (usual < 0) {
    evtimer_del(&device->timer);
  } else if (soon) {
    schedule(device, random_between(&device->sim->random, 0.05, 1) * fmin(usual, 2));
  } else {
    schedule(device, usual * random_between(&device->sim->random, 0.85, 1.15));
  }
}

// At the end of a recording: the device stays for a while until all that it keeps is confirmed.
static bool wait_for_confirmation(struct device *device) {
  double now = sim_monotonic();
  device->replay_ended = device->replay_ended > 0 ? device->replay_ended : now;
  return keeper_count(device) > 0 && now - device->replay_ended < device->sim->options->linger;
}

static void report_due(struct device *device) {
  if (device->recording != NULL) {
    double wait = device->replay_ended > 0 ? -1 : replay_step(device);
    if (wait < 0 && wait_for_confirmation(device)) {
      schedule(device, confirmation_check);
    } else if (wait < 0) {
      device_leave(device, VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE, "end of recording", 0, NEXT_GONE, 0);
    } else {
      schedule(device, wait);
    }
    return;
  }
  report_send(device);
  device_reschedule(device, false);
}

// Does what was to come after the connection had gone.
static void do_next(struct device *device) {
  evtimer_del(&device->timer);
  switch (device->next) {
  case NEXT_DOWN: device->state = DEVICE_DOWN; break;
  case NEXT_GONE:
    device->state = DEVICE_GONE;
    sim_gone(device->sim);
    break;
  case NEXT_REBOOT:
    device->state = DEVICE_DOWN;
    device_wake(device, true);
    break;
  case NEXT_CONNECT: wait_and_connect(device, device->next_delay); break;
  }
}

static void new_boot(struct device *device) {
  forget_link(device);
  keeper_forget(device);
  device->boot++;
  device->sequence = 0;
  device->connection = 0;
  device->booted = sim_time();
  device->reported = 0;
  device->firmware_told = false;
  device->metrics_told = false;
  device->children_told = false;
}

void device_wake(struct device *device, bool reboot) {
  if (device->state == DEVICE_LEAVING) { // not even gone yet
    device->next = reboot ? NEXT_REBOOT : NEXT_CONNECT;
    return;
  }
  if (device->state == DEVICE_DOWN) {
    if (reboot) {
      new_boot(device);
    }
    device->backoff = device->sim->options->backoff_least;
    wait_and_connect(device, device->next_delay);
  }
}

void device_leave(struct device *device, int state, const char *reason, int64_t until, enum device_next next, double delay) {
  if (device->state == DEVICE_GONE) {
    return;
  }
  device->next = next;
  device->next_delay = delay;
  if (device->state == DEVICE_LEAVING) {
    return;
  }
  bool online = device->state == DEVICE_ONLINE;
  device->state = DEVICE_LEAVING;
  if (online && report_connectivity(device, state, reason, until, LINK_GOODBYE) == 0) {
    sim_timer(&device->timer, goodbye_limit);
  } else if (link_idle(device->link)) {
    do_next(device);
  } else {
    link_close(device->link);
  }
}

void device_crash(struct device *device, enum device_next next, double delay) {
  if (device->state == DEVICE_GONE) {
    return;
  }
  device->next = next;
  device->next_delay = delay;
  device->state = DEVICE_LEAVING;
  if (link_idle(device->link)) {
    do_next(device);
  } else {
    link_break(device->link);
  }
}

static void on_timer(evutil_socket_t socket, short what, void *arg) {
  (void)socket;
  (void)what;
  struct device *device = arg;
  switch (device->state) {
  case DEVICE_WAITING: device_connect(device); break;
  case DEVICE_ONLINE: report_due(device); break;
  case DEVICE_LEAVING: link_close(device->link); break;
  case DEVICE_DOWN:
  case DEVICE_CONNECTING:
  case DEVICE_GONE: break;
  }
}

static void on_online(void *arg) {
  struct device *device = arg;
  struct sim *sim = device->sim;
  device->state = DEVICE_ONLINE;
  device->backoff = sim->options->backoff_least;
  sim->counters.connected++;
  sim->counters.connects++;
  if (report_connectivity(device, VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ONLINE, "", 0, LINK_BIRTH) != 0) {
    log_warn("birth message not sent", "device=%s", device->member->credential);
  }
  keeper_online(device);
  bool first = !device->was_online;
  device->was_online = true;
  if (first && device->recording == NULL && habits_interval(device) > 0) {
    schedule(device, random_between(&sim->random, 0.02, 1) * habits_interval(device)); // spreads the fleet over the cadence
  } else {
    device_reschedule(device, true);
  }
  if (first) {
    sim_connected(sim);
  }
  fault_device_online(device);
}

static void note_acknowledged(struct device *device, const struct link_tag *tag) {
  struct sim *sim = device->sim;
  sim->counters.acknowledged++;
  if (sim->stored_log != NULL) {
    fprintf(sim->stored_log, "%s %llu %llu\n", device->member->credential, (unsigned long long)tag->boot,
            (unsigned long long)tag->sequence);
  }
}

static void on_acknowledged(void *arg, const struct link_tag *tag) {
  struct device *device = arg;
  struct sim *sim = device->sim;
  switch (tag->what) {
  case LINK_REPORT: note_acknowledged(device, tag); break;
  case LINK_KEPT:
    if (keeper_acknowledged(device, tag->sequence)) {
      note_acknowledged(device, tag);
    }
    break;
  case LINK_BAD: sim->counters.acknowledged++; break;
  case LINK_GOODBYE:
    if (device->state == DEVICE_LEAVING) {
      link_close(device->link);
    }
    break;
  case LINK_BIRTH: break;
  }
  keeper_pump(device); // there is room in the window now
}

static void on_received(void *arg, const uint8_t *bytes, size_t size) {
  keeper_notice(arg, bytes, size);
}

static void on_down(void *arg, bool wanted, const char *reason) {
  struct device *device = arg;
  struct sim *sim = device->sim;
  enum device_state before = device->state;
  if (link_was_online(device->link)) {
    sim->counters.connected--;
    sim->counters.lost += wanted ? 0 : 1;
  }
  if (before == DEVICE_LEAVING || sim->stopping) {
    do_next(device);
    return;
  }
  evtimer_del(&device->timer);
  log_debug("connection gone", "device=%s reason=\"%s\"", device->member->credential, reason);
  if (before == DEVICE_ONLINE) {
    snprintf(sim->failure, sizeof sim->failure, "%s: %s", device->member->credential, reason);
    back_off(device);
  } else {
    failed(device, reason);
  }
}
