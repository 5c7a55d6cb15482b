// `vedette deadletter replay|drop`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/letters.h"
#include "cli/output.h"
#include "cli/rehearse.h"

enum { IDS_MOST = 1000 };

static const char *operator_name(void) {
  const char *login = getlogin();
  return login != NULL ? login : cli_operator();
}

// Reads the numbers or the options, one of which there has to be. False with the error said.
static bool choose(struct cli *cli, struct letters_choice *choice, int count, char **argv) {
  choice->ids = argv;
  choice->id_count = count;
  bool common = choice->device != NULL || choice->reason != NULL || choice->since != NULL;
  if (count == 0 && !common) {
    cli_fail(cli, CLI_WRONG, "which letters? give their numbers, or --device, --reason or --since");
    return false;
  }
  if (count > 0 && common) {
    cli_fail(cli, CLI_WRONG, "give numbers of letters or options that choose some, not both");
    return false;
  }
  return letters_check(cli, choice);
}

// Calls a function of the store for all letters. Returns how many it changed, −1 with the error said.
static long long change(struct cli *cli, PGconn *connection, const char *sql, const struct letters *letters, const char *doing) {
  static char chunk[LETTERS_TEXT];
  const char *const values[] = {chunk, operator_name()};
  long long changed = 0;
  for (size_t at = 0; at < letters->count;) {
    letters_progress(letters, at, doing);
    at += letters_chunk(letters, at, chunk);
    PGresult *result = db_query(cli, connection, sql, 2, values);
    if (result == NULL) {
      letters_progress(letters, letters->count, doing);
      return -1;
    }
    changed += strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
  }
  letters_progress(letters, letters->count, doing);
  return changed;
}

static bool worker_lives(struct cli *cli, PGconn *connection) {
  PGresult *result = db_query(cli, connection,
                              "SELECT count(*) AS alive FROM vedette.worker WHERE retired_at IS NULL"
                              " AND committed_at > now() - interval '10 seconds'",
                              0, NULL);
  bool alive = result != NULL && db_number(result, 0, "alive") > 0;
  PQclear(result);
  return alive;
}

static int queue(struct cli *cli, PGconn *connection, const struct letters *letters) {
  long long queued = change(cli, connection, "SELECT store.queue_letters($1::bigint[], $2)", letters, "queueing");
  if (queued < 0) {
    return cli->code;
  }
  bool alive = worker_lives(cli, connection);
  if (cli->json) {
    return output_json(cli, json_pack("{s:I,s:I,s:b}", "queued", (json_int_t)queued, "not_whole", (json_int_t)letters->not_whole,
                                      "worker_alive", alive));
  }
  printf("%lld letter%s queued%s\n", queued, queued == 1 ? "" : "s",
         queued == 0 ? ""
         : alive     ? "; a worker takes them within seconds, see vedette deadletter list --state queued"
                     : "; no ingest worker is alive, they wait for one");
  if (letters->not_whole > 0) {
    printf("%zu left out: they were not kept whole\n", letters->not_whole);
  }
  return cli_flush(cli) ? CLI_FINE : CLI_FAILED;
}

int deadletter_replay(struct cli *cli, const struct command *command, int argc, char **argv) {
  static const char *const open[2] = {"open", "open"};
  struct letters_choice choice = {0};
  struct letters letters = {0};
  bool dry_run = false;
  const struct option_spec specs[] = {
      LETTERS_OPTIONS(choice),
      {OPTION_FLAG, "dry-run", &dry_run, NULL, "say what would become of them now, change nothing", 0, 0},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  int count = options_parse(cli, command, specs, 0, IDS_MOST, argc, argv);
  if (count < 0 || !choose(cli, &choice, count, argv)) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_ADMIN, DB_WRITE_S);
  bool found = connection != NULL && letters_find(cli, connection, &choice, open, true, &letters);
  int code = !found ? cli->code : dry_run ? rehearse(cli, connection, &letters) : queue(cli, connection, &letters);
  free(letters.ids);
  PQfinish(connection);
  return code;
}

// True when the person at the terminal agrees.
static bool agrees(struct cli *cli, size_t count) {
  char answer[16] = "";
  if (cli->json || isatty(STDIN_FILENO) != 1) {
    cli_fail(cli, CLI_WRONG, "nothing was done; to drop %zu dead letter%s for good, say --yes", count, count == 1 ? "" : "s");
    return false;
  }
  fprintf(stderr, "Drop %zu dead letter%s for good? Their payloads are gone then. [y/N] ", count, count == 1 ? "" : "s");
  if (fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y')) {
    return true;
  }
  cli_fail(cli, CLI_FAILED, "nothing was done");
  return false;
}

int deadletter_drop(struct cli *cli, const struct command *command, int argc, char **argv) {
  static const char *const states[2] = {"open", "queued"};
  struct letters_choice choice = {0};
  struct letters letters = {0};
  bool yes = false;
  const struct option_spec specs[] = {
      LETTERS_OPTIONS(choice), {OPTION_FLAG, "yes", &yes, NULL, "do not ask", 0, 0}, {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  int count = options_parse(cli, command, specs, 0, IDS_MOST, argc, argv);
  if (count < 0 || !choose(cli, &choice, count, argv)) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_ADMIN, DB_WRITE_S);
  long long dropped = -1;
  if (connection != NULL && letters_find(cli, connection, &choice, states, false, &letters) &&
      (yes || letters.count == 0 || agrees(cli, letters.count))) {
    dropped = change(cli, connection, "SELECT store.drop_letters($1::bigint[], $2)", &letters, "dropping");
  }
  free(letters.ids);
  PQfinish(connection);
  if (dropped < 0) {
    return cli->code;
  }
  if (cli->json) {
    return output_json(cli, json_pack("{s:I}", "dropped", (json_int_t)dropped));
  }
  printf("%lld letter%s dropped\n", dropped, dropped == 1 ? "" : "s");
  return cli_flush(cli) ? CLI_FINE : CLI_FAILED;
}
