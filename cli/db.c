#include "cli/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What to do about an error that libpq knows only as text.
static const char *advice(const char *error) {
  if (strstr(error, "does not exist") != NULL && (strstr(error, "role \"") != NULL || strstr(error, "database \"") != NULL)) {
    return "make the database and its roles first: as a superuser, createdb and then `vedette migrate --print-bootstrap | psql`";
  }
  if (strstr(error, "authentication failed") != NULL || strstr(error, "pg_hba.conf") != NULL) {
    return "run this as a system user whom pg_hba.conf and pg_ident.conf let in as that role";
  }
  if (strstr(error, "permission denied for database") != NULL) {
    return "run storage/bootstrap.sql in it as a superuser (vedette migrate --print-bootstrap)";
  }
  if (strstr(error, "certificate") != NULL || strstr(error, "SSL") != NULL) {
    return "check store.ca, store.certificate and store.key";
  }
  return "check that PostgreSQL runs there and that store.host and store.port are right";
}

static void fail_open(struct cli *cli, const struct config *config, const char *role, const char *error) {
  const char *cause = strstr(error, "failed: "); // before it stands the address, which is said anyway
  cause = cause != NULL ? cause + strlen("failed: ") : error;
  cause += strncmp(cause, "FATAL:  ", 8) == 0 ? 8 : 0;
  cli_fail(cli, CLI_FAILED, "cannot reach database %s on %s port %u as %s: %.*s; %s (%s)", config->store.database,
           config->store.host, (unsigned)config->store.port, role, (int)strcspn(cause, "\n"), cause, advice(error),
           cli_config_path(cli));
}

PGconn *db_open(struct cli *cli, const char *role, unsigned timeout_s) {
  char connection_text[4096];
  char settings[160];
  const struct config *config = cli_config(cli);
  if (config == NULL) {
    return NULL;
  }
  if (!config_conninfo(&config->store, role, connection_text, sizeof connection_text)) {
    cli_fail(cli, CLI_WRONG, "the settings of store in %s are too long", cli_config_path(cli));
    return NULL;
  }
  (void)snprintf(settings, sizeof settings,
                 "-c statement_timeout=%us -c TimeZone=UTC -c DateStyle=ISO,YMD -c search_path=pg_catalog,pg_temp", timeout_s);
  const char *const keywords[] = {"dbname", "application_name", "connect_timeout", "client_encoding", "options", NULL};
  const char *const values[] = {connection_text, cli_program(cli), "5", "UTF8", settings, NULL};
  PGconn *connection = PQconnectdbParams(keywords, values, 1);
  if (PQstatus(connection) == CONNECTION_OK) {
    return connection;
  }
  fail_open(cli, config, role, connection == NULL ? "out of memory" : PQerrorMessage(connection));
  PQfinish(connection);
  return NULL;
}

static bool is_state(const PGresult *result, const char *state) {
  const char *actual = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return actual != NULL && strcmp(actual, state) == 0;
}

void db_fail(struct cli *cli, const PGconn *connection, const PGresult *result) {
  static const char *const behind[] = {"42P01", "42703", "42883", "3F000", "42501"}; // something is not there, or not for us
  const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
  if (message == NULL) {
    message = PQerrorMessage(connection);
    cli_fail(cli, CLI_FAILED, "lost the database: %.*s; try again", (int)strcspn(message, "\n"), message);
    return;
  }
  for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++) {
    if (is_state(result, behind[i])) {
      cli_fail(cli, CLI_FAILED, "the database is not set up for this version (%s); run `vedette migrate`", message);
      return;
    }
  }
  if (is_state(result, "55P03")) {
    cli_fail(cli, CLI_FAILED, "somebody else is changing the registry and did not finish in time; nothing was done, try again");
    return;
  }
  if (is_state(result, "57014")) {
    cli_fail(cli, CLI_FAILED, "the database took too long and was stopped (%s); ask for less, or try again", message);
    return;
  }
  cli_fail(cli, CLI_FAILED, "the database refused: %s%s%s", message, detail != NULL ? "; " : "", detail != NULL ? detail : "");
}

static bool is_fine(const PGresult *result) {
  ExecStatusType status = PQresultStatus(result);
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

PGresult *db_query(struct cli *cli, PGconn *connection, const char *sql, int count, const char *const *values) {
  PGresult *result = PQexecParams(connection, sql, count, NULL, values, NULL, NULL, 0);
  if (is_fine(result)) {
    return result;
  }
  db_fail(cli, connection, result);
  PQclear(result);
  return NULL;
}

bool db_run(struct cli *cli, PGconn *connection, const char *sql, int count, const char *const *values) {
  PGresult *result = db_query(cli, connection, sql, count, values);
  PQclear(result);
  return result != NULL;
}

PGresult *db_try(struct cli *cli, PGconn *connection, const char *sql, bool *too_long) {
  PGresult *result = PQexecParams(connection, sql, 0, NULL, NULL, NULL, NULL, 0);
  *too_long = is_state(result, "57014");
  if (is_fine(result)) {
    return result;
  }
  if (!*too_long) {
    db_fail(cli, connection, result);
  }
  PQclear(result);
  return NULL;
}

int db_no_device(struct cli *cli, const char *credential) {
  return cli_fail(cli, CLI_FAILED, "no device has the credential %s; see vedette device list", credential);
}

const char *db_text(const PGresult *result, int row, const char *column) {
  return PQgetvalue(result, row, PQfnumber(result, column));
}

long long db_number(const PGresult *result, int row, const char *column) {
  return strtoll(db_text(result, row, column), NULL, 10);
}
