// The command line that every daemon has: --config FILE, --check, --verbose, --help, --version.
#ifndef VEDETTE_COMMON_DAEMON_H
#define VEDETTE_COMMON_DAEMON_H

#include "common/config.h"

// Opens the log, reads the command line and the configuration. Returns the configuration to run with, or NULL with the exit
// status to leave with in *status (after --help, --version, --check, or an error that was printed). `purpose` is one sentence for
// --help.
struct config *daemon_start(int argc, char **argv, const char *program, const char *purpose, int *status);

#endif
