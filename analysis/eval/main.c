// `vedette-eval`: how good the detectors are, told from what is known to have happened.
#include <stdio.h>

#include "analysis/eval/quality.h"
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
    {"nab", NULL, "", "Score recorded series, for the scorer of the Numenta Anomaly Benchmark.",
     "Reads every .csv file below DIR, or below DIR/data: a heading, a column `timestamp`, the others metrics. Each is replayed "
     "as a\n"
     "device, row by row, through the detectors as they ship; nothing is known of a file before its rows come. Below --out a "
     "file\n"
     "of the same name gets the column anomaly_score: from 0.5 on an alert opens.",
     quality_nab},
    {"intervals", NULL, "", "Score recorded telemetry of devices whose anomalies are labelled as intervals.",
     "As `nab`; files without a column `timestamp` are taken as a row every five minutes, empty fields as missing readings. "
     "What\n"
     "is wrong between a device's metrics keeps its score for as long as it is.",
     quality_intervals},
    {"version", NULL, "", "Show the version.", NULL, version},
};

int main(int argc, char **argv) {
  const struct dispatch dispatch = {"vedette-eval", commands, sizeof commands / sizeof commands[0]};
  return dispatch_main(&dispatch, argc, argv);
}
