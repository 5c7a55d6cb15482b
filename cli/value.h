// Values that a person typed for an option or argument, judged. `name` is what the error calls it ("--since"). All return false
// with the error said, which is of wrong usage.
#ifndef VEDETTE_CLI_VALUE_H
#define VEDETTE_CLI_VALUE_H

#include <stdint.h>

#include "cli/cli.h"

// One of the words.
bool value_choice(struct cli *cli, const char *name, const char *text, const char *const *words, size_t count);

// 1 to `most` bytes of UTF-8 without control characters.
bool value_text(struct cli *cli, const char *name, const char *text, size_t most);

// The number of one of `what` ("an alert"), which the command `list` shows.
bool value_id(struct cli *cli, const char *text, const char *what, const char *list);

// A point in time: a length is that long ago, or ahead. In microseconds since 1970.
bool value_time(struct cli *cli, const char *name, const char *text, int64_t *at);
bool value_time_ahead(struct cli *cli, const char *name, const char *text, int64_t *at);

// A length of time, in microseconds.
bool value_length(struct cli *cli, const char *name, const char *text, int64_t *microseconds);

#endif
