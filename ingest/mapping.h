// JSON of devices that do not speak vedette/v1: a mapping file says how the messages of a topic filter become reports
// (docs/mappings.md). The report then passes the same checks as any other.
#ifndef VEDETTE_INGEST_MAPPING_H
#define VEDETTE_INGEST_MAPPING_H

#include "ingest/decode.h"

struct mappings;

// Loads one file, or all *.yaml of a folder in the order of their names; NULL: none. Returns NULL with one clear sentence in
// `error` that names file, line and field. Freed with mappings_free.
struct mappings *mappings_load(const char *path, char *error, size_t error_size);
void mappings_free(struct mappings *mappings); // accepts NULL

size_t mappings_count(const struct mappings *mappings);
// The topic filter of a mapping, to be subscribed to. No two overlap, nor does one with the topics of vedette/v1.
const char *mappings_filter(const struct mappings *mappings, size_t place);

// Reads messages by these mappings; belongs to them. For one thread at a time: it keeps memory from message to message.
struct decoder *mappings_decoder(struct mappings *mappings);

#endif
