// `vedette-eval nab` and `vedette-eval intervals`: the detectors, as they ship, on recorded telemetry.
#ifndef VEDETTE_ANALYSIS_EVAL_QUALITY_H
#define VEDETTE_ANALYSIS_EVAL_QUALITY_H

#include "cli/cli.h"
#include "cli/options.h"

int quality_nab(struct cli *cli, const struct command *command, int argc, char **argv);
int quality_intervals(struct cli *cli, const struct command *command, int argc, char **argv);

#endif
