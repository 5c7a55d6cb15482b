#include "unit.h"

#include "ingest/decode.h"
#include "ingest/validate.h"

#include <math.h>

static struct region *region;
static uint8_t bytes[512 * 1024];

static const int64_t now = INT64_C(1790000000000000); // 2026-09-21
static const int64_t day = INT64_C(86400000000);

// A report that is fine, to spoil in one place.
struct sound {
  Vedette__V1__Report report;
  Vedette__V1__Sample sample, *samples[1];
  Vedette__V1__Event event, *events[1];
  Vedette__V1__Firmware firmware;
  Vedette__V1__Traffic traffic;
  Vedette__V1__Flow flow, *flows[1];
  Vedette__V1__MetricDeclaration declaration, *declarations[1];
};

static uint8_t hash[32];
static uint8_t address[4] = {192, 0, 2, 1};

static void make_sound(struct sound *s) {
  vedette__v1__report__init(&s->report);
  vedette__v1__sample__init(&s->sample);
  vedette__v1__event__init(&s->event);
  vedette__v1__firmware__init(&s->firmware);
  vedette__v1__traffic__init(&s->traffic);
  vedette__v1__flow__init(&s->flow);
  vedette__v1__metric_declaration__init(&s->declaration);
  s->report.boot_case = VEDETTE__V1__REPORT__BOOT_BOOT_COUNTER;
  s->report.boot_counter = 3;
  s->report.sequence = 7;
  s->report.time = now;
  s->sample.metric = "temperature";
  s->sample.value_case = VEDETTE__V1__SAMPLE__VALUE_NUMBER;
  s->sample.number = 21.5;
  s->event.kind = VEDETTE__V1__EVENT_KIND__EVENT_KIND_LOGIN_FAILED;
  s->event.subject = "admin";
  s->firmware.version = "1.2.3";
  s->firmware.image_hash = (ProtobufCBinaryData){sizeof hash, hash};
  s->flow.address = (ProtobufCBinaryData){sizeof address, address};
  s->declaration.metric = "temperature";
  s->declaration.unit = "Cel";
  s->samples[0] = &s->sample;
  s->events[0] = &s->event;
  s->flows[0] = &s->flow;
  s->declarations[0] = &s->declaration;
  s->traffic.n_flows = 1;
  s->traffic.flows = s->flows;
  s->report.n_samples = s->report.n_events = s->report.n_metrics = 1;
  s->report.samples = s->samples;
  s->report.events = s->events;
  s->report.metrics = s->declarations;
  s->report.firmware = &s->firmware;
  s->report.traffic = &s->traffic;
}

static struct verdict decode(const struct sound *s) {
  Vedette__V1__Report *out;
  size_t size = vedette__v1__report__get_packed_size(&s->report);
  assert_true(size <= sizeof bytes);
  vedette__v1__report__pack(&s->report, bytes);
  region_reset(region);
  return decode_report(region, bytes, size, &out);
}

static void takes_a_sound_report(void **state) {
  struct sound s;
  (void)state;
  make_sound(&s);
  assert_int_equal(decode(&s).reason, 0);
}

#define SPOILED(change, why)                                                                                                     \
  do {                                                                                                                           \
    struct sound s;                                                                                                              \
    make_sound(&s);                                                                                                              \
    change;                                                                                                                      \
    struct verdict verdict = decode(&s);                                                                                         \
    assert_int_equal(verdict.reason, VEDETTE__V1__REASON__REASON_##why);                                                         \
    assert_true(verdict.detail[0] != '\0');                                                                                      \
  } while (0)

static void refuses_each_spoiled_field_with_its_reason(void **state) {
  static uint32_t port = 0;
  static uint32_t ports[200];
  (void)state;
  SPOILED(s.report.boot_case = VEDETTE__V1__REPORT__BOOT__NOT_SET, BOOT);
  SPOILED(s.report.boot_counter = 0, BOOT);
  SPOILED(s.report.sequence = 0, BOOT);
  SPOILED(s.report.sequence = UINT64_MAX, BOOT);
  SPOILED(s.report.child = "a\nb", FIELD);
  SPOILED(s.sample.metric = "", METRIC_NAME);
  SPOILED(s.sample.metric = "Temperature", METRIC_NAME);
  SPOILED(s.sample.metric = "te\x01mp", METRIC_NAME);
  SPOILED(s.sample.metric = "a234567890123456789012345678901234567890123456789012345678901234x", METRIC_NAME);
  SPOILED(s.sample.number = (double)NAN, VALUE);
  SPOILED(s.sample.number = (double)-INFINITY, VALUE);
  SPOILED(s.sample.value_case = VEDETTE__V1__SAMPLE__VALUE__NOT_SET, VALUE);
  SPOILED((s.sample.value_case = VEDETTE__V1__SAMPLE__VALUE_TEXT, s.sample.text = "\xff\xfe"), VALUE);
  SPOILED((s.sample.value_case = VEDETTE__V1__SAMPLE__VALUE_TEXT, s.sample.text = "a\x1b[31m"), VALUE);
  SPOILED(s.declaration.metric = "?", METRIC_NAME);
  SPOILED(s.declaration.unit = "a unit that is much longer than units are", FIELD);
  SPOILED(s.firmware.image_hash.len = 31, FIELD);
  SPOILED(s.firmware.version = "1\x7f", FIELD);
  SPOILED(s.event.kind = 99, FIELD);
  SPOILED(s.event.kind = VEDETTE__V1__EVENT_KIND__EVENT_KIND_UNSPECIFIED, FIELD);
  SPOILED(s.event.count = UINT32_MAX, FIELD);
  SPOILED(s.event.source = ((ProtobufCBinaryData){3, address}), FIELD);
  SPOILED(s.flow.address.len = 2, FIELD);
  SPOILED(s.flow.port = 65536, FIELD);
  SPOILED(s.traffic.bytes_out = UINT64_MAX, FIELD);
  SPOILED((s.traffic.n_listening_tcp = 1, s.traffic.listening_tcp = &port), FIELD);
  SPOILED((s.traffic.n_listening_udp = 200, s.traffic.listening_udp = ports), OVERSIZED);
}

static void refuses_too_much_of_anything(void **state) {
  static Vedette__V1__Sample *samples[SAMPLES_LIMIT + 1];
  struct sound s;
  (void)state;
  make_sound(&s);
  for (size_t i = 0; i < SAMPLES_LIMIT + 1; i++) {
    samples[i] = &s.sample;
  }
  s.report.samples = samples;
  s.report.n_samples = SAMPLES_LIMIT;
  assert_int_equal(decode(&s).reason, 0);
  s.report.n_samples++;
  assert_int_equal(decode(&s).reason, VEDETTE__V1__REASON__REASON_OVERSIZED);
}

static void refuses_oversized_and_malformed_payloads(void **state) {
  Vedette__V1__Report *out;
  (void)state;
  memset(bytes, 0xff, sizeof bytes);
  assert_int_equal(decode_report(region, bytes, MESSAGE_LIMIT + 1, &out).reason, VEDETTE__V1__REASON__REASON_OVERSIZED);
  assert_int_equal(decode_report(region, bytes, 100, &out).reason, VEDETTE__V1__REASON__REASON_MALFORMED);
  assert_int_equal(decode_report(region, bytes, 0, &out).reason, VEDETTE__V1__REASON__REASON_BOOT); // an empty message decodes
}

// 32,000 empty samples take 61 times their bytes when decoded: the budget stops them.
static void a_small_message_cannot_take_much_memory(void **state) {
  Vedette__V1__Report *out;
  (void)state;
  for (size_t i = 0; i < MESSAGE_LIMIT; i += 2) {
    bytes[i] = 0x42; // field 8, length-delimited
    bytes[i + 1] = 0;
  }
  region_reset(region);
  assert_int_equal(decode_report(region, bytes, MESSAGE_LIMIT, &out).reason, VEDETTE__V1__REASON__REASON_OVERSIZED);
  assert_true(region_used(region) <= DECODE_BUDGET + 4096);
  for (size_t i = 0; i < MESSAGE_LIMIT; i += 3) { // unknown field 100
    bytes[i] = 0xa0;
    bytes[i + 1] = 0x06;
    bytes[i + 2] = 1;
  }
  region_reset(region);
  assert_int_equal(decode_report(region, bytes, 3000, &out).reason, VEDETTE__V1__REASON__REASON_OVERSIZED);
}

// Memory that runs out at any point gives a refusal, never a crash or a half message.
static void survives_every_failing_allocation(void **state) {
  struct sound s;
  (void)state;
  make_sound(&s);
  size_t size = vedette__v1__report__pack(&s.report, bytes);
  bool whole = false;
  for (size_t limit = 16; !whole && limit < 8192; limit += 16) {
    struct region *small = region_new(limit);
    Vedette__V1__Report *out;
    whole = decode_report(small, bytes, size, &out).reason == 0;
    region_free(small);
  }
  assert_true(whole);
}

static void any_cut_of_a_sound_report_is_judged(void **state) {
  struct sound s;
  Vedette__V1__Report *out;
  (void)state;
  make_sound(&s);
  size_t size = vedette__v1__report__pack(&s.report, bytes);
  for (size_t cut = 0; cut < size; cut++) {
    uint8_t *exact = malloc(cut ? cut : 1); // so that ASan sees reads past the end
    memcpy(exact, bytes, cut);
    region_reset(region);
    struct verdict verdict = decode_report(region, exact, cut, &out);
    assert_true(verdict.reason == 0 || verdict.detail != NULL);
    free(exact);
  }
}

static void checks_connectivity(void **state) {
  Vedette__V1__Connectivity c = VEDETTE__V1__CONNECTIVITY__INIT;
  Vedette__V1__Connectivity *out;
  (void)state;
  c.state = VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ONLINE;
  c.boot_case = VEDETTE__V1__CONNECTIVITY__BOOT_BOOT_RANDOM;
  c.boot_random = UINT64_MAX;
  c.connection = 1;
  size_t size = vedette__v1__connectivity__pack(&c, bytes);
  assert_int_equal(decode_connectivity(region, bytes, size, &out).reason, 0);
  assert_int_equal(connectivity_boot(out), -1);
  c.connection = 0;
  size = vedette__v1__connectivity__pack(&c, bytes);
  assert_int_equal(decode_connectivity(region, bytes, size, &out).reason, VEDETTE__V1__REASON__REASON_BOOT);
  c.connection = 1;
  c.state = 77;
  size = vedette__v1__connectivity__pack(&c, bytes);
  assert_int_equal(decode_connectivity(region, bytes, size, &out).reason, VEDETTE__V1__REASON__REASON_FIELD);
}

static enum topic_kind parse(const char *topic, char *out) {
  const char *credential;
  size_t length;
  enum topic_kind kind = topic_parse(topic, strlen(topic), &credential, &length);
  snprintf(out, 200, "%.*s", (int)length, credential);
  return kind;
}

static void takes_topics_apart(void **state) {
  char credential[200];
  (void)state;
  assert_int_equal(parse("vedette/v1/sn 12:34/report", credential), TOPIC_REPORT);
  assert_string_equal(credential, "sn 12:34");
  assert_int_equal(parse("vedette/v1/a/connectivity", credential), TOPIC_CONNECTIVITY);
  static const char *const others[] = {"",
                                       "vedette/v1/",
                                       "vedette/v1//report",
                                       "vedette/v1/a",
                                       "vedette/v1/a/",
                                       "vedette/v1/a/reports",
                                       "vedette/v1/a/b/report",
                                       "vedette/v2/a/report",
                                       "x"};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    assert_int_equal(parse(others[i], credential), TOPIC_OTHER);
  }
}

static void marks_times_against_receipt(void **state) {
  (void)state;
  const int64_t keep = 30 * day;
  assert_int_equal(time_marks(now, now, false), 0);
  assert_int_equal(time_marks(now, now, true), MARK_HISTORICAL);
  assert_int_equal(time_marks(now + 300 * INT64_C(1000000), now, false), 0);
  assert_int_equal(time_marks(now + 301 * INT64_C(1000000), now, false), MARK_AHEAD);
  assert_int_equal(time_marks(now - 6 * day, now, false), 0);
  assert_int_equal(time_marks(now - 8 * day, now, false), MARK_BEHIND);
  assert_int_equal(time_marks(now - 8 * day, now, true), MARK_HISTORICAL);
  assert_false(time_fits(now - 31 * day, now, keep));
  assert_int_equal(time_marks(0, now, false), MARK_NO_CLOCK);
  assert_int_equal(time_marks(5 * 365 * day, now, false), MARK_NO_CLOCK);
  assert_false(time_fits(-1, now, keep));
  assert_false(time_fits(INT64_MAX, now, keep));
  assert_false(time_fits(INT64_MIN, now, keep));
}

static int make_region(void **state) {
  (void)state;
  region = region_new(8 << 20);
  return region == NULL;
}

static int drop_region(void **state) {
  (void)state;
  region_free(region);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(takes_a_sound_report),
      cmocka_unit_test(refuses_each_spoiled_field_with_its_reason),
      cmocka_unit_test(refuses_too_much_of_anything),
      cmocka_unit_test(refuses_oversized_and_malformed_payloads),
      cmocka_unit_test(a_small_message_cannot_take_much_memory),
      cmocka_unit_test(survives_every_failing_allocation),
      cmocka_unit_test(any_cut_of_a_sound_report_is_judged),
      cmocka_unit_test(checks_connectivity),
      cmocka_unit_test(takes_topics_apart),
      cmocka_unit_test(marks_times_against_receipt),
  };
  return cmocka_run_group_tests(tests, make_region, drop_region);
}
