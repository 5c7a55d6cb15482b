#include "ingest/validate.h"

#include <math.h>
#include <string.h>
#include <unistr.h>

#define FINE ((struct verdict){VEDETTE__V1__REASON__REASON_UNSPECIFIED, ""})
#define REFUSE(why, ...) ((struct verdict){VEDETTE__V1__REASON__REASON_##why, region_printf(region, __VA_ARGS__)})

bool metric_name_valid(const char *name) {
  size_t length = strnlen(name, METRIC_LIMIT + 1);
  return length >= 1 && length <= METRIC_LIMIT && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._/-") == length;
}

bool text_valid(const char *text, size_t limit) {
  size_t length = strnlen(text, limit + 1);
  if (length > limit || u8_check((const uint8_t *)text, length) != NULL) {
    return false;
  }
  for (size_t i = 0; i < length; i++) {
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
      return false;
    }
  }
  return true;
}

static bool too_foreign(const ProtobufCMessage *message) {
  return message->n_unknown_fields > UNKNOWN_LIMIT;
}

static bool address_valid(const ProtobufCBinaryData *address) {
  return address->len == 4 || address->len == 16;
}

static struct verdict check_sample(struct region *region, const Vedette__V1__Sample *sample, size_t place) {
  if (too_foreign(&sample->base)) {
    return REFUSE(OVERSIZED, "sample %zu has more than %d unknown fields", place, UNKNOWN_LIMIT);
  }
  if (!metric_name_valid(sample->metric)) {
    return REFUSE(METRIC_NAME, "sample %zu: the metric's name is not 1 to 64 bytes of a-z 0-9 . _ / -", place);
  }
  switch (sample->value_case) {
  case VEDETTE__V1__SAMPLE__VALUE_NUMBER:
    return isfinite(sample->number) ? FINE : REFUSE(VALUE, "%s is not finite", sample->metric);
  case VEDETTE__V1__SAMPLE__VALUE_TEXT:
    return text_valid(sample->text, 256)
               ? FINE
               : REFUSE(VALUE, "%s is not UTF-8 of at most 256 bytes without control characters", sample->metric);
  case VEDETTE__V1__SAMPLE__VALUE_INTEGER:
  case VEDETTE__V1__SAMPLE__VALUE_FLAG: return FINE;
  default: return REFUSE(VALUE, "%s has no value", sample->metric);
  }
}

static struct verdict check_declaration(struct region *region, const Vedette__V1__MetricDeclaration *declaration) {
  if (too_foreign(&declaration->base)) {
    return REFUSE(OVERSIZED, "a declaration has more than %d unknown fields", UNKNOWN_LIMIT);
  }
  if (!metric_name_valid(declaration->metric)) {
    return REFUSE(METRIC_NAME, "a declared metric's name is not 1 to 64 bytes of a-z 0-9 . _ / -");
  }
  return text_valid(declaration->unit, 32) ? FINE : REFUSE(FIELD, "unit of %s", declaration->metric);
}

static struct verdict check_firmware(struct region *region, const Vedette__V1__Firmware *firmware) {
  if (too_foreign(&firmware->base) || !text_valid(firmware->version, 64)) {
    return REFUSE(FIELD, "firmware.version");
  }
  return firmware->image_hash.len == 0 || firmware->image_hash.len == 32
             ? FINE
             : REFUSE(FIELD, "firmware.image_hash has %zu bytes, not 32", firmware->image_hash.len);
}

static struct verdict check_ports(struct region *region, const uint32_t *ports, size_t count) {
  if (count > PORTS_LIMIT) {
    return REFUSE(OVERSIZED, "%zu listening ports, the limit is %d", count, PORTS_LIMIT);
  }
  for (size_t i = 0; i < count; i++) {
    if (ports[i] < 1 || ports[i] > 65535) {
      return REFUSE(FIELD, "listening port %u", ports[i]);
    }
  }
  return FINE;
}

static struct verdict check_flow(struct region *region, const Vedette__V1__Flow *flow) {
  if (too_foreign(&flow->base) || !address_valid(&flow->address)) {
    return REFUSE(FIELD, "a flow's address has %zu bytes, not 4 or 16", flow->address.len);
  }
  if (flow->port > 65535 || flow->bytes_in > INT64_MAX || flow->bytes_out > INT64_MAX) {
    return REFUSE(FIELD, "a flow's port or bytes are out of range");
  }
  return FINE;
}

static struct verdict check_traffic(struct region *region, const Vedette__V1__Traffic *traffic) {
  if (too_foreign(&traffic->base) || traffic->n_flows > FLOWS_LIMIT) {
    return REFUSE(OVERSIZED, "%zu flows, the limit is %d", traffic->n_flows, FLOWS_LIMIT);
  }
  if (traffic->interval > INT64_MAX || traffic->bytes_in > INT64_MAX || traffic->bytes_out > INT64_MAX ||
      traffic->packets_in > INT64_MAX || traffic->packets_out > INT64_MAX || traffic->connections > INT32_MAX ||
      traffic->destinations > INT32_MAX) {
    return REFUSE(FIELD, "a traffic counter is out of range");
  }
  for (size_t i = 0; i < traffic->n_flows; i++) {
    struct verdict verdict = check_flow(region, traffic->flows[i]);
    if (verdict.reason != 0) {
      return verdict;
    }
  }
  struct verdict tcp = check_ports(region, traffic->listening_tcp, traffic->n_listening_tcp);
  return tcp.reason != 0 ? tcp : check_ports(region, traffic->listening_udp, traffic->n_listening_udp);
}

static struct verdict check_event(struct region *region, const Vedette__V1__Event *event) {
  if (too_foreign(&event->base) || event->kind < VEDETTE__V1__EVENT_KIND__EVENT_KIND_LOGIN_FAILED ||
      event->kind > VEDETTE__V1__EVENT_KIND__EVENT_KIND_OTHER) {
    return REFUSE(FIELD, "event kind %d", (int)event->kind);
  }
  if (!text_valid(event->subject, 128) || event->count > INT32_MAX) {
    return REFUSE(FIELD, "an event's subject or count");
  }
  return event->source.len == 0 || address_valid(&event->source) ? FINE : REFUSE(FIELD, "an event's source address");
}

static struct verdict check_head(struct region *region, const Vedette__V1__Report *report) {
  if (too_foreign(&report->base)) {
    return REFUSE(OVERSIZED, "more than %d unknown fields", UNKNOWN_LIMIT);
  }
  if (!text_valid(report->child, CREDENTIAL_LIMIT) || !text_valid(report->credential, CREDENTIAL_LIMIT)) {
    return REFUSE(FIELD, "child or credential");
  }
  if (report->n_samples > SAMPLES_LIMIT || report->n_metrics > DECLARATIONS_LIMIT || report->n_events > EVENTS_LIMIT) {
    return REFUSE(OVERSIZED, "%zu samples, %zu declarations, %zu events: the limits are %d, %d, %d", report->n_samples,
                  report->n_metrics, report->n_events, SAMPLES_LIMIT, DECLARATIONS_LIMIT, EVENTS_LIMIT);
  }
  return FINE;
}

struct verdict validate_numbering(const Vedette__V1__Report *report) {
  if (report_boot(report) == 0 || report->sequence == 0 || report->sequence > INT64_MAX) {
    return (struct verdict){VEDETTE__V1__REASON__REASON_BOOT, "boot or sequence is missing"};
  }
  return FINE;
}

struct verdict validate_report(struct region *region, const Vedette__V1__Report *report) {
  struct verdict verdict = check_head(region, report);
  if (verdict.reason != 0) {
    return verdict;
  }
  for (size_t i = 0; verdict.reason == 0 && i < report->n_samples; i++) {
    verdict = check_sample(region, report->samples[i], i);
  }
  for (size_t i = 0; verdict.reason == 0 && i < report->n_metrics; i++) {
    verdict = check_declaration(region, report->metrics[i]);
  }
  for (size_t i = 0; verdict.reason == 0 && i < report->n_events; i++) {
    verdict = check_event(region, report->events[i]);
  }
  if (verdict.reason == 0 && report->firmware != NULL) {
    verdict = check_firmware(region, report->firmware);
  }
  if (verdict.reason == 0 && report->traffic != NULL) {
    verdict = check_traffic(region, report->traffic);
  }
  return verdict;
}

struct verdict validate_connectivity(struct region *region, const Vedette__V1__Connectivity *connectivity) {
  if (too_foreign(&connectivity->base) || !text_valid(connectivity->reason, 128)) {
    return REFUSE(FIELD, "reason");
  }
  if (connectivity->state < VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ONLINE ||
      connectivity->state > VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ASLEEP) {
    return REFUSE(FIELD, "state %d", (int)connectivity->state);
  }
  if (connectivity_boot(connectivity) == 0 || connectivity->connection == 0 || connectivity->connection > INT64_MAX) {
    return REFUSE(BOOT, "boot or connection is missing");
  }
  const int64_t year_2100 = INT64_C(4102444800000000);
  if (connectivity->until < 0 || connectivity->until > year_2100 || connectivity->time < 0 || connectivity->time > year_2100) {
    return REFUSE(TIME, "time or until is out of range");
  }
  return FINE;
}
