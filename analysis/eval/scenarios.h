// `vedette-eval scenarios`: what a simulation did, beside what the store says was raised.
#ifndef VEDETTE_ANALYSIS_EVAL_SCENARIOS_H
#define VEDETTE_ANALYSIS_EVAL_SCENARIOS_H

#include <libpq-fe.h>

#include "analysis/eval/match.h"
#include "cli/cli.h"
#include "cli/options.h"

struct scenarios {
  struct option_texts kinds; // only these are shown; none: all
  bool all;                  // lists for people are whole
  struct match_window window;
  struct truths truths;
  PGresult *rows;       // what the store says; the raises point into it
  struct raise *raises; // raise->row is a row of it
  size_t count;
  struct match match;
};

int scenarios(struct cli *cli, const struct command *command, int argc, char **argv);

// Writes the figures and the lists, as a text or as JSON. Sorts the raises by device. Returns the exit code.
int scenarios_print(struct cli *cli, struct scenarios *scenarios);

#endif
