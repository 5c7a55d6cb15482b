// `vedette migrate`: brings the database to this version, forward only, one transaction a migration.
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/embedded.h"
#include "cli/options.h"
#include "cli/output.h"

enum { HEX_SIZE = 65 };

// Where what was done is kept: not in `store`, which the first migration makes.
static const char bookkeeping[] =
    "CREATE SCHEMA IF NOT EXISTS vedette_meta;"
    "CREATE TABLE IF NOT EXISTS vedette_meta.vedette_migration ("
    "  number integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
    "  program_version text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp());"
    "GRANT USAGE ON SCHEMA vedette_meta TO vedette_ingest, vedette_analysis, vedette_console, vedette_grafana;"
    "GRANT SELECT ON vedette_meta.vedette_migration TO vedette_ingest, vedette_analysis, vedette_console, vedette_grafana";

static bool digest(const char *sql, size_t length, char hex[HEX_SIZE]) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(sql, length, hash, &size, EVP_sha256(), NULL) != 1 || size * 2 + 1 != HEX_SIZE) {
    return false;
  }
  for (unsigned i = 0; i < size; i++) {
    (void)snprintf(hex + (size_t)i * 2, 3, "%02x", hash[i]);
  }
  return true;
}

// What was applied so far, by number; an empty result before the first migration. NULL with the error said.
static PGresult *applied_so_far(struct cli *cli, PGconn *connection) {
  PGresult *there = db_query(
      cli, connection, "SELECT 1 FROM pg_tables WHERE schemaname = 'vedette_meta' AND tablename = 'vedette_migration'", 0, NULL);
  if (there == NULL) {
    return NULL;
  }
  bool empty = PQntuples(there) == 0;
  PQclear(there);
  return db_query(cli, connection,
                  empty ? "SELECT 0 AS number, '' AS name, '' AS sha256, now() AS applied_at WHERE false"
                        : "SELECT number, name, sha256, applied_at FROM vedette_meta.vedette_migration ORDER BY number",
                  0, NULL);
}

// The row of `applied` with this number, −1 for none.
static int find_applied(const PGresult *applied, int number) {
  for (int row = 0; row < PQntuples(applied); row++) {
    if (db_number(applied, row, "number") == number) {
      return row;
    }
  }
  return -1;
}

// "applied", "pending", or "changed" when the file is no longer what was applied.
static const char *state_of(const PGresult *applied, const struct embedded_migration *migration) {
  char hex[HEX_SIZE] = "";
  int row = find_applied(applied, migration->number);
  if (row < 0) {
    return "pending";
  }
  return digest(migration->sql, migration->length, hex) && strcmp(hex, db_text(applied, row, "sha256")) == 0 ? "applied"
                                                                                                             : "changed";
}

// Refuses a database that another version of the migrations made.
static bool check_applied(struct cli *cli, const PGresult *applied) {
  int count = PQntuples(applied);
  if (count > 0 && db_number(applied, count - 1, "number") > (long long)embedded_count) {
    cli_fail(cli, CLI_FAILED,
             "the database is at migration %s, newer than this program, which ends at %zu; use the newer vedette",
             db_text(applied, count - 1, "name"), embedded_count);
    return false;
  }
  for (size_t i = 0; i < embedded_count; i++) {
    const struct embedded_migration *migration = &embedded_migrations[i];
    if (strcmp(state_of(applied, migration), "changed") == 0) {
      cli_fail(cli, CLI_FAILED,
               "migration %s is not the one that was applied (its SHA-256 differs); migrations are never edited: "
               "use the version that made this database, or add a new migration",
               migration->name);
      return false;
    }
    if (find_applied(applied, migration->number) < 0 && (int)i < count) {
      cli_fail(cli, CLI_FAILED, "migration %s was skipped in this database, later ones were applied; restore it from a backup",
               migration->name);
      return false;
    }
  }
  return true;
}

// Says what failed, with the line of the file.
static void fail_migration(struct cli *cli, PGconn *connection, const struct embedded_migration *migration,
                           const PGresult *result) {
  const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
  size_t line = 1;
  if (message == NULL) {
    db_fail(cli, connection, result);
    return;
  }
  size_t end = position != NULL ? strtoul(position, NULL, 10) : 0; // in characters; our files are near enough to ASCII
  for (size_t i = 0; i + 1 < end && i < migration->length; i++) {
    line += migration->sql[i] == '\n';
  }
  char place[48] = "";
  if (position != NULL) {
    (void)snprintf(place, sizeof place, " near line %zu", line);
  }
  cli_fail(cli, CLI_FAILED, "migration %s failed%s and was undone: %s", migration->name, place, message);
}

enum { LOCK_TRIES = 200, LOCK_PAUSE_MS = 200 };

// Whether a migration failed because somebody had what it needs for too long (lock_timeout, a deadlock): then it is worth another
// try.
static bool is_lock_failure(const PGresult *result) {
  const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return state != NULL && (strcmp(state, "55P03") == 0 || strcmp(state, "40P01") == 0);
}

// Runs the statements of a migration in a transaction, which stays open. Writers go on meanwhile: rather than have all of them
// queue behind us for a lock that a long query holds, we give up soon, and try again.
static PGresult *run_statements(struct cli *cli, PGconn *connection, const struct embedded_migration *migration) {
  for (int tries = 1;; tries++) {
    if (!db_run(cli, connection, "BEGIN", 0, NULL) || !db_run(cli, connection, "SET LOCAL lock_timeout = '2s'", 0, NULL)) {
      return NULL;
    }
    PGresult *result = PQexec(connection, migration->sql);
    if (!is_lock_failure(result) || tries == LOCK_TRIES) {
      return result;
    }
    if (tries == 1) {
      fprintf(stderr, "%s waits for a table that is in use\n", migration->name);
    }
    PQclear(result);
    PQclear(PQexec(connection, "ROLLBACK"));
    cli_sleep_ms(LOCK_PAUSE_MS);
  }
}

static bool apply(struct cli *cli, PGconn *connection, const struct embedded_migration *migration) {
  char hex[HEX_SIZE] = "";
  char number[16];
  (void)snprintf(number, sizeof number, "%d", migration->number);
  if (!digest(migration->sql, migration->length, hex)) {
    cli_fail(cli, CLI_FAILED, "cannot compute SHA-256");
    return false;
  }
  PGresult *result = run_statements(cli, connection, migration);
  if (result == NULL) {
    return false;
  }
  ExecStatusType status = PQresultStatus(result);
  bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
  if (!done) {
    fail_migration(cli, connection, migration, result);
  }
  PQclear(result);
  const char *const values[] = {number, migration->name, hex, VEDETTE_VERSION};
  done = done &&
         db_run(cli, connection,
                "INSERT INTO vedette_meta.vedette_migration (number, name, sha256, program_version) VALUES ($1, $2, $3, $4)", 4,
                values) &&
         db_run(cli, connection, "COMMIT", 0, NULL);
  if (!done) {
    PQclear(PQexec(connection, "ROLLBACK"));
  }
  return done;
}

// One `vedette migrate` at a time; the lock goes with the connection.
static bool lock(struct cli *cli, PGconn *connection) {
  PGresult *result = db_query(cli, connection, "SELECT pg_try_advisory_lock(hashtext('vedette migrate'))", 0, NULL);
  if (result == NULL) {
    return false;
  }
  bool mine = *PQgetvalue(result, 0, 0) == 't';
  PQclear(result);
  if (!mine) {
    fputs("another vedette migrate is at work; waiting for it\n", stderr);
  }
  return mine || db_run(cli, connection, "SELECT pg_advisory_lock(hashtext('vedette migrate'))", 0, NULL);
}

static bool prepare(struct cli *cli, PGconn *connection) {
  PGresult *result = PQexec(connection, bookkeeping);
  const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  bool done = PQresultStatus(result) == PGRES_COMMAND_OK;
  if (!done && state != NULL && (strcmp(state, "42501") == 0 || strcmp(state, "42704") == 0)) {
    cli_fail(cli, CLI_FAILED,
             "the database is not prepared (%s): as a superuser run storage/bootstrap.sql in it, "
             "for example `vedette migrate --print-bootstrap | psql --dbname %s`",
             PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), PQdb(connection));
  } else if (!done) {
    db_fail(cli, connection, result);
  }
  PQclear(result);
  return done;
}

static void ignore_notice(void *context, const PGresult *result) {
  (void)context;
  (void)result;
}

static int show_list(struct cli *cli) {
  PGconn *connection = db_open(cli, DB_ADMIN, DB_READ_S);
  PGresult *applied = connection != NULL ? applied_so_far(cli, connection) : NULL;
  json_t *rows = json_array();
  for (size_t i = 0; applied != NULL && i < embedded_count; i++) {
    const struct embedded_migration *migration = &embedded_migrations[i];
    const char *state = state_of(applied, migration);
    int row = find_applied(applied, migration->number);
    int column = PQfnumber(applied, "applied_at");
    if (cli->json) {
      json_t *at = row < 0 ? json_null() : output_value(applied, row, column);
      json_array_append_new(rows, json_pack("{s:i,s:s,s:s,s:o}", "number", migration->number, "name", migration->name, "state",
                                            state, "applied_at", at));
      continue;
    }
    char *at = row < 0 ? NULL : output_text(applied, row, column);
    printf("%-28s ", migration->name);
    output_word(cli, state);
    printf("%s%s\n", at != NULL ? "  " : "", at != NULL ? at : "");
    free(at);
  }
  int code = applied == NULL ? cli->code : CLI_FINE;
  if (applied != NULL && cli->json) {
    code = output_json(cli, rows);
  } else {
    json_decref(rows);
  }
  if (applied != NULL && PQntuples(applied) > (int)embedded_count) {
    code = check_applied(cli, applied) ? code : CLI_FAILED;
  }
  PQclear(applied);
  PQfinish(connection);
  return code;
}

// Applies what is pending. Returns how many those were, −1 on failure.
static int apply_pending(struct cli *cli, PGconn *connection, json_t *names) {
  PGresult *applied = applied_so_far(cli, connection);
  if (applied == NULL || !check_applied(cli, applied)) {
    PQclear(applied);
    return -1;
  }
  size_t before = (size_t)PQntuples(applied);
  PQclear(applied);
  for (size_t i = before; i < embedded_count; i++) {
    if (!cli->json) {
      printf("applying %s (%zu of %zu)\n", embedded_migrations[i].name, i + 1, embedded_count);
      fflush(stdout);
    }
    if (!apply(cli, connection, &embedded_migrations[i])) {
      return -1;
    }
    json_array_append_new(names, json_string(embedded_migrations[i].name));
  }
  return (int)(embedded_count - before);
}

int migrate(struct cli *cli, const struct command *command, int argc, char **argv) {
  bool list = false;
  bool print_bootstrap = false;
  const struct option_spec specs[] = {
      {OPTION_FLAG, "list", &list, NULL, "only show which migrations are applied and which are pending", 0, 0},
      {OPTION_FLAG, "print-bootstrap", &print_bootstrap, NULL, "print the SQL a superuser runs once, before the first migration",
       0, 0},
      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  if (print_bootstrap) {
    fputs(embedded_bootstrap, stdout);
    return cli_flush(cli) ? CLI_FINE : CLI_FAILED;
  }
  if (list) {
    return show_list(cli);
  }
  PGconn *connection = db_open(cli, DB_ADMIN, DB_UNLIMITED);
  if (connection == NULL) {
    return cli->code;
  }
  json_t *names = json_array();
  PQsetNoticeReceiver(connection, ignore_notice, NULL);
  int done = lock(cli, connection) && prepare(cli, connection) ? apply_pending(cli, connection, names) : -1;
  PQfinish(connection);
  if (done < 0) {
    json_decref(names);
    return cli->code;
  }
  if (cli->json) {
    return output_json(cli, json_pack("{s:o,s:i}", "applied", names, "at", (int)embedded_count));
  }
  json_decref(names);
  printf(done == 0 ? "nothing to do: the database is at migration %zu\n" : "the database is at migration %zu\n", embedded_count);
  return cli_flush(cli) ? CLI_FINE : CLI_FAILED;
}
