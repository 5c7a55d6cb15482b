// `vedette connectivity`: how a device was over time, and why.
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/value.h"
#include "cli/when.h"

enum { LIST_LIMIT = 50, LIST_MOST = 100000 };

static const char now_sql[] =
    "SELECT d.credential, d.model, d.class, extract(epoch FROM m.cadence)::double precision AS cadence_s, d.connectivity,"
    " d.connectivity_since AS since, extract(epoch FROM now() - d.connectivity_since)::double precision AS for_s,"
    " d.connectivity_reason AS reason"
    " FROM vedette.device d JOIN vedette.model m ON m.model = d.model WHERE d.credential = $1";

// The newest, in the order of the function.
static const char changes_sql[] =
    "SELECT at, state, reason FROM (SELECT * FROM vedette.connectivity($1, coalesce($2::timestamptz, '-infinity'),"
    " coalesce($3::timestamptz, 'infinity')) WITH ORDINALITY AS c (at, state, reason, place) ORDER BY place DESC LIMIT "
    "$4::bigint)"
    " AS newest ORDER BY place";

// The line above the table, without what is not known.
static void show_now(const struct cli *cli, const PGresult *now) {
  static const char *const parts[][3] = {{"", "credential", ""}, {": ", "connectivity", ""}, {" since ", "since", ""},
                                         {" (", "for_s", ")"},   {": ", "reason", ""},       {"; class ", "class", ""}};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    if (*db_text(now, 0, parts[i][1]) != '\0') {
      fputs(parts[i][0], stdout);
      output_field(cli, now, parts[i][1]);
      fputs(parts[i][2], stdout);
    }
  }
  fputs(", cadence ", stdout);
  output_field(cli, now, "cadence_s");
  fputs("\n\n", stdout);
}

static int write_out(struct cli *cli, const PGresult *now, const PGresult *changes, long limit) {
  if (cli->json) {
    json_t *object = output_row(now, 0);
    json_object_set_new(object, "changes", output_rows(changes));
    return output_json(cli, object);
  }
  show_now(cli, now);
  output_table(cli, changes, "no change in that time");
  if (PQntuples(changes) == limit) {
    fflush(stdout);
    fputs("there may be older ones: a larger --limit shows them\n", stderr);
  }
  return cli_flush(cli) ? CLI_FINE : CLI_FAILED;
}

// `values`: credential, since, until, limit.
static int show(struct cli *cli, PGconn *connection, const char *const values[4], long limit) {
  PGresult *changes = NULL;
  PGresult *now = db_query(cli, connection, now_sql, 1, values);
  int code;
  if (now != NULL && PQntuples(now) == 0) {
    code = db_no_device(cli, values[0]);
  } else if (now != NULL && (changes = db_query(cli, connection, changes_sql, 4, values)) != NULL) {
    code = write_out(cli, now, changes, limit);
  } else {
    code = cli->code;
  }
  PQclear(changes);
  PQclear(now);
  return code;
}

int connectivity(struct cli *cli, const struct command *command, int argc, char **argv) {
  const char *since = NULL;
  const char *until = NULL;
  long limit = LIST_LIMIT;
  char limit_text[24];
  char texts[2][WHEN_SIZE];
  int64_t from = INT64_MIN;
  int64_t to = INT64_MAX;
  const struct option_spec specs[] = {
      {OPTION_TEXT, "since", &since, "T", "from then on: 30m, 2h, 7d (ago), 2026-03-01, 2026-03-01T12:00Z", 0, 0},
      {OPTION_TEXT, "until", &until, "T", "what came before that", 0, 0},
      {OPTION_NUMBER, "limit", &limit, "N", "at most this many, the newest (50)", 1, LIST_MOST},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0 || (since != NULL && !value_time(cli, "--since", since, &from)) ||
      (until != NULL && !value_time(cli, "--until", until, &to))) {
    return cli->code;
  }
  if (to <= from) {
    return cli_fail(cli, CLI_WRONG, "--until %s is not after --since %s", until, since);
  }
  when_utc(since != NULL ? from : 0, texts[0]);
  when_utc(until != NULL ? to : 0, texts[1]);
  (void)snprintf(limit_text, sizeof limit_text, "%ld", limit);
  const char *const values[] = {argv[0], since != NULL ? texts[0] : NULL, until != NULL ? texts[1] : NULL, limit_text};
  PGconn *connection = db_open(cli, DB_CONSOLE, DB_READ_S);
  int code = connection != NULL ? show(cli, connection, values, limit) : cli->code;
  PQfinish(connection);
  return code;
}
