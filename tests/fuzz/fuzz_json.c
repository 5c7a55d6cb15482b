// The JSON decoder: whatever the payload, a report that is accepted holds what the wire contract promises.
//
// The first byte of the input chooses the topic, the rest is the payload.
#include "ingest/mapping.h"
#include "ingest/validate.h"
#include "tests/fuzz/input.h"

#include <math.h>
#include <string.h>

static const char file[] =
    "mappings:\n"
    "  - topic: t/{publisher}\n"
    "    time: {path: Time, format: iso8601, zone: '+01:00'}\n"
    "    samples:\n"
    "      - {path: ENERGY.Power, metric: power, unit: W, scale: 0.001}\n"
    "      - {path: n, metric: n}\n"
    "      - {path: flag, metric: flag, type: bool}\n"
    "      - {path: text, metric: text, type: text}\n"
    "      - {path: word, metric: word, values: {\"ON\": 1, \"OFF\": 0}}\n"
    "      - {path: 'list[1].\"a.b\"[0]', metric: deep}\n"
    "    each:\n"
    "      - path: past\n"
    "        time: {path: t, format: unix-s}\n"
    "        samples: [{path: v, metric: past}, {path: w, metric: past.w, type: text, when: {id: 1}}]\n"
    "      - {path: more, time: {path: t, format: iso8601}, samples: [{path: ., metric: whole}]}\n"
    "  - {topic: 'n/{publisher}', boot: b, sequence: s, time: {path: t, format: unix-ms}, samples: [{path: v, metric: v}]}\n"
    "  - {topic: 'c/{publisher}', child: who, time: {path: t, format: unix-us}, samples: [{path: v, metric: v}]}\n"
    "  - {topic: 'p/{child}', publisher: bridge, samples: [{path: ., metric: v}]}\n"
    "  - {topic: 'r/{publisher}', each: [{path: ., time: {path: t, format: unix-s}, samples: [{path: v, metric: v}]}]}\n";
static const char *const topics[] = {"t/a", "n/a", "c/a", "p/a", "r/a"};

static void check_report(const Vedette__V1__Report *report, int marks) {
  CHECK(report->n_samples <= SAMPLES_LIMIT && report->n_metrics <= report->n_samples);
  CHECK(text_valid(report->child, CREDENTIAL_LIMIT));
  CHECK((marks & MARK_NO_SEQUENCE) ? report->sequence == 0 && report->time != 0
                                   : report_boot(report) != 0 && report->sequence > 0);
  for (size_t i = 0; i < report->n_samples; i++) {
    const Vedette__V1__Sample *sample = report->samples[i];
    CHECK(metric_name_valid(sample->metric) && sample->value_case != VEDETTE__V1__SAMPLE__VALUE__NOT_SET);
    CHECK(sample->value_case != VEDETTE__V1__SAMPLE__VALUE_NUMBER || isfinite(sample->number));
    CHECK(sample->value_case != VEDETTE__V1__SAMPLE__VALUE_TEXT || text_valid(sample->text, 256));
  }
  for (size_t i = 0; i < report->n_metrics; i++) {
    CHECK(metric_name_valid(report->metrics[i]->metric));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct mappings *mappings;
  static struct region *region;
  char error[512];
  struct decoded out;
  if (mappings == NULL) {
    mappings = mappings_load(input_file((const uint8_t *)file, strlen(file)), error, sizeof error);
    region = region_new(4 * DECODE_BUDGET);
    CHECK(mappings != NULL && region != NULL);
  }
  if (size == 0) {
    return 0;
  }
  const char *topic = topics[data[0] % (sizeof topics / sizeof topics[0])];
  struct decoder *decoder = mappings_decoder(mappings);
  struct record record = {.received = INT64_C(1790000000000000),
                          .topic = topic,
                          .topic_length = strlen(topic),
                          .payload = data + 1,
                          .payload_length = size - 1};
  region_reset(region);
  CHECK(decoder->decode(decoder, region, &record, &out) && out.kind == TOPIC_REPORT);
  CHECK(region_used(region) <= 2 * DECODE_BUDGET); // what batch_add leaves room for
  input_touch(out.verdict.detail, strlen(out.verdict.detail));
  if (out.verdict.reason == 0) {
    check_report(out.report, out.marks);
  }
  return 0;
}
