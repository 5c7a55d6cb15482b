// `vedette maintenance add|list|end`: what is being worked on, so that nobody is alarmed about it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/value.h"
#include "cli/when.h"

enum { DEVICE, MODEL, REGION, SITE, FIRMWARE, CONDITIONS };
enum { NAME_MOST = 128, REASON_MOST = 512, LONGEST_D = 400 }; // bytes, bytes, days

static const int64_t DAY = INT64_C(86400000000); // microseconds

// A window as it was typed, NULL where nothing was.
struct window {
  const char *conditions[CONDITIONS];
  const char *length;
  const char *from;
  const char *until;
  const char *reason;
  const char *author;
  char begins[WHEN_SIZE]; // RFC 3339, where there is `from`
  char ends[WHEN_SIZE];   // where there is `until`
  char interval[40];      // as SQL, where there is `length`
};

// One statement: there is a window, or nothing happened. Begins now by the clock of the store, as all that is compared with it.
static const char add_sql[] =
    "WITH what AS (SELECT (SELECT id FROM store.device WHERE credential = $1 AND life <> 'erased') AS device,"
    " (SELECT id FROM store.model WHERE name = $2) AS model, coalesce($8::timestamptz, now()) AS begins),"
    " made AS (INSERT INTO store.maintenance (device, model, region, site, firmware, reason, author, begins, ends)"
    " SELECT device, model, $3, $4, $5, $6, $7, begins, coalesce($9::timestamptz, begins + $10::interval) FROM what"
    " WHERE ($1::text IS NULL OR device IS NOT NULL) AND ($2::text IS NULL OR model IS NOT NULL) RETURNING id, begins, ends, "
    "author)"
    " SELECT made.*, (SELECT count(*) FROM vedette.device d WHERE d.life <> 'retired' AND ($1::text IS NULL OR d.credential = $1)"
    " AND ($2::text IS NULL OR d.model = $2) AND ($3::text IS NULL OR d.region = $3) AND ($4::text IS NULL OR d.site = $4)"
    " AND ($5::text IS NULL OR d.firmware = $5)) AS devices, what.device IS NOT NULL AS device_known"
    " FROM what LEFT JOIN made ON true";

static const char list_sql[] =
    "SELECT id, state, device, model, region, site, firmware, begins, ends, ended_by, author, reason, withheld, missing"
    " FROM vedette.maintenance WHERE $1::boolean OR state <> 'over' ORDER BY begins, id";

static const char end_sql[] =
    "SELECT id, state AS was, ends, withheld, store.end_maintenance($1::bigint, $2) AS ended FROM vedette.maintenance"
    " WHERE id = $1::bigint";

// Whether a window may be from then until then. False with the error said.
static bool check_span(struct cli *cli, int64_t begins, int64_t ends) {
  char from[WHEN_SIZE];
  char until[WHEN_SIZE];
  when_local(begins, from);
  when_local(ends, until);
  if (ends <= when_now()) {
    cli_fail(cli, CLI_WRONG, "it would be over already: its end, %s, is in the past; nothing was done", until);
  } else if (ends <= begins) {
    cli_fail(cli, CLI_WRONG, "it would end before it begins: from %s until %s; nothing was done", from, until);
  } else if (ends - begins > LONGEST_D * DAY) {
    cli_fail(cli, CLI_WRONG, "it would be longer than %d days: from %s until %s; nothing was done", LONGEST_D, from, until);
  } else {
    return true;
  }
  return false;
}

// Reads when it begins and ends. False with the error said.
static bool read_times(struct cli *cli, struct window *window) {
  int64_t begins = when_now();
  int64_t ends = 0;
  int64_t length = 0;
  if ((window->from != NULL && !value_time_ahead(cli, "--from", window->from, &begins)) ||
      (window->until != NULL && !value_time_ahead(cli, "--until", window->until, &ends)) ||
      (window->length != NULL && !value_length(cli, "--for", window->length, &length))) {
    return false;
  }
  when_utc(begins, window->begins);
  when_utc(ends, window->ends);
  (void)snprintf(window->interval, sizeof window->interval, "%lld microseconds", (long long)length);
  return check_span(cli, begins, window->until != NULL ? ends : begins + length);
}

// Judges what was typed. False with the error said.
static bool check(struct cli *cli, struct window *window) {
  static const char *const names[CONDITIONS] = {"--device", "--model", "--region", "--site", "--firmware"};
  int given = 0;
  for (size_t i = 0; i < CONDITIONS; i++) {
    if (window->conditions[i] != NULL && !value_text(cli, names[i], window->conditions[i], NAME_MOST)) {
      return false;
    }
    given += window->conditions[i] != NULL;
  }
  if (given == 0) {
    cli_fail(cli, CLI_WRONG, "of what? add --device, --model, --region, --site or --firmware; of several all have to hold");
  } else if ((window->length == NULL) == (window->until == NULL)) {
    cli_fail(cli, CLI_WRONG, "for how long? add --for DURATION or --until WHEN, one of them");
  } else if (window->reason == NULL) {
    cli_fail(cli, CLI_WRONG, "why? add --reason TEXT, for those who look for alerts that did not come");
  } else {
    return value_text(cli, "--reason", window->reason, REASON_MOST) && value_text(cli, "--author", window->author, NAME_MOST) &&
           read_times(cli, window);
  }
  return false;
}

static int say_added(struct cli *cli, const PGresult *added) {
  if (cli->json) {
    json_t *object = output_row(added, 0);
    (void)json_object_del(object, "device_known");
    return output_json(cli, object);
  }
  printf("maintenance %s, from ", db_text(added, 0, "id"));
  output_field(cli, added, "begins");
  fputs(" until ", stdout);
  output_field(cli, added, "ends");
  printf(": %s device%s now\n", db_text(added, 0, "devices"), db_number(added, 0, "devices") == 1 ? " matches" : "s match");
  return CLI_FINE;
}

static int add(struct cli *cli, PGconn *connection, const struct window *window) {
  const char *const *of = window->conditions;
  const char *const values[] = {of[DEVICE],
                                of[MODEL],
                                of[REGION],
                                of[SITE],
                                of[FIRMWARE],
                                window->reason,
                                window->author,
                                window->from != NULL ? window->begins : NULL,
                                window->until != NULL ? window->ends : NULL,
                                window->interval};
  PGresult *added = db_query(cli, connection, add_sql, sizeof values / sizeof values[0], values);
  int code = cli->code;
  if (added != NULL && *db_text(added, 0, "id") != '\0') {
    code = say_added(cli, added);
  } else if (added != NULL && of[DEVICE] != NULL && *db_text(added, 0, "device_known") != 't') {
    code = db_no_device(cli, of[DEVICE]);
  } else if (added != NULL) {
    code = cli_fail(cli, CLI_FAILED, "there is no model \"%s\"; vedette model list shows them", of[MODEL]);
  }
  PQclear(added);
  return code;
}

int maintenance_add(struct cli *cli, const struct command *command, int argc, char **argv) {
  struct window window = {.author = cli_operator()};
  const struct option_spec specs[] = {
      {OPTION_TEXT, "device", &window.conditions[DEVICE], "CREDENTIAL", "this device", 0, 0},
      {OPTION_TEXT, "model", &window.conditions[MODEL], "M", "devices of this model", 0, 0},
      {OPTION_TEXT, "region", &window.conditions[REGION], "R", "devices of this region", 0, 0},
      {OPTION_TEXT, "site", &window.conditions[SITE], "S", "devices of this site", 0, 0},
      {OPTION_TEXT, "firmware", &window.conditions[FIRMWARE], "V", "devices that run this version", 0, 0},
      {OPTION_TEXT, "for", &window.length, "DURATION", "how long: 30m, 2h, 7d; at most 400d", 0, 0},
      {OPTION_TEXT, "until", &window.until, "WHEN", "or until when: 2h (from now on), 2026-03-01T12:00", 0, 0},
      {OPTION_TEXT, "from", &window.from, "WHEN", "from when on (now)", 0, 0},
      {OPTION_TEXT, "reason", &window.reason, "TEXT", "why (required)", 0, 0},
      {OPTION_TEXT, "author", &window.author, "NAME", "who (your login name)", 0, 0},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0 || !check(cli, &window)) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_ADMIN, DB_READ_S);
  int code = connection != NULL ? add(cli, connection, &window) : cli->code;
  PQfinish(connection);
  return code;
}

int maintenance_list(struct cli *cli, const struct command *command, int argc, char **argv) {
  bool all = false;
  const struct option_spec specs[] = {{OPTION_FLAG, "all", &all, NULL, "those that are over too", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  const char *const values[] = {all ? "true" : "false"};
  return output_query(cli, DB_CONSOLE, list_sql, 1, values, all ? "there was no maintenance" : "no maintenance is on or planned");
}

static int say_ended(struct cli *cli, const PGresult *ended) {
  if (cli->json) {
    return output_json(cli, json_pack("{s:I,s:s,s:I}", "id", (json_int_t)db_number(ended, 0, "id"), "was",
                                      db_text(ended, 0, "was"), "withheld", (json_int_t)db_number(ended, 0, "withheld")));
  }
  if (strcmp(db_text(ended, 0, "was"), "planned") == 0) {
    printf("maintenance %s was planned, and is gone\n", db_text(ended, 0, "id"));
  } else {
    printf("maintenance %s is over; alerts withheld: %s\n", db_text(ended, 0, "id"), db_text(ended, 0, "withheld"));
  }
  return CLI_FINE;
}

static int end(struct cli *cli, PGconn *connection, const char *id) {
  const char *const values[] = {id, cli_operator()};
  PGresult *ended = db_query(cli, connection, end_sql, 2, values);
  int code = cli->code;
  if (ended != NULL && PQntuples(ended) == 0) {
    code = cli_fail(cli, CLI_FAILED, "there is no maintenance %s; vedette maintenance list --all shows them", id);
  } else if (ended != NULL && *db_text(ended, 0, "ended") != 't') {
    char *since = output_text(ended, 0, PQfnumber(ended, "ends"));
    code = cli_fail(cli, CLI_FAILED, "maintenance %s is over since %s; nothing was done", id, since != NULL ? since : "long");
    free(since);
  } else if (ended != NULL) {
    code = say_ended(cli, ended);
  }
  PQclear(ended);
  return code;
}

int maintenance_end(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0 ||
      !value_id(cli, argv[0], "a maintenance", "vedette maintenance list")) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_ADMIN, DB_READ_S);
  int code = connection != NULL ? end(cli, connection, argv[0]) : cli->code;
  PQfinish(connection);
  return code;
}
