// `vedette worker list|retire`.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"

enum { ALIVE_S = 10 }; // a worker commits a batch at least every second

int worker_list(struct cli *cli, const struct command *command, int argc, char **argv) {
  bool all = false;
  const struct option_spec specs[] = {{OPTION_FLAG, "all", &all, NULL, "retired journals too", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_CONSOLE, DB_READ_S);
  if (connection == NULL) {
    return cli->code;
  }
  const char *value = all ? "t" : "f";
  PGresult *result =
      db_query(cli, connection,
               "SELECT worker, feed, journal, coalesce(batches, 0) AS batches, coalesce(pending, 0) AS pending,"
               " extract(epoch FROM now() - committed_at) AS last_batch_s, analysed, seeing_since, opened_at, retired_at,"
               " retired_why FROM vedette.worker WHERE $1::boolean OR retired_at IS NULL ORDER BY worker, feed",
               1, &value);
  int code = result != NULL ? output_result(cli, result, "no ingest worker has connected yet") : cli->code;
  PQclear(result);
  PQfinish(connection);
  return code;
}

// Says what retiring would do, without doing it.
static int explain(struct cli *cli, const PGresult *feeds, const char *name) {
  long long pending = 0;
  bool alive = false;
  for (int row = 0; row < PQntuples(feeds); row++) {
    pending += db_number(feeds, row, "pending");
    alive = alive || *db_text(feeds, row, "alive") == 't';
  }
  fprintf(stderr,
          "Retiring %s closes %d journal%s for good: %lld record%s acknowledged to devices and not stored, as far as the store "
          "knows,\n"
          "count as lost; with this journal the worker can store nothing more; analysis no longer waits for it.\n",
          name, PQntuples(feeds), PQntuples(feeds) == 1 ? "" : "s", pending, pending == 1 ? " that was" : "s that were");
  if (alive) {
    fprintf(stderr, "It has stored a batch within the last %d s: it seems to be alive. Stop it first.\n", ALIVE_S);
  }
  return cli_fail(cli, CLI_WRONG, "nothing was done; to go on: vedette worker retire %s --yes", name);
}

static bool retire(struct cli *cli, PGconn *connection, const PGresult *feeds) {
  const char *user = getlogin();
  char why[128];
  (void)snprintf(why, sizeof why, "retired by %s with vedette worker retire", user != NULL ? user : "an operator");
  bool done = db_run(cli, connection, "BEGIN", 0, NULL);
  for (int row = 0; done && row < PQntuples(feeds); row++) {
    const char *const values[] = {db_text(feeds, row, "feed"), why};
    done = db_run(cli, connection, "SELECT store.retire_feed($1::integer, $2)", 2, values);
  }
  return done && db_run(cli, connection, "COMMIT", 0, NULL);
}

static int show_outcome(struct cli *cli, const PGresult *feeds, const char *name) {
  if (cli->json) {
    return output_json(cli, json_pack("{s:s,s:o}", "worker", name, "retired", output_rows(feeds)));
  }
  printf("%s is retired: %d journal%s closed\n", name, PQntuples(feeds), PQntuples(feeds) == 1 ? "" : "s");
  return CLI_FINE;
}

int worker_retire(struct cli *cli, const struct command *command, int argc, char **argv) {
  bool yes = false;
  const struct option_spec specs[] = {{OPTION_FLAG, "yes", &yes, NULL, "do it; without this it is only explained", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0) {
    return cli->code;
  }
  PGconn *connection = db_open(cli, DB_ADMIN, DB_READ_S);
  if (connection == NULL) {
    return cli->code;
  }
  const char *name = argv[0];
  PGresult *feeds = db_query(cli, connection,
                             "SELECT feed, journal, coalesce(pending, 0) AS pending,"
                             " coalesce(committed_at > now() - interval '10 seconds', false) AS alive FROM vedette.worker"
                             " WHERE worker = $1 AND retired_at IS NULL ORDER BY feed",
                             1, &name);
  int code = cli->code;
  if (feeds != NULL && PQntuples(feeds) == 0) {
    code = cli_fail(cli, CLI_FAILED, "no worker %s with an open journal; see vedette worker list --all", name);
  } else if (feeds != NULL && !yes) {
    code = explain(cli, feeds, name);
  } else if (feeds != NULL) {
    code = retire(cli, connection, feeds) ? show_outcome(cli, feeds, name) : cli->code;
  }
  PQclear(feeds);
  PQfinish(connection);
  return code;
}
