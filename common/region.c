#include "common/region.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature) // clang's way to say it
#if __has_feature(address_sanitizer)
#define REGION_SINGLE
#endif
#elif defined(__SANITIZE_ADDRESS__) // gcc's
#define REGION_SINGLE
#endif

#ifdef REGION_SINGLE
enum { BLOCK = 0 };
#else
enum { BLOCK = 256 * 1024 };
#endif

struct block {
  struct block *next;
  size_t size, used; // of data
  alignas(max_align_t) unsigned char data[];
};

struct region {
  struct block *blocks; // newest first
  size_t limit, used;
};

struct region *region_new(size_t limit) {
  struct region *region = calloc(1, sizeof *region);
  if (region != NULL) {
    region->limit = limit;
  }
  return region;
}

void region_free(struct region *region) {
  if (region == NULL) {
    return;
  }
  region_reset(region);
  free(region->blocks);
  free(region);
}

static bool grow(struct region *region, size_t size) {
  size_t data = size > BLOCK ? size : BLOCK;
  struct block *block = malloc(sizeof *block + data);
  if (block == NULL) {
    return false;
  }
  *block = (struct block){.next = region->blocks, .size = data};
  region->blocks = block;
  return true;
}

void *region_alloc(struct region *region, size_t size) {
  size_t align = alignof(max_align_t);
  if (size > region->limit) {
    return NULL;
  }
  size = size == 0 ? align : (size + align - 1) & ~(align - 1);
  if (size > region->limit - region->used) {
    return NULL;
  }
  struct block *block = region->blocks;
  if (block == NULL || block->size - block->used < size) {
    if (!grow(region, size)) {
      return NULL;
    }
    block = region->blocks;
  }
  void *out = block->data + block->used;
  block->used += size;
  region->used += size;
  return out;
}

void *region_zalloc(struct region *region, size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) {
    return NULL;
  }
  void *out = region_alloc(region, count * size);
  if (out != NULL) {
    memset(out, 0, count * size);
  }
  return out;
}

char *region_strdup(struct region *region, const char *text, size_t length) {
  char *out = region_alloc(region, length + 1);
  if (out != NULL) {
    memcpy(out, text, length);
    out[length] = '\0';
  }
  return out;
}

void region_reset(struct region *region) {
  struct block *block = region->blocks;
  while (block != NULL && (block->next != NULL || BLOCK == 0 || block->size > BLOCK)) {
    struct block *next = block->next;
    free(block);
    block = next;
  }
  if (block != NULL) {
    block->used = 0;
  }
  region->blocks = block;
  region->used = 0;
}

size_t region_used(const struct region *region) {
  return region->used;
}
