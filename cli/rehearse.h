// What would become of dead letters if they were replayed now.
#ifndef VEDETTE_CLI_REHEARSE_H
#define VEDETTE_CLI_REHEARSE_H

#include "cli/letters.h"

// Decodes, checks and admits each letter as a worker would, asks the store whether it has it, and shows the outcome. Changes
// nothing. The connection is the administrator's. Returns the exit code.
int rehearse(struct cli *cli, PGconn *connection, const struct letters *letters);

#endif
