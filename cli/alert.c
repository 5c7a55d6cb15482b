// `vedette alert list|show`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/value.h"
#include "cli/when.h"

enum { LIST_LIMIT = 50, LIST_MOST = 100000 };

static const char *const states[] = {"open", "acknowledged", "cleared", "invalidated", "all"};

int alert_list(struct cli *cli, const struct command *command, int argc, char **argv) {
  const char *values[5] = {NULL, NULL, NULL, NULL, NULL}; // states, kind, device, since, limit
  const char *state = NULL;
  const char *since = NULL;
  long limit = LIST_LIMIT;
  char limit_text[24];
  char utc[WHEN_SIZE];
  int64_t at = 0;
  const struct option_spec specs[] = {
      {OPTION_TEXT, "state", &state, "STATE", "open, acknowledged, cleared, invalidated or all", 0, 0},
      {OPTION_TEXT, "kind", &values[1], "K", "only of this kind", 0, 0},
      {OPTION_TEXT, "device", &values[2], "CREDENTIAL", "only of this device", 0, 0},
      {OPTION_TEXT, "since", &since, "T", "opened since: 30m, 2h, 7d (ago), 2026-03-01, 2026-03-01T12:00Z", 0, 0},
      {OPTION_NUMBER, "limit", &limit, "N", "at most this many (50)", 1, LIST_MOST},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0 ||
      (state != NULL && !value_choice(cli, "--state", state, states, sizeof states / sizeof states[0])) ||
      (since != NULL && !value_time(cli, "--since", since, &at))) {
    return cli->code;
  }
  if (since != NULL) {
    when_utc(at, utc);
    values[3] = utc;
  }
  values[0] = state == NULL ? "{open,acknowledged}" : strcmp(state, "all") == 0 ? NULL : state;
  char one[32];
  if (values[0] == state && state != NULL) {
    (void)snprintf(one, sizeof one, "{%s}", state);
    values[0] = one;
  }
  (void)snprintf(limit_text, sizeof limit_text, "%ld", limit);
  values[4] = limit_text;
  return output_query(cli, DB_CONSOLE,
                      "SELECT alert, severity, state, kind, credential, opened_at, cleared_at, count, sentence FROM vedette.alert"
                      " WHERE ($1::text[] IS NULL OR state = ANY ($1)) AND ($2::text IS NULL OR kind = $2)"
                      " AND ($3::text IS NULL OR credential = $3) AND ($4::timestamptz IS NULL OR opened_at >= $4)"
                      " ORDER BY opened_at DESC, alert DESC LIMIT $5::bigint",
                      5, values, "no such alert");
}

// What an explanation holds, in the order in which people ask.
static const struct {
  const char *key;
  const char *title;
} answers[] = {{"observed", "observed"},     {"expected", "expected"},         {"baseline", "baseline"},
               {"rank", "rank among peers"}, {"reports", "reports behind it"}, {"clears_when", "what would clear it"}};
enum { ANSWERS = sizeof answers / sizeof answers[0] };

static bool is_answer(const char *key) {
  for (size_t i = 0; i < ANSWERS; i++) {
    if (strcmp(answers[i].key, key) == 0) {
      return true;
    }
  }
  return false;
}

static void show_answer(const struct cli *cli, const char *title, const json_t *value) {
  output_title(cli, title);
  putchar(':');
  output_nested(value, 2);
}

static void show_explanation(const struct cli *cli, const json_t *explanation) {
  const char *key = NULL;
  json_t *value = NULL;
  for (size_t i = 0; i < ANSWERS; i++) {
    value = json_object_get(explanation, answers[i].key);
    if (value != NULL) {
      show_answer(cli, answers[i].title, value);
    }
  }
  json_object_foreach((json_t *)explanation, key, value) {
    if (!is_answer(key)) {
      show_answer(cli, key, value);
    }
  }
}

static void show_alert(const struct cli *cli, const PGresult *alert, const PGresult *timeline) {
  char *sentence = output_text(alert, 0, PQfnumber(alert, "sentence"));
  output_title(cli, sentence != NULL ? sentence : "");
  putchar('\n');
  free(sentence);
  static const char *const fields[] = {"alert", "kind", "severity",  "state",      "credential",
                                       "model", "site", "opened_at", "cleared_at", "count"};
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    printf("  %-12s", fields[i]);
    output_field(cli, alert, fields[i]);
    putchar('\n');
  }
  putchar('\n');
  json_t *explanation = output_value(alert, 0, PQfnumber(alert, "explanation"));
  show_explanation(cli, explanation);
  json_decref(explanation);
  putchar('\n');
  output_title(cli, "timeline");
  putchar('\n');
  output_table(cli, timeline, "nothing recorded");
}

static int show(struct cli *cli, PGconn *connection, const char *id) {
  PGresult *timeline = NULL;
  PGresult *alert = db_query(cli, connection, "SELECT * FROM vedette.alert WHERE alert = $1::bigint", 1, &id);
  int code = alert != NULL ? CLI_FINE : cli->code;
  if (alert != NULL && PQntuples(alert) == 0) {
    code = cli_fail(cli, CLI_FAILED, "there is no alert %s; see vedette alert list --state all", id);
  }
  if (code == CLI_FINE) {
    const char *const key[] = {db_text(alert, 0, "device"), id};
    timeline =
        db_query(cli, connection,
                 "SELECT at, change, actor, detail FROM vedette.alert_event WHERE device = $1::integer AND alert = $2::bigint"
                 " ORDER BY place",
                 2, key);
    code = timeline != NULL ? CLI_FINE : cli->code;
  }
  if (code == CLI_FINE && cli->json) {
    json_t *object = output_row(alert, 0);
    json_object_set_new(object, "timeline", output_rows(timeline));
    code = output_json(cli, object);
  } else if (code == CLI_FINE) {
    show_alert(cli, alert, timeline);
  }
  PQclear(timeline);
  PQclear(alert);
  return code;
}

int alert_show(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0 || !value_id(cli, argv[0], "an alert", "vedette alert list")) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_CONSOLE, DB_READ_S);
  if (connection == NULL) {
    return cli->code;
  }
  int code = show(cli, connection, argv[0]);
  PQfinish(connection);
  return code;
}
