#include "unit.h"

#include "ingest/batch.h"
#include "ingest/mapping_internal.h"

#include <unistd.h>

static const int64_t now = INT64_C(1790000000000000); // 2026-09-21T14:13:20Z

static char path[] = "/tmp/vedette-mapping-XXXXXX";
static char error[512];

// --- mapping files

static struct mappings *load(const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  error[0] = '\0';
  return mappings_load(path, error, sizeof error);
}

static void refuses(const char *text, const char *why) {
  struct mappings *mappings = load(text);
  if (mappings != NULL || strstr(error, why) == NULL || strstr(error, path) == NULL) {
    fail_msg("expected \"%s\" of %s, got \"%s\"", why, path, error);
  }
}

#define SAMPLE "    samples: [{path: a, metric: a}]\n"
#define ONE(rest) "mappings:\n  - topic: t/{publisher}\n" rest SAMPLE
#define RULE(rule) "mappings:\n  - topic: t/{publisher}\n    samples:\n      - {path: a, metric: a, " rule "}\n"

static void names_file_line_and_field(void **state) {
  (void)state;
  refuses("mappings:\n  - topic: t/{publisher}\n    colour: red\n" SAMPLE, "line 3: \"colour\" is not known here");
  refuses("mappings:\n  - topic: t\n" SAMPLE, "line 2: publisher: the topic has no {publisher}");
  refuses(ONE("    publisher: x\n"), "line 2: publisher: the topic has one already");
  refuses(ONE("    topic: u/{publisher}\n"), "line 3: topic: is given twice");
  refuses(ONE("    boot: b\n"), "line 2: sequence: is missing: boot and sequence belong together");
  refuses(ONE("    time: {path: t}\n"), "line 3: format: is missing");
  refuses(ONE("    time: {path: t, format: epoch}\n"), "line 3: format: has to be one of unix-s, unix-ms, unix-us, iso8601");
  refuses(ONE("    time: {path: t, format: unix-s, zone: Z}\n"), "line 3: zone: only iso8601 has one");
  refuses(ONE("    time: {path: t, format: iso8601, zone: CET}\n"), "line 3: zone: is not a zone");
  refuses(ONE("    child: a..b\n"), "line 3: child: has a key that is empty");
  refuses("mappings:\n  - topic: t/{publisher}\n", "line 2: samples: there are neither samples nor each");
  refuses("mappings:\n  - topic: t/{publisher}\n    samples: []\n", "line 3: samples: has to be a list of 1 to 256");
  refuses("mappings:\n  - topic: t/{publisher}\n    samples:\n      - {path: a}\n", "line 4: metric: is missing");
  refuses("mappings:\n  - topic: t/{publisher}\n    samples:\n      - {path: a, metric: A}\n", "line 4: metric: is not 1 to 64");
  refuses(RULE("unit: \"\""), "line 4: unit: has to be a text of 1 to 32 bytes");
  refuses(RULE("kind: meter"), "line 4: kind: has to be one of gauge, counter, state");
  refuses(RULE("scale: .nan"), "line 4: scale: \".nan\" is not a number");
  refuses(RULE("scale: 0"), "line 4: scale: would make everything 0");
  refuses(RULE("type: text, scale: 2"), "line 4: scale: is for numbers only");
  refuses(RULE("type: bool, values: {x: 1}"), "line 4: type: `values` make numbers of texts");
  refuses(RULE("values: {x: y}"), "line 4: values: \"y\" is not a number");
  refuses(RULE("when: {a: 1, b: 2}"), "line 4: when: has to be one `path: value`");
  refuses("mappings: [{topic: [a]}]\n", "line 1: topic: is not a topic filter");
  refuses("mappings: {}\n", "line 1: mappings: has to be a list");
  refuses("mapping: []\n", "line 1: \"mapping\" is not known here");
  refuses("", "holds no mappings");
  refuses("mappings: [\n", "not YAML");
  refuses("mappings: &a\n  - *a\n", "line"); // an alias inside itself
}

static void refuses_topics_that_mean_two_things(void **state) {
  (void)state;
  refuses("mappings:\n  - {topic: '$SYS/{publisher}', samples: [{path: a, metric: a}]}\n", "is not a topic filter");
  refuses("mappings:\n  - {topic: 'a/{publisher}/{publisher}', samples: [{path: a, metric: a}]}\n", "stands twice");
  refuses("mappings:\n  - {topic: 'a/#/{publisher}', samples: [{path: a, metric: a}]}\n", "# can only be the last");
  refuses("mappings:\n  - {topic: 'a/b{publisher}', samples: [{path: a, metric: a}]}\n", "a level is a text");
  refuses("mappings:\n  - {topic: '{publisher}/v1/+/report', samples: [{path: a, metric: a}]}\n", "overlaps vedette/v1/+/report");
  refuses("mappings:\n  - {topic: '{publisher}/#', samples: [{path: a, metric: a}]}\n", "overlaps vedette/v1/+/report");
  refuses("mappings:\n  - {topic: 'a/{publisher}/#', samples: [{path: a, metric: a}]}\n"
          "  - {topic: 'a/b/{publisher}', samples: [{path: a, metric: a}]}\n",
          "line 3: topic: overlaps a/+/# of");
  struct mappings *mappings = load("mappings:\n  - {topic: 'a/{publisher}/x', samples: [{path: a, metric: a}]}\n"
                                   "  - {topic: 'a/{publisher}/y/#', samples: [{path: a, metric: a}]}\n");
  assert_non_null(mappings);
  assert_int_equal(mappings_count(mappings), 2);
  assert_string_equal(mappings_filter(mappings, 1), "a/+/y/#");
  mappings_free(mappings);
}

static void takes_no_mappings_and_says_what_it_cannot_read(void **state) {
  (void)state;
  struct mappings *mappings = mappings_load(NULL, error, sizeof error);
  assert_int_equal(mappings_count(mappings), 0);
  mappings_free(mappings);
  assert_null(mappings_load("/nonexistent/mappings", error, sizeof error));
  assert_non_null(strstr(error, "/nonexistent/mappings: the mappings cannot be read"));
}

// --- topics, times

static bool matches(const char *filter_text, const char *topic, struct topic_match *match) {
  struct region *region = region_new(4096);
  struct filter filter;
  assert_null(filter_parse(&filter, region, filter_text));
  bool does = filter_match(&filter, topic, strlen(topic), match);
  region_free(region);
  return does;
}

static void matches_topics_as_the_broker_does(void **state) {
  struct topic_match match;
  (void)state;
  assert_true(matches("tele/{publisher}/SENSOR", "tele/plug-1/SENSOR", &match));
  assert_int_equal(match.publisher_length, 6);
  assert_memory_equal(match.publisher, "plug-1", 6);
  assert_true(matches("gw/{publisher}/{child}/#", "gw/a/b", &match));
  assert_memory_equal(match.child, "b", 1);
  assert_true(matches("gw/{publisher}/+/#", "gw/a/b/c/d", &match));
  assert_false(matches("tele/{publisher}/SENSOR", "tele/plug-1/SENSOR/x", &match));
  assert_false(matches("tele/{publisher}/SENSOR", "tele/plug-1", &match));
  assert_false(matches("tele/{publisher}/SENSOR", "tele//SENSOR", &match)); // no name
  assert_false(matches("tele/{publisher}", "tele", &match));
  assert_false(matches("{publisher}/a", "$SYS/a", &match));
}

static int64_t iso(const char *text, const char *zone) {
  struct time_rule rule = {.zoned = zone != NULL};
  int64_t time;
  if (zone != NULL) {
    assert_true(zone_parse(zone, &rule.zone_s));
  }
  return iso8601_parse(text, &rule, &time) ? time : -1;
}

static void reads_iso_8601(void **state) {
  (void)state;
  assert_int_equal(iso("2026-09-21T14:13:20Z", NULL), now);
  assert_int_equal(iso("2026-09-21 16:13:20.5+02:00", NULL), now + 500000);
  assert_int_equal(iso("2026-09-21T14:13:20,1234567Z", NULL), now + 123456);
  assert_int_equal(iso("2026-09-21T10:43:20-0330", NULL), now);
  assert_int_equal(iso("2026-09-21T15:13:20", "+01:00"), now);
  assert_int_equal(iso("2026-09-21T14:13Z", NULL), now - 20 * 1000000);
  assert_int_equal(iso("2024-02-29T00:00:00Z", NULL), INT64_C(1709164800000000));
  assert_int_equal(iso("2026-09-21T14:13:20", NULL), -1); // no zone
  static const char *const wrong[] = {"",
                                      "2026",
                                      "2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-09-21T24:00:00Z",
                                      "2026-09-21T14:13:20+1",
                                      "2026-09-21T14:13:20Zx",
                                      "2026-09-21T14:13:20.Z",
                                      "x026-09-21T14:13Z"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_int_equal(iso(wrong[i], NULL), -1);
  }
}

// --- messages

struct fixture {
  struct mappings *mappings;
  struct region *region;
  struct decoded out;
};

static const char rich[] = "mappings:\n"
                           "  - topic: t/{publisher}\n"
                           "    time: {path: at, format: unix-ms}\n"
                           "    samples:\n"
                           "      - {path: env.temp, metric: temperature, unit: Cel, scale: 0.1}\n"
                           "      - {path: count, metric: count, kind: counter}\n"
                           "      - {path: door, metric: door, type: bool}\n"
                           "      - {path: mode, metric: mode, type: text}\n"
                           "      - {path: 'power', metric: switch, values: {\"ON\": 1, \"OFF\": 0}}\n"
                           "      - {path: 'list[1].\"a.b\"', metric: nested}\n"
                           "    each:\n"
                           "      - path: history\n"
                           "        time: {path: t, format: iso8601}\n"
                           "        samples: [{path: v, metric: past, unit: V}]\n"
                           "      - path: channels\n"
                           "        samples:\n"
                           "          - {path: v, metric: channel.0, when: {id: 0}}\n"
                           "          - {path: v, metric: channel.a, when: {id: a}}\n"
                           "  - topic: n/{publisher}\n"
                           "    boot: b\n"
                           "    sequence: s\n"
                           "    samples: [{path: v, metric: v}]\n"
                           "  - topic: bridge/{child}\n"
                           "    publisher: the-bridge\n"
                           "    samples: [{path: v, metric: v}]\n"
                           "  - topic: gw/{publisher}\n"
                           "    child: who\n"
                           "    samples: [{path: ., metric: whole}, {path: v, metric: v}]\n"
                           "  - topic: plain/{publisher}\n"
                           "    samples: [{path: ., metric: whole}]\n"
                           "  - topic: root/{publisher}\n"
                           "    each: [{path: ., time: {path: t, format: unix-s}, samples: [{path: v, metric: v}]}]\n";

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  f->mappings = load(rich);
  if (f->mappings == NULL) {
    fail_msg("%s", error);
  }
  f->region = region_new(1 << 20);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  mappings_free(f->mappings);
  region_free(f->region);
  free(f);
  return 0;
}

static Vedette__V1__Reason decode_bytes(struct fixture *f, const char *topic, const char *payload, size_t size) {
  struct decoder *decoder = mappings_decoder(f->mappings);
  uint8_t *exact = malloc(size > 0 ? size : 1); // a read behind it is seen
  memcpy(exact, payload, size);
  struct record record = {
      .received = now, .topic = topic, .topic_length = strlen(topic), .payload = exact, .payload_length = size};
  region_reset(f->region);
  assert_true(decoder->decode(decoder, f->region, &record, &f->out));
  free(exact); // nothing of the report points there
  return f->out.verdict.reason;
}

static Vedette__V1__Reason decode(struct fixture *f, const char *topic, const char *payload) {
  return decode_bytes(f, topic, payload, strlen(payload));
}

static const Vedette__V1__Sample *sample(const struct fixture *f, const char *metric) {
  for (size_t i = 0; i < f->out.report->n_samples; i++) {
    if (strcmp(f->out.report->samples[i]->metric, metric) == 0) {
      return f->out.report->samples[i];
    }
  }
  return NULL;
}

static void a_message_becomes_a_report(void **state) {
  struct fixture *f = *state;
  assert_int_equal(decode(f, "t/plug",
                          "{\"at\": 1790000000000, \"env\": {\"temp\": 215}, \"count\": 9007199254740993, \"door\": true,"
                          "\"mode\": \"auto\", \"power\": \"ON\", \"list\": [0, {\"a.b\": 2.5}], \"unknown\": {}}"),
                   0);
  assert_int_equal(f->out.kind, TOPIC_REPORT);
  assert_memory_equal(f->out.credential, "plug", 4);
  assert_int_equal(f->out.marks, MARK_NO_SEQUENCE);
  const Vedette__V1__Report *report = f->out.report;
  assert_int_equal(report->time, now);
  assert_int_equal(report->n_samples, 6);
  assert_true(sample(f, "temperature")->number == 21.5);
  assert_int_equal(sample(f, "count")->integer, INT64_C(9007199254740993)); // exact
  assert_true(sample(f, "door")->flag);
  assert_string_equal(sample(f, "mode")->text, "auto");
  assert_true(sample(f, "switch")->number == 1);
  assert_true(sample(f, "nested")->number == 2.5);
  assert_int_equal(report->n_metrics, 6);
  assert_string_equal(report->metrics[0]->unit, "Cel");
  assert_int_equal(report->metrics[0]->kind, VEDETTE__V1__METRIC_KIND__METRIC_KIND_GAUGE);
  assert_int_equal(report->metrics[1]->kind, VEDETTE__V1__METRIC_KIND__METRIC_KIND_COUNTER);
  assert_int_equal(report->metrics[2]->kind, VEDETTE__V1__METRIC_KIND__METRIC_KIND_STATE);
}

static void arrays_give_several_samples_and_times(void **state) {
  struct fixture *f = *state;
  assert_int_equal(decode(f, "t/a",
                          "{\"at\": 1790000000000, \"history\": [{\"t\": \"2026-09-21T14:13:19Z\", \"v\": 1}, "
                          "{\"t\": \"2026-09-21T14:13:18Z\", \"v\": 2}, {\"t\": null, \"v\": 3}, {}],"
                          "\"channels\": [{\"id\": 0, \"v\": 4}, {\"id\": \"a\", \"v\": 5}, {\"id\": 7, \"v\": 6}, {\"v\": 7}]}"),
                   0);
  const Vedette__V1__Report *report = f->out.report;
  assert_int_equal(report->n_samples, 5);
  assert_int_equal(report->samples[0]->time, now - 1000000);
  assert_int_equal(report->samples[1]->time, now - 2000000);
  assert_int_equal(report->samples[2]->time, 0);
  assert_int_equal(sample(f, "channel.0")->integer, 4);
  assert_int_equal(sample(f, "channel.a")->integer, 5);
  assert_int_equal(report->n_metrics, 3); // each declared once
  // An array without a time around it: the newest element's is the message's.
  assert_int_equal(decode(f, "root/a", "[{\"t\": 1789999990, \"v\": 1}, {\"t\": 1789999995.25, \"v\": 2}]"), 0);
  assert_int_equal(f->out.report->time, now - 4750000);
  assert_int_equal(f->out.marks, MARK_NO_SEQUENCE);
}

static void absent_is_absent(void **state) {
  struct fixture *f = *state;
  assert_int_equal(decode(f, "t/a", "{\"at\": 1790000000000, \"env\": null, \"list\": [], \"door\": null}"), 0);
  assert_int_equal(f->out.report->n_samples, 0);
}

static void without_a_usable_time_it_is_the_time_of_receipt(void **state) {
  struct fixture *f = *state;
  static const char *const messages[] = {"{}", "{\"at\": null}", "{\"at\": 0}", "{\"at\": 5000}"}; // the last: since 1970
  for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
    assert_int_equal(decode(f, "t/a", messages[i]), 0);
    assert_int_equal(f->out.report->time, now);
    assert_int_equal(f->out.marks, MARK_NO_SEQUENCE | MARK_NO_CLOCK);
  }
  // Who numbers its reports is told by the numbers, so its time stays as it was said.
  assert_int_equal(decode(f, "n/a", "{\"b\": 7, \"s\": 1, \"v\": 1}"), 0);
  assert_int_equal(f->out.report->time, 0);
  assert_int_equal(f->out.marks, 0);
}

static void a_wrong_type_refuses_the_message_and_says_where(void **state) {
  static const struct {
    const char *payload;
    Vedette__V1__Reason reason;
    const char *detail;
  } cases[] = {
      {"{\"env\": {\"temp\": \"21.5\"}}", VEDETTE__V1__REASON__REASON_VALUE, "env.temp is a text, not a number"},
      {"{\"env\": 3}", VEDETTE__V1__REASON__REASON_VALUE, "env.temp: step 2 goes into an integer"},
      {"{\"list\": {}}", VEDETTE__V1__REASON__REASON_VALUE, "step 2 goes into an object"},
      {"{\"door\": 1}", VEDETTE__V1__REASON__REASON_VALUE, "door is an integer, not true or false"},
      {"{\"mode\": 1.5}", VEDETTE__V1__REASON__REASON_VALUE, "mode is a number, not a text"},
      {"{\"mode\": \"a\\u0007b\"}", VEDETTE__V1__REASON__REASON_VALUE, "mode is not UTF-8"},
      {"{\"power\": \"MAYBE\"}", VEDETTE__V1__REASON__REASON_VALUE, "power is a text that the mapping has no value for"},
      {"{\"history\": {}}", VEDETTE__V1__REASON__REASON_VALUE, "history is an object, not an array"},
      {"{\"history\": [1]}", VEDETTE__V1__REASON__REASON_VALUE, "t: step 1 goes into an integer"},
      {"{\"history\": [{\"t\": \"yesterday\"}]}", VEDETTE__V1__REASON__REASON_TIME, "t is not a time, or it has no zone"},
      {"{\"at\": \"1790000000000\"}", VEDETTE__V1__REASON__REASON_TIME, "at is a text, not a number"},
      {"{\"at\": 9223372036854775807}", VEDETTE__V1__REASON__REASON_TIME, "at is not a time"},
      {"{\"at\": 1e300}", VEDETTE__V1__REASON__REASON_TIME, "at is not a time"},
      {"{\"count\": 18446744073709551616}", VEDETTE__V1__REASON__REASON_MALFORMED, "not JSON: too big integer at byte"},
      {"{\"count\": 1e999}", VEDETTE__V1__REASON__REASON_MALFORMED, "not JSON: real number overflow at byte"},
      {"{\"count\": NaN}", VEDETTE__V1__REASON__REASON_MALFORMED, "not JSON: invalid token at byte"},
      {"{\"count\": 1, \"count\": 2}", VEDETTE__V1__REASON__REASON_MALFORMED, "not JSON: duplicate object key at byte"},
      {"{\"count\": 1", VEDETTE__V1__REASON__REASON_MALFORMED, "not JSON"},
      {"{} {}", VEDETTE__V1__REASON__REASON_MALFORMED, "not JSON: end of file expected"},
      {"\xff", VEDETTE__V1__REASON__REASON_MALFORMED, "not JSON: unable to decode byte"},
      {"", VEDETTE__V1__REASON__REASON_MALFORMED, "not JSON"},
      {"[]", VEDETTE__V1__REASON__REASON_VALUE, "step 1 goes into an array"},
  };
  struct fixture *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    Vedette__V1__Reason reason = decode(f, "t/a", cases[i].payload);
    if (reason != cases[i].reason || strstr(f->out.verdict.detail, cases[i].detail) == NULL) {
      fail_msg("%s: %d, %s", cases[i].payload, (int)reason, f->out.verdict.detail);
    }
  }
}

static void numbers_are_taken_from_where_the_mapping_says(void **state) {
  struct fixture *f = *state;
  assert_int_equal(decode(f, "n/a", "{\"b\": 7, \"s\": 12, \"v\": 1}"), 0);
  assert_int_equal(report_boot(f->out.report), 7);
  assert_int_equal(f->out.report->sequence, 12);
  assert_int_equal(decode(f, "n/a", "{\"b\": 7, \"v\": 1}"), VEDETTE__V1__REASON__REASON_BOOT);
  assert_int_equal(decode(f, "n/a", "{\"b\": 0, \"s\": 1}"), VEDETTE__V1__REASON__REASON_BOOT);
  assert_int_equal(decode(f, "n/a", "{\"b\": -1, \"s\": 1}"), VEDETTE__V1__REASON__REASON_BOOT);
  assert_int_equal(decode(f, "n/a", "{\"b\": \"x\", \"s\": 1}"), VEDETTE__V1__REASON__REASON_BOOT);
}

static void a_child_is_named_by_topic_or_path(void **state) {
  struct fixture *f = *state;
  assert_int_equal(decode(f, "bridge/lamp", "{\"v\": 1}"), 0);
  assert_string_equal(f->out.report->child, "lamp");
  assert_memory_equal(f->out.credential, "the-bridge", f->out.credential_length);
  assert_int_equal(decode(f, "gw/g", "{\"who\": \"lamp\", \"v\": 1}"), VEDETTE__V1__REASON__REASON_VALUE); // `.` is an object
  assert_int_equal(decode(f, "gw/g", "{\"v\": 1}"), VEDETTE__V1__REASON__REASON_IDENTITY);
  assert_int_equal(decode(f, "gw/g", "{\"who\": \"\"}"), VEDETTE__V1__REASON__REASON_IDENTITY);
  assert_int_equal(decode(f, "gw/g", "{\"who\": {}}"), VEDETTE__V1__REASON__REASON_IDENTITY);
}

static void a_message_may_be_one_value(void **state) {
  struct fixture *f = *state;
  assert_int_equal(decode(f, "plain/a", "21.5"), 0);
  assert_true(sample(f, "whole")->number == 21.5);
  assert_int_equal(decode(f, "plain/a", "\"on\""), VEDETTE__V1__REASON__REASON_VALUE);
}

static void memory_and_depth_are_bounded(void **state) {
  struct fixture *f = *state;
  static char big[MESSAGE_LIMIT + 1];
  memset(big, '[', sizeof big);
  assert_int_equal(decode_bytes(f, "t/a", big, sizeof big), VEDETTE__V1__REASON__REASON_OVERSIZED);
  assert_int_equal(decode_bytes(f, "t/a", big, MESSAGE_LIMIT), VEDETTE__V1__REASON__REASON_MALFORMED);
  assert_non_null(strstr(f->out.verdict.detail, "maximum parsing depth"));
  for (size_t i = 0; i < MESSAGE_LIMIT; i++) { // [{},{},…]: each takes some 200 bytes
    big[i] = i == 0 ? '[' : i + 1 == MESSAGE_LIMIT ? ']' : "{},"[(i - 1) % 3];
  }
  big[MESSAGE_LIMIT - 2] = ' ';
  big[MESSAGE_LIMIT - 3] = '}';
  big[MESSAGE_LIMIT - 4] = '{';
  assert_int_equal(decode_bytes(f, "t/a", big, MESSAGE_LIMIT), VEDETTE__V1__REASON__REASON_OVERSIZED);
  assert_non_null(strstr(f->out.verdict.detail, "too much memory"));
  size_t used = (size_t)sprintf(big, "[");
  for (int i = 0; i < SAMPLES_LIMIT + 1; i++) {
    used += (size_t)sprintf(big + used, "%s{\"v\":1}", i > 0 ? "," : "");
  }
  sprintf(big + used, "]");
  assert_int_equal(decode(f, "root/a", big), VEDETTE__V1__REASON__REASON_OVERSIZED);
}

static void survives_a_full_region(void **state) {
  struct fixture *f = *state;
  const char *payload = "{\"count\": 1, \"mode\": \"auto\", \"history\": [{\"v\": 1}]}";
  struct decoder *decoder = mappings_decoder(f->mappings);
  struct record record = {
      .topic = "t/a", .topic_length = 3, .payload = (const uint8_t *)payload, .payload_length = strlen(payload)};
  bool whole = false;
  for (size_t limit = 0; !whole; limit += 16) {
    struct region *small = region_new(limit);
    struct decoded out;
    assert_true(decoder->decode(decoder, small, &record, &out));
    whole = out.verdict.reason == 0;
    assert_true(whole ? out.report != NULL : out.verdict.reason == VEDETTE__V1__REASON__REASON_OVERSIZED);
    region_free(small);
  }
}

// --- through a batch

static struct message *add(struct batch *batch, struct directory *directory, const char *topic, const char *payload,
                           uint8_t flags) {
  struct record record = {.number = batch->next,
                          .received = now,
                          .flags = flags,
                          .topic = topic,
                          .topic_length = strlen(topic),
                          .payload = (const uint8_t *)payload,
                          .payload_length = strlen(payload)};
  assert_true(batch_add(batch, directory, &record));
  return &batch->messages[batch->count - 1];
}

static void number_metric(struct model *model, struct metric *metric, const Vedette__V1__MetricDeclaration *declaration,
                          void *arg) {
  (void)model;
  (void)declaration;
  metric->id = metric->id ? metric->id : ++*(int32_t *)arg;
}

static void what_is_not_numbered_is_told_by_its_content(void **state) {
  struct fixture *f = *state;
  struct directory *directory = directory_new();
  struct batch batch;
  int32_t next = 0;
  const int64_t keep = 30 * INT64_C(86400000000);
  assert_true(batch_init(&batch, 16));
  batch_add_decoder(&batch, mappings_decoder(f->mappings));
  batch_reset(&batch, 0);
  directory_put(directory,
                &(struct intake_device){.id = 1, .credential = "a", .model = 1, .gateway = 0, .active = true, .keep_us = keep});
  directory_put(directory, &(struct intake_device){
                               .id = 2, .credential = "the-bridge", .model = 1, .gateway = 0, .active = true, .keep_us = keep});
  directory_put(directory, &(struct intake_device){
                               .id = 3, .credential = "lamp", .model = 1, .gateway = 2, .active = true, .keep_us = keep});
  const char *payload = "{\"at\": 1790000000000, \"count\": 1}";
  struct message *first = add(&batch, directory, "t/a", payload, 0);
  struct message *again = add(&batch, directory, "t/a", payload, 0);
  struct message *sent_again = add(&batch, directory, "t/a", payload, RECORD_DUP);
  struct message *other = add(&batch, directory, "t/a", "{\"at\": 1790000000000, \"count\": 2}", 0);
  struct message *lamp = add(&batch, directory, "bridge/lamp", "{\"v\": 1}", 0);
  struct message *stranger = add(&batch, directory, "bridge/a", "{\"v\": 1}", 0);
  struct message *nowhere = add(&batch, directory, "x/a", "{}", 0);
  assert_int_equal(first->boot, 0);
  assert_true(first->sequence <= INT64_MAX);
  assert_true(first->sequence != other->sequence);
  assert_false(again->repeat);
  assert_true(sent_again->repeat);
  assert_int_equal(lamp->device->id, 3);
  assert_int_equal(stranger->verdict.reason, VEDETTE__V1__REASON__REASON_IDENTITY); // not the bridge's
  assert_int_equal(nowhere->verdict.reason, VEDETTE__V1__REASON__REASON_TOPIC);
  batch_metrics(&batch, number_metric, &next);
  assert_true(batch_rows(&batch));
  assert_int_equal(first->outcome, OUTCOME_STORED);
  assert_int_equal(again->outcome, OUTCOME_DUPLICATE);
  assert_int_equal(sent_again->outcome, OUTCOME_DUPLICATE);
  assert_int_equal(other->outcome, OUTCOME_STORED);
  assert_int_equal(batch.row_count, 3);
  assert_true(batch.rows[0].marks & MARK_NO_SEQUENCE);
  batch_remember(&batch);
  assert_int_equal(first->publisher->sequence, 0); // digests are no highest sequence
  batch_destroy(&batch);
  directory_free(directory);
}

// --- what ships

static void the_shipped_mappings_read_what_devices_send(void **state) {
  static const struct {
    const char *topic, *payload;
    size_t samples;
  } messages[] = {
      {"tele/plug-1/SENSOR",
       "{\"Time\":\"2026-09-21T14:13:20\",\"ENERGY\":{\"TotalStartTime\":\"2026-01-01T00:00:00\",\"Total\":12.345,\"Yesterday\":"
       "0.5,"
       "\"Today\":0.2,\"Power\":42,\"ApparentPower\":50,\"Factor\":0.84,\"Voltage\":231,\"Current\":0.216},"
       "\"DS18B20\":{\"Id\":\"0316A279C0FF\",\"Temperature\":21.6},\"TempUnit\":\"C\"}",
       5},
      {"tele/plug-1/STATE",
       "{\"Time\":\"2026-09-21T14:13:20\",\"Uptime\":\"1T02:03:04\",\"UptimeSec\":93784,\"Heap\":25,\"SleepMode\":\"Dynamic\","
       "\"Sleep\":50,\"LoadAvg\":19,\"MqttCount\":1,\"POWER\":\"ON\",\"Wifi\":{\"AP\":1,\"SSId\":\"x\",\"Channel\":6,\"RSSI\":86,"
       "\"Signal\":-57,\"LinkCount\":1,\"Downtime\":\"0T00:00:05\"}}",
       7},
      {"shelly/relay-1/status/switch:0",
       "{\"id\":0,\"source\":\"init\",\"output\":false,\"apower\":0.0,\"voltage\":234.1,\"current\":0.0,"
       "\"aenergy\":{\"total\":11.7,\"by_minute\":[0.0,0.0,0.0],\"minute_ts\":1790000000},\"temperature\":{\"tC\":52.9,\"tF\":"
       "127.2}}",
       6},
      {"shelly/relay-1/events/rpc",
       "{\"src\":\"relay-1\",\"dst\":\"shelly/relay-1/events\",\"method\":\"NotifyEvent\",\"params\":{\"ts\":1790000000.12,"
       "\"events\":[{\"component\":\"input:0\",\"id\":0,\"event\":\"single_push\",\"ts\":1790000000.12}]}}",
       1},
      {"shelly/relay-1/events/rpc",
       "{\"src\":\"relay-1\",\"method\":\"NotifyStatus\",\"params\":{\"ts\":1790000000.12,\"switch:0\":{\"id\":0,\"output\":true}"
       "}}",
       0},
      {"zigbee2mqtt/kitchen",
       "{\"battery\":97,\"humidity\":48.6,\"last_seen\":1789999999000,\"linkquality\":156,\"pressure\":1001.4,"
       "\"temperature\":22.5,\"voltage\":2995}",
       6},
  };
  struct fixture f = {.mappings = mappings_load(VEDETTE_SOURCE "/deploy/mappings", error, sizeof error),
                      .region = region_new(1 << 20)};
  (void)state;
  if (f.mappings == NULL) {
    fail_msg("%s", error);
  }
  for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
    if (decode(&f, messages[i].topic, messages[i].payload) != 0 || f.out.report->n_samples != messages[i].samples) {
      fail_msg("%s: %s, %zu samples", messages[i].topic, f.out.verdict.detail, f.out.report->n_samples);
    }
  }
  mappings_free(f.mappings);
  region_free(f.region);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  int fd = mkstemp(path);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_file_line_and_field),
      cmocka_unit_test(refuses_topics_that_mean_two_things),
      cmocka_unit_test(takes_no_mappings_and_says_what_it_cannot_read),
      cmocka_unit_test(matches_topics_as_the_broker_does),
      cmocka_unit_test(reads_iso_8601),
      WITH_FIXTURE(a_message_becomes_a_report),
      WITH_FIXTURE(arrays_give_several_samples_and_times),
      WITH_FIXTURE(absent_is_absent),
      WITH_FIXTURE(without_a_usable_time_it_is_the_time_of_receipt),
      WITH_FIXTURE(a_wrong_type_refuses_the_message_and_says_where),
      WITH_FIXTURE(numbers_are_taken_from_where_the_mapping_says),
      WITH_FIXTURE(a_child_is_named_by_topic_or_path),
      WITH_FIXTURE(a_message_may_be_one_value),
      WITH_FIXTURE(memory_and_depth_are_bounded),
      WITH_FIXTURE(survives_a_full_region),
      WITH_FIXTURE(what_is_not_numbered_is_told_by_its_content),
      cmocka_unit_test(the_shipped_mappings_read_what_devices_send),
  };
  if (fd < 0) {
    return 1;
  }
  close(fd);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(path);
  return failed;
}
