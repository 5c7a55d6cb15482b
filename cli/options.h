// Options of a command, described once: read from argv and shown by --help. Values stand as `--name value` or `--name=value`,
// options and arguments in any order, `--` ends the options. --config, --json, --no-color and --help are understood everywhere.
#ifndef VEDETTE_CLI_OPTIONS_H
#define VEDETTE_CLI_OPTIONS_H

#include "cli/cli.h"

enum option_kind { OPTION_END, OPTION_FLAG, OPTION_TEXT, OPTION_NUMBER, OPTION_TEXTS };

enum { OPTION_TEXTS_MOST = 32 };

// Values of an option that may be given several times.
struct option_texts {
  const char *list[OPTION_TEXTS_MOST];
  size_t count;
};

struct option_spec {
  enum option_kind kind;
  const char *name;  // without the dashes
  void *target;      // bool *, const char **, long * or struct option_texts *
  const char *value; // name of the value in help; NULL for a flag
  const char *help;
  long least, most; // of a number
};

// Reads argv (after the command's words), moves what is not an option to the front of argv and returns how many those are,
// between `least` and `most`. −1 when the command is not to go on: cli->code is its exit code and everything is said.
int options_parse(struct cli *cli, const struct command *command, const struct option_spec *specs, int least, int most, int argc,
                  char **argv);

// Reads one option that is understood everywhere at argv[at]. Returns how many words it took; 0 if it is none of them;
// −1 if it is wrong, which is said. `--help` sets `help`.
int options_global(struct cli *cli, int argc, char **argv, int at, bool *help);

// The nearest of the words, if near enough to be what was meant; NULL otherwise.
const char *options_nearest(const char *word, const char *const *words, size_t count);

#endif
