// `vedette ledger`: what became of everything that was received, and whether it adds up.
#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/value.h"
#include "cli/when.h"

#include <stdio.h>

static const char by_worker[] = "SELECT worker, minute, received, stored, duplicate, rejected, shed FROM vedette.ledger"
                                " WHERE minute >= $1::timestamptz ORDER BY minute, worker";
static const char by_device[] =
    "SELECT minute, received, stored, duplicate, rejected, shed FROM vedette.device_ledger($2, $1::timestamptz)";
static const char faults[] = "SELECT worker, feed, minute, what, expected, found FROM vedette.ledger_faults($1::timestamptz)";

static int show(struct cli *cli, PGconn *connection, const char *device, const char *since) {
  const char *const values[] = {since, device};
  PGresult *result = db_query(cli, connection, device ? by_device : by_worker, device ? 2 : 1, values);
  int code = result != NULL ? output_result(cli, result, "nothing was received") : cli->code;
  PQclear(result);
  return code;
}

static int check(struct cli *cli, PGconn *connection, const char *since) {
  PGresult *result = db_query(cli, connection, faults, 1, &since);
  if (result == NULL) {
    return cli->code;
  }
  int count = PQntuples(result);
  int code = output_result(cli, result, "the ledger adds up");
  PQclear(result);
  if (code == CLI_FINE && count > 0) {
    return cli_fail(cli, CLI_FAILED, "the ledger does not add up in %d place%s since %s", count, count == 1 ? "" : "s", since);
  }
  return code;
}

int ledger(struct cli *cli, const struct command *command, int argc, char **argv) {
  const char *device = NULL;
  const char *since = "1h";
  bool checked = false;
  const struct option_spec specs[] = {
      {OPTION_TEXT, "device", &device, "CREDENTIAL", "the minutes of one device", 0, 0},
      {OPTION_TEXT, "since", &since, "TIME", "from this time on, as 30m, 2h, 7d or a date (default 1h)", 0, 0},
      {OPTION_FLAG, "check", &checked, NULL, "say what does not add up, by worker and minute", 0, 0},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  int64_t at;
  char from[WHEN_SIZE];
  if (!value_time(cli, "--since", since, &at)) {
    return cli->code;
  }
  if (device != NULL && checked) {
    return cli_fail(cli, CLI_WRONG, "--check looks at workers; leave --device out");
  }
  when_utc(at, from);
  PGconn *connection = db_open(cli, DB_CONSOLE, checked ? DB_WRITE_S : DB_READ_S);
  if (connection == NULL) {
    return cli->code;
  }
  int code = checked ? check(cli, connection, from) : show(cli, connection, device, from);
  PQfinish(connection);
  return code;
}
