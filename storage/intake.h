// What ingest asks of the store and tells it, as scripts for storage/link.h. The SQL is here and in storage/migrations, the
// decisions are in ingest/writer.c. Each function returns NULL when memory ran out.
#ifndef VEDETTE_STORAGE_INTAKE_H
#define VEDETTE_STORAGE_INTAKE_H

#include "storage/copy.h"
#include "storage/link.h"
#include "storage/list.h"

// Where a journal stands in the store.
struct intake_position {
  int32_t feed;
  int64_t number;    // of the next batch
  uint64_t record;   // next journal record to store
  bool retired;      // takes no batch any more
  int64_t erased_to; // the journal was emptied for erasures up to this one
};

// Opens the feed of a journal (a UUID). Fills *position.
struct script *intake_open(const char *journal, const char *worker, struct intake_position *position);

// A device of the registry.
struct intake_device {
  int32_t id, model;
  int32_t gateway;    // who may speak for it; 0: nobody
  bool active;        // its messages are taken
  int64_t keep_us;    // how old its reports may be
  int64_t not_before; // … and not older than this (Unix microseconds): what was known of its credential before is erased
  const char *credential;
};

// Devices of the registry that changed since `snapshot`, or all for "0" and then also how many dead letters, and bytes of them,
// are kept of each today (device 0: of strangers) in the feeds of `worker`. Afterwards `snapshot` is the one to ask with next.
//
// Before them, of erased devices: the salt (for "0") and their tombstones (SHA-256 of salt and credential), both DIGEST_SIZE
// bytes, those of which the broker may still retain a message, and the number of the newest erasure.
enum { SNAPSHOT_SIZE = 24, DIGEST_SIZE = 32 };
typedef void (*intake_kept)(int32_t id, int64_t letters, int64_t bytes, void *arg);
struct intake_devices {
  const char *worker;
  void (*visit)(const struct intake_device *device, void *arg);
  intake_kept kept;
  void (*salt)(const uint8_t *salt, void *arg);
  void (*tombstone)(const uint8_t *digest, void *arg);
  void (*retained)(int32_t id, const char *credential, void *arg);
  void *arg;
  int64_t erasure;
  char snapshot[SNAPSHOT_SIZE];
};
struct script *intake_devices(struct intake_devices *devices);

// Appends: numbers for the names of a model. One row: int4[] in the order asked, NULL where the limit stands against it.
void intake_metrics(struct script *script, int32_t model, struct list *names, int limit, link_rows rows, void *arg);
// Appends: numbers for metric sets (one row each, in the order asked; NULL past the limit).
void intake_sets(struct script *script, struct list *devices, struct list *sets, int limit, link_rows rows, void *arg);
void intake_declare(struct script *script, int32_t model, int32_t metric, const char *kind, const char *unit);

// Appends: which of these reports the store has, by key. Rows: place in the lists (from 1), whether it is the same; if not it is
// a conflict.
struct intake_keys {
  struct list *devices, *times, *publishers, *boots, *sequences, *digests;
};
void intake_probe_reports(struct script *script, const struct intake_keys *keys, link_rows rows, void *arg);
// Appends: which of these connectivity keys the store has (times and digests unused; `publishers` holds the states). Rows:
// place.
void intake_probe_connectivity(struct script *script, const struct intake_keys *keys, link_rows rows, void *arg);

// Numbers of publishers' boots, arrays of one length; `stored` is given rows of publisher, boot and sequence, in text.
struct intake_sequences {
  struct list *publishers, *boots, *firsts, *lasts, *sheds, *kept;
  link_rows stored;
  void *arg;
};

// One batch. Refused with STORE_ERASED where devices were erased after `erasure`: ask for the devices first.
struct intake_batch {
  int64_t erasure;
  int32_t feed;
  int64_t number;
  uint64_t first_record, next_record, journaled;
  int64_t received_to, seeing_since; // Unix microseconds
  uint32_t reports, rows, connectivity, duplicates, rejected, shed;
  struct list *days;                                                                    // days since 1970-01-01
  const struct copy *report, *traffic, *event, *firmware, *connectivity_rows, *letters; // those without rows are left out
  // What neither a row nor a dead letter says: messages that were shed, or rejected past what is kept. Same length.
  struct list *unkept_devices, *unkept_reasons, *unkept_counts;
  // The ledger's exceptions, aggregated: same length.
  struct list *ledger_devices, *ledger_minutes, *ledger_terms, *ledger_reasons, *ledger_counts;
  // Device clocks: microseconds ahead, drift in thousandths of ppm, when. Same length.
  struct list *clock_devices, *clocks_ahead, *clock_drifts, *clock_times;
  const struct intake_sequences *sequences; // NULL: not with this batch
  // The books by minute: same length.
  struct list *book_minutes, *received, *stored, *duplicate, *rejected_by_minute, *shed_by_minute, *dead_letters;
};
struct script *intake_batch(const struct intake_batch *batch);

// Says that the journal no longer has records [first, next): a batch of kind `lost`.
struct script *intake_lost(int32_t feed, int64_t number, uint64_t first, uint64_t next, int64_t received_to);

// Takes queued dead letters for a feed (rows, in binary: id, topic, payload), and says which of them are in its journal now.
struct script *intake_claim_letters(int32_t feed, int most, int64_t most_bytes, link_rows rows, void *arg);
struct script *intake_letters_replayed(int32_t feed, struct list *ids);

// The broker keeps no message of these erased devices any more.
struct script *intake_retained_cleared(struct list *devices);
// The feed's journal holds nothing any more of the devices of erasures up to this one.
struct script *intake_forgot(int32_t feed, int64_t erasure);

// The key of a batch in its rows (store.batch_key).
int64_t intake_batch_key(int32_t feed, int64_t number);

#endif
