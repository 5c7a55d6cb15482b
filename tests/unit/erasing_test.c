// What was erased stays away: tombstones, what a batch does with those who have one, and what a worker does about its journal and
// the broker.
#include "unit.h"

#include "ingest/batch.h"
#include "ingest/erasing.h"

#include <fcntl.h>
#include <unistd.h>

static const uint8_t salt[SALT_SIZE] = "0123456789abcdef0123456789abcde";
// SHA-256 of the salt (31 letters and a zero) and "pump-1", as sha256sum says it.
static const uint8_t pump_1[TOMBSTONE_SIZE] = {0x9b, 0x5e, 0x5c, 0x55, 0x0a, 0x83, 0x90, 0xfa, 0xa5, 0x21, 0x07,
                                               0xfe, 0x7b, 0x99, 0xa7, 0xe3, 0x44, 0x6c, 0x53, 0xee, 0xdf, 0x71,
                                               0x31, 0xed, 0xf6, 0xb8, 0x7a, 0x80, 0x02, 0x60, 0x19, 0x94};

static struct tombstones *buried(void) {
  struct tombstones *tombstones = tombstones_new();
  assert_non_null(tombstones);
  tombstones_salt(tombstones, salt);
  assert_true(tombstones_add(tombstones, pump_1));
  assert_true(tombstones_add(tombstones, pump_1));
  return tombstones;
}

static void test_who_is_erased(void **state) {
  struct tombstones *tombstones = buried();
  char long_name[CREDENTIAL_LIMIT + 2];
  (void)state;
  memset(long_name, 'x', sizeof long_name);
  assert_true(tombstones_has(tombstones, "pump-1", 6));
  assert_true(tombstones_has(tombstones, "pump-10", 6));
  assert_false(tombstones_has(tombstones, "pump-10", 7));
  assert_false(tombstones_has(tombstones, "", 0));
  assert_false(tombstones_has(tombstones, long_name, sizeof long_name));
  assert_false(tombstones_has(NULL, "pump-1", 6));
  tombstones_salt(tombstones, salt);
  assert_true(tombstones_has(tombstones, "pump-1", 6));
  tombstones_remove(tombstones, "pump-2");
  tombstones_remove(tombstones, "pump-1");
  assert_false(tombstones_has(tombstones, "pump-1", 6));
  assert_true(tombstones_add(tombstones, pump_1));
  tombstones_salt(tombstones, pump_1); // another store
  assert_false(tombstones_has(tombstones, "pump-1", 6));
  tombstones_free(tombstones);
}

static struct message *add(struct batch *batch, struct directory *directory, const char *topic, const Vedette__V1__Report *report,
                           uint8_t *payload) {
  size_t size = vedette__v1__report__pack(report, payload);
  struct record record = {.number = batch->next,
                          .received = report->time,
                          .topic = topic,
                          .topic_length = strlen(topic),
                          .payload = payload,
                          .payload_length = size};
  assert_true(batch_add(batch, directory, &record));
  return &batch->messages[batch->count - 1];
}

static Vedette__V1__Report report_of(const char *credential, const char *child) {
  Vedette__V1__Report report = VEDETTE__V1__REPORT__INIT;
  report.boot_case = VEDETTE__V1__REPORT__BOOT_BOOT_COUNTER;
  report.boot_counter = report.sequence = 1;
  report.time = INT64_C(1790000000000000);
  report.credential = (char *)credential;
  report.child = (char *)child;
  return report;
}

// However the erased one is named, the message is refused and leaves no letter.
static void test_a_batch_buries(void **state) {
  static const struct {
    const char *topic, *credential, *child;
    bool buried;
  } cases[] = {{"vedette/v1/pump-1/report", "", "", true},     {"vedette/v1/gate/report", "pump-1", "", true},
               {"vedette/v1/gate/report", "", "pump-1", true}, {"vedette/v1/gate/report", "pump-2", "", false},
               {"vedette/v1/shut/report", "", "pump-1", true}, {"vedette/v1/shut/report", "", "pump-2", false},
               {"vedette/v1/pump-2/report", "", "", false}};
  const struct intake_device gate = {
      .id = 1, .model = 1, .active = true, .keep_us = INT64_C(30) * 86400000000, .credential = "gate"};
  const struct intake_device shut = {.id = 2, .model = 1, .keep_us = INT64_C(30) * 86400000000, .credential = "shut"};
  struct tombstones *tombstones = buried();
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct directory *directory = directory_new();
    struct batch batch;
    uint8_t payload[4096];
    assert_non_null(directory_put(directory, &gate));
    assert_non_null(directory_put(directory, &shut));
    assert_true(batch_init(&batch, 8));
    batch.tombstones = tombstones;
    Vedette__V1__Report report = report_of(cases[i].credential, cases[i].child);
    const struct message *message = add(&batch, directory, cases[i].topic, &report, payload);
    assert_int_equal(message->outcome, OUTCOME_REJECTED);
    assert_int_equal(message->buried, cases[i].buried);
    assert_int_equal(batch.buries, cases[i].buried);
    assert_int_equal(message->letter, cases[i].buried ? LETTER_DROPPED : LETTER_OPEN);
    assert_true(!cases[i].buried || strstr(message->verdict.detail, "pump") == NULL);
    batch_destroy(&batch);
    directory_free(directory);
  }
  tombstones_free(tombstones);
}

// Once its name is registered again, only what is older than the erasure is refused.
static void test_a_name_comes_back(void **state) {
  struct intake_device pump = {.id = 2, .model = 1, .active = true, .keep_us = INT64_C(30) * 86400000000, .credential = "pump-1"};
  Vedette__V1__Report report = report_of("", "");
  (void)state;
  for (int later = -1; later <= 1; later++) {
    struct directory *directory = directory_new();
    struct batch batch;
    uint8_t payload[4096];
    pump.not_before = report.time - later;
    assert_non_null(directory_put(directory, &pump));
    assert_true(batch_init(&batch, 8));
    const struct message *message = add(&batch, directory, "vedette/v1/pump-1/report", &report, payload);
    assert_int_equal(message->outcome, later < 0 ? OUTCOME_REJECTED : OUTCOME_STORED);
    batch_destroy(&batch);
    directory_free(directory);
  }
}

// --- the worker's part

static char cleared[64];
static int waiting;

static bool clear(const char *topic, void *arg) {
  (void)arg;
  snprintf(cleared, sizeof cleared, "%s", topic);
  return true;
}

static int clearing(void *arg) {
  int now = waiting;
  (void)arg;
  waiting = waiting < 0 ? 0 : waiting;
  return now;
}

static void on_ready(void *arg) {
  (void)arg;
}

static void test_the_journal_forgets(void **state) {
  char folder[] = "/tmp/vedette-erasing-XXXXXX";
  char command[64];
  char path[80];
  const struct erasing_broker broker = {clear, clearing, NULL};
  (void)state;
  assert_non_null(mkdtemp(folder));
  const struct config_journal config = {
      .folder = folder, .segment_mib = 1, .high_mib = 64, .low_mib = 32, .keep_mib = 64, .sync_ms = 1};
  struct journal *journal = journal_open(&config, on_ready, NULL);
  struct erasing *erasing = erasing_new(journal, &broker);
  struct script *script;
  erasing_start(erasing, 3);
  assert_true(journal_append(journal, "t", 1, "x", 1, 0));
  assert_null(erasing_next(erasing, 1, 3)); // was done before
  struct record record;
  while (!journal_next(journal, &record)) {
    usleep(1000);
  }
  for (int i = 0; i < 100; i++) {
    assert_null(erasing_next(erasing, 1, 4)); // the record is not stored
    usleep(1000);
  }
  journal_release(journal, 1);
  while ((script = erasing_next(erasing, 1, 4)) == NULL) {
    usleep(1000);
  }
  script_free(script);
  assert_int_equal(journal_oldest(journal), 1);
  erasing_told(erasing, false); // the store did not hear it
  while ((script = erasing_next(erasing, 1, 4)) == NULL) {
    usleep(1000);
  }
  script_free(script);
  erasing_told(erasing, true);
  assert_null(erasing_next(erasing, 1, 4));
  assert_true(journal_append(journal, "t", 1, "y", 1, 0)); // goes on
  while (!journal_next(journal, &record)) {
    usleep(1000);
  }
  assert_int_equal(record.number, 1);
  journal_release(journal, 2);
  assert_true(erasing_soiled(erasing)); // … and what came of erased devices since goes too, which nobody is told
  erasing_free(erasing);
  erasing = erasing_new(journal, &broker); // over a restart
  erasing_start(erasing, 4);
  snprintf(path, sizeof path, "%s/0000000000000000.vdj.damaged", folder);
  int aside = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_true(aside >= 0 && close(aside) == 0);
  while (journal_oldest(journal) < 2) {
    assert_null(erasing_next(erasing, 1, 4));
    usleep(1000);
  }
  while (journal_is_soiled(journal)) {
    assert_null(erasing_next(erasing, 1, 4));
    usleep(1000);
  }
  assert_int_equal(access(path, F_OK), -1);
  erasing_free(erasing);
  journal_close(journal);
  snprintf(command, sizeof command, "rm -r %s", folder);
  assert_int_equal(system(command), 0);
}

static void test_the_broker_forgets(void **state) {
  const struct erasing_broker broker = {clear, clearing, NULL};
  struct erasing *erasing = erasing_new(NULL, &broker);
  (void)state;
  erasing_retained(erasing, 7, "pump-1");
  assert_string_equal(cleared, "vedette/v1/pump-1/connectivity");
  waiting = 1;
  assert_null(erasing_next(erasing, 1, 0));
  erasing_retained(erasing, 7, "pump-1"); // asked already
  waiting = -1;
  assert_null(erasing_next(erasing, 1, 0)); // it failed: once more
  erasing_retained(erasing, 7, "pump-1");
  struct script *script = erasing_next(erasing, 1, 0);
  assert_non_null(script);
  script_free(script);
  erasing_told(erasing, true);
  assert_null(erasing_next(erasing, 1, 0));
  erasing_free(erasing);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_who_is_erased),      cmocka_unit_test(test_a_batch_buries),
      cmocka_unit_test(test_a_name_comes_back),  cmocka_unit_test(test_the_journal_forgets),
      cmocka_unit_test(test_the_broker_forgets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
