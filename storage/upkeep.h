// What the keeper asks of the store, as scripts for storage/link.h. The work is done by functions of the administrator
// (storage/migrations). Each function returns NULL when memory ran out.
#ifndef VEDETTE_STORAGE_UPKEEP_H
#define VEDETTE_STORAGE_UPKEEP_H

#include "storage/link.h"

#include <stdint.h>

// Makes partitions that are missing and drops those past their time. One caller at a time, the others do nothing.
struct script *upkeep_partitions(void);
// Makes rollups of hours that are over, at most `most`; *made is how many.
struct script *upkeep_rollups(int32_t most, int32_t *made);
// Goes on with an erasure that nobody is at any more; *left is how many of its devices are to be deleted yet.
struct script *upkeep_erasures(int32_t *left);
// Deletes by age what has no partitions.
struct script *upkeep_prune(void);

#endif
