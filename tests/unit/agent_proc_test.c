// The agent's parsers of /proc, over recorded texts and hostile ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "docs/examples/agent/host.h"
#include "docs/examples/agent/netdev.h"
#include "docs/examples/agent/sockets.h"

static const char dev_before[] =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
    "    lo: 9999999    5000    0    0    0     0          0         0  9999999    5000    0    0    0     0       0          0\n"
    "  eth0: 1000000    2000    0    0    0     0          0         7   300000    1500    0    0    0     0       0          0\n"
    "wlp3s0:  500000     900    0    0    0     0          0         0   100000     400    0    0    0     0       0          "
    "0\n";

static const char dev_after[] =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
    "    lo:99999990   50000    0    0    0     0          0         0 99999990   50000    0    0    0     0       0          0\n"
    "  eth0:1000500    2003    0    0    0     0          0         7   300200    1502    0    0    0     0       0          0\n"
    "wlp3s0:      70       1    0    0    0     0          0         0       30       1    0    0    0     0       0          0\n"
    "  tun0:     400       4    0    0    0     0          0         0       40       2    0    0    0     0       0          "
    "0\n";

static void netdev_leaves_loopback_out(void **state) {
  (void)state;
  struct netdev dev;
  netdev_parse(text_of(dev_before), &dev);
  assert_int_equal(dev.count, 2);
  assert_string_equal(dev.interfaces[0].name, "eth0");
  assert_int_equal(dev.interfaces[0].bytes_in, 1000000);
  assert_int_equal(dev.interfaces[0].packets_in, 2000);
  assert_int_equal(dev.interfaces[0].bytes_out, 300000);
  assert_int_equal(dev.interfaces[0].packets_out, 1500);
  assert_string_equal(dev.interfaces[1].name, "wlp3s0");
}

static void netdev_counts_resets_and_new_interfaces(void **state) {
  (void)state;
  struct netdev before;
  struct netdev after;
  netdev_parse(text_of(dev_before), &before);
  netdev_parse(text_of(dev_after), &after);
  struct netdev_traffic sum = netdev_between(&before, &after);
  assert_int_equal(sum.bytes_in, 500 + 70 + 400);
  assert_int_equal(sum.bytes_out, 200 + 30 + 40);
  assert_int_equal(sum.packets_in, 3 + 1 + 4);
  assert_int_equal(sum.packets_out, 2 + 1 + 2);
}

static void netdev_survives_bad_text(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    ":",
                                    "eth0:",
                                    "eth0: 1 2 3",
                                    "eth0: 1 2 3 4 5 6 7 8 -9 10",
                                    "eth0: 99999999999999999999999 2 3 4 5 6 7 8 9 10",
                                    "a-name-of-more-than-fifteen: 1 2 3 4 5 6 7 8 9 10",
                                    "eth0 1 2 3 4 5 6 7 8 9 10",
                                    "\n\n\n"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct netdev dev;
    netdev_parse(text_of(bad[i]), &dev);
    assert_int_equal(dev.count, 0);
  }
}

static void netdev_is_bounded(void **state) {
  (void)state;
  char text[100 * 48];
  size_t used = 0;
  for (int i = 0; i < 100; i++) {
    used += (size_t)snprintf(text + used, sizeof text - used, "veth%d: 1 1 0 0 0 0 0 0 1 1\n", i);
  }
  struct netdev dev;
  netdev_parse(text_of(text), &dev);
  assert_int_equal(dev.count, NETDEV_MAX);
}

static void sockets_read_ipv4(void **state) {
  (void)state;
  struct sockets_entry entry;
  static const char line[] =
      "   1: 0B01A8C0:D4B2 078FC6CB:01BB 01 00000000:00000000 02:000005E5 00000000  1000        0 29462 2 00000000";
  static const uint8_t remote[] = {203, 198, 143, 7};
  assert_true(sockets_parse_line(text_of(line), &entry));
  assert_int_equal(entry.local.size, 4);
  assert_int_equal(entry.local_port, 0xd4b2);
  assert_int_equal(entry.remote_port, 443);
  assert_memory_equal(entry.remote.bytes, remote, 4);
  assert_int_equal(entry.state, 1);
}

static void sockets_read_ipv6_and_mapped(void **state) {
  (void)state;
  struct sockets_entry entry;
  static const char plain[] =
      "   0: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:C350 01 0:0 0:0 0 0 0 0";
  static const uint8_t remote[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};
  assert_true(sockets_parse_line(text_of(plain), &entry));
  assert_int_equal(entry.remote.size, 16);
  assert_memory_equal(entry.remote.bytes, remote, 16);
  assert_int_equal(entry.local_port, 22);
  static const char mapped[] = "   7: 0000000000000000FFFF00000B01A8C0:0016 0000000000000000FFFF000007007FCB:8001 01 0:0";
  static const uint8_t short_form[] = {203, 127, 0, 7};
  assert_true(sockets_parse_line(text_of(mapped), &entry));
  assert_int_equal(entry.remote.size, 4);
  assert_memory_equal(entry.remote.bytes, short_form, 4);
}

static void sockets_refuse_bad_lines(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
      "   1: 0B01A8C0:D4B2 078FC6CB:01BB",
      "   1: 0B01A8C0:D4B2 078FC6CB:01BB 1",
      "   1: 0B01A8C0:D4B2 078FC6CB:01BB 0x",
      "   1: 0B01A8C0D4B2 078FC6CB:01BB 01",
      "   1: 0B01A8C:D4B2 078FC6CB:01BB 01",
      "   1: 0B01A8C0:D4B22 078FC6CB:01BB 01",
      "   1: 0B01A8G0:D4B2 078FC6CB:01BB 01",
      "   1 0B01A8C0:D4B2 078FC6CB:01BB 01",
      "   x: 0B01A8C0:D4B2 078FC6CB:01BB 01",
      "   1: :D4B2 :01BB 01",
  };
  struct sockets_entry entry;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_false(sockets_parse_line(text_of(bad[i]), &entry));
  }
}

// Two to 203.0.113.7:443, one to 203.0.113.7:80, one over IPv6, one over loopback; listening on 22 (all), 631 (loopback), 8443
// (IPv6).
static const char tcp4[] = "  sl  local_address rem_address   st tx_queue rx_queue\n"
                           "   0: 00000000:0016 00000000:0000 0A 0:0 0:0\n"
                           "   1: 0100007F:0277 00000000:0000 0A 0:0 0:0\n"
                           "   2: 0B01A8C0:D4B2 077100CB:01BB 01 0:0 0:0\n"
                           "   3: 0B01A8C0:D4B3 077100CB:01BB 01 0:0 0:0\n"
                           "   4: 0B01A8C0:D4B4 077100CB:0050 01 0:0 0:0\n"
                           "   5: 0100007F:D4B5 0100007F:0050 01 0:0 0:0\n"
                           "   6: 0B01A8C0:D4B6 077100CB:0050 06 0:0 0:0\n"
                           "   7: 0B01A8C0:D4";
static const char tcp6[] = "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0\n"
                           "   1: 00000000000000000000000000000000:20FB 00000000000000000000000000000000:0000 0A 0:0\n"
                           "   2: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A 0:0\n"
                           "   3: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 0:0\n"
                           "   4: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:C350 01 0:0\n";
static const char udp4[] = "  10: 00000000:0044 00000000:0000 07 0:0\n"
                           "  11: 3500007F:0035 00000000:0000 07 0:0\n"
                           "  12: 0B01A8C0:8001 077100CB:0035 01 0:0\n";

static void sockets_sum_up(void **state) {
  (void)state;
  struct sockets *sockets = sockets_create();
  struct sockets_summary sum;
  assert_non_null(sockets);
  for (int round = 0; round < 2; round++) { // the second round: nothing is left over
    sockets_add(sockets, text_of(tcp4), SOCKETS_TCP);
    sockets_add(sockets, text_of(tcp6), SOCKETS_TCP);
    sockets_add(sockets, text_of(udp4), SOCKETS_UDP);
    sockets_summarise(sockets, &sum);
    assert_int_equal(sum.connections, 5);
    assert_int_equal(sum.destinations, 2);
    assert_int_equal(sum.flow_count, 4);
    assert_int_equal(sum.flows[0].connections, 2);
    assert_int_equal(sum.flows[0].port, 443);
    assert_int_equal(sum.flows[0].transport, SOCKETS_TCP);
    assert_int_equal(sum.tcp.count, 2);
    assert_int_equal(sum.tcp.port[0], 22);
    assert_int_equal(sum.tcp.port[1], 8443);
    assert_int_equal(sum.udp.count, 1);
    assert_int_equal(sum.udp.port[0], 68);
  }
  sockets_free(sockets);
}

static void sockets_are_bounded(void **state) {
  (void)state;
  struct sockets *sockets = sockets_create();
  struct sockets_summary sum;
  assert_non_null(sockets);
  for (unsigned i = 0; i < SOCKETS_PEERS_MAX + 1000U; i++) {
    char line[80];
    snprintf(line, sizeof line, "%u: 0B01A8C0:0001 %08X:%04X 01 0:0\n", i, i * 2654435761U, i & 0xffff);
    sockets_add(sockets, text_of(line), SOCKETS_TCP);
  }
  for (unsigned port = 1; port < 1000; port++) {
    char line[80];
    snprintf(line, sizeof line, "%u: 00000000:%04X 00000000:0000 0A 0:0\n", port, port);
    sockets_add(sockets, text_of(line), SOCKETS_TCP);
  }
  sockets_summarise(sockets, &sum);
  assert_true(sum.connections > SOCKETS_PEERS_MAX);
  assert_int_equal(sum.flow_count, SOCKETS_FLOWS_MAX);
  assert_int_equal(sum.tcp.count, SOCKETS_PORTS_MAX);
  sockets_free(sockets);
}

static void host_reads_load_memory_uptime(void **state) {
  (void)state;
  struct host_load load;
  struct host_memory memory;
  double seconds = 0;
  assert_true(host_parse_load(text_of("0.52 1.58 12.05 2/389 12345\n"), &load));
  assert_true(load.average[0] > 0.519 && load.average[0] < 0.521);
  assert_true(load.average[2] > 12.049 && load.average[2] < 12.051);
  assert_int_equal(load.processes, 389);
  assert_false(host_parse_load(text_of("0.52 1.58"), &load));
  assert_false(host_parse_load(text_of("nan inf 0 1/1 1"), &load));
  assert_true(host_parse_memory(
      text_of("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n"), &memory));
  assert_int_equal(memory.total, 1024000);
  assert_int_equal(memory.available, 409600);
  assert_int_equal(memory.swap_used, 30720);
  assert_false(host_parse_memory(text_of("MemTotal:  1000 kB\n"), &memory));
  assert_false(host_parse_memory(text_of("MemTotal: 18446744073709551615 kB\nMemAvailable: x kB\n"), &memory));
  assert_true(host_parse_uptime(text_of("1982.29 3900.11\n"), &seconds));
  assert_true(seconds > 1982.28 && seconds < 1982.30);
  assert_false(host_parse_uptime(text_of(""), &seconds));
}

static void host_reads_temperature(void **state) {
  (void)state;
  double celsius = 0;
  assert_true(host_parse_temperature(text_of("47850\n"), &celsius));
  assert_true(celsius > 47.84 && celsius < 47.86);
  assert_true(host_parse_temperature(text_of("-12500\n"), &celsius));
  assert_true(celsius < -12.4);
  assert_false(host_parse_temperature(text_of("-274000\n"), &celsius));
  assert_false(host_parse_temperature(text_of("999999999\n"), &celsius));
  assert_false(host_parse_temperature(text_of("warm\n"), &celsius));
}

static void host_reads_version(void **state) {
  (void)state;
  char version[65];
  assert_true(
      host_parse_version(text_of("NAME=\"Debian\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\n"), version, sizeof version));
  assert_string_equal(version, "12 (bookworm)");
  assert_true(host_parse_version(text_of("PRETTY_NAME='Debian sid'\nBUILD_ID=rolling\n"), version, sizeof version));
  assert_string_equal(version, "rolling");
  assert_false(host_parse_version(text_of("VERSION=\nNAME=x\n"), version, sizeof version));
  char longest[200];
  memset(longest, 'x', sizeof longest);
  memcpy(longest, "VERSION=", 8);
  longest[199] = '\0';
  assert_true(host_parse_version(text_of(longest), version, sizeof version));
  assert_int_equal(strlen(version), 64);
}

static void names_fit_the_contract(void **state) {
  (void)state;
  char part[16];
  host_name_part(text_of("x86_pkg_temp\n"), part, sizeof part);
  assert_string_equal(part, "x86_pkg_temp");
  host_name_part(text_of("CPU\xc3\xa4 0"), part, sizeof part);
  assert_string_equal(part, "cpu--");
  host_name_part(text_of(" \n"), part, sizeof part);
  assert_string_equal(part, "unnamed");
  host_name_part(text_of("a-very-long-name-of-a-sensor"), part, sizeof part);
  assert_int_equal(strlen(part), 15);
}

static void every_cut_of_a_text_is_survived(void **state) {
  (void)state;
  struct sockets *sockets = sockets_create();
  struct sockets_summary sum;
  assert_non_null(sockets);
  for (size_t cut = 0; cut < sizeof tcp6; cut++) {
    struct netdev dev;
    sockets_add(sockets, (struct text){tcp6, tcp6 + cut}, SOCKETS_TCP);
    sockets_add(sockets, (struct text){tcp6 + cut, tcp6 + sizeof tcp6 - 1}, SOCKETS_UDP);
    netdev_parse((struct text){dev_after, dev_after + (cut < sizeof dev_after ? cut : 0)}, &dev);
  }
  sockets_summarise(sockets, &sum);
  sockets_free(sockets);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(netdev_leaves_loopback_out), cmocka_unit_test(netdev_counts_resets_and_new_interfaces),
      cmocka_unit_test(netdev_survives_bad_text),   cmocka_unit_test(netdev_is_bounded),
      cmocka_unit_test(sockets_read_ipv4),          cmocka_unit_test(sockets_read_ipv6_and_mapped),
      cmocka_unit_test(sockets_refuse_bad_lines),   cmocka_unit_test(sockets_sum_up),
      cmocka_unit_test(sockets_are_bounded),        cmocka_unit_test(host_reads_load_memory_uptime),
      cmocka_unit_test(host_reads_temperature),     cmocka_unit_test(host_reads_version),
      cmocka_unit_test(names_fit_the_contract),     cmocka_unit_test(every_cut_of_a_text_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
