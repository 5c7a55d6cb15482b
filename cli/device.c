// `vedette device list|show|export|visit`: what the registry holds.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/value.h"
#include "cli/when.h"

enum { LIST_LIMIT = 100, LIST_MOST = 1000000 };

// Says that there is more, where the list ended.
static void hint_more(const PGresult *result, long limit) {
  int rows = PQntuples(result);
  if (rows > 0 && rows == limit) {
    fflush(stdout);
    char *last = output_text(result, rows - 1, 0);
    fprintf(stderr, "there may be more: --after '%s', or a larger --limit\n", last != NULL ? last : "");
    free(last);
  }
}

int device_list(struct cli *cli, const struct command *command, int argc, char **argv) {
  const char *values[5] = {NULL, NULL, NULL, NULL, NULL};
  long limit = LIST_LIMIT;
  char limit_text[24];
  const struct option_spec specs[] = {{OPTION_TEXT, "site", &values[0], "S", "only of this site", 0, 0},
                                      {OPTION_TEXT, "model", &values[1], "M", "only of this model", 0, 0},
                                      {OPTION_TEXT, "state", &values[2], "STATE",
                                       "only in this connectivity (online, silent, …) or life (active, retired, …)", 0, 0},
                                      {OPTION_TEXT, "after", &values[3], "CREDENTIAL", "go on after this one", 0, 0},
                                      {OPTION_NUMBER, "limit", &limit, "N", "at most this many (100)", 1, LIST_MOST},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_CONSOLE, DB_READ_S);
  if (connection == NULL) {
    return cli->code;
  }
  (void)snprintf(limit_text, sizeof limit_text, "%ld", limit);
  values[4] = limit_text;
  PGresult *result =
      db_query(cli, connection,
               "SELECT credential, model, firmware, region, site, gateway, critical, life, connectivity,"
               " extract(epoch FROM now() - connectivity_since) AS since_s FROM vedette.device"
               " WHERE ($1::text IS NULL OR site = $1) AND ($2::text IS NULL OR model = $2)"
               " AND ($3::text IS NULL OR connectivity = $3 OR life = $3) AND ($4::text IS NULL OR credential > $4)"
               " ORDER BY credential LIMIT $5::bigint",
               5, values);
  int code = cli->code;
  if (result != NULL) {
    code = output_result(cli, result, "no such device");
    hint_more(result, limit);
  }
  PQclear(result);
  PQfinish(connection);
  return code;
}

// The parts of `device show`: a title (the key in JSON), what to ask for the credential, what to say when there is nothing.
static const struct {
  const char *title;
  const char *sql;
  const char *none;
} parts[] = {
    {"latest",
     "SELECT metric, coalesce(value::text, text) AS value, unit, time FROM vedette.latest WHERE credential = $1 ORDER BY metric",
     "no values yet"},
    {"open_alerts",
     "SELECT alert, severity, kind, state, opened_at, sentence FROM vedette.alert_open WHERE credential = $1 ORDER BY opened_at "
     "DESC",
     "none open"},
    {"connectivity_changes",
     "SELECT at, state, reason FROM vedette.connectivity_change WHERE credential = $1 ORDER BY at DESC LIMIT 10",
     "no change yet"},
    {"firmware_reported",
     "SELECT time, version, image_hash, boot_verification, release FROM vedette.firmware WHERE credential = $1"
     " ORDER BY time DESC LIMIT 3",
     "none reported yet"},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

static void show_title(const struct cli *cli, const char *key) {
  char title[32];
  (void)snprintf(title, sizeof title, "%s", key);
  for (char *space = strchr(title, '_'); space != NULL; space = strchr(space, '_')) {
    *space = ' ';
  }
  output_title(cli, title);
}

static int show_part(struct cli *cli, PGconn *connection, size_t part, const char *credential, json_t *into) {
  PGresult *result = db_query(cli, connection, parts[part].sql, 1, &credential);
  if (result == NULL) {
    return cli->code;
  }
  if (cli->json) {
    json_object_set_new(into, parts[part].title, output_rows(result));
  } else {
    putchar('\n');
    show_title(cli, parts[part].title);
    putchar('\n');
    output_table(cli, result, parts[part].none);
  }
  PQclear(result);
  return CLI_FINE;
}

// One field a line.
static void show_fields(const PGresult *result) {
  for (int column = 0; column < PQnfields(result); column++) {
    char *text = output_text(result, 0, column);
    printf("%-20s %s\n", PQfname(result, column), text != NULL ? text : "");
    free(text);
  }
}

static int show_device(struct cli *cli, PGconn *connection, const char *credential) {
  PGresult *result =
      db_query(cli, connection,
               "SELECT credential, device, model, firmware, firmware_delivered, region, time_zone, site, gateway, critical,"
               " life, class, next_visit, connectivity, connectivity_since, connectivity_reason, created_at FROM vedette.device "
               "WHERE credential = $1",
               1, &credential);
  int code = result != NULL ? CLI_FINE : cli->code;
  if (result != NULL && PQntuples(result) == 0) {
    code = db_no_device(cli, credential);
  }
  json_t *device = code == CLI_FINE && cli->json ? output_row(result, 0) : NULL;
  if (code == CLI_FINE && !cli->json) {
    show_fields(result);
  }
  PQclear(result);
  for (size_t part = 0; code == CLI_FINE && part < PARTS; part++) {
    code = show_part(cli, connection, part, credential, device);
  }
  if (code == CLI_FINE && cli->json) {
    return output_json(cli, device);
  }
  json_decref(device);
  return code;
}

int device_show(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_CONSOLE, DB_READ_S);
  if (connection == NULL) {
    return cli->code;
  }
  int code = show_device(cli, connection, argv[0]);
  PQfinish(connection);
  return code;
}

// Copies what COPY sends to `out`. Returns the number of devices, −1 with the error said.
static long copy_out(struct cli *cli, PGconn *connection, FILE *out) {
  // Owners are personal data that the views do not carry: the registry is read as its administrator.
  PGresult *result =
      PQexec(connection, "COPY (SELECT d.credential, m.name AS model, d.firmware, d.region, d.time_zone, d.site,"
                         " g.credential AS gateway, o.name AS owner, CASE WHEN d.critical THEN 'yes' ELSE 'no' END AS critical"
                         " FROM store.device d JOIN store.model m ON m.id = d.model LEFT JOIN store.device g ON g.id = d.gateway"
                         " LEFT JOIN store.owner o ON o.id = d.owner WHERE d.life <> 'erased' ORDER BY d.credential)"
                         " TO STDOUT WITH (FORMAT csv, HEADER true)");
  bool fine = PQresultStatus(result) == PGRES_COPY_OUT;
  long lines = 0;
  if (!fine) {
    db_fail(cli, connection, result);
    PQclear(result);
    return -1;
  }
  PQclear(result);
  char *row = NULL;
  for (int length = PQgetCopyData(connection, &row, 0); length > 0; length = PQgetCopyData(connection, &row, 0)) {
    fine = fine && fwrite(row, 1, (size_t)length, out) == (size_t)length;
    PQfreemem(row);
    lines++;
  }
  if (!fine) {
    cli_fail(cli, CLI_FAILED, "cannot write the export: %s", strerror(errno));
  }
  for (result = PQgetResult(connection); result != NULL; result = PQgetResult(connection)) {
    if (fine && PQresultStatus(result) != PGRES_COMMAND_OK) {
      db_fail(cli, connection, result);
      fine = false;
    }
    PQclear(result);
  }
  return fine ? lines - 1 : -1; // without the header
}

// Writes beside the file and renames, so that a file is there whole or not at all.
static int export_to_file(struct cli *cli, PGconn *connection, const char *path) {
  char *beside = NULL;
  int code = CLI_FAILED;
  if (asprintf(&beside, "%s.new", path) < 0) {
    return cli_fail(cli, CLI_FAILED, "out of memory");
  }
  FILE *out = fopen(beside, "we");
  if (out == NULL) {
    cli_fail(cli, CLI_FAILED, "cannot write %s: %s", beside, strerror(errno));
    goto out;
  }
  long devices = copy_out(cli, connection, out);
  bool closed = fflush(out) == 0 && fsync(fileno(out)) == 0;
  closed = fclose(out) == 0 && closed;
  if (devices < 0 || !closed || rename(beside, path) != 0) {
    if (devices >= 0) {
      cli_fail(cli, CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
    }
    (void)unlink(beside);
    goto out;
  }
  if (cli->json) {
    code = output_json(cli, json_pack("{s:s,s:I}", "file", path, "devices", (json_int_t)devices));
  } else {
    printf("%ld devices written to %s\n", devices, path);
    code = CLI_FINE;
  }
out:
  free(beside);
  return code;
}

int device_export(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  int count = options_parse(cli, command, specs, 0, 1, argc, argv);
  if (count < 0) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_ADMIN, DB_WRITE_S);
  if (connection == NULL) {
    return cli->code;
  }
  int code = CLI_FINE;
  if (count == 1 && strcmp(argv[0], "-") != 0) {
    code = export_to_file(cli, connection, argv[0]);
  } else if (copy_out(cli, connection, stdout) < 0 || !cli_flush(cli)) {
    code = CLI_FAILED;
  }
  PQfinish(connection);
  return code;
}

// `when` in RFC 3339; NULL: nobody is going to.
static int set_visit(struct cli *cli, const char *credential, const char *when) {
  const char *const values[] = {credential, when};
  PGconn *connection = db_open(cli, DB_ADMIN, DB_READ_S);
  PGresult *result = connection != NULL ? db_query(cli, connection,
                                                   "UPDATE store.device SET next_visit = $2::timestamptz WHERE credential = $1"
                                                   " AND life <> 'erased' RETURNING credential, next_visit",
                                                   2, values)
                                        : NULL;
  int code = cli->code;
  if (result != NULL && PQntuples(result) == 0) {
    code = db_no_device(cli, credential);
  } else if (result != NULL && cli->json) {
    code = output_json(cli, output_row(result, 0));
  } else if (result != NULL) {
    output_field(cli, result, "credential");
    fputs(when != NULL ? ": next visit " : ": no visit is planned", stdout);
    if (when != NULL) {
      output_field(cli, result, "next_visit");
    }
    putchar('\n');
    code = CLI_FINE;
  }
  PQclear(result);
  PQfinish(connection);
  return code;
}

int device_visit(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  int64_t at = 0;
  char utc[WHEN_SIZE];
  if (options_parse(cli, command, specs, 2, 2, argc, argv) < 0) {
    return cli->code;
  }
  if (strcmp(argv[1], "none") == 0) {
    return set_visit(cli, argv[0], NULL);
  }
  if (!value_time_ahead(cli, "WHEN", argv[1], &at)) {
    return cli->code;
  }
  if (at <= when_now()) {
    return cli_fail(cli, CLI_WRONG, "a visit at %s is in the past (a day alone is its beginning); nothing was done", argv[1]);
  }
  when_utc(at, utc);
  return set_visit(cli, argv[0], utc);
}
