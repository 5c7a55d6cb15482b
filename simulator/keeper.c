// Devices that keep their reports until Vedette says that they are stored, and send them again until then (--keep). What a device
// makes goes into its list first, and from there to the broker: in order, and after a reconnect from the oldest one on.
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "simulator/sim.h"

enum { FIELDS_SIZE = 16 };             // bytes of wants_stored and kept_from
static const double longest_wait = 64; // times --resend-after
static const double jitter = 0.25;     // so that a fleet does not send all again at one moment

// Begins to wait for the next confirmation.
static void wait_for_notice(struct device *device, double now, double wait) {
  device->quiet_since = now;
  device->resend_wait = wait;
  device->quiet_limit = wait * random_between(&device->sim->random, 1 - jitter, 1 + jitter);
}

void keeper_prepare(struct device *device, struct draft *draft) {
  if (device->keep == NULL) {
    return;
  }
  struct counters *counters = &device->sim->counters;
  Vedette__V1__Report *report = draft_report(draft);
  size_t dropped = keep_make_room(device->keep, vedette__v1__report__get_packed_size(report) + FIELDS_SIZE);
  counters->dropped += dropped;
  counters->kept -= dropped;
  report->wants_stored = true;
  report->kept_from = keep_count(device->keep) > 0 ? keep_oldest(device->keep) : report->sequence;
}

int keeper_add(struct device *device, const uint8_t *bytes, size_t size) {
  if (keep_count(device->keep) == 0) {
    wait_for_notice(device, sim_monotonic(), device->sim->options->resend_after);
  }
  if (keep_add(device->keep, device->sequence, bytes, size) != 0) {
    return -1;
  }
  device->sim->counters.kept++;
  return 0;
}

void keeper_pump(struct device *device) {
  const struct kept *next = NULL;
  char topic[REPORT_TOPIC];
  if (device->keep == NULL || device->state != DEVICE_ONLINE) {
    return;
  }
  report_topic(device->member->credential, "report", topic);
  while (link_has_room(device->link) && (next = keep_next(device->keep)) != NULL) {
    struct link_tag tag = {.what = LINK_KEPT, .boot = device->boot, .sequence = next->sequence};
    if (link_publish(device->link, topic, next->bytes, next->size, false, &tag) != 0) {
      return;
    }
    device->sim->counters.resent += next->sent ? 1 : 0;
    keep_advance(device->keep);
  }
}

static void send_again(struct device *device, double wait) {
  keep_rewind(device->keep);
  wait_for_notice(device, sim_monotonic(), wait);
  keeper_pump(device);
}

void keeper_online(struct device *device) {
  char topic[REPORT_TOPIC];
  if (device->keep == NULL) {
    return;
  }
  report_topic(device->member->credential, "notice", topic);
  if (link_subscribe(device->link, topic) != 0) {
    log_warn("notices not subscribed", "device=%s", device->member->credential);
  }
  send_again(device, fmax(device->resend_wait, device->sim->options->resend_after));
}

bool keeper_acknowledged(struct device *device, uint64_t sequence) {
  return keep_acknowledge(device->keep, sequence);
}

// False: it speaks of reports that were never made.
static bool take_stored(struct device *device, const Vedette__V1__Notice__StoredUpTo *stored) {
  struct counters *counters = &device->sim->counters;
  if (stored->boot_case != VEDETTE__V1__NOTICE__STORED_UP_TO__BOOT_BOOT_COUNTER || stored->boot_counter > device->boot) {
    return false;
  }
  if (stored->boot_counter < device->boot) {
    return true; // sent before the device lost its memory
  }
  if (stored->sequence > device->sequence) {
    return false;
  }
  size_t unacknowledged = 0;
  size_t count = keep_release(device->keep, stored->sequence, &unacknowledged);
  counters->kept -= count;
  counters->stored += count;
  counters->acknowledged += unacknowledged; // stored is more than that
  if (count > 0) {
    wait_for_notice(device, sim_monotonic(), device->sim->options->resend_after);
  }
  return true;
}

static bool take_notice(struct device *device, const Vedette__V1__Notice *notice) {
  if (notice->content_case == VEDETTE__V1__NOTICE__CONTENT_STORED_UP_TO && notice->stored_up_to != NULL) {
    return take_stored(device, notice->stored_up_to);
  }
  if (notice->content_case == VEDETTE__V1__NOTICE__CONTENT_REFUSED && notice->refused != NULL) {
    unsigned reason = (unsigned)notice->refused->reason;
    device->sim->counters.refused[reason < REASONS ? reason : REASONS - 1]++;
    return true;
  }
  return false;
}

void keeper_notice(struct device *device, const uint8_t *bytes, size_t size) {
  struct counters *counters = &device->sim->counters;
  counters->notices++;
  Vedette__V1__Notice *notice = device->keep != NULL ? vedette__v1__notice__unpack(NULL, size, bytes) : NULL;
  if (notice == NULL || !take_notice(device, notice)) {
    counters->bad_notices++;
    log_debug("a notice makes no sense", "device=%s bytes=%zu", device->member->credential, size);
  }
  if (notice != NULL) {
    vedette__v1__notice__free_unpacked(notice, NULL);
  }
}

void keeper_sweep(struct device *device, double now) {
  if (keeper_count(device) == 0 || device->state != DEVICE_ONLINE || now - device->quiet_since < device->quiet_limit) {
    return;
  }
  double first = device->sim->options->resend_after;
  log_debug("nothing was confirmed; all is sent again", "device=%s kept=%zu", device->member->credential, keeper_count(device));
  send_again(device, fmin(2 * device->resend_wait, longest_wait * first));
}

void keeper_forget(struct device *device) {
  size_t unacknowledged = 0;
  if (device->keep == NULL) {
    return;
  }
  size_t count = keep_release(device->keep, UINT64_MAX, &unacknowledged);
  device->sim->counters.kept -= count;
  device->sim->counters.forgotten += count;
}

size_t keeper_count(const struct device *device) {
  return device->keep != NULL ? keep_count(device->keep) : 0;
}

void keeper_reason(size_t reason, char *out, size_t size) {
  static const char prefix[] = "REASON_";
  const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(&vedette__v1__reason__descriptor, (int)reason);
  snprintf(out, size, "%s", value != NULL ? value->name + sizeof prefix - 1 : "UNKNOWN");
  for (char *c = out; *c != '\0'; c++) {
    *c = (char)tolower((unsigned char)*c);
  }
}

bool keeper_tell(const struct sim *sim) {
  const struct counters *c = &sim->counters;
  unsigned long long bad = c->bad_notices + link_missed(sim->links);
  size_t devices = 0;
  if (!sim->options->keep) {
    return true;
  }
  log_info("kept reports", "stored=%llu unconfirmed=%llu dropped=%llu forgotten=%llu resent=%llu notices=%llu bad_notices=%llu",
           (unsigned long long)c->stored, (unsigned long long)c->kept, (unsigned long long)c->dropped,
           (unsigned long long)c->forgotten, (unsigned long long)c->resent, (unsigned long long)c->notices, bad);
  for (size_t i = 0; i < REASONS; i++) {
    char reason[32];
    keeper_reason(i, reason, sizeof reason);
    if (c->refused[i] > 0) {
      log_info("refused by Vedette", "reason=%s notices=%llu", reason, (unsigned long long)c->refused[i]);
    }
  }
  if (c->kept == 0 || sim->interrupted) {
    return true;
  }
  for (size_t i = 0; i < sim->device_count; i++) {
    devices += keeper_count(&sim->devices[i]) > 0 ? 1 : 0;
  }
  log_error("not all reports are confirmed as stored", "unconfirmed=%llu devices=%zu waited_s=%g", (unsigned long long)c->kept,
            devices, sim->options->linger);
  return false;
}
