// From a command line to the command that it asks for. What stands before the command are the options understood everywhere; a
// word that is no command is refused with the one that was probably meant.
#ifndef VEDETTE_CLI_DISPATCH_H
#define VEDETTE_CLI_DISPATCH_H

#include "cli/cli.h"

enum { DISPATCH_MOST = 96 }; // commands of a program

// A program's commands. `--version` runs the one that is called version.
struct dispatch {
  const char *program;
  const struct command *commands;
  size_t count; // at most DISPATCH_MOST
};

// All of a program's main: locale and time zone, the command, what is left in the output. Returns the exit code.
int dispatch_main(const struct dispatch *dispatch, int argc, char **argv);

#endif
