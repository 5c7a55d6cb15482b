// Command lines of the benchmark's programs: every option is `--name VALUE`.
#ifndef VEDETTE_BENCH_OPTIONS_H
#define VEDETTE_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct option_row {
  const char *name;  // without the dashes
  const char **text; // where a text goes, or …
  long *number;      // … a whole number from 0 to 1,000,000,000, or …
  bool *flag;        // … that it was given; such an option has no value
};

// Takes the command line apart. False for what is not in `rows` (ends with a NULL name) or has no proper value; said on stderr.
bool options_take(int argc, char **argv, const struct option_row *rows);

#endif
