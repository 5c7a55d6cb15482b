// What `vedette doctor` finds out, area by area. Each finding is good, a warning, bad, or could not be found out.
#ifndef VEDETTE_CLI_DOCTOR_H
#define VEDETTE_CLI_DOCTOR_H

#include <jansson.h>
#include <libpq-fe.h>

#include "cli/cli.h"

enum doctor_state { DOCTOR_GOOD, DOCTOR_WARNING, DOCTOR_BAD, DOCTOR_UNKNOWN };

struct doctor {
  struct cli *cli;
  json_t *findings; // {area, state, said, advice}
  size_t counts[DOCTOR_UNKNOWN + 1];
};

// Notes a finding: `said` in one sentence, `advice` what to do (NULL where nothing is).
void doctor_note(struct doctor *doctor, const char *area, enum doctor_state state, const char *advice, const char *said, ...)
    __attribute__((format(printf, 5, 6)));

// The server, the schema, what housekeeping left. The connection is the administrator's. False when it is lost, which is said.
bool doctor_store(struct doctor *doctor, PGconn *connection);

// Certificates of the configuration, clocks, disks. `connection` may be NULL.
void doctor_host(struct doctor *doctor, PGconn *connection);

#endif
