// decode_report: whatever the payload, a report that is accepted holds what the wire contract promises.
#include "ingest/decode.h"
#include "ingest/validate.h"
#include "tests/fuzz/input.h"

#include <math.h>
#include <string.h>

static void check_samples(const Vedette__V1__Report *report) {
  CHECK(report->n_samples <= SAMPLES_LIMIT);
  for (size_t i = 0; i < report->n_samples; i++) {
    const Vedette__V1__Sample *sample = report->samples[i];
    CHECK(metric_name_valid(sample->metric) && sample->value_case != VEDETTE__V1__SAMPLE__VALUE__NOT_SET);
    CHECK(sample->value_case != VEDETTE__V1__SAMPLE__VALUE_NUMBER || isfinite(sample->number));
    CHECK(sample->value_case != VEDETTE__V1__SAMPLE__VALUE_TEXT || text_valid(sample->text, 256));
  }
}

static void check_events(const Vedette__V1__Report *report) {
  CHECK(report->n_events <= EVENTS_LIMIT);
  for (size_t i = 0; i < report->n_events; i++) {
    const Vedette__V1__Event *event = report->events[i];
    CHECK(text_valid(event->subject, 128) && event->count <= INT32_MAX);
    CHECK(event->source.len == 0 || event->source.len == 4 || event->source.len == 16);
    input_touch(event->source.data, event->source.len);
  }
}

static void check_traffic(const Vedette__V1__Traffic *traffic) {
  CHECK(traffic->n_flows <= FLOWS_LIMIT && traffic->n_listening_tcp <= PORTS_LIMIT && traffic->n_listening_udp <= PORTS_LIMIT);
  for (size_t i = 0; i < traffic->n_flows; i++) {
    CHECK(traffic->flows[i]->address.len == 4 || traffic->flows[i]->address.len == 16);
    input_touch(traffic->flows[i]->address.data, traffic->flows[i]->address.len);
  }
}

static void check_report(const Vedette__V1__Report *report) {
  CHECK(report_boot(report) != 0 && report->sequence >= 1 && report->sequence <= INT64_MAX);
  CHECK(text_valid(report->child, CREDENTIAL_LIMIT) && text_valid(report->credential, CREDENTIAL_LIMIT));
  check_samples(report);
  check_events(report);
  if (report->firmware != NULL) {
    CHECK(text_valid(report->firmware->version, 64));
    CHECK(report->firmware->image_hash.len == 0 || report->firmware->image_hash.len == 32);
  }
  if (report->traffic != NULL) {
    check_traffic(report->traffic);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct region *region;
  if (region == NULL) {
    region = region_new((size_t)2 * DECODE_BUDGET);
    CHECK(region != NULL);
  }
  Vedette__V1__Report *report;
  struct verdict verdict = decode_report(region, data, size, &report);
  CHECK(verdict.detail != NULL && strlen(verdict.detail) < 256);
  CHECK(verdict.reason != 0 || report != NULL);
  CHECK(region_used(region) <= DECODE_BUDGET + DECODE_BUDGET / 2);
  if (verdict.reason == 0) {
    check_report(report);
  }
  region_reset(region);
  return 0;
}
