// The agent's reports, its queue of unsent ones, and the boot counter.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "docs/examples/agent/files.h"
#include "docs/examples/agent/queue.h"
#include "docs/examples/agent/report.h"
#include "vedette/v1/telemetry.pb-c.h"

static const struct report_boot boot_seven = {false, 7};

// The fullest report there can be.
static struct report_bytes pack_full(bool declare) {
  static struct snapshot before;
  static struct snapshot now;
  static struct authlog_tally logins;
  static struct snapshot_firmware firmware = {.version = "12 (bookworm)", .has_hash = true, .hash = {1, 2, 3}};
  now = (struct snapshot){.time = 1795456114504629,
                          .monotonic = 11000000,
                          .has_load = true,
                          .has_memory = true,
                          .has_uptime = true,
                          .has_disk = true,
                          .has_sockets = true,
                          .has_netdev = true};
  before.monotonic = 1000000;
  before.has_netdev = true;
  now.netdev = (struct netdev){1, {{"eth0", 500, 600, 7, 8}}};
  now.memory.total = UINT64_MAX;
  for (; now.sensor_count < HOST_SENSORS_MAX; now.sensor_count++) {
    snprintf(now.sensors[now.sensor_count].metric, sizeof now.sensors[0].metric, "temperature.%zu", now.sensor_count);
  }
  for (; now.sockets.flow_count < SOCKETS_FLOWS_MAX; now.sockets.flow_count++) {
    now.sockets.flows[now.sockets.flow_count].address.size = 16;
  }
  for (size_t i = 0; i < SOCKETS_PORTS_MAX; i++) {
    now.sockets.tcp.port[i] = now.sockets.udp.port[i] = (uint16_t)(60000 + i);
  }
  now.sockets.tcp.count = now.sockets.udp.count = SOCKETS_PORTS_MAX;
  for (logins.count = 0; logins.count < AUTHLOG_TALLY_MAX; logins.count++) {
    logins.failures[logins.count].count = 1;
    memset(logins.failures[logins.count].subject, 'x', AUTHLOG_SUBJECT_MAX - 1);
  }
  struct report_content content = {"host-1", boot_seven, 3, &before, &now, declare ? &firmware : NULL, &logins};
  return report_pack(&content);
}

static void report_has_everything(void **state) {
  (void)state;
  struct report_bytes packed = pack_full(true);
  assert_non_null(packed.bytes);
  assert_true(packed.size < 65536);
  Vedette__V1__Report *report = vedette__v1__report__unpack(NULL, packed.size, packed.bytes);
  assert_non_null(report);
  assert_int_equal(report->boot_case, VEDETTE__V1__REPORT__BOOT_BOOT_COUNTER);
  assert_int_equal(report->boot_counter, 7);
  assert_int_equal(report->sequence, 3);
  assert_string_equal(report->credential, "host-1");
  assert_int_equal(report->n_samples, report->n_metrics);
  assert_int_equal(report->n_samples, 10 + HOST_SENSORS_MAX);
  assert_int_equal(report->samples[4]->integer, INT64_MAX);
  assert_int_equal(report->firmware->image_hash.len, 32);
  assert_int_equal(report->traffic->interval, 10000000);
  assert_int_equal(report->traffic->bytes_in, 500);
  assert_int_equal(report->traffic->packets_out, 8);
  assert_int_equal(report->traffic->n_flows, 32);
  assert_int_equal(report->traffic->n_listening_tcp, 128);
  assert_int_equal(report->n_events, 64);
  assert_int_equal(report->events[0]->kind, VEDETTE__V1__EVENT_KIND__EVENT_KIND_LOGIN_FAILED);
  assert_int_equal(report->historical, 0);
  vedette__v1__report__free_unpacked(report, NULL);
  free(packed.bytes);
}

static void historical_is_a_field_at_the_end(void **state) {
  (void)state;
  struct report_bytes packed = pack_full(false);
  assert_non_null(packed.bytes);
  report_mark_historical(&packed);
  Vedette__V1__Report *report = vedette__v1__report__unpack(NULL, packed.size, packed.bytes);
  assert_non_null(report);
  assert_int_equal(report->historical, 1);
  assert_int_equal(report->n_metrics, 0);
  assert_null(report->firmware);
  assert_int_equal(report->base.n_unknown_fields, 0);
  vedette__v1__report__free_unpacked(report, NULL);
  free(packed.bytes);
}

static void connectivity_of_a_random_boot(void **state) {
  (void)state;
  struct report_bytes packed = report_connectivity(REPORT_OFFLINE, (struct report_boot){true, UINT64_MAX}, 2, "will", 0);
  assert_non_null(packed.bytes);
  Vedette__V1__Connectivity *message = vedette__v1__connectivity__unpack(NULL, packed.size, packed.bytes);
  assert_non_null(message);
  assert_int_equal(message->state, VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE);
  assert_int_equal(message->boot_case, VEDETTE__V1__CONNECTIVITY__BOOT_BOOT_RANDOM);
  assert_true(message->boot_random == UINT64_MAX);
  assert_int_equal(message->connection, 2);
  assert_string_equal(message->reason, "will");
  vedette__v1__connectivity__free_unpacked(message, NULL);
  free(packed.bytes);
}

static struct report_bytes numbered(size_t number, size_t size) {
  struct report_bytes report = {malloc(size), size};
  assert_non_null(report.bytes);
  memset(report.bytes, (int)(number & 0xff), size);
  return report;
}

static void queue_drops_the_oldest_not_under_way(void **state) {
  (void)state;
  struct queue *queue = queue_create();
  assert_non_null(queue);
  assert_null(queue_begin(queue));
  for (size_t i = 0; i < QUEUE_REPORTS_MAX; i++) {
    assert_int_equal(queue_push(queue, numbered(i, 8), i), 0);
  }
  assert_int_equal(queue_begin(queue)->report.bytes[0], 0);
  assert_int_equal(queue_push(queue, numbered(7, 8), 5000), 1); // drops 1, as 0 is under way
  assert_int_equal(queue_begin(queue)->report.bytes[0], 0);
  queue_done(queue);
  assert_int_equal(queue_begin(queue)->report.bytes[0], 2);
  queue_retry(queue);
  assert_int_equal(queue_push(queue, numbered(8, 8), 5001), 0);
  assert_int_equal(queue_push(queue, numbered(9, 8), 5002), 1); // drops 2
  assert_int_equal(queue_begin(queue)->report.bytes[0], 3);
  assert_int_equal(queue_count(queue), QUEUE_REPORTS_MAX);
  queue_free(queue);
}

static void queue_is_bounded_in_bytes(void **state) {
  (void)state;
  struct queue *queue = queue_create();
  size_t dropped = 0;
  assert_non_null(queue);
  for (size_t i = 0; i < 200; i++) {
    dropped += queue_push(queue, numbered(i, 65536), i);
  }
  assert_int_equal(queue_count(queue), QUEUE_BYTES_MAX / 65536);
  assert_int_equal(dropped, 200 - QUEUE_BYTES_MAX / 65536);
  queue_free(queue);
}

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(fclose(file), 0);
}

static void boot_counter_grows(void **state) {
  (void)state;
  char folder[] = "/tmp/agent-boot-XXXXXX";
  char path[64];
  char error[256];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/boot", folder);
  assert_int_equal(files_next_boot(path, error, sizeof error), 1);
  assert_int_equal(files_next_boot(path, error, sizeof error), 2);
  write_file(path, "41");
  assert_int_equal(files_next_boot(path, error, sizeof error), 42);
  static const char *const bad[] = {"", "x", "-1", "12 13", "18446744073709551615", "99999999999999999999999"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    write_file(path, bad[i]);
    assert_int_equal(files_next_boot(path, error, sizeof error), 0);
    assert_non_null(strstr(error, path));
  }
  assert_int_equal(files_next_boot("/nonexistent/boot", error, sizeof error), 0);
  assert_int_equal(unlink(path) | rmdir(folder), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(report_has_everything),         cmocka_unit_test(historical_is_a_field_at_the_end),
      cmocka_unit_test(connectivity_of_a_random_boot), cmocka_unit_test(queue_drops_the_oldest_not_under_way),
      cmocka_unit_test(queue_is_bounded_in_bytes),     cmocka_unit_test(boot_counter_grows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
