// `vedette model list|set`: what is expected of the devices of a model.
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/value.h"

enum { NAME_MOST = 128, METRIC_MOST = 64, INTERVAL_SIZE = 40 }; // bytes

#define NONE "none" // typed for what is to be nothing
#define COLUMNS                                                                                                                  \
  "class, extract(epoch FROM cadence)::double precision AS cadence_s,"                                                           \
  " extract(epoch FROM patience)::double precision AS patience_s, battery"

// What was not typed stays: NULL stands for that, the word none for SQL's NULL.
static const char set_sql[] =
    "WITH known AS (SELECT FROM store.model WHERE name = $1),"
    " put AS (INSERT INTO store.model AS m (name, class, cadence, patience, battery) VALUES ($1, coalesce($2, 'mains'),"
    " nullif($3, '" NONE "')::interval, nullif($4, '" NONE "')::interval, nullif($5, '" NONE "'))"
    " ON CONFLICT (name) DO UPDATE SET class = coalesce($2, m.class),"
    " cadence = CASE WHEN $3 IS NULL THEN m.cadence ELSE excluded.cadence END,"
    " patience = CASE WHEN $4 IS NULL THEN m.patience ELSE excluded.patience END,"
    " battery = CASE WHEN $5 IS NULL THEN m.battery ELSE excluded.battery END RETURNING *)"
    " SELECT name AS model, " COLUMNS ", NOT EXISTS (SELECT FROM known) AS created FROM put";

int model_list(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  return output_query(cli, DB_CONSOLE, "SELECT model, " COLUMNS ", devices, created_at FROM vedette.model ORDER BY model", 0,
                      NULL, "there is no model yet");
}

// Reads a length of time, or none, into what SQL takes for it. `least` in microseconds. False with the error said.
static bool read_length(struct cli *cli, const char *name, const char *text, int64_t least, const char *range,
                        char sql[INTERVAL_SIZE]) {
  const int64_t most = INT64_C(360) * 86400 * 1000000; // what PostgreSQL takes for a year where it compares
  int64_t length = 0;
  (void)snprintf(sql, INTERVAL_SIZE, NONE);
  if (text == NULL || strcmp(text, NONE) == 0) {
    return true;
  }
  if (!value_length(cli, name, text, &length)) {
    return false;
  }
  if (length < least || length > most) {
    cli_fail(cli, CLI_WRONG, "%s %s is out of range: from %s to 360d, or none; nothing was done", name, text, range);
    return false;
  }
  (void)snprintf(sql, INTERVAL_SIZE, "%lld microseconds", (long long)length);
  return true;
}

static bool check_metric(struct cli *cli, const char *metric) {
  if (!value_text(cli, "--battery", metric, METRIC_MOST)) {
    return false;
  }
  if (metric[strspn(metric, "abcdefghijklmnopqrstuvwxyz0123456789._/-")] != '\0') {
    cli_fail(cli, CLI_WRONG, "--battery '%s' is no name of a metric: a to z, 0 to 9 and . _ / - only", metric);
    return false;
  }
  return true;
}

static int say_set(struct cli *cli, const PGresult *result) {
  if (cli->json) {
    return output_json(cli, output_row(result, 0));
  }
  static const char *const fields[][2] = {
      {"class", " class "}, {"cadence_s", ", cadence "}, {"patience_s", ", patience "}, {"battery", ", battery "}};
  output_field(cli, result, "model");
  fputs(*db_text(result, 0, "created") == 't' ? " is a new model:" : ":", stdout);
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    fputs(fields[i][1], stdout);
    output_field(cli, result, fields[i][0]);
  }
  putchar('\n');
  return CLI_FINE;
}

int model_set(struct cli *cli, const struct command *command, int argc, char **argv) {
  static const char *const classes[] = {"mains", "battery", "sleeper"};
  const char *class = NULL;
  const char *cadence = NULL;
  const char *patience = NULL;
  const char *battery = NULL;
  char intervals[2][INTERVAL_SIZE];
  const struct option_spec specs[] = {
      {OPTION_TEXT, "class", &class, "CLASS", "mains, battery or sleeper (sleeps between reports)", 0, 0},
      {OPTION_TEXT, "cadence", &cadence, "DURATION", "time between reports of a new device: 500ms, 60s, 1h; or none", 0, 0},
      {OPTION_TEXT, "patience", &patience, "DURATION", "silent after this, whatever was learned: 10m, 2d; or none", 0, 0},
      {OPTION_TEXT, "battery", &battery, "METRIC", "metric that says what is left of the battery, in percent; or none", 0, 0},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0 || !value_text(cli, "NAME", argv[0], NAME_MOST) ||
      (class != NULL && !value_choice(cli, "--class", class, classes, sizeof classes / sizeof classes[0])) ||
      !read_length(cli, "--cadence", cadence, 1000, "1ms", intervals[0]) ||
      !read_length(cli, "--patience", patience, 1000000, "1s", intervals[1]) ||
      (battery != NULL && !check_metric(cli, battery))) {
    return cli->code;
  }
  if (class == NULL && cadence == NULL && patience == NULL && battery == NULL) {
    return cli_fail(cli, CLI_WRONG, "set what? add --class, --cadence, --patience or --battery");
  }
  const char *const values[] = {argv[0], class, cadence != NULL ? intervals[0] : NULL, patience != NULL ? intervals[1] : NULL,
                                battery};
  PGconn *connection = db_open(cli, DB_ADMIN, DB_READ_S);
  PGresult *result = connection != NULL ? db_query(cli, connection, set_sql, 5, values) : NULL;
  int code = result != NULL ? say_set(cli, result) : cli->code;
  PQclear(result);
  PQfinish(connection);
  return code;
}
