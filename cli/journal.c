// `vedette journal inspect` and `vedette journal verify`: what an ingest worker's journal holds, and whether it can be read.
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/journal_scan.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/when.h"

static const char *const states[] = {"whole", "torn", "removed", "unbegun", "damaged", "unusable"};

struct totals {
  uint64_t records, bytes;
  size_t bad; // segments
};

static bool is_bad(const struct scan_file *file) {
  return file->state == SCAN_DAMAGED || file->state == SCAN_UNUSABLE;
}

static struct totals sum(const struct scan *scan) {
  struct totals totals = {0};
  for (size_t i = 0; i < scan->count; i++) {
    totals.records += scan->files[i].next - scan->files[i].first;
    totals.bytes += scan->files[i].used;
    totals.bad += is_bad(&scan->files[i]);
  }
  return totals;
}

// Scans the folder that argv or the configuration names. NULL with the error said, otherwise the folder.
static const char *scan_named(struct cli *cli, struct scan *scan, int count, char **argv) {
  const struct config *config = count > 0 ? NULL : cli_config(cli);
  const char *folder = count > 0 ? argv[0] : config != NULL ? config->ingest.journal.folder : NULL;
  if (folder == NULL) {
    return NULL;
  }
  scan->progress = isatty(STDERR_FILENO) == 1 && scan->visit == NULL;
  errno = 0;
  if (!scan_folder(scan, folder)) {
    if (errno == ENOENT && access(folder, F_OK) == 0) {
      cli_fail(cli, CLI_FAILED, "%s is no journal: it has neither a file `id` nor segments", folder);
    } else {
      cli_fail(cli, CLI_FAILED, "cannot read the journal in %s: %s", folder, strerror(errno));
    }
    return NULL;
  }
  return folder;
}

static json_t *time_json(int64_t received) {
  char utc[WHEN_SIZE];
  when_utc(received, utc);
  return json_string(utc);
}

static json_t *number_or_null(bool there, uint64_t number) {
  return there ? json_integer((json_int_t)number) : json_null();
}

static json_t *file_json(const struct scan_file *file) {
  bool some = file->next > file->first;
  bool at = file->state == SCAN_TORN || is_bad(file);
  return json_pack("{s:s, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:s?}", "file", file->name, "state",
                   states[file->state], "first_record", (json_int_t)file->first, "last_record",
                   number_or_null(some, file->next - 1), "records", (json_int_t)(file->next - file->first), "used_bytes",
                   (json_int_t)file->used, "size_bytes", (json_int_t)file->size, "unreadable_bytes", (json_int_t)file->unreadable,
                   "first_received", some ? time_json(file->first_received) : json_null(), "last_received",
                   some ? time_json(file->last_received) : json_null(), "damaged_record", number_or_null(at, file->next),
                   "missing_to", number_or_null(at && file->missing_to > 0, file->missing_to), "why", file->why);
}

static json_t *journal_json(const struct scan *scan, const char *folder) {
  struct totals totals = sum(scan);
  char *escaped = text_escape(folder, strlen(folder));
  json_t *files = json_array();
  for (size_t i = 0; i < scan->count; i++) {
    json_array_append_new(files, file_json(&scan->files[i]));
  }
  json_t *value = json_pack("{s:s?, s:s?, s:I, s:I, s:b, s:o}", "folder", escaped, "journal",
                            scan->id[0] != '\0' ? scan->id : NULL, "records", (json_int_t)totals.records, "used_bytes",
                            (json_int_t)totals.bytes, "fine", totals.bad == 0 && scan->id[0] != '\0', "segments", files);
  free(escaped);
  return value;
}

// What is wrong with a segment, or worth knowing, in words.
static void show_problem(const struct scan_file *file) {
  if (file->state == SCAN_UNUSABLE) {
    printf("%s cannot be used: %s", file->name, file->why);
  } else if (file->state == SCAN_UNBEGUN) {
    printf("%s: %s; the next start removes it", file->name, file->why);
  } else if (file->state == SCAN_TORN) {
    printf("%s: %s follow record %" PRIu64 "; the next start cuts them off", file->name, file->why, file->next);
  } else if (file->state == SCAN_DAMAGED) {
    printf("%s: record %" PRIu64 " is damaged: %s", file->name, file->next, file->why);
  } else {
    printf("%s: %s, but no record is concerned", file->name, file->why);
  }
  if (is_bad(file) && file->missing_to > file->next) {
    printf("; records %" PRIu64 " to %" PRIu64 " cannot be read", file->next, file->missing_to - 1);
  }
  putchar('\n');
}

static void show_problems(const struct scan *scan) {
  if (scan->id[0] == '\0') {
    puts("the file `id` is missing or damaged");
  }
  for (size_t i = 0; i < scan->count; i++) {
    if (scan->files[i].why != NULL) {
      show_problem(&scan->files[i]);
    }
  }
}

static void show_file(const struct cli *cli, const struct scan_file *file) {
  char from[WHEN_SIZE] = "-";
  char to[WHEN_SIZE] = "-";
  char last[24] = "-";
  if (file->next > file->first) {
    when_local(file->first_received, from);
    when_local(file->last_received, to);
    (void)snprintf(last, sizeof last, "%" PRIu64, file->next - 1);
  }
  printf("%-20s  %12" PRIu64 "  %12s  %9" PRIu64 "  %11zu  %-25s  %-25s  ", file->name, file->first, last,
         file->next - file->first, file->used, from, to);
  output_word(cli, states[file->state]);
  putchar('\n');
}

static void show_journal(const struct cli *cli, const struct scan *scan) {
  char line[160];
  struct totals totals = sum(scan);
  printf("journal %s: %zu segment%s, %" PRIu64 " records, %" PRIu64 " bytes\n\n", scan->id[0] != '\0' ? scan->id : "without id",
         scan->count, scan->count == 1 ? "" : "s", totals.records, totals.bytes);
  (void)snprintf(line, sizeof line, "%-20s  %12s  %12s  %9s  %11s  %-25s  %-25s  %s", "file", "first", "last", "records",
                 "used bytes", "first received", "last received", "state");
  output_title(cli, line);
  putchar('\n');
  for (size_t i = 0; i < scan->count; i++) {
    show_file(cli, &scan->files[i]);
  }
}

// Shows one record: never its payload.
static void show_record(const struct scan_file *file, const struct record *record, void *arg) {
  struct cli *cli = arg;
  char when[WHEN_SIZE];
  bool dup = (record->flags & RECORD_DUP) != 0;
  bool retained = (record->flags & RECORD_RETAINED) != 0;
  if (cli->json) {
    char *topic = text_escape(record->topic, record->topic_length);
    output_json_line(cli, json_pack("{s:s, s:I, s:o, s:s?, s:I, s:b, s:b}", "file", file->name, "record",
                                    (json_int_t)record->number, "received", time_json(record->received), "topic", topic,
                                    "payload_bytes", (json_int_t)record->payload_length, "dup", dup, "retained", retained));
    free(topic);
    return;
  }
  when_local(record->received, when);
  printf("%12" PRIu64 "  %-25s  %8zu  %-8s  ", record->number, when, record->payload_length,
         dup        ? "dup"
         : retained ? "retained"
                    : "");
  text_write(stdout, record->topic, record->topic_length);
  putchar('\n');
}

int journal_inspect(struct cli *cli, const struct command *command, int argc, char **argv) {
  struct scan scan = {.arg = cli};
  bool records = false;
  const struct option_spec specs[] = {{OPTION_FLAG, "records", &records, NULL, "show each record instead of the segments", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  int count = options_parse(cli, command, specs, 0, 1, argc, argv);
  if (count < 0) {
    return cli->code;
  }
  scan.visit = records ? show_record : NULL;
  if (records && !cli->json) {
    output_title(cli, "      record  received                    payload  flags     topic");
    putchar('\n');
  }
  const char *folder = scan_named(cli, &scan, count, argv);
  int code = folder != NULL ? CLI_FINE : cli->code;
  if (folder != NULL && cli->json && !records) {
    code = output_json(cli, journal_json(&scan, folder));
  } else if (folder != NULL && !cli->json) {
    if (!records) {
      show_journal(cli, &scan);
    }
    show_problems(&scan);
  }
  scan_free(&scan);
  return code;
}

// Says on stderr what is damaged first. Returns the exit code.
static int fail_damaged(struct cli *cli, const struct scan *scan, const char *folder, size_t bad) {
  const struct scan_file *file = scan->files;
  cli_flush(cli);
  if (bad == 0) {
    return cli_fail(cli, CLI_FAILED, "%s/id is missing or damaged", folder);
  }
  while (!is_bad(file)) {
    file++;
  }
  return cli_fail(cli, CLI_FAILED, "the journal is damaged in %zu of %zu segment%s, first in %s/%s at record %" PRIu64, bad,
                  scan->count, scan->count == 1 ? "" : "s", folder, file->name, file->next);
}

int journal_verify(struct cli *cli, const struct command *command, int argc, char **argv) {
  struct scan scan = {0};
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  int count = options_parse(cli, command, specs, 0, 1, argc, argv);
  const char *folder = count < 0 ? NULL : scan_named(cli, &scan, count, argv);
  int code = folder != NULL ? CLI_FINE : cli->code;
  if (folder != NULL) {
    struct totals totals = sum(&scan);
    if (cli->json) {
      code = output_json(cli, journal_json(&scan, folder));
    } else {
      show_problems(&scan);
    }
    if (totals.bad > 0 || scan.id[0] == '\0') {
      code = fail_damaged(cli, &scan, folder, totals.bad);
    } else if (!cli->json) {
      printf("%" PRIu64 " records in %zu segment%s: all whole\n", totals.records, scan.count, scan.count == 1 ? "" : "s");
    }
  }
  scan_free(&scan);
  return code;
}
