#include "unit.h"

#include "common/config.h"

#include <unistd.h>

#define MINIMAL                                                                                                                  \
  "store: {host: pg}\n"                                                                                                          \
  "broker: {host: 127.0.0.1, ca: ca.crt, certificate: /abs/i.crt, key: i.key}\n"                                                 \
  "ingest: {worker: ingest-1, journal: {folder: journal}}\n"                                                                     \
  "analysis: {worker: analysis-1}\n"

static char path[] = "/tmp/vedette-config-XXXXXX";
static char error[512];

static struct config *load(const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  error[0] = '\0';
  return config_load(path, error, sizeof error);
}

static void refuses(const char *text, const char *why) {
  struct config *config = load(text);
  assert_null(config);
  if (strstr(error, why) == NULL || strstr(error, path) == NULL) {
    fail_msg("expected \"%s\" of %s, got \"%s\"", why, path, error);
  }
}

static void fills_defaults_and_resolves_paths(void **state) {
  struct config *config = load(MINIMAL);
  (void)state;
  assert_non_null(config);
  assert_string_equal(config->store.host, "pg"); // no slash: a host name
  assert_string_equal(config->broker.ca, "/tmp/ca.crt");
  assert_string_equal(config->broker.certificate, "/abs/i.crt");
  assert_string_equal(config->ingest.journal.folder, "/tmp/journal");
  assert_int_equal(config->store.port, 5432);
  assert_int_equal(config->broker.port, 8884);
  assert_int_equal(config->ingest.journal.sync_ms, 10);
  assert_int_equal(config->ingest.batch.records, 2000);
  assert_true(config->analysis.connectivity.rate == 0.0001);
  assert_null(config->store.ca);
  assert_null(config->ingest.mappings);
  config_free(config);
}

static void keeps_a_zero_that_was_asked_for(void **state) {
  (void)state;
  struct config *config =
      load("store: {host: ./pg}\nbroker: {host: b, ca: a, certificate: b, key: c}\n"
           "ingest:\n  worker: i\n  mappings: json\n  journal: {folder: j, sync_ms: 0}\nanalysis: {worker: a}\n");
  assert_non_null(config);
  assert_int_equal(config->ingest.journal.sync_ms, 0);
  assert_string_equal(config->ingest.mappings, "/tmp/json");
  assert_string_equal(config->store.host, "/tmp/./pg"); // a slash: the folder of a socket
  config_free(config);
}

static void names_file_line_and_field(void **state) {
  (void)state;
  refuses("store: {host: pg}\nbroker:\n  prot: 1\n", "line 3: broker.prot: is not a setting");
  refuses("store:\n  port: 70000\n", "line 2: store.port: 70000 is out of range: 1 to 65535");
  refuses("store:\n  port: many\n", "line 2: store.port: \"many\" is not a number");
  refuses("store:\n  port: 1.5\n", "line 2: store.port: 1.5 is not a whole number");
  refuses("store:\n  port: nan\n", "is not a number");
  refuses("store: yes\n", "line 1: store: is a section");
  refuses("store:\n  host: [a, b]\n", "line 2: store.host: is not a section");
  refuses("store:\n  host: a\n  host: b\n", "line 3: store.host: is given twice");
  refuses("ingest:\n  worker: Not A Name\n", "line 2: ingest.worker: \"Not A Name\" is not a name");
  refuses("store: {host: a\n", "not YAML");
  refuses("", "holds no settings");
  refuses("store: {host: a}\n", "broker.host: is missing");
  refuses(MINIMAL "  \n[1]: 2\n", "line");
}

static void wants_the_low_mark_below_the_high_one(void **state) {
  (void)state;
  refuses("store: {host: pg}\nbroker: {host: b, ca: a, certificate: b, key: c}\n"
          "ingest: {worker: i, journal: {folder: j, high_mib: 100, low_mib: 100}}\nanalysis: {worker: a}\n",
          "low_mib: has to be below high_mib");
}

static void says_what_to_do_when_there_is_no_file(void **state) {
  (void)state;
  assert_null(config_load("/nonexistent/vedette.yaml", error, sizeof error));
  assert_non_null(strstr(error, "--config"));
}

static void quotes_connection_strings(void **state) {
  char out[256];
  (void)state;
  struct config_store store = {.host = "db.example", .port = 5433, .database = "it's", .ca = "/c a"};
  assert_true(config_conninfo(&store, "vedette_ingest", out, sizeof out));
  assert_string_equal(
      out, "host='db.example' port='5433' dbname='it\\'s' user='vedette_ingest' sslmode='verify-full' sslrootcert='/c a'");
  assert_false(config_conninfo(&store, "vedette_ingest", out, 20));
}

static int make_file(void **state) {
  (void)state;
  int fd = mkstemp(path);
  return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
  (void)state;
  return unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fills_defaults_and_resolves_paths),
      cmocka_unit_test(keeps_a_zero_that_was_asked_for),
      cmocka_unit_test(names_file_line_and_field),
      cmocka_unit_test(wants_the_low_mark_below_the_high_one),
      cmocka_unit_test(says_what_to_do_when_there_is_no_file),
      cmocka_unit_test(quotes_connection_strings),
  };
  return cmocka_run_group_tests(tests, make_file, remove_file);
}
