// `vedette retention list|set|clear`: how long what is kept.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"

enum { KEEP_SIZE = 32 };

// Reads 30d, 2w, 13mo, 2y into an SQL interval. False if it is none, or not within 1 day and 100 years.
static bool read_keep(const char *text, char sql[KEEP_SIZE]) {
  static const struct unit {
    const char *name, *sql;
    long most;
  } units[] = {{"d", "days", 36500}, {"w", "weeks", 5200}, {"mo", "months", 1200}, {"y", "years", 100}};
  char *end;
  long number = strtol(text, &end, 10);
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    if (strcmp(end, units[i].name) == 0 && end != text && number >= 1 && number <= units[i].most) {
      (void)snprintf(sql, KEEP_SIZE, "%ld %s", number, units[i].sql);
      return true;
    }
  }
  return false;
}

int retention_list(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  return output_query(cli, DB_CONSOLE,
                      "SELECT class, model, keep, covers FROM vedette.retention ORDER BY class, model NULLS FIRST", 0, NULL,
                      "nothing");
}

// What a change is about, looked up: the class, the model's number and what holds now.
static PGresult *look_up(struct cli *cli, PGconn *connection, const char *class, const char *model, const char *keep) {
  const char *const values[] = {class, model, keep};
  PGresult *result = db_query(cli, connection,
                              "SELECT m.id AS model, o.keep AS own, coalesce($3::interval, r.keep) < coalesce(o.keep, r.keep) AS "
                              "shorter, coalesce(o.keep, r.keep) AS now"
                              " FROM store.retention r LEFT JOIN store.model m ON m.name = $2"
                              " LEFT JOIN store.model_retention o ON o.model = m.id AND o.class = r.class WHERE r.class = $1",
                              3, values);
  if (result == NULL) {
    return NULL;
  }
  bool good = false;
  if (PQntuples(result) == 0) {
    cli_fail(cli, CLI_FAILED, "there is no class \"%s\" of what is kept; vedette retention list shows them", class);
  } else if (model != NULL && *db_text(result, 0, "model") == '\0') {
    cli_fail(cli, CLI_FAILED, "there is no model \"%s\"", model);
  } else if (model != NULL && strcmp(class, "report") != 0 && strcmp(class, "event") != 0 && strcmp(class, "rollup") != 0) {
    cli_fail(cli, CLI_FAILED, "a model can have its own time for report, event and rollup, not for \"%s\"", class);
  } else {
    good = true;
  }
  if (!good) {
    PQclear(result);
  }
  return good ? result : NULL;
}

// Sets `keep` (NULL: the model's own time goes) and says so.
static int change(struct cli *cli, PGconn *connection, const PGresult *found, const char *class, const char *model,
                  const char *keep) {
  const char *const values[] = {class, model != NULL ? db_text(found, 0, "model") : NULL, keep};
  if (!db_run(cli, connection, "SELECT store.set_retention($1, $2::integer, $3::interval)", 3, values)) {
    return cli->code;
  }
  if (cli->json) {
    return output_json(
        cli, json_pack("{s:s,s:s?,s:s?,s:s}", "class", class, "model", model, "keep", keep, "before", db_text(found, 0, "now")));
  }
  printf("%s%s%s: kept %s, before %s\n", class, model != NULL ? " of " : "", model != NULL ? model : "",
         keep != NULL ? keep : "as all others", db_text(found, 0, "now"));
  return CLI_FINE;
}

// Looks up, warns, changes.
static int apply(struct cli *cli, const char *class, const char *model, const char *keep, bool yes) {
  PGconn *connection = db_open(cli, DB_ADMIN, DB_WRITE_S);
  PGresult *found = connection != NULL ? look_up(cli, connection, class, model, keep) : NULL;
  int code = cli->code;
  if (found != NULL && keep == NULL && *db_text(found, 0, "own") == '\0') {
    code = cli_fail(cli, CLI_FAILED, "%s has no time of its own for \"%s\"", model, class);
  } else if (found != NULL && *db_text(found, 0, "shorter") == 't' && !yes) {
    code = cli_fail(cli, CLI_WRONG,
                    "what is older would be deleted within the hour (kept now: %s); nothing was done; to go on: add --yes",
                    db_text(found, 0, "now"));
  } else if (found != NULL) {
    code = change(cli, connection, found, class, model, keep);
  }
  PQclear(found);
  PQfinish(connection);
  return code;
}

#define YES_HELP "do it, where it deletes; without this it is only explained"

int retention_set(struct cli *cli, const struct command *command, int argc, char **argv) {
  const char *model = NULL;
  bool yes = false;
  const struct option_spec specs[] = {{OPTION_TEXT, "model", &model, "NAME", "for this model only", 0, 0},
                                      {OPTION_FLAG, "yes", &yes, NULL, YES_HELP, 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 2, 2, argc, argv) < 0) {
    return cli->code;
  }
  const char *class = argv[0];
  char keep[KEEP_SIZE];
  if (!read_keep(argv[1], keep)) {
    return cli_fail(cli, CLI_WRONG, "\"%s\" is no time to keep something: 30d, 2w, 13mo or 2y, from one day to a hundred years",
                    argv[1]);
  }
  return apply(cli, class, model, keep, yes);
}

int retention_clear(struct cli *cli, const struct command *command, int argc, char **argv) {
  const char *model = NULL;
  bool yes = false;
  const struct option_spec specs[] = {{OPTION_TEXT, "model", &model, "NAME", "of this model", 0, 0},
                                      {OPTION_FLAG, "yes", &yes, NULL, YES_HELP, 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0) {
    return cli->code;
  }
  if (model == NULL) {
    return cli_fail(cli, CLI_WRONG, "whose? add --model NAME");
  }
  return apply(cli, argv[0], model, NULL, yes);
}
