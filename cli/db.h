// The command's way to the database: libpq, one connection at a time, waited for. What goes wrong is said in one line that tells
// what was tried and what to do, and sets cli->code.
#ifndef VEDETTE_CLI_DB_H
#define VEDETTE_CLI_DB_H

#include <libpq-fe.h>

#include "cli/cli.h"

#define DB_CONSOLE "vedette_console" // reads the views of schema vedette
#define DB_ADMIN "vedette_admin"     // registry and migrations

enum { DB_READ_S = 20, DB_WRITE_S = 600, DB_UNLIMITED = 0 }; // statement timeouts, seconds

// Connects as `role`; gives up after 5 s. NULL with the error said. Close with PQfinish.
PGconn *db_open(struct cli *cli, const char *role, unsigned timeout_s);

// Runs one statement with text parameters (NULL is SQL's NULL). NULL with the error said; otherwise clear it with PQclear.
PGresult *db_query(struct cli *cli, PGconn *connection, const char *sql, int count, const char *const *values);

// As db_query, for statements whose rows do not matter.
bool db_run(struct cli *cli, PGconn *connection, const char *sql, int count, const char *const *values);

// As db_query without parameters for a caller that shows what it can: NULL says nothing when the statement took too long.
PGresult *db_try(struct cli *cli, PGconn *connection, const char *sql, bool *too_long);

// Says what is wrong with `result`, in one line.
void db_fail(struct cli *cli, const PGconn *connection, const PGresult *result);

// Says that no device has this credential. Returns the exit code.
int db_no_device(struct cli *cli, const char *credential);

// A field of a result, "" where it is NULL.
const char *db_text(const PGresult *result, int row, const char *column);
long long db_number(const PGresult *result, int row, const char *column);

#endif
