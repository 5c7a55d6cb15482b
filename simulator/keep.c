#include "simulator/keep.h"

#include <stdlib.h>
#include <string.h>

struct keep {
  const struct keep_limits *limits;
  struct kept *oldest;
  struct kept *youngest;
  struct kept *cursor; // next to be sent; NULL: all were
  size_t count;
  uint64_t bytes;
};

struct keep *keep_new(const struct keep_limits *limits) {
  struct keep *keep = calloc(1, sizeof *keep);
  if (keep != NULL) {
    keep->limits = limits;
  }
  return keep;
}

static void forget_oldest(struct keep *keep) {
  struct kept *one = keep->oldest;
  keep->oldest = one->next;
  keep->youngest = one->next != NULL ? keep->youngest : NULL;
  keep->cursor = keep->cursor == one ? one->next : keep->cursor;
  keep->count--;
  keep->bytes -= one->size;
  free(one);
}

void keep_free(struct keep *keep) {
  if (keep == NULL) {
    return;
  }
  while (keep->oldest != NULL) {
    forget_oldest(keep);
  }
  free(keep);
}

size_t keep_make_room(struct keep *keep, size_t size) {
  size_t dropped = 0;
  for (; keep->count > 0 && (keep->count >= keep->limits->reports || keep->bytes + size > keep->limits->bytes); dropped++) {
    forget_oldest(keep);
  }
  return dropped;
}

int keep_add(struct keep *keep, uint64_t sequence, const uint8_t *bytes, size_t size) {
  struct kept *one = malloc(sizeof *one + size);
  if (one == NULL) {
    return -1;
  }
  *one = (struct kept){.sequence = sequence, .size = size};
  memcpy(one->bytes, bytes, size);
  if (keep->oldest == NULL) {
    keep->oldest = one;
  } else {
    keep->youngest->next = one;
  }
  keep->youngest = one;
  if (keep->cursor == NULL) {
    keep->cursor = one;
  }
  keep->count++;
  keep->bytes += size;
  return 0;
}

const struct kept *keep_next(const struct keep *keep) {
  return keep->cursor;
}

void keep_advance(struct keep *keep) {
  if (keep->cursor != NULL) {
    keep->cursor->sent = true;
    keep->cursor = keep->cursor->next;
  }
}

void keep_rewind(struct keep *keep) {
  keep->cursor = keep->oldest;
}

bool keep_acknowledge(struct keep *keep, uint64_t sequence) {
  struct kept *one = keep->oldest;
  while (one != NULL && one->sequence < sequence) {
    one = one->next;
  }
  if (one == NULL || one->sequence != sequence || one->acknowledged) {
    return false;
  }
  one->acknowledged = true;
  return true;
}

size_t keep_release(struct keep *keep, uint64_t sequence, size_t *unacknowledged) {
  size_t count = 0;
  *unacknowledged = 0;
  for (; keep->oldest != NULL && keep->oldest->sequence <= sequence; count++) {
    *unacknowledged += keep->oldest->acknowledged ? 0 : 1;
    forget_oldest(keep);
  }
  return count;
}

size_t keep_count(const struct keep *keep) {
  return keep->count;
}

uint64_t keep_oldest(const struct keep *keep) {
  return keep->oldest != NULL ? keep->oldest->sequence : 0;
}
