// What a worker has to do about erased devices beyond refusing what they send: empty its journal of them, and make the broker
// forget the messages that it retains for them. The loop's thread only.
#ifndef VEDETTE_INGEST_ERASING_H
#define VEDETTE_INGEST_ERASING_H

#include "ingest/journal.h"
#include "storage/link.h"

#include <stdbool.h>
#include <stdint.h>

struct erasing;

struct erasing_broker {
  // Asks the broker to clear what it retains for a topic; false: not now.
  bool (*clear)(const char *topic, void *arg);
  // How many of these it has not acknowledged yet; −1 once after one failed.
  int (*clearing)(void *arg);
  void *arg;
};

struct erasing *erasing_new(struct journal *journal, const struct erasing_broker *broker); // NULL when out of memory
void erasing_free(struct erasing *erasing);                                                // accepts NULL

// The journal was emptied for erasures up to this one, says the store.
void erasing_start(struct erasing *erasing, int64_t erased_to);
// The broker may retain a message of this erased device.
void erasing_retained(struct erasing *erasing, int32_t device, const char *credential);
// A batch that is to be committed has messages of, or about, erased devices: they are in the journal again. False: that cannot be
// noted for a worker after this one.
bool erasing_soiled(struct erasing *erasing);

// Goes on with both; `erasure` is the newest that the directory knows. What the store is to be told now, or NULL.
struct script *erasing_next(struct erasing *erasing, int32_t feed, int64_t erasure);
// It was told, or not.
void erasing_told(struct erasing *erasing, bool told);

#endif
