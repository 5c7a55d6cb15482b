#include "unit.h"

#include "cli/wire.h"
#include "vedette/v1/telemetry.pb-c.h"

static json_t *read_report(const uint8_t *data, size_t size, size_t *end) {
  json_t *fields = wire_read(&vedette__v1__report__descriptor, data, size, end);
  assert_non_null(fields);
  return fields;
}

static size_t pack(uint8_t *out) {
  Vedette__V1__Sample number = VEDETTE__V1__SAMPLE__INIT;
  Vedette__V1__Sample integer = VEDETTE__V1__SAMPLE__INIT;
  Vedette__V1__Sample *samples[] = {&number, &integer};
  Vedette__V1__Traffic traffic = VEDETTE__V1__TRAFFIC__INIT;
  uint32_t ports[] = {22, 8883};
  Vedette__V1__Report report = VEDETTE__V1__REPORT__INIT;
  number.metric = "temperature";
  number.value_case = VEDETTE__V1__SAMPLE__VALUE_NUMBER;
  number.number = 20.5;
  integer.metric = "n";
  integer.value_case = VEDETTE__V1__SAMPLE__VALUE_INTEGER;
  integer.integer = -3;
  traffic.listening_tcp = ports;
  traffic.n_listening_tcp = 2;
  report.boot_case = VEDETTE__V1__REPORT__BOOT_BOOT_RANDOM;
  report.boot_random = UINT64_MAX;
  report.sequence = 7;
  report.historical = true;
  report.samples = samples;
  report.n_samples = 2;
  report.traffic = &traffic;
  return vedette__v1__report__pack(&report, out);
}

static void reads_every_kind_of_field(void **state) {
  uint8_t data[512];
  size_t size = pack(data);
  size_t end = 0;
  (void)state;
  json_t *fields = read_report(data, size, &end);
  char *text = json_dumps(fields, JSON_COMPACT | JSON_SORT_KEYS);
  assert_int_equal(end, size);
  assert_string_equal(text, "{\"boot_random\":\"18446744073709551615\",\"historical\":true,"
                            "\"samples\":[{\"metric\":\"temperature\",\"number\":20.5},{\"integer\":-3,\"metric\":\"n\"}],"
                            "\"sequence\":7,\"traffic\":{\"listening_tcp\":[22,8883]}}");
  free(text);
  json_decref(fields);
}

static void says_where_it_breaks(void **state) {
  uint8_t data[512];
  size_t size = pack(data);
  (void)state;
  for (size_t cut = 0; cut <= size; cut++) { // at every place: what was before is there, nothing is read beyond
    size_t end = 0;
    uint8_t *exact = malloc(cut + (cut == 0));
    memcpy(exact, data, cut);
    json_t *fields = read_report(exact, cut, &end);
    assert_true(end <= cut);
    free(exact);
    json_decref(fields);
  }
  size_t end = 0;
  json_t *fields = read_report((const uint8_t *)"\x18\x07\xff\xff\xff", 5, &end);
  assert_int_equal(json_integer_value(json_object_get(fields, "sequence")), 7);
  assert_int_equal(end, 2);
  json_decref(fields);
}

static void shows_what_it_does_not_know(void **state) {
  static const uint8_t data[] = {0xf8, 0x01, 0x05,       // field 31, a number
                                 0x20, 0x01,             // time, as it should be
                                 0x32, 0x02, 0xff, 0xfe, // child: not UTF-8
                                 0x1a, 0x01, 0x61,       // sequence as text
                                 0x40, 0x01};            // samples as a number
  size_t end = 0;
  (void)state;
  json_t *fields = read_report(data, sizeof data, &end);
  char *text = json_dumps(fields, JSON_COMPACT | JSON_SORT_KEYS);
  assert_int_equal(end, sizeof data);
  assert_string_equal(text, "{\"child\":\"fffe\",\"field 3\":\"61\",\"field 31\":5,\"field 8\":1,\"time\":1}");
  free(text);
  json_decref(fields);
}

static void takes_any_bytes(void **state) {
  uint8_t data[200];
  unsigned seed = 1;
  (void)state;
  for (int round = 0; round < 20000; round++) {
    size_t size = (size_t)(round % (int)sizeof data);
    size_t end = 0;
    for (size_t i = 0; i < size; i++) {
      data[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
    }
    json_t *fields = read_report(data, size, &end);
    assert_true(end <= size);
    json_decref(fields);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_every_kind_of_field),
      cmocka_unit_test(says_where_it_breaks),
      cmocka_unit_test(shows_what_it_does_not_know),
      cmocka_unit_test(takes_any_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
