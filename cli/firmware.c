// `vedette firmware list|add|import`: the images that are known of a model.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/csv.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/problems.h"
#include "cli/text.h"

enum { MODEL, VERSION, HASH, COLUMNS };

static const char *const columns[COLUMNS] = {"model", "version", "image_hash"};

struct counts {
  long lines;
  long created;
  long updated;
  long unchanged;
};

// NULL when the line is fine, else what is wrong with which column.
static const char *check(const char *const fields[COLUMNS], size_t *column) {
  static const size_t most[COLUMNS] = {128, 64, 64}; // bytes
  for (*column = 0; *column < COLUMNS; (*column)++) {
    const char *field = fields[*column];
    size_t length = strlen(field);
    if (*column == HASH && (length != 64 || strspn(field, "0123456789abcdefABCDEF") != 64)) {
      return "is not a SHA-256: 64 hexadecimal digits";
    }
    if (length == 0) {
      return "is empty";
    }
    if (length > most[*column]) {
      return *column == MODEL ? "is longer than 128 bytes" : "is longer than 64 bytes";
    }
    if (!text_is_utf8(field, length) || text_has_control(field, length)) {
      return "is not UTF-8, or holds a control character";
    }
  }
  return NULL;
}

// Puts one image in, within the caller's transaction. False with the error said.
static bool put(struct cli *cli, PGconn *connection, const char *const fields[COLUMNS], struct counts *counts) {
  if (!db_run(cli, connection,
              "INSERT INTO store.model (name) SELECT $1::text WHERE NOT EXISTS (SELECT FROM store.model WHERE name = $1)"
              " ON CONFLICT DO NOTHING",
              1, fields)) {
    return false;
  }
  PGresult *result = db_query(cli, connection,
                              "WITH known AS (SELECT r.version FROM store.firmware_release r JOIN store.model m ON m.id = r.model"
                              " WHERE m.name = $1 AND r.image_hash = decode($3, 'hex')), put AS ("
                              "INSERT INTO store.firmware_release (model, version, image_hash)"
                              " SELECT id, $2, decode($3, 'hex') FROM store.model WHERE name = $1"
                              " ON CONFLICT (model, image_hash) DO UPDATE SET version = excluded.version"
                              " WHERE firmware_release.version <> excluded.version RETURNING 1)"
                              "SELECT (SELECT count(*) FROM known) AS known, (SELECT count(*) FROM put) AS put",
                              COLUMNS, fields);
  if (result == NULL) {
    return false;
  }
  bool known = db_number(result, 0, "known") > 0;
  bool changed = db_number(result, 0, "put") > 0;
  counts->created += !known && changed;
  counts->updated += known && changed;
  counts->unchanged += !changed;
  PQclear(result);
  return true;
}

int firmware_list(struct cli *cli, const struct command *command, int argc, char **argv) {
  const char *model = NULL;
  const struct option_spec specs[] = {{OPTION_TEXT, "model", &model, "M", "only of this model", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  return output_query(cli, DB_CONSOLE,
                      "SELECT model, version, image_hash, released_at FROM vedette.firmware_release"
                      " WHERE $1::text IS NULL OR model = $1 ORDER BY model, released_at, version",
                      1, &model, "no firmware is known; models without known firmware are not judged");
}

int firmware_add(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  struct counts counts = {0};
  size_t column = 0;
  if (options_parse(cli, command, specs, COLUMNS, COLUMNS, argc, argv) < 0) {
    return cli->code;
  }
  const char *const fields[COLUMNS] = {argv[MODEL], argv[VERSION], argv[HASH]};
  const char *problem = check(fields, &column);
  if (problem != NULL) {
    return cli_fail(cli, CLI_WRONG, "%s %s", columns[column], problem);
  }
  PGconn *connection = db_open(cli, DB_ADMIN, DB_READ_S);
  if (connection == NULL) {
    return cli->code;
  }
  bool done = db_run(cli, connection, "BEGIN", 0, NULL) && put(cli, connection, fields, &counts) &&
              db_run(cli, connection, "COMMIT", 0, NULL);
  PQfinish(connection);
  if (!done) {
    return cli->code;
  }
  if (cli->json) {
    return output_json(cli, json_pack("{s:s,s:s,s:s,s:b}", "model", fields[MODEL], "version", fields[VERSION], "image_hash",
                                      fields[HASH], "changed", counts.unchanged == 0));
  }
  puts(counts.unchanged > 0 ? "this image was known already" : "the image is known now");
  return CLI_FINE;
}

// Reads the file into the caller's transaction. False with the error said.
static bool read_lines(struct cli *cli, PGconn *connection, struct csv *csv, const char *file, struct problems *problems,
                       struct counts *counts) {
  enum csv_result got = CSV_END;
  while ((got = csv_next(csv)) != CSV_END) {
    const char *fields[COLUMNS] = {"", "", ""};
    size_t column = 0;
    if (got == CSV_FAILED) {
      cli_fail(cli, CLI_FAILED, "cannot read %s: %s; nothing was done", file, strerror(errno));
      return false;
    }
    counts->lines++;
    if (got == CSV_BAD || csv_count(csv) != COLUMNS) {
      problems_add(problems, csv_line(csv), "", "%s", got == CSV_BAD ? csv_problem(csv) : "the line has not 3 fields");
      continue;
    }
    for (size_t i = 0; i < COLUMNS; i++) {
      fields[i] = csv_field(csv, i);
    }
    const char *problem = check(fields, &column);
    if (problem != NULL) {
      problems_add(problems, csv_line(csv), columns[column], "%s", problem);
    } else if (!put(cli, connection, fields, counts)) {
      return false;
    }
  }
  return true;
}

static bool read_header(struct cli *cli, struct csv *csv, const char *file) {
  bool same = csv_next(csv) == CSV_RECORD && csv_count(csv) == COLUMNS;
  for (size_t i = 0; same && i < COLUMNS; i++) {
    same = strcmp(csv_field(csv, i), columns[i]) == 0;
  }
  if (!same) {
    cli_fail(cli, CLI_FAILED, "%s: the first line has to be model,version,image_hash; nothing was done", file);
  }
  return same;
}

static int show_outcome(struct cli *cli, struct problems *problems, const struct counts *counts, const char *file) {
  int code = problems->count == 0 ? CLI_FINE : CLI_FAILED;
  if (cli->json) {
    json_t *outcome =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:o}", "lines", (json_int_t)counts->lines, "created", (json_int_t)counts->created,
                  "updated", (json_int_t)counts->updated, "unchanged", (json_int_t)counts->unchanged, "bad_lines",
                  (json_int_t)problems->count, "bad", problems_json(problems));
    return output_json(cli, outcome) == CLI_FINE ? code : CLI_FAILED;
  }
  problems_show(problems, file);
  printf("%ld lines: %ld new, %ld changed, %ld as they were, %zu bad%s\n", counts->lines, counts->created, counts->updated,
         counts->unchanged, problems->count, problems->count > 0 ? " and left out" : "");
  return code;
}

int firmware_import(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  struct problems problems = {0};
  struct counts counts = {0};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0) {
    return cli->code;
  }
  bool piped = strcmp(argv[0], "-") == 0;
  const char *file = piped ? "standard input" : argv[0];
  FILE *in = piped ? stdin : fopen(argv[0], "re");
  if (in == NULL) {
    return cli_fail(cli, CLI_FAILED, "cannot read %s: %s", file, strerror(errno));
  }
  struct csv *csv = csv_open(in);
  int code = CLI_FAILED;
  PGconn *connection = csv != NULL && read_header(cli, csv, file) ? db_open(cli, DB_ADMIN, DB_READ_S) : NULL;
  if (connection != NULL && db_run(cli, connection, "BEGIN", 0, NULL) &&
      read_lines(cli, connection, csv, file, &problems, &counts) && db_run(cli, connection, "COMMIT", 0, NULL)) {
    code = show_outcome(cli, &problems, &counts, file);
  } else {
    code = cli->code == CLI_FINE ? cli_fail(cli, CLI_FAILED, "out of memory") : cli->code;
  }
  PQfinish(connection);
  problems_free(&problems);
  csv_close(csv);
  if (!piped) {
    (void)fclose(in);
  }
  return code;
}
