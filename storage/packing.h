// Packing closed days of reports (store.packed), piece by piece, as scripts for storage/link.h: next, then read and write until
// nothing is left, then finish. Each write is a transaction; where the work was left off it goes on. The SQL is here and in
// migration 0011. Scripts are NULL when memory ran out. The loop's thread only.
#ifndef VEDETTE_STORAGE_PACKING_H
#define VEDETTE_STORAGE_PACKING_H

#include "storage/link.h"

#include <stdbool.h>
#include <stdint.h>

struct packing;

struct packing *packing_new(void);
void packing_free(struct packing *packing); // accepts NULL

// Looks for a day to pack that is over for `after_s` seconds, or is packed and has got `late` reports since. Then packing_day
// says which, "" for none.
struct script *packing_next(struct packing *packing, uint32_t after_s, uint32_t late);
const char *packing_day(const struct packing *packing);

// Reads the next reports of the day and packs them. Then packing_count says how many, 0 at the end of the day, −1 when memory ran
// out.
struct script *packing_read(struct packing *packing);
int64_t packing_count(const struct packing *packing);

// Writes what was read in the place of the raw reports. Fails with 40001 when others have changed them meanwhile: start over with
// packing_next.
struct script *packing_write(struct packing *packing);
struct script *packing_finish(struct packing *packing);

struct packing_totals {
  uint64_t reports, samples;
};
struct packing_totals packing_totals(const struct packing *packing); // written since the start

#endif
