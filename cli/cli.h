// What every command of `vedette` (and of programs made like it) shares: the options given before or after the command, how a
// command is described, and how a command that cannot go on says so. One thread; commands return the exit code: 0 fine, 1 failed,
// 2 wrong usage or configuration.
#ifndef VEDETTE_CLI_CLI_H
#define VEDETTE_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"

enum { CLI_FINE = 0, CLI_FAILED = 1, CLI_WRONG = 2 };

struct cli {
  const char *program;     // in messages; NULL: vedette
  const char *config_path; // --config, or NULL for the default
  bool json;               // --json
  bool no_color;           // --no-color
  int code;                // exit code of what failed last
  struct config *config;   // loaded at the first need; freed by main
};

struct command {
  const char *group;     // "device", or the command itself where it stands alone
  const char *verb;      // "list"; NULL where the command stands alone
  const char *arguments; // of the usage line, "" for none
  const char *summary;   // one line
  const char *details;   // paragraphs of the command's own help; NULL for none
  int (*run)(struct cli *cli, const struct command *command, int argc, char **argv);
};

// What the program is called in messages.
const char *cli_program(const struct cli *cli);

// The text of an error is one line on stderr, "vedette: …", control characters escaped. Returns `code`, and keeps it in
// cli->code.
int cli_fail(struct cli *cli, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Loads the configuration once. NULL with the error said and cli->code set.
const struct config *cli_config(struct cli *cli);

// The file that --config or the default names.
const char *cli_config_path(const struct cli *cli);

// True on a terminal that wants colours: no --no-color, no NO_COLOR, not --json.
bool cli_colors(const struct cli *cli);

// The login name of the user that runs this, as the system knows it; not from the environment, which anybody can set.
const char *cli_operator(void);

// Ctrl-C and SIGTERM set a flag instead of ending the program. Call before a loop that cli_stopped ends.
void cli_catch_stop(void);
bool cli_stopped(void);

// Sleeps; a signal ends it early.
void cli_sleep_ms(unsigned milliseconds);

// Flushes stdout. False, with the error said, when something could not be written.
bool cli_flush(struct cli *cli);

#endif
