#include "unit.h"

#include "ingest/journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static _Atomic int rings;

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/vedette-journal-XXXXXX");
  return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state) {
  char command[128];
  (void)state;
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static void on_ready(void *arg) {
  (void)arg;
  atomic_fetch_add(&rings, 1);
}

static struct config_journal config(uint32_t sync_ms) {
  return (struct config_journal){
      .folder = folder, .segment_mib = 1, .high_mib = 64, .low_mib = 32, .keep_mib = 0, .sync_ms = sync_ms};
}

static struct journal *open_journal(uint32_t sync_ms) {
  struct config_journal c = config(sync_ms);
  struct journal *journal = journal_open(&c, on_ready, NULL);
  assert_non_null(journal);
  return journal;
}

static void append(struct journal *journal, int value) {
  char payload[64];
  int length = snprintf(payload, sizeof payload, "payload %d", value);
  assert_true(journal_append(journal, "vedette/v1/a/report", 19, payload, (size_t)length, RECORD_DUP));
}

// Reads on until `count` records came; waits for the sync thread by closing nothing and asking again.
static void expect(struct journal *journal, uint64_t first, uint64_t count) {
  struct record record;
  for (uint64_t n = first; n < first + count; n++) {
    while (!journal_next(journal, &record)) {
      usleep(1000);
    }
    char payload[64];
    int length = snprintf(payload, sizeof payload, "payload %d", (int)n);
    assert_int_equal(record.number, n);
    assert_int_equal(record.payload_length, length);
    assert_memory_equal(record.payload, payload, (size_t)length);
    assert_int_equal(record.topic_length, 19);
    assert_int_equal(record.flags, RECORD_DUP);
  }
  assert_false(journal_next(journal, &record) && record.number >= first + count + 1000000);
}

static void gives_back_what_was_appended_in_order(void **state) {
  (void)state;
  struct journal *journal = open_journal(1);
  for (int i = 0; i < 1000; i++) {
    append(journal, i);
  }
  expect(journal, 0, 1000);
  assert_int_equal(journal_head(journal), 1000);
  assert_true(rings > 0);
  journal_close(journal);
}

static void goes_on_after_a_restart(void **state) {
  (void)state;
  struct journal *journal = open_journal(1);
  char id[40];
  strcpy(id, journal_id(journal));
  for (int i = 0; i < 10; i++) {
    append(journal, i);
  }
  journal_close(journal);
  journal = open_journal(1);
  assert_string_equal(journal_id(journal), id);
  assert_int_equal(journal_head(journal), 10);
  append(journal, 10);
  assert_true(journal_seek(journal, 5));
  expect(journal, 5, 6);
  assert_false(journal_seek(journal, 12));
  journal_close(journal);
}

static void strict_syncing_returns_only_after_the_disk(void **state) {
  (void)state;
  struct journal *journal = open_journal(0);
  for (int i = 0; i < 20; i++) {
    struct record record;
    append(journal, i);
    assert_true(journal_next(journal, &record)); // on the disk, hence readable, at once
    assert_int_equal(record.number, i);
  }
  journal_close(journal);
}

static int segments(char *last) {
  int count = 0;
  DIR *dir = opendir(folder);
  for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    if (strstr(entry->d_name, ".vdj") != NULL) {
      count++;
      if (last != NULL && strcmp(entry->d_name, last) > 0) {
        strcpy(last, entry->d_name);
      }
    }
  }
  closedir(dir);
  return count;
}

// The sync thread removes them.
static void wait_segments(int count) {
  for (int i = 0; i < 5000 && segments(NULL) != count; i++) {
    usleep(1000);
  }
  assert_int_equal(segments(NULL), count);
}

static void rolls_over_segments_and_releases_them(void **state) {
  (void)state;
  struct journal *journal = open_journal(1);
  static char large[100000];
  struct record record;
  for (int i = 0; i < 50; i++) {
    assert_true(journal_append(journal, "t", 1, large, sizeof large, 0));
  }
  assert_true(segments(NULL) >= 5);
  for (int i = 0; i < 50; i++) {
    while (!journal_next(journal, &record)) {
      usleep(1000);
    }
  }
  assert_true(journal_pending_bytes(journal) < 1000);
  journal_release(journal, 50);
  wait_segments(1);
  assert_true(journal_oldest(journal) > 0);
  assert_false(journal_seek(journal, 0));
  assert_false(journal_append(journal, "t", 1, large, 2 << 20, 0)); // larger than a segment
  journal_close(journal);
}

static char large[100000];

static void append_large(struct journal *journal, int count) {
  for (int i = 0; i < count; i++) {
    assert_true(journal_append(journal, "t", 1, large, sizeof large, 0));
  }
}

static void wait_room(struct journal *journal, enum journal_room room) {
  for (int i = 0; i < 5000 && journal_room(journal) != room; i++) {
    usleep(1000);
  }
  assert_int_equal(journal_room(journal), room);
}

// Reads all there is and says that it is stored.
static void store_all(struct journal *journal) {
  struct record record;
  uint64_t head = journal_head(journal);
  for (uint64_t next = 0; next < head;) {
    if (journal_next(journal, &record)) {
      next = record.number + 1;
    } else {
      usleep(1000);
    }
  }
  journal_release(journal, head);
}

// Files larger than so many bytes cannot be made: what a full disk is to the journal.
static void limit_files(rlim_t bytes) {
  struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int unlimit_files(void **state) {
  limit_files(RLIM_INFINITY);
  return remove_folder(state);
}

static void the_next_segment_is_allocated_in_advance(void **state) {
  (void)state;
  struct stat info;
  char path[100];
  snprintf(path, sizeof path, "%s/spare", folder);
  struct journal *journal = open_journal(1);
  assert_int_equal(journal_room(journal), ROOM_THERE);
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(info.st_size, 1 << 20);
  assert_true(info.st_blocks * 512 >= 1 << 20);
  append_large(journal, 15);
  wait_room(journal, ROOM_THERE); // another one
  assert_int_equal(segments(NULL), 2);
  assert_int_equal(stat(path, &info), 0);
  journal_close(journal);
  journal = open_journal(1); // takes it over
  assert_int_equal(journal_head(journal), 15);
  store_all(journal);
  journal_close(journal);
}

static void a_spare_of_another_size_is_made_anew(void **state) {
  (void)state;
  char path[100];
  snprintf(path, sizeof path, "%s/spare", folder);
  FILE *file = fopen(path, "w");
  assert_int_equal(fputs("something else", file) >= 0, 1);
  assert_int_equal(fclose(file), 0);
  struct journal *journal = open_journal(1);
  append_large(journal, 25);
  store_all(journal);
  journal_close(journal);
}

static void with_a_full_disk_there_is_a_segment_of_headroom(void **state) {
  (void)state;
  struct journal *journal = open_journal(1);
  append_large(journal, 3);
  limit_files(1000);
  wait_room(journal, ROOM_THERE);
  append_large(journal, 8);
  wait_room(journal, ROOM_NONE);
  append_large(journal, 9);                                              // what still comes from the broker
  assert_false(journal_append(journal, "t", 1, large, sizeof large, 0)); // the process would leave here
  assert_int_equal(journal_head(journal), 20);
  journal_close(journal);
  journal = open_journal(1); // starts all the same, and gives what it has
  assert_int_equal(journal_room(journal), ROOM_NONE);
  store_all(journal);
  limit_files(RLIM_INFINITY);
  wait_room(journal, ROOM_THERE);
  append_large(journal, 20);
  journal_close(journal);
}

static void stored_segments_are_given_up_for_room(void **state) {
  (void)state;
  struct config_journal c = config(1);
  c.keep_mib = 64;
  struct journal *journal = journal_open(&c, on_ready, NULL);
  append_large(journal, 45);
  wait_room(journal, ROOM_THERE);
  assert_int_equal(segments(NULL), 5);
  limit_files(1000);
  append_large(journal, 6);
  while (journal_room(journal) == ROOM_SOUGHT) {
    usleep(1000);
  }
  assert_int_equal(journal_room(journal), ROOM_NONE);
  assert_int_equal(segments(NULL), 6); // none of them is stored
  store_all(journal);
  for (int i = 0; i < 5; i++) {
    while (journal_room(journal) == ROOM_SOUGHT) {
      usleep(1000);
    }
  }
  assert_int_equal(journal_room(journal), ROOM_NONE);
  wait_segments(1);
  limit_files(RLIM_INFINITY);
  wait_room(journal, ROOM_THERE);
  journal_close(journal);
}

// Changes the byte at `offset` of the segment `name`.
static void damage_segment(const char *name, size_t offset) {
  unsigned char byte;
  char path[400];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int fd = open(path, O_RDWR);
  assert_true(fd >= 0);
  assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
  byte ^= 0x41;
  assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
  close(fd);
}

// … of the newest segment.
static void damage(size_t offset) {
  char last[256] = "";
  segments(last);
  damage_segment(last, offset);
}

// Expects large records [first, next) to be read, and nothing behind them.
static void expect_large(struct journal *journal, uint64_t first, uint64_t next) {
  struct record record;
  for (uint64_t n = first; n < next; n++) {
    while (!journal_next(journal, &record)) {
      assert_int_equal(journal_damaged(journal), 0);
      usleep(1000);
    }
    assert_int_equal(record.number, n);
  }
  assert_false(journal_next(journal, &record));
}

static void a_damaged_record_costs_the_rest_of_its_segment(void **state) {
  (void)state;
  size_t size = record_size(1, sizeof large);
  struct journal *journal = open_journal(1);
  append_large(journal, 45); // ten a segment
  damage_segment("000000000000000a.vdj", SEGMENT_HEADER + 3 * size + 5000);
  for (int i = 0; i < 2; i++) { // with a restart the same
    expect_large(journal, 0, 13);
    int64_t up_to = journal_received_to(journal, 13); // of record 12
    assert_true(up_to > 0);
    assert_int_equal(journal_damaged(journal), 20);
    assert_int_equal(journal_damaged(journal), 20);
    assert_true(journal_seek(journal, 17)); // the store has some of those behind it
    assert_int_equal(journal_damaged(journal), 20);
    assert_true(journal_seek(journal, 20));
    assert_true(journal_received_to(journal, 20) >= up_to);
    expect_large(journal, 20, 45);
    assert_int_equal(journal_damaged(journal), 0);
    journal_close(journal);
    journal = open_journal(1);
  }
  journal_close(journal);
}

static void behind_a_damaged_record_of_the_newest_segment_it_goes_on(void **state) {
  (void)state;
  size_t size = record_size(1, sizeof large);
  struct journal *journal = open_journal(1);
  append_large(journal, 6);
  damage(SEGMENT_HEADER + 2 * size);
  expect_large(journal, 0, 2);
  uint64_t behind = 0;
  while ((behind = journal_damaged(journal)) == 0) {
    usleep(1000);
  }
  assert_int_equal(behind, 6);
  assert_int_equal(segments(NULL), 2);
  assert_true(journal_seek(journal, 6));
  append_large(journal, 3);
  expect_large(journal, 6, 9);
  journal_close(journal);
  journal = open_journal(1);
  assert_int_equal(journal_head(journal), 9);
  assert_true(journal_seek(journal, 6));
  expect_large(journal, 6, 9);
  journal_close(journal);
}

static void a_segment_with_a_damaged_head_is_set_aside(void **state) {
  (void)state;
  struct journal *journal = open_journal(1);
  append_large(journal, 45);
  journal_close(journal);
  damage_segment("000000000000000a.vdj", 30);
  damage_segment("0000000000000000.vdj", 0);
  journal = open_journal(1);
  assert_int_equal(journal_head(journal), 45);
  assert_int_equal(journal_oldest(journal), 20);
  assert_false(journal_seek(journal, 12));
  expect_large(journal, 20, 45);
  journal_close(journal);
  damage_segment("000000000000001e.vdj", 30);
  journal = open_journal(1);
  expect_large(journal, 20, 30);
  assert_int_equal(journal_damaged(journal), 40);
  assert_true(journal_seek(journal, 35)); // in the middle of what is missing
  assert_int_equal(journal_damaged(journal), 40);
  journal_close(journal);
}

static void cuts_a_torn_tail_off(void **state) {
  (void)state;
  size_t size = record_size(19, strlen("payload 0"));
  struct journal *journal = open_journal(1);
  for (int i = 0; i < 5; i++) {
    append(journal, i);
  }
  journal_close(journal);
  damage(SEGMENT_HEADER + 3 * size + RECORD_HEADER + 2); // in the body of record 3
  journal = open_journal(1);
  assert_int_equal(journal_head(journal), 3);
  // Record 4 lay whole behind the damage; it must not come back when 3 is written again.
  append(journal, 3);
  journal_close(journal);
  journal = open_journal(1);
  assert_int_equal(journal_head(journal), 4);
  expect(journal, 0, 4);
  journal_close(journal);
}

static void every_torn_byte_is_noticed(void **state) {
  (void)state;
  size_t size = record_size(19, strlen("payload 0"));
  for (size_t at = 0; at < RECORD_HEADER + 19 + 9; at++) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    struct journal *journal = open_journal(1);
    append(journal, 0);
    append(journal, 1);
    journal_close(journal);
    damage(SEGMENT_HEADER + size + at);
    journal = open_journal(1);
    assert_int_equal(journal_head(journal), 1);
    journal_close(journal);
  }
}

static void a_killed_process_loses_nothing(void **state) {
  int pipes[2];
  (void)state;
  assert_int_equal(pipe(pipes), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    struct config_journal c = config(1000); // the sync is far away
    struct journal *journal = journal_open(&c, on_ready, NULL);
    for (int i = 0; i < 500; i++) {
      char payload[64];
      int length = snprintf(payload, sizeof payload, "payload %d", i);
      if (!journal_append(journal, "vedette/v1/a/report", 19, payload, (size_t)length, RECORD_DUP)) {
        _exit(3);
      }
    }
    ssize_t told = write(pipes[1], "x", 1);
    (void)told;
    pause();
    _exit(2);
  }
  char byte;
  assert_int_equal(read(pipes[0], &byte, 1), 1);
  assert_int_equal(kill(child, SIGKILL), 0);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  struct journal *journal = open_journal(1);
  assert_int_equal(journal_head(journal), 500);
  expect(journal, 0, 500);
  journal_close(journal);
  close(pipes[0]);
  close(pipes[1]);
}

static void a_second_process_is_refused(void **state) {
  (void)state;
  struct config_journal c = config(1);
  struct journal *journal = open_journal(1);
  assert_null(journal_open(&c, on_ready, NULL));
  journal_close(journal);
}

static void a_retired_journal_hands_over_what_is_not_stored(void **state) {
  (void)state;
  struct journal *journal = open_journal(1);
  char id[40];
  strcpy(id, journal_id(journal));
  for (int i = 0; i < 10; i++) {
    append(journal, i);
  }
  expect(journal, 0, 10);
  journal_retire(journal, 6);
  assert_false(journal_append(journal, "t", 1, "x", 1, 0)); // nothing is acknowledged any more
  journal_close(journal);
  journal = open_journal(1);
  assert_string_not_equal(journal_id(journal), id);
  assert_int_equal(journal_head(journal), 4); // records 6 to 9, numbered anew
  struct record record;
  assert_true(journal_next(journal, &record));
  assert_memory_equal(record.payload, "payload 6", 9);
  journal_close(journal);
  journal = open_journal(1); // and that once
  assert_int_equal(journal_head(journal), 4);
  journal_close(journal);
}

static void tells_up_to_when_everything_is_read(void **state) {
  (void)state;
  struct journal *journal = open_journal(1);
  struct record record;
  int64_t empty = journal_received_to(journal, 0);
  append(journal, 0);
  append(journal, 1);
  while (!journal_next(journal, &record)) {
    usleep(1000);
  }
  assert_true(record.received >= empty);
  int64_t between = journal_received_to(journal, 1); // that of record 1
  while (!journal_next(journal, &record)) {
    usleep(1000);
  }
  assert_int_equal(between, record.received);
  assert_true(journal_received_to(journal, 2) >= record.received);
  append(journal, 2);
  journal_close(journal);
}

static void *append_many(void *arg) {
  for (int i = 0; i < 5000; i++) {
    if (!journal_append(arg, "t", 1, &i, sizeof i, 0)) {
      return arg;
    }
  }
  return NULL;
}

static void threads_may_append_while_the_loop_reads(void **state) {
  (void)state;
  struct journal *journal = open_journal(1);
  pthread_t threads[3];
  struct record record;
  for (int i = 0; i < 3; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, append_many, journal), 0);
  }
  for (uint64_t n = 0; n < 15000; n++) {
    while (!journal_next(journal, &record)) {
      usleep(500);
    }
    assert_int_equal(record.number, n);
    if (n % 1000 == 0) {
      journal_release(journal, n);
    }
  }
  for (int i = 0; i < 3; i++) {
    void *failed;
    assert_int_equal(pthread_join(threads[i], &failed), 0);
    assert_null(failed);
  }
  journal_close(journal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
#define LIMITED(name) cmocka_unit_test_setup_teardown(name, make_folder, unlimit_files)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(gives_back_what_was_appended_in_order),
      TEST(goes_on_after_a_restart),
      TEST(strict_syncing_returns_only_after_the_disk),
      TEST(rolls_over_segments_and_releases_them),
      TEST(the_next_segment_is_allocated_in_advance),
      TEST(a_spare_of_another_size_is_made_anew),
      LIMITED(with_a_full_disk_there_is_a_segment_of_headroom),
      LIMITED(stored_segments_are_given_up_for_room),
      TEST(a_damaged_record_costs_the_rest_of_its_segment),
      TEST(behind_a_damaged_record_of_the_newest_segment_it_goes_on),
      TEST(a_segment_with_a_damaged_head_is_set_aside),
      TEST(cuts_a_torn_tail_off),
      TEST(every_torn_byte_is_noticed),
      TEST(a_killed_process_loses_nothing),
      TEST(a_second_process_is_refused),
      TEST(a_retired_journal_hands_over_what_is_not_stored),
      TEST(tells_up_to_when_everything_is_read),
      TEST(threads_may_append_while_the_loop_reads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
