// `vedette-eval`: how good the detectors are, told from what is known to have happened.
#include <stdio.h>

#include "analysis/eval/scenarios.h"
#include "cli/dispatch.h"
#include "cli/output.h"

static int version(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  if (cli->json) {
    return output_json(cli, json_pack("{s:s}", "vedette-eval", VEDETTE_VERSION));
  }
  puts("vedette-eval " VEDETTE_VERSION);
  return CLI_FINE;
}

static const struct command commands[] = {
    {"scenarios", NULL, "", "Judge what was raised by what the simulator says it did: precision, recall, delay.",
     "FILE is the truth file of vedette-sim; what was raised comes from the store. A raise is of a fault when device and kind "
     "fit and\n"
     "it came between the fault's start and its end, or so many seconds of grace later; the first finds it, others are repeats. "
     "What\n"
     "nobody can tell is excused: on children of a gateway with a fault, under faults of which nothing is expected. Exit code 0\n"
     "says that it was judged, not that all was found.",
     scenarios},
    {"version", NULL, "", "Show the version.", NULL, version},
};

int main(int argc, char **argv) {
  const struct dispatch dispatch = {"vedette-eval", commands, sizeof commands / sizeof commands[0]};
  return dispatch_main(&dispatch, argc, argv);
}
