#include "analysis/eval/scenarios.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/db.h"
#include "cli/when.h"

enum { GRACE_S = 60, GRACE_MOST_S = 7 * 86400, ERROR_SIZE = 1024 };

// $1 and $2: from when to when, NULL for all; $3: the states that are raises.
static const char raises_sql[] =
    "SELECT device, credential, kind, key, opened_at AS at, cleared_at, sentence, 'alert' AS source FROM vedette.alert"
    " WHERE ($1::timestamptz IS NULL OR opened_at >= $1) AND ($2::timestamptz IS NULL OR opened_at <= $2)"
    " UNION ALL "
    "SELECT device, credential, state, '', at, NULL, reason, 'state' FROM vedette.connectivity_change"
    " WHERE state = ANY ($3::text[]) AND ($1::timestamptz IS NULL OR at >= $1) AND ($2::timestamptz IS NULL OR at <= $2)";

struct words {
  const char *truth, *since, *until;
  long grace_s;
};

static bool read_when(struct cli *cli, const char *option, const char *text, int64_t *out) {
  if (text == NULL || when_read(text, when_now(), out)) {
    return true;
  }
  cli_fail(cli, CLI_WRONG, "--%s takes 30m, 2h, 7d (ago), 2026-03-01 or 2026-03-01T12:00Z, not '%s'", option, text);
  return false;
}

static bool check_kind(struct cli *cli, const char *word) {
  const char *names[64];
  size_t count = 0;
  for (; count < kinds_count && count < sizeof names / sizeof names[0]; count++) {
    names[count] = kinds[count].name;
  }
  if (kind_find(word) != NULL) {
    return true;
  }
  const char *near = options_nearest(word, names, count);
  cli_fail(cli, CLI_WRONG, "--kind: nothing of kind '%s' is raised%s%s%s", word, near != NULL ? "; did you mean " : "",
           near != NULL ? near : "", near != NULL ? "?" : "");
  return false;
}

static bool check_words(struct cli *cli, const struct words *words, struct scenarios *scenarios) {
  struct match_window *window = &scenarios->window;
  if (words->truth == NULL) {
    cli_fail(cli, CLI_WRONG, "which truth? --truth FILE names the file that vedette-sim --truth has written");
    return false;
  }
  if (!read_when(cli, "since", words->since, &window->since) || !read_when(cli, "until", words->until, &window->until)) {
    return false;
  }
  if (window->since > window->until) {
    cli_fail(cli, CLI_WRONG, "--since %s is after --until %s", words->since, words->until);
    return false;
  }
  window->grace = words->grace_s * INT64_C(1000000);
  for (size_t i = 0; i < scenarios->kinds.count; i++) {
    if (!check_kind(cli, scenarios->kinds.list[i])) {
      return false;
    }
  }
  return true;
}

static bool read_truths(struct cli *cli, const char *path, struct truths *truths) {
  char error[ERROR_SIZE] = "";
  FILE *in = fopen(path, "re");
  if (in == NULL) {
    cli_fail(cli, CLI_FAILED, "%s: cannot be read: %s", path, strerror(errno));
    return false;
  }
  bool read = truths_read(in, path, truths, error, sizeof error);
  (void)fclose(in); // it was only read
  if (!read) {
    cli_fail(cli, CLI_FAILED, "%s", error);
  }
  return read;
}

// The states that are raises, as an array of PostgreSQL's. The names hold neither quotes nor backslashes.
static const char *state_array(char *out, size_t size) {
  size_t used = 0;
  for (size_t i = 0; i < kinds_count; i++) {
    if (kinds[i].source != KIND_ALERT && used < size) {
      used += (size_t)snprintf(out + used, size - used, "%s\"%s\"", used == 0 ? "{" : ",", kinds[i].name);
    }
  }
  if (used < size) {
    (void)snprintf(out + used, size - used, "}");
  }
  return out;
}

static bool ask_store(struct cli *cli, struct scenarios *scenarios) {
  const struct match_window *window = &scenarios->window;
  char since[WHEN_SIZE];
  char until[WHEN_SIZE];
  char states[512];
  const char *values[] = {NULL, NULL, state_array(states, sizeof states)};
  if (window->since != INT64_MIN) {
    when_utc(window->since, since);
    values[0] = since;
  }
  if (window->until != INT64_MAX) {
    when_utc(window->until + window->grace, until);
    values[1] = until;
  }
  PGconn *connection = db_open(cli, DB_CONSOLE, DB_WRITE_S); // it may be months of alerts
  if (connection == NULL) {
    return false;
  }
  scenarios->rows = db_query(cli, connection, raises_sql, 3, values);
  PQfinish(connection);
  return scenarios->rows != NULL;
}

// Of what a state says too, the alert is only counted.
static bool take_raise(const PGresult *rows, int row, struct raise *raise) {
  const struct kind *kind = kind_find(db_text(rows, row, "kind"));
  bool alert = strcmp(db_text(rows, row, "source"), "alert") == 0;
  *raise = (struct raise){.device = db_text(rows, row, "credential"),
                          .kind = db_text(rows, row, "kind"),
                          .system = db_number(rows, row, "device") == 0,
                          .alert = alert,
                          .judged = !alert || kind == NULL || kind->source == KIND_ALERT,
                          .row = row};
  return when_from_store(db_text(rows, row, "at"), &raise->at);
}

static bool take_raises(struct cli *cli, struct scenarios *scenarios) {
  int count = PQntuples(scenarios->rows);
  scenarios->raises = calloc((size_t)count + 1, sizeof *scenarios->raises);
  if (scenarios->raises == NULL) {
    cli_fail(cli, CLI_FAILED, "out of memory");
    return false;
  }
  for (int row = 0; row < count; row++) {
    if (!take_raise(scenarios->rows, row, &scenarios->raises[row])) {
      cli_fail(cli, CLI_FAILED, "the store says that something was raised at %s, which is no time",
               db_text(scenarios->rows, row, "at"));
      return false;
    }
  }
  scenarios->count = (size_t)count;
  return true;
}

static int run(struct cli *cli, const char *path, struct scenarios *scenarios) {
  if (!read_truths(cli, path, &scenarios->truths) || !ask_store(cli, scenarios) || !take_raises(cli, scenarios)) {
    return cli->code;
  }
  if (!match_run(&scenarios->truths, scenarios->raises, scenarios->count, &scenarios->window, &scenarios->match)) {
    return cli_fail(cli, CLI_FAILED, "out of memory");
  }
  return scenarios_print(cli, scenarios);
}

int scenarios(struct cli *cli, const struct command *command, int argc, char **argv) {
  struct words words = {.grace_s = GRACE_S};
  struct scenarios asked = {.window = {.since = INT64_MIN, .until = INT64_MAX}};
  const struct option_spec specs[] = {
      {OPTION_TEXT, "truth", &words.truth, "FILE", "what vedette-sim --truth has written", 0, 0},
      {OPTION_TEXT, "since", &words.since, "WHEN", "faults and raises from then on: 30m, 2h, 7d (ago), 2026-03-01T12:00Z", 0, 0},
      {OPTION_TEXT, "until", &words.until, "WHEN", "and until then", 0, 0},
      {OPTION_NUMBER, "grace", &words.grace_s, "SECONDS", "a raise so long after the end of a fault is still its (60)", 0,
       GRACE_MOST_S},
      {OPTION_TEXTS, "kind", &asked.kinds, "K", "show only this kind of raise; may be given again", 0, 0},
      {OPTION_FLAG, "all", &asked.all, NULL, "list all that was missed or false, not 20 of each", 0, 0},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0 || !check_words(cli, &words, &asked)) {
    return cli->code;
  }
  int code = run(cli, words.truth, &asked);
  match_free(&asked.match);
  free(asked.raises);
  PQclear(asked.rows);
  truths_free(&asked.truths);
  return code;
}
