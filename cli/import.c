// `vedette device import` and `vedette device add`: what goes into the registry.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/csv.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/registry.h"

enum { PROGRESS_LINES = 10000 };

struct import {
  struct cli *cli;
  const char *file; // as shown
  struct csv *csv;
  struct registry *registry;
  struct problems problems;
  struct registry_summary summary;
  unsigned long lines; // without the header
  bool progress;
};

// Reads the header. False with the error said.
static bool read_header(struct import *import) {
  enum csv_result got = csv_next(import->csv);
  bool same = got == CSV_RECORD && csv_count(import->csv) == REGISTRY_COLUMNS;
  for (size_t i = 0; same && i < REGISTRY_COLUMNS; i++) {
    same = strcmp(csv_field(import->csv, i), registry_columns[i]) == 0;
  }
  if (got == CSV_FAILED) {
    cli_fail(import->cli, CLI_FAILED, "cannot read %s: %s", import->file, strerror(errno));
  } else if (!same) {
    cli_fail(
        import->cli, CLI_FAILED,
        "%s: the first line has to be credential,model,firmware,region,time_zone,site,gateway,owner,critical; nothing was done",
        import->file);
  }
  return same;
}

static bool put_line(struct import *import) {
  const char *fields[REGISTRY_COLUMNS];
  unsigned long line = csv_line(import->csv);
  if (csv_count(import->csv) != REGISTRY_COLUMNS) {
    problems_add(&import->problems, line, "", "the line has %zu fields instead of %d", csv_count(import->csv), REGISTRY_COLUMNS);
    return true;
  }
  for (size_t i = 0; i < REGISTRY_COLUMNS; i++) {
    fields[i] = csv_field(import->csv, i);
  }
  return registry_put(import->registry, line, fields);
}

static void show_progress(const struct import *import, const char *doing) {
  if (import->progress) {
    fprintf(stderr, "\r\033[K%lu lines read%s", import->lines, doing);
  }
}

static bool read_lines(struct import *import) {
  for (;;) {
    enum csv_result got = csv_next(import->csv);
    if (got == CSV_END) {
      return true;
    }
    if (got == CSV_FAILED) {
      cli_fail(import->cli, CLI_FAILED, "cannot read %s: %s; nothing was done", import->file, strerror(errno));
      return false;
    }
    import->lines++;
    if (got == CSV_BAD) {
      problems_add(&import->problems, csv_line(import->csv), "", "%s", csv_problem(import->csv));
    } else if (!put_line(import)) {
      return false;
    }
    if (import->lines % PROGRESS_LINES == 0) {
      show_progress(import, "");
    }
  }
}

static int show_outcome(struct import *import, bool dry_run) {
  struct cli *cli = import->cli;
  const struct registry_summary *s = &import->summary;
  size_t bad = import->problems.count;
  int code = bad == 0 ? CLI_FINE : CLI_FAILED;
  if (cli->json) {
    json_t *outcome = json_pack("{s:b,s:I,s:I,s:I,s:I,s:I,s:o}", "dry_run", dry_run, "lines", (json_int_t)import->lines,
                                "created", (json_int_t)s->created, "updated", (json_int_t)s->updated, "unchanged",
                                (json_int_t)s->unchanged, "bad_lines", (json_int_t)bad, "bad", problems_json(&import->problems));
    return output_json(cli, outcome) == CLI_FINE ? code : CLI_FAILED;
  }
  problems_show(&import->problems, import->file);
  printf("%s%lu lines: %lld new, %lld changed, %lld as they were, %zu bad%s\n", dry_run ? "dry run, nothing was changed; " : "",
         import->lines, s->created, s->updated, s->unchanged, bad, bad > 0 ? " and left out" : "");
  return code;
}

static int import_stream(struct import *import, FILE *in, bool dry_run) {
  struct cli *cli = import->cli;
  int code = CLI_FAILED;
  PGconn *connection = NULL;
  import->csv = csv_open(in);
  import->progress = isatty(STDERR_FILENO) == 1;
  if (import->csv == NULL) {
    return cli_fail(cli, CLI_FAILED, "out of memory");
  }
  if (!read_header(import)) {
    goto out;
  }
  connection = db_open(cli, DB_ADMIN, DB_WRITE_S);
  import->registry = connection != NULL ? registry_open(cli, connection, &import->problems) : NULL;
  if (import->registry == NULL || !read_lines(import)) {
    code = cli->code;
    goto out;
  }
  show_progress(import, dry_run ? ", checking" : ", checking and writing");
  bool done = registry_finish(import->registry, dry_run, &import->summary);
  if (import->progress) {
    fputs("\r\033[K", stderr);
  }
  code = done ? show_outcome(import, dry_run) : cli->code;
out:
  registry_close(import->registry);
  PQfinish(connection);
  problems_free(&import->problems);
  csv_close(import->csv);
  return code;
}

int device_import(struct cli *cli, const struct command *command, int argc, char **argv) {
  bool dry_run = false;
  const struct option_spec specs[] = {{OPTION_FLAG, "dry-run", &dry_run, NULL, "check and report, change nothing", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0) {
    return cli->code;
  }
  bool piped = strcmp(argv[0], "-") == 0;
  FILE *in = piped ? stdin : fopen(argv[0], "re");
  if (in == NULL) {
    return cli_fail(cli, CLI_FAILED, "cannot read %s: %s", argv[0], strerror(errno));
  }
  struct import import = {.cli = cli, .file = piped ? "standard input" : argv[0]};
  int code = import_stream(&import, in, dry_run);
  if (!piped) {
    (void)fclose(in);
  }
  return code;
}

// True when the credential is free. False with the error said.
static bool is_new(struct cli *cli, PGconn *connection, const char *credential) {
  PGresult *result = db_query(cli, connection, "SELECT life FROM store.device WHERE credential = $1", 1, &credential);
  bool new = result != NULL &&PQntuples(result) == 0;
  if (result != NULL && !new) {
    cli_fail(cli, CLI_FAILED, "%s is registered already (%s); to change it use `vedette device import`", credential,
             db_text(result, 0, "life"));
  }
  PQclear(result);
  return new;
}

static int add_one(struct cli *cli, const char *const fields[REGISTRY_COLUMNS]) {
  struct problems problems = {0};
  struct registry_summary summary = {0};
  PGconn *connection = db_open(cli, DB_ADMIN, DB_READ_S);
  bool open = connection != NULL && is_new(cli, connection, fields[REGISTRY_CREDENTIAL]);
  struct registry *registry = open ? registry_open(cli, connection, &problems) : NULL;
  int code = CLI_FAILED;
  if (registry != NULL && registry_put(registry, 1, fields) && registry_finish(registry, false, &summary)) {
    if (problems.count > 0) {
      cli_fail(cli, CLI_FAILED, "%s: %s", problems.list[0].field, problems.list[0].text);
    } else if (cli->json) {
      code = output_json(cli, json_pack("{s:s,s:b}", "credential", fields[REGISTRY_CREDENTIAL], "created", summary.created == 1));
    } else {
      printf("%s is registered\n", fields[REGISTRY_CREDENTIAL]);
      code = CLI_FINE;
    }
  } else {
    code = cli->code;
  }
  registry_close(registry);
  PQfinish(connection);
  problems_free(&problems);
  return code;
}

int device_add(struct cli *cli, const struct command *command, int argc, char **argv) {
  const char *fields[REGISTRY_COLUMNS] = {"", "", "", "", "", "", "", "", ""};
  bool critical = false;
  enum registry_column column = REGISTRY_CREDENTIAL;
  const struct option_spec specs[] = {
      {OPTION_TEXT, "model", &fields[REGISTRY_MODEL], "M", "model (required)", 0, 0},
      {OPTION_TEXT, "firmware", &fields[REGISTRY_FIRMWARE], "V", "firmware version as delivered", 0, 0},
      {OPTION_TEXT, "region", &fields[REGISTRY_REGION], "R", "region", 0, 0},
      {OPTION_TEXT, "time-zone", &fields[REGISTRY_TIME_ZONE], "TZ", "time zone, for example Europe/London (else UTC)", 0, 0},
      {OPTION_TEXT, "site", &fields[REGISTRY_SITE], "S", "site", 0, 0},
      {OPTION_TEXT, "gateway", &fields[REGISTRY_GATEWAY], "CREDENTIAL", "the gateway that may report for it", 0, 0},
      {OPTION_TEXT, "owner", &fields[REGISTRY_OWNER], "O", "owner", 0, 0},
      {OPTION_FLAG, "critical", &critical, NULL, "its silence is an alert by itself", 0, 0},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0) {
    return cli->code;
  }
  fields[REGISTRY_CREDENTIAL] = argv[0];
  fields[REGISTRY_CRITICAL] = critical ? "yes" : "no";
  if (*fields[REGISTRY_MODEL] == '\0') {
    return cli_fail(cli, CLI_WRONG, "a device needs a model: vedette device add %s --model M", argv[0]);
  }
  const char *problem = registry_check(fields, &column);
  if (problem != NULL) {
    return cli_fail(cli, CLI_WRONG, "%s %s", registry_columns[column], problem);
  }
  return add_one(cli, fields);
}
