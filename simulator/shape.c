// What the active faults make of a report, and the messages they add.
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "simulator/sim.h"

static void add_big(const struct fault_run *run, struct draft *draft) {
  const struct fault_parameters *with = &run->fault->with;
  char name[32];
  if (with->bytes == 0) {
    size_t have = draft_samples(draft);
    size_t wanted = (size_t)fmin(DRAFT_SAMPLES, round((double)have * with->factor));
    for (size_t i = have; i < wanted; i++) {
      struct value value = values_at(run->device->member->seed, 100 + i, sim_time(), 0);
      snprintf(name, sizeof name, "extra/%04zu", i - have + 1);
      draft_sample(draft, name, &value);
    }
    return;
  }
  char text[201];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  const struct value value = {.type = VALUE_TEXT, .text = text};
  size_t size = vedette__v1__report__get_packed_size(draft_report(draft));
  for (unsigned i = 1; size + 220 <= with->bytes; i++) {
    snprintf(name, sizeof name, "pad/%04u", i % 10000);
    if (!draft_sample(draft, name, &value)) {
      return;
    }
    size = vedette__v1__report__get_packed_size(draft_report(draft));
  }
}

static void add_bad_value(const struct fault_run *run, struct draft *draft) {
  struct value value = {.type = VALUE_NUMBER, .number = 1};
  char name[101];
  switch ((enum bad_values_how)run->fault->with.how) {
  case BAD_NAN:
    value.number = NAN;
    draft_sample(draft, "not_a_number", &value);
    break;
  case BAD_INFINITY:
    value.number = INFINITY;
    draft_sample(draft, "infinite", &value);
    break;
  case BAD_NAME: draft_sample(draft, "bad\nname\x01", &value); break;
  case BAD_LONG_NAME:
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    draft_sample(draft, name, &value);
    break;
  case BAD_TEXT:
    value.type = VALUE_TEXT;
    value.text = "bell \x07, broken \xff\xfe";
    draft_sample(draft, "note", &value);
    break;
  case BAD_TWICE:
    draft_sample(draft, "twice", &value);
    value.number = 2;
    draft_sample(draft, "twice", &value);
    break;
  }
}

static size_t parse_address(const char *text, uint8_t out[16]) {
  if (inet_pton(AF_INET, text, out) == 1) {
    return 4;
  }
  return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static void add_login_failures(const struct fault_run *run, struct draft *draft) {
  const struct fault_parameters *with = &run->fault->with;
  uint8_t source[16];
  size_t size = parse_address(with->source != NULL ? with->source : "198.51.100.23", source);
  draft_event(draft, VEDETTE__V1__EVENT_KIND__EVENT_KIND_LOGIN_FAILED, with->count, with->user != NULL ? with->user : "root",
              source, size);
}

static void change_traffic(const struct fault_run *run, struct draft *draft) {
  const struct fault_parameters *with = &run->fault->with;
  Vedette__V1__Traffic *traffic = draft_traffic(draft);
  uint64_t before = traffic->bytes_out;
  traffic->bytes_out = (uint64_t)((double)before * with->factor);
  traffic->packets_out = (uint64_t)((double)traffic->packets_out * with->factor);
  traffic->destinations = (uint32_t)fmin(4e9, (double)traffic->destinations * with->destinations);
  traffic->connections = (uint32_t)fmin(4e9, (double)traffic->connections * fmax(1, with->destinations));
  uint64_t more = traffic->bytes_out > before ? traffic->bytes_out - before : 0;
  if (with->destination != NULL) {
    uint8_t address[16];
    size_t size = parse_address(with->destination, address);
    Vedette__V1__Flow *flow = draft_flow(draft, address, size, with->port, VEDETTE__V1__TRANSPORT__TRANSPORT_TCP);
    if (flow != NULL) {
      flow->bytes_out = more;
    }
    traffic->destinations++;
  } else if (traffic->n_flows > 0) {
    traffic->flows[0]->bytes_out += more;
  }
  if (with->listen != 0) {
    draft_listen(draft, false, with->listen);
  }
}

bool shape_report(struct device *device, struct draft *draft) {
  bool good = true;
  bool own = draft_report(draft)->child[0] == '\0';
  if (own) {
    shape_values(device, draft);
  }
  for (size_t i = 0; i < device->active_count; i++) {
    const struct fault_run *run = device->active[i];
    switch (run->fault->kind) {
    case FAULT_BIG: add_big(run, draft); break;
    case FAULT_BAD_VALUES:
      add_bad_value(run, draft);
      good = false;
      break;
    case FAULT_LOGIN_FAILURES:
      if (own) {
        add_login_failures(run, draft);
      }
      break;
    case FAULT_TRAFFIC:
      if (own) {
        change_traffic(run, draft);
      }
      break;
    default: break; // the others do not change reports
    }
  }
  return good;
}

bool shape_replaces(const struct device *device) {
  for (size_t i = 0; i < device->active_count; i++) {
    const struct fault *fault = device->active[i]->fault;
    if ((fault->kind == FAULT_WRONG_IDENTITY || fault->kind == FAULT_MALFORMED) && fault->with.instead) {
      return true;
    }
  }
  return false;
}

// Another device's credential: the one the scenario names, else the next publisher's of this run.
static const char *claimed(const struct fault_run *run) {
  const struct sim *sim = run->sim;
  if (run->fault->with.claims != NULL) {
    return run->fault->with.claims;
  }
  size_t own = (size_t)(run->device - sim->devices);
  return sim->device_count > 1 ? sim->devices[(own + 1) % sim->device_count].member->credential : "nobody-00001";
}

// A report of the device's own under a false name. On another's topic the broker refuses it, so no sequence is used up for it.
static const uint8_t *wrong_identity(struct fault_run *run, char *topic, size_t *size) {
  struct device *device = run->device;
  struct draft *draft = run->sim->draft;
  report_compose(device, device->member, device->sequence + 1, device_clock(device));
  if (!run->fault->with.instead) {
    draft_report(draft)->traffic = NULL; // the device's own report has told it just now
  }
  char name[REPORT_TOPIC];
  snprintf(name, sizeof name, "%s", claimed(run));
  report_topic(run->fault->with.how == IDENTITY_TOPIC ? name : device->member->credential, "report", topic);
  if (run->fault->with.how == IDENTITY_CREDENTIAL) {
    draft_report(draft)->credential = name;
  } else if (run->fault->with.how == IDENTITY_CHILD) {
    draft_report(draft)->child = name;
  }
  if (run->fault->with.how == IDENTITY_TOPIC) {
    return draft_pack(draft, size);
  }
  keeper_prepare(device, draft);
  const uint8_t *bytes = draft_pack(draft, size);
  if (device->keep != NULL || link_has_room(device->link)) {
    device->sequence++;
  }
  return bytes;
}

// A report cut so that it does not decode.
static const uint8_t *truncated(struct fault_run *run, size_t *size) {
  struct device *device = run->device;
  report_compose(device, device->member, device->sequence + 1, device_clock(device));
  const uint8_t *bytes = draft_pack(run->sim->draft, size);
  *size = *size * 2 / 3;
  Vedette__V1__Report *decoded = NULL;
  while (bytes != NULL && *size > 1 && (decoded = vedette__v1__report__unpack(NULL, *size, bytes)) != NULL) {
    vedette__v1__report__free_unpacked(decoded, NULL);
    --*size;
  }
  return bytes;
}

static const uint8_t *oversized(struct fault_run *run, size_t *size) {
  struct device *device = run->device;
  char text[251];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  const struct value value = {.type = VALUE_TEXT, .text = text};
  draft_begin(run->sim->draft, device->boot, device->sequence + 1, device_clock(device));
  for (uint32_t used = 0; used < run->fault->with.bytes; used += (uint32_t)sizeof text) {
    char name[32];
    snprintf(name, sizeof name, "pad/%04u", used / (unsigned)sizeof text % 10000);
    if (!draft_sample(run->sim->draft, name, &value)) {
      break;
    }
  }
  return draft_pack(run->sim->draft, size);
}

// Starts with a wire type that does not exist, so that it never decodes by chance.
static const uint8_t *garbage(struct fault_run *run, size_t *size) {
  static uint8_t bytes[DRAFT_PACKED];
  *size = run->fault->with.bytes < sizeof bytes ? run->fault->with.bytes : sizeof bytes;
  bytes[0] = 0x0f;
  for (size_t i = 1; i < *size; i++) {
    bytes[i] = (uint8_t)random_next(&run->sim->random);
  }
  return bytes;
}

static const uint8_t *malformed(struct fault_run *run, char *topic, size_t *size) {
  report_topic(run->device->member->credential, "report", topic);
  switch ((enum malformed_how)run->fault->with.how) {
  case MALFORMED_RANDOM: return garbage(run, size);
  case MALFORMED_TRUNCATED: return truncated(run, size);
  case MALFORMED_OVERSIZED: return oversized(run, size);
  }
  return NULL;
}

const uint8_t *shape_extra(struct fault_run *run, uint32_t number, char *topic, size_t *size) {
  if (number >= run->fault->with.count) {
    return NULL;
  }
  if (run->fault->kind == FAULT_WRONG_IDENTITY) {
    return wrong_identity(run, topic, size);
  }
  return run->fault->kind == FAULT_MALFORMED ? malformed(run, topic, size) : NULL;
}
