// Puts devices into the registry, many at once: lines are staged in the database, judged there against each other and against
// what is registered, and the good ones go in together in one transaction.
#ifndef VEDETTE_CLI_REGISTRY_H
#define VEDETTE_CLI_REGISTRY_H

#include <libpq-fe.h>

#include "cli/cli.h"
#include "cli/problems.h"

// The columns, in the order of the CSV file.
enum registry_column {
  REGISTRY_CREDENTIAL,
  REGISTRY_MODEL,
  REGISTRY_FIRMWARE,
  REGISTRY_REGION,
  REGISTRY_TIME_ZONE,
  REGISTRY_SITE,
  REGISTRY_GATEWAY,
  REGISTRY_OWNER,
  REGISTRY_CRITICAL,
  REGISTRY_COLUMNS
};
extern const char *const registry_columns[REGISTRY_COLUMNS];

struct registry_summary {
  long long created;
  long long updated;
  long long unchanged;
};

struct registry;

// Begins, in a transaction on `connection` (vedette_admin), which stays the caller's. What is wrong with lines goes to
// `problems`. NULL with the error said.
struct registry *registry_open(struct cli *cli, PGconn *connection, struct problems *problems);

// Takes one line. A line that is wrong by itself is noted and left out. False with the error said: the database is gone.
bool registry_put(struct registry *registry, unsigned long line, const char *const fields[REGISTRY_COLUMNS]);

// Judges the lines against each other, writes them and commits; `dry_run` ends after the judgement and changes nothing.
// False with the error said: nothing was changed.
bool registry_finish(struct registry *registry, bool dry_run, struct registry_summary *summary);

void registry_close(struct registry *registry);

// Judges one line by itself. NULL when it is fine, else what is wrong, with the column at fault.
const char *registry_check(const char *const fields[REGISTRY_COLUMNS], enum registry_column *column);

// yes, no, true, false, 1, 0 in any case.
bool registry_read_flag(const char *text, bool *flag);

#endif
