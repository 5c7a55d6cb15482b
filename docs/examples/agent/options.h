// The agent's command line.
#ifndef VEDETTE_AGENT_OPTIONS_H
#define VEDETTE_AGENT_OPTIONS_H

#include <stdbool.h>

#include "docs/examples/agent/link.h"

struct options {
  struct link_options link;
  unsigned interval_s;
  const char *state;    // NULL: a random boot number
  const char *auth_log; // NULL: look for one
  const char *proc;
  bool once;
};

// Reads and checks the command line; the strings live in argv. Returns -1 to go on, else the exit code: 0 after --help and
// --version, 2 after one clear line on stderr.
int options_parse(int argc, char **argv, struct options *out);

#endif
