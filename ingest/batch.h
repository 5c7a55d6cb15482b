// A batch: the messages of consecutive journal records, what became of each, and the rows they make. Filled in steps by writer.c:
//
//   batch_add         a record is decoded, checked and admitted against the directory
//   batch_metrics     which metric names the store has to number first
//   batch_rows        messages become rows; which metric sets the store has to number first
//   (repeats          the store says which rows it has already)
//   batch_encode      COPY buffers
//
// All memory is the batch's regions' and goes with batch_reset. The loop's thread only.
#ifndef VEDETTE_INGEST_BATCH_H
#define VEDETTE_INGEST_BATCH_H

#include "ingest/decode.h"
#include "ingest/directory.h"
#include "ingest/segment.h"
#include "ingest/tombstones.h"
#include "storage/copy.h"

enum outcome { OUTCOME_STORED, OUTCOME_DUPLICATE, OUTCOME_REJECTED, OUTCOME_SHED };
enum letter { LETTER_OPEN, LETTER_WHOLE, LETTER_PART, LETTER_DROPPED };

struct message {
  struct record record;   // points into the journal
  const char *credential; // the publisher's, by the topic
  size_t credential_length;
  enum topic_kind kind;
  enum outcome outcome;
  struct verdict decoded;   // what decoding and checking say, whoever sent it
  struct verdict verdict;   // of a rejected or shed one
  struct device *publisher; // NULL: not registered
  struct device *device;    // whom it is about; NULL when rejected before that was known
  Vedette__V1__Report *report;
  Vedette__V1__Connectivity *connectivity;
  int marks;         // what the decoder says beside the time's marks
  int64_t boot;      // 0: not readable, or the publisher does not number its reports
  uint64_t sequence; // a report's sequence or a connectivity message's connection
  int64_t digest;
  enum letter letter;           // of a rejected one
  struct letters_kept *letters; // where its dead letter counts
  bool buried;                  // names an erased device: leaves no letter and gets no notice
  bool repeat;                  // looks like one: redelivered, or not above the publisher's highest sequence
};

// One row of store.report: the samples of a message that share a time.
struct row {
  struct message *message;
  int64_t time; // Unix microseconds
  int16_t marks;
  bool first; // of its message: carries the message's size
  size_t count;
  int32_t *metrics; // ascending
  const Vedette__V1__Sample **samples;
  struct metric_set *set; // NULL: none, or not numbered yet
};

// The books of one minute of receipt: each number is counted where it happens, none is a difference of others.
enum { MINUTES_MOST = 64 }; // minutes a batch may span; a further one belongs to the next batch
struct minute {
  int64_t start;     // Unix microseconds
  uint64_t received; // records taken from the journal
  uint64_t stored;   // messages whose rows were written
  uint64_t duplicate, rejected, shed;
  uint64_t letters; // of the rejected: kept as dead letters
};

enum { DECODERS_MOST = 4 };

struct batch {
  struct decoder *decoders[DECODERS_MOST]; // asked in this order
  size_t decoder_count;
  struct region *region;  // messages
  struct region *scratch; // rows and what is asked about them: emptied when rows are made anew; no batch of messages fills it
  struct message *messages;
  size_t count, room;
  struct row *rows; // sorted by key
  size_t row_count;
  uint64_t first, next; // journal records [first, next)
  struct minute minutes[MINUTES_MOST];
  size_t minute_count;
  struct allowance device, gateway; // how much each may send
  struct tombstones *tombstones;    // of erased devices; NULL: there are none
  bool buries;                      // a message names an erased device
  uint64_t letter_bytes;            // payload of rejected messages
  struct copy reports, traffic, events, firmware, connectivity, letters;
};

// Bytes that the messages and rows of a batch take now, and the most they may.
size_t batch_memory(const struct batch *batch);
size_t batch_memory_limit(void);

// Counts for the batch row and the ledger.
struct batch_counts {
  uint32_t reports, rows, connectivity, duplicates, rejected, shed;
};

bool batch_init(struct batch *batch, size_t room); // for at most `room` records a batch
// Has a decoder asked after vedette/v1's and those added before, of which there may be DECODERS_MOST. It has to outlive the
// batch.
void batch_add_decoder(struct batch *batch, struct decoder *decoder);
void batch_destroy(struct batch *batch);
void batch_reset(struct batch *batch, uint64_t first);

// Takes a record in. False when the batch is full (of records or of memory): the record belongs to the next one.
bool batch_add(struct batch *batch, struct directory *directory, const struct record *record);
// Decides again about messages of unknown devices, after the directory was refreshed. batch_unknown counts them.
void batch_readmit(struct batch *batch, struct directory *directory);
size_t batch_unknown(const struct batch *batch);

// What a report says is of the past: it says so, or it comes from a replay. Neither is news.
bool message_historical(const struct message *message);

// Rejects a message in hindsight.
void message_reject(struct message *message, Vedette__V1__Reason reason, const char *detail);

// Calls `visit` for every metric that a message names, samples and declarations; `declaration` is NULL for samples.
typedef void (*metric_visit)(struct model *model, struct metric *metric, const Vedette__V1__MetricDeclaration *declaration,
                             void *arg);
void batch_metrics(struct batch *batch, metric_visit visit, void *arg);

// Makes the rows of all messages that are to be stored (again), sorted by key. Metrics have to be numbered; what was refused a
// number rejects its message. Repeats within the batch are found here. False when memory ran out.
bool batch_rows(struct batch *batch);

// The minute that a record belongs to; NULL if the batch has no place for another one.
struct minute *batch_minute(struct batch *batch, int64_t received);

// Fills the COPY buffers, and the books but for `received`. False when memory ran out.
bool batch_encode(struct batch *batch, int64_t batch_key);
struct batch_counts batch_count(const struct batch *batch);

// Remembers the highest sequences of what is now stored.
void batch_remember(struct batch *batch);
// Looks again for likely repeats in a batch that was filled before the one in front of it was remembered.
void batch_suspect(struct batch *batch);

#endif
