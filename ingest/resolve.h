// The questions a batch has to ask the store before it can be committed: numbers for metric names and metric sets, and which rows
// are repeats. Each resolve_X returns a script, or NULL when there is nothing to ask; its answers are taken in when it is done.
// See writer.c for the order. The loop's thread only.
#ifndef VEDETTE_INGEST_RESOLVE_H
#define VEDETTE_INGEST_RESOLVE_H

#include "ingest/batch.h"
#include "storage/intake.h"

struct resolve;

struct resolve *resolve_new(void);
void resolve_free(struct resolve *resolve); // accepts NULL

// Gathers the metrics without a number of one model. False if there are none.
bool resolve_metrics_next(struct resolve *resolve, struct batch *batch);
struct script *resolve_metrics(struct resolve *resolve);

// Units and kinds that devices declared, once each.
struct script *resolve_declarations(struct resolve *resolve, struct batch *batch);
void resolve_declared(struct resolve *resolve);

// Makes the batch's rows. False when memory ran out.
bool resolve_rows(struct resolve *resolve, struct batch *batch);
// Asks for numbers of metric sets; run resolve_rows again afterwards, until there is nothing to ask.
struct script *resolve_sets(struct resolve *resolve, struct batch *batch);

// Asks which rows of likely repeats (of all messages if `all`) the store has; then resolve_repeated takes the repeats out.
struct script *resolve_repeats(struct resolve *resolve, struct batch *batch, bool all);
void resolve_repeated(struct resolve *resolve, struct batch *batch);

#endif
