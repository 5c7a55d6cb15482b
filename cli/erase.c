// `vedette owner erase`, `vedette device erase`, `vedette erasure list`: forgetting people, with a receipt.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"

enum { PATIENCE_S = 60 }; // for the workers

#define ERASURE_SQL "SELECT id, what, devices, asked_at, deleted_at, state, journals, retained, counts FROM vedette.erasure"

// Where rows were deleted that told a name; dead rows keep it until they are vacuumed.
static const char *const tables[] = {"device",       "owner",        "dead_letter",      "alert",          "alert_event",
                                     "erasing",      "connectivity", "connectivity_now", "detector_state", "connectivity_change",
                                     "completeness", "maintenance",  "series_state"};

// Vacuums them. Nothing depends on it: what fails, autovacuum does later.
static void vacuum(PGconn *connection) {
  char sql[96];
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    (void)snprintf(sql, sizeof sql, "VACUUM store.%s", tables[i]);
    PQclear(PQexec(connection, sql));
  }
}

// Deletes the devices of an erasure, a few in each transaction.
static bool delete_all(struct cli *cli, PGconn *connection, const char *id) {
  long long left = 1;
  while (left > 0) {
    PGresult *result = db_query(cli, connection, "SELECT store.finish_erasure($1::bigint) AS left", 1, &id);
    if (result == NULL) {
      return false;
    }
    left = db_number(result, 0, "left");
    PQclear(result);
    if (left > 0 && isatty(STDERR_FILENO) == 1) {
      fprintf(stderr, "\r%lld devices left\033[K", left);
    }
  }
  if (isatty(STDERR_FILENO) == 1) {
    fputs("\r\033[K", stderr);
  }
  return true;
}

// Waits until the workers have done their part, and shows who is waited for. The receipt, or NULL with the error said.
static PGresult *wait_for_workers(struct cli *cli, PGconn *connection, const char *id, int patience_s) {
  bool shown = false;
  PGresult *receipt = NULL;
  for (int quarters = 4 * patience_s;; quarters--) {
    receipt = db_query(cli, connection, ERASURE_SQL " WHERE id = $1::bigint", 1, &id);
    if (receipt == NULL || strcmp(db_text(receipt, 0, "state"), "done") == 0 || quarters == 0) {
      break;
    }
    if (isatty(STDERR_FILENO) == 1) {
      fprintf(stderr, "\rdeleted; waiting for ingest workers (%s), %d s left at most \033[K", db_text(receipt, 0, "journals"),
              quarters / 4);
      shown = true;
    }
    PQclear(receipt);
    (void)usleep(250000);
  }
  if (shown) {
    fputs("\r\033[K", stderr);
  }
  return receipt;
}

static void show_receipt(const PGresult *receipt) {
  json_t *counts = json_loads(db_text(receipt, 0, "counts"), 0, NULL);
  const char *what;
  json_t *count;
  printf("erasure %s: %s device%s, deleted from the store at %s\n", db_text(receipt, 0, "id"), db_text(receipt, 0, "devices"),
         db_number(receipt, 0, "devices") == 1 ? "" : "s", db_text(receipt, 0, "deleted_at"));
  json_object_foreach(counts, what, count) {
    if (json_integer_value(count) > 0) {
      printf("  %-24s %" JSON_INTEGER_FORMAT "\n", what, json_integer_value(count));
    }
  }
  json_decref(counts);
  if (strcmp(db_text(receipt, 0, "state"), "done") != 0) {
    printf(
        "Not everywhere yet. Journals that may still hold messages: %s; retained messages at the broker: %s.\n"
        "The workers go on by themselves once they run (`vedette erasure list`); one that will never come back is to be retired\n"
        "(`vedette worker retire NAME`) and its journal's folder deleted.\n",
        *db_text(receipt, 0, "journals") != '\0' ? db_text(receipt, 0, "journals") : "none", db_text(receipt, 0, "retained"));
  }
}

// `ids`: the devices' numbers, as an SQL array. `owner`: goes with them, or NULL.
static int erase(struct cli *cli, PGconn *connection, const char *what, const char *ids, const char *owner, int patience_s) {
  const char *begin[] = {what, ids};
  const char *id = NULL;
  int code = CLI_FAILED;
  PGresult *begun = NULL;
  PGresult *receipt = NULL;
  if (!db_run(cli, connection, "BEGIN", 0, NULL) ||
      (begun = db_query(cli, connection, "SELECT store.begin_erasure($1, $2::integer[]) AS id", 2, begin)) == NULL ||
      (owner != NULL && !db_run(cli, connection, "DELETE FROM store.owner WHERE name = $1", 1, &owner)) ||
      !db_run(cli, connection, "COMMIT", 0, NULL)) {
    goto out; // nothing was done
  }
  id = db_text(begun, 0, "id");
  if (!delete_all(cli, connection, id)) {
    fputs("vedette: the erasure has begun; vedette-keeper finishes it\n", stderr);
    goto out;
  }
  vacuum(connection);
  receipt = wait_for_workers(cli, connection, id, patience_s);
  if (receipt != NULL && cli->json) {
    code = output_json(cli, output_row(receipt, 0));
  } else if (receipt != NULL) {
    show_receipt(receipt);
    code = CLI_FINE;
  }
out:
  PQclear(receipt);
  PQclear(begun);
  return code;
}

// Asks for the word --yes, then erases what `found` (id array, count) says.
static int erase_found(struct cli *cli, PGconn *connection, const char *what, const PGresult *found, const char *owner, bool yes,
                       int patience_s) {
  if (!yes) {
    return cli_fail(
        cli, CLI_WRONG,
        "everything that is known of %lld device%s would be deleted for good, and what they send later refused; nothing "
        "was done; vedette owner export writes it to a file first; to go on: add --yes",
        db_number(found, 0, "count"), db_number(found, 0, "count") == 1 ? "" : "s");
  }
  return erase(cli, connection, what, db_text(found, 0, "ids"), owner, patience_s);
}

static int refuse(struct cli *cli, const char *what, const char *name) {
  return strcmp(what, "owner") == 0
             ? cli_fail(cli, CLI_FAILED, "there is no owner \"%s\"; vedette owner list shows who has devices", name)
             : db_no_device(cli, name);
}

// Finds by `sql` (name → ids, count, known) and erases.
static int find_and_erase(struct cli *cli, const struct command *command, int argc, char **argv, const char *what,
                          const char *sql) {
  bool yes = false;
  long patience_s = PATIENCE_S;
  const struct option_spec specs[] = {
      {OPTION_FLAG, "yes", &yes, NULL, "do it; without this it is only explained", 0, 0},
      {OPTION_NUMBER, "wait", &patience_s, "SECONDS", "how long to wait for the ingest workers (default 60)", 0, 86400},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 1, 1, argc, argv) < 0) {
    return cli->code;
  }
  const char *name = argv[0];
  PGconn *connection = db_open(cli, DB_ADMIN, DB_UNLIMITED);
  PGresult *found = connection != NULL ? db_query(cli, connection, sql, 1, &name) : NULL;
  int code = cli->code;
  if (found != NULL && *db_text(found, 0, "known") != 't') {
    code = refuse(cli, what, name);
  } else if (found != NULL) {
    code = erase_found(cli, connection, what, found, strcmp(what, "owner") == 0 ? name : NULL, yes, (int)patience_s);
  }
  PQclear(found);
  PQfinish(connection);
  return code;
}

int owner_erase(struct cli *cli, const struct command *command, int argc, char **argv) {
  return find_and_erase(cli, command, argc, argv, "owner",
                        "SELECT coalesce(array_agg(d.id) FILTER (WHERE d.id IS NOT NULL), '{}') AS ids, count(d.id) AS count,"
                        " count(*) > 0 AS known FROM store.owner o LEFT JOIN store.device d ON d.owner = o.id WHERE o.name = $1");
}

int device_erase(struct cli *cli, const struct command *command, int argc, char **argv) {
  return find_and_erase(cli, command, argc, argv, "device",
                        "SELECT coalesce(array_agg(id), '{}') AS ids, count(*) AS count, count(*) > 0 AS known FROM store.device"
                        " WHERE credential = $1 AND life <> 'erased'");
}

int erasure_list(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  return output_query(cli, DB_CONSOLE, ERASURE_SQL " ORDER BY id DESC", 0, NULL, "nothing was erased");
}
