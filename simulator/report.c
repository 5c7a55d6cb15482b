// Puts reports and connectivity messages together and publishes them.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "simulator/sim.h"
#include "simulator/traffic.h"

enum { CONNECTIVITY_SIZE = 128 };
static const uint8_t no_address[1] = {0};

void report_topic(const char *credential, const char *leaf, char *out) {
  snprintf(out, REPORT_TOPIC, "vedette/v1/%s/%s", credential, leaf);
}

static size_t pack_connectivity(const struct device *device, int state, const char *reason, int64_t time, int64_t until,
                                uint8_t *out) {
  Vedette__V1__Connectivity message = VEDETTE__V1__CONNECTIVITY__INIT;
  char text[64];
  snprintf(text, sizeof text, "%s", reason);
  message.state = (Vedette__V1__ConnectivityState)state;
  message.boot_case = VEDETTE__V1__CONNECTIVITY__BOOT_BOOT_COUNTER;
  message.boot_counter = device->boot;
  message.connection = device->connection;
  message.until = until;
  message.reason = text;
  message.time = time;
  return vedette__v1__connectivity__pack(&message, out); // at most 6 numbers of 11 bytes and the reason: below CONNECTIVITY_SIZE
}

size_t report_will(const struct device *device, uint8_t *out) {
  return pack_connectivity(device, VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE, "will", 0, 0, out);
}

int report_connectivity(struct device *device, int state, const char *reason, int64_t until, enum link_what what) {
  uint8_t packed[CONNECTIVITY_SIZE];
  char topic[REPORT_TOPIC];
  size_t size = pack_connectivity(device, state, reason, device_clock(device), until, packed);
  struct link_tag tag = {.what = what, .boot = device->boot, .sequence = device->connection};
  report_topic(device->member->credential, "connectivity", topic);
  return link_publish(device->link, topic, packed, size, true, &tag);
}

static void add_values(struct device *device, const struct member *member, int64_t time) {
  struct draft *draft = device->sim->draft;
  double zone = member->place->offset;
  struct value value;
  for (size_t i = 0; i < device->sim->options->samples; i++) {
    struct value_metric metric;
    values_metric(i, &metric);
    value = values_at(member->seed, i, time, zone);
    draft_sample(draft, metric.name, &value);
  }
  if (values_sparse_at(member->seed, time, &value)) {
    struct value_metric metric;
    values_sparse_metric(&metric);
    draft_sample(draft, metric.name, &value);
  }
}

static void declare(struct device *device) {
  struct draft *draft = device->sim->draft;
  struct value_metric metric;
  for (size_t i = 0; i < device->sim->options->samples; i++) {
    values_metric(i, &metric);
    draft_declare(draft, &metric);
  }
  values_sparse_metric(&metric);
  draft_declare(draft, &metric);
}

static void add_firmware(struct draft *draft, const struct member *member, const char *version, bool known) {
  uint8_t hash[MODELS_HASH_SIZE];
  models_image_hash(member->model->name, version, known, hash);
  draft_firmware(draft, version, hash, true);
}

void report_compose(struct device *device, const struct member *member, uint64_t sequence, int64_t time) {
  struct sim *sim = device->sim;
  bool own = member == device->member;
  int64_t now = sim_time();
  draft_begin(sim->draft, device->boot, sequence, time);
  add_values(device, member, now); // what is measured does not depend on what the device's clock says
  if (own && member->model->traffic) {
    int64_t since = device->reported > 0 ? device->reported : device->booted;
    traffic_fill(sim->draft, member->seed, now, (uint64_t)(now > since ? now - since : 1), member->place->offset);
  }
  if (own ? !device->metrics_told : !device->children_told) {
    declare(device);
  }
  if (own && !device->firmware_told) {
    add_firmware(sim->draft, member, device->version, device->version_known);
  } else if (!own && !device->children_told) {
    add_firmware(sim->draft, member, member->version, true);
  }
  if (!own) {
    draft_report(sim->draft)->child = member->credential;
  }
}

// Publishes bytes on a report topic. 0, or -1: the window is full.
static int publish(struct device *device, const char *topic, const uint8_t *bytes, size_t size, bool good) {
  struct sim *sim = device->sim;
  struct link_tag tag = {.what = good ? LINK_REPORT : LINK_BAD, .boot = device->boot, .sequence = device->sequence};
  if (bytes == NULL || !link_has_room(device->link) || link_publish(device->link, topic, bytes, size, false, &tag) != 0) {
    sim->counters.skipped++;
    return -1;
  }
  sim->counters.published++;
  return 0;
}

// The same for a report that is kept: it goes out when there is room.
static int keep(struct device *device, const uint8_t *bytes, size_t size) {
  if (bytes == NULL || keeper_add(device, bytes, size) != 0) {
    device->sim->counters.skipped++;
    return -1;
  }
  device->sim->counters.published++;
  keeper_pump(device);
  return 0;
}

// Publishes the draft as the device's next report: the sequence goes up whether it arrives or not.
static int publish_draft(struct device *device) {
  char topic[REPORT_TOPIC];
  size_t size = 0;
  bool good = shape_report(device, device->sim->draft);
  if (habits_lose_report(device)) { // and the device does not know, so it keeps nothing to send again
    device->sequence++;
    device->sim->counters.vanished++;
    return 0;
  }
  keeper_prepare(device, device->sim->draft);
  const uint8_t *bytes = draft_pack(device->sim->draft, &size);
  const struct fault_run *duplicate = fault_of(device, FAULT_DUPLICATE);
  report_topic(device->member->credential, "report", topic);
  device->sequence++;
  if ((device->keep != NULL ? keep(device, bytes, size) : publish(device, topic, bytes, size, good)) != 0) {
    device->sequence--;
    return -1;
  }
  for (uint32_t i = 0; duplicate != NULL && i < duplicate->fault->with.count; i++) {
    publish(device, topic, bytes, size, good);
  }
  return 0;
}

static bool send_own(struct device *device) {
  report_compose(device, device->member, device->sequence + 1, device_clock(device));
  if (device->pace_changed) {
    draft_event(device->sim->draft, VEDETTE__V1__EVENT_KIND__EVENT_KIND_CONFIGURATION_CHANGED, 1, "cadence", no_address, 0);
  }
  if (publish_draft(device) != 0) {
    return false;
  }
  device->pace_changed = false;
  device->firmware_told = true;
  device->metrics_told = true;
  device->reported = sim_time();
  return true;
}

static void send_children(struct device *device) {
  bool all = true;
  for (size_t i = 0; i < FLEET_CHILDREN; i++) {
    const struct member *child = device->member->children[i];
    if (child != NULL && sim_may_report(device->sim)) {
      report_compose(device, child, device->sequence + 1, device_clock(device));
      all = publish_draft(device) == 0 && all;
    }
  }
  device->children_told = all;
}

// What faults send beside (or in place of) the reports.
static void send_extras(struct device *device) {
  for (size_t i = 0; i < device->active_count; i++) {
    struct fault_run *run = device->active[i];
    for (uint32_t number = 0; sim_may_report(device->sim); number++) {
      char topic[REPORT_TOPIC];
      size_t size = 0;
      uint64_t before = device->sequence;
      const uint8_t *bytes = shape_extra(run, number, topic, &size);
      if (bytes == NULL) {
        break;
      }
      if (device->keep != NULL && device->sequence > before) { // refused or not: what has a number is kept
        keep(device, bytes, size);
      } else {
        publish(device, topic, bytes, size, false);
      }
    }
    run->reports++;
  }
}

bool report_send(struct device *device) {
  if (fault_of(device, FAULT_SILENCE) != NULL || !sim_may_report(device->sim)) {
    return true;
  }
  bool sent = true;
  if (!shape_replaces(device)) {
    sent = send_own(device);
    if (sent) {
      send_children(device);
    }
  }
  send_extras(device);
  return sent;
}

static void compose_row(struct device *device, size_t row, int64_t time) {
  const struct recording *recording = device->recording;
  struct draft *draft = device->sim->draft;
  draft_begin(draft, device->boot, device->sequence + 1, time + (device_clock(device) - sim_time()));
  draft_report(draft)->historical = device->sim->options->recorded_times;
  for (size_t i = 0; i < recording->metric_count; i++) {
    struct value value = {.type = VALUE_NUMBER, .number = recording->values[row * recording->metric_count + i]};
    if (!isnan(value.number)) {
      draft_sample(draft, recording->metrics[i], &value);
    }
  }
  if (!device->firmware_told) {
    add_firmware(draft, device->member, device->version, device->version_known);
  }
}

bool report_send_row(struct device *device, size_t row, int64_t time) {
  if (!link_has_room(device->link)) {
    return false;
  }
  if (fault_of(device, FAULT_SILENCE) != NULL || !sim_may_report(device->sim)) {
    return true;
  }
  if (!shape_replaces(device)) {
    compose_row(device, row, time);
    if (draft_samples(device->sim->draft) > 0 && publish_draft(device) == 0) {
      device->firmware_told = true;
    }
  }
  send_extras(device);
  return true;
}
