// `vedette owner list|export`: whose the devices are, and everything that is known of an owner's devices.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"

// What is exported of each device, kind by kind: rows as JSON. $1 is the device's number.
static const struct kind {
  const char *name;
  const char *sql;
} kinds[] = {
    {"device", "SELECT * FROM vedette.device WHERE device = $1::integer"},
    {"report", "SELECT * FROM vedette.report WHERE device = $1::integer ORDER BY time, boot, sequence"},
    {"sample", "SELECT * FROM vedette.sample WHERE device = $1::integer ORDER BY time, boot, sequence, metric"},
    {"hour", "SELECT * FROM vedette.hour WHERE device = $1::integer ORDER BY time, metric"},
    {"traffic", "SELECT * FROM vedette.traffic WHERE device = $1::integer ORDER BY time"},
    {"flow", "SELECT * FROM vedette.traffic_flow WHERE device = $1::integer ORDER BY time"},
    {"event", "SELECT * FROM vedette.event WHERE device = $1::integer ORDER BY time"},
    {"firmware", "SELECT * FROM vedette.firmware WHERE device = $1::integer ORDER BY time"},
    {"connectivity", "SELECT received, time, boot, connection, state, until, retained, reason FROM store.connectivity"
                     " WHERE device = $1::integer ORDER BY received, boot, connection, state"},
    {"connectivity change", "SELECT * FROM vedette.connectivity_change WHERE device = $1::integer ORDER BY at"},
    {"completeness", "SELECT * FROM vedette.completeness WHERE device = $1::integer ORDER BY hour, reason"},
    {"clock", "SELECT * FROM vedette.clock WHERE device = $1::integer"},
    {"sequence", "SELECT * FROM vedette.sequence WHERE device = $1::integer ORDER BY boot"},
    {"alert", "SELECT * FROM vedette.alert WHERE device = $1::integer ORDER BY alert"},
    {"alert event", "SELECT * FROM vedette.alert_event WHERE device = $1::integer ORDER BY entry"},
    {"dead letter",
     "SELECT v.*, encode(l.payload, 'base64') AS payload FROM store.dead_letter l JOIN vedette.dead_letter v ON v.id = l.id"
     " WHERE l.device = $1::integer ORDER BY l.id"},
    {"ledger", "SELECT minute, term, vedette.reason_name(reason) AS reason, count FROM store.ledger WHERE device = $1::integer"
               " ORDER BY minute, term"},
};

int owner_list(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  return output_query(cli, DB_ADMIN,
                      "SELECT o.name AS owner, count(d.id) AS devices FROM store.owner o"
                      " LEFT JOIN store.device d ON d.owner = o.id GROUP BY o.name ORDER BY o.name",
                      0, NULL, "no device has an owner");
}

// Writes a line {"kind": …, "device": …, "row": …} for each row of a query. Returns how many, −1 with the error said.
static long long write_rows(struct cli *cli, PGconn *connection, const struct kind *kind, const char *device, FILE *out) {
  char *sql = NULL;
  long long lines = 0;
  if (asprintf(&sql, "SELECT json_build_object('kind', '%s', 'row', row_to_json(x)) FROM (%s) x", kind->name, kind->sql) < 0) {
    cli_fail(cli, CLI_FAILED, "out of memory");
    return -1;
  }
  bool sent = PQsendQueryParams(connection, sql, 1, NULL, &device, NULL, NULL, 0) == 1 && PQsetSingleRowMode(connection) == 1;
  free(sql);
  // One row at a time: a device may have hundreds of millions of samples.
  for (PGresult *result; sent && (result = PQgetResult(connection)) != NULL; PQclear(result)) {
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_SINGLE_TUPLE && lines >= 0) {
      fprintf(out, "%s\n", PQgetvalue(result, 0, 0));
      lines++;
    } else if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK) {
      db_fail(cli, connection, result);
      lines = -1;
    }
  }
  if (!sent) {
    cli_fail(cli, CLI_FAILED, "lost the database: %s; try again", PQerrorMessage(connection));
    return -1;
  }
  return lines;
}

// Everything of these devices, in one snapshot. The last line says how many came before it: a file without it is not whole.
static bool write_export(struct cli *cli, PGconn *connection, const PGresult *devices, FILE *out) {
  long long lines = 0;
  bool good = db_run(cli, connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL);
  for (int row = 0; good && row < PQntuples(devices); row++) {
    for (size_t i = 0; good && i < sizeof kinds / sizeof kinds[0]; i++) {
      long long written = write_rows(cli, connection, &kinds[i], db_text(devices, row, "id"), out);
      good = written >= 0 && ferror(out) == 0;
      lines += written;
    }
    if (isatty(STDERR_FILENO) == 1 && out != stdout) {
      fprintf(stderr, "\r%d of %d devices, %lld lines", row + 1, PQntuples(devices), lines);
    }
  }
  if (good) {
    fprintf(out, "{\"kind\": \"end\", \"devices\": %d, \"lines\": %lld}\n", PQntuples(devices), lines);
  }
  if (isatty(STDERR_FILENO) == 1 && out != stdout) {
    fputc('\n', stderr);
  }
  return good && db_run(cli, connection, "COMMIT", 0, NULL);
}

// Into a file that only its owner may read and that must not be there yet; what is not whole is removed.
static int export_to_file(struct cli *cli, PGconn *connection, const PGresult *devices, const char *path) {
  int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
  FILE *out = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
  if (out == NULL) {
    return cli_fail(cli, CLI_FAILED, "cannot make %s: %s", path, strerror(errno));
  }
  bool good = write_export(cli, connection, devices, out);
  bool failed = ferror(out) != 0;
  failed = fclose(out) != 0 || failed;
  if (good && failed) {
    cli_fail(cli, CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
  }
  if (!good || failed) {
    (void)unlink(path);
    return CLI_FAILED;
  }
  return CLI_FINE;
}

int owner_export(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  int count = options_parse(cli, command, specs, 1, 2, argc, argv);
  if (count < 0) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_ADMIN, DB_UNLIMITED);
  if (connection == NULL) {
    return cli->code;
  }
  const char *name = argv[0];
  PGresult *devices =
      db_query(cli, connection,
               "SELECT d.id FROM store.owner o JOIN store.device d ON d.owner = o.id WHERE o.name = $1 ORDER BY d.id", 1, &name);
  int code = CLI_FAILED;
  if (devices != NULL && PQntuples(devices) == 0) {
    cli_fail(cli, CLI_FAILED, "no device belongs to \"%s\"; vedette owner list shows who has some", name);
  } else if (devices != NULL && count == 2 && strcmp(argv[1], "-") != 0) {
    code = export_to_file(cli, connection, devices, argv[1]);
  } else if (devices != NULL && write_export(cli, connection, devices, stdout) && cli_flush(cli)) {
    code = CLI_FINE;
  }
  PQclear(devices);
  PQfinish(connection);
  return code;
}
