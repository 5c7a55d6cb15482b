// Memory that is filled, then given back at once: our unit is one batch. Not thread-safe.
//
// A region never holds more than `limit` bytes; past it allocation returns NULL, which is the only way it fails. Under
// AddressSanitizer every allocation is its own, so that pooling hides no bug.
#ifndef VEDETTE_COMMON_REGION_H
#define VEDETTE_COMMON_REGION_H

#include <stddef.h>

struct region;

struct region *region_new(size_t limit);
void region_free(struct region *region); // accepts NULL

// `size` bytes, aligned for any type, not cleared; NULL past the limit or out of memory. Lives until the next region_reset.
void *region_alloc(struct region *region, size_t size);
void *region_zalloc(struct region *region, size_t count, size_t size); // cleared; NULL also where count * size overflows
char *region_strdup(struct region *region, const char *text, size_t length);

void region_reset(struct region *region);        // gives everything back, keeps the first block
size_t region_used(const struct region *region); // bytes handed out since the last reset

#endif
