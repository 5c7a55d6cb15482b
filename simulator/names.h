// Turns foreign names (columns of a recording, file names) into names of the wire contract.
#ifndef VEDETTE_SIMULATOR_NAMES_H
#define VEDETTE_SIMULATOR_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { NAMES_METRIC_MAX = 64, NAMES_CREDENTIAL_MAX = 128 };

// Writes `raw` as a metric name: ASCII capitals become small, every other byte outside [a-z0-9._/-] becomes `_`, cut to 64 bytes;
// an empty one becomes `_`. `out` has room for NAMES_METRIC_MAX + 1 bytes.
void names_metric(const char *raw, char *out);

// True if `name` is a metric name of the wire contract.
bool names_is_metric(const char *name);

// Makes `count` metric names from `raw`, all different: a name that is taken already gets -2, -3, … (and is cut to make room).
// Returns `count` strings in one allocation to be freed with free(), or NULL when memory is out.
char **names_metrics(char *const *raw, size_t count);

// Appends `raw` to `prefix` as a credential name: bytes outside [A-Za-z0-9._-] become `-`, cut to fit `size` and 128 bytes.
void names_credential(const char *prefix, const char *raw, char *out, size_t size);

#endif
