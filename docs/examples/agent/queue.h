// Reports that the broker has not acknowledged yet, oldest first. Bounded in number and bytes: when full, the oldest that is not
// under way is dropped, and the hole in the sequence tells Vedette. For one thread.
#ifndef VEDETTE_AGENT_QUEUE_H
#define VEDETTE_AGENT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "docs/examples/agent/report.h"

enum { QUEUE_REPORTS_MAX = 1024, QUEUE_BYTES_MAX = 8 << 20 };

struct queue_item {
  struct report_bytes report;
  size_t cost;      // bytes it counts for in the queue
  uint64_t made_ms; // monotonic
  bool tried;       // was handed to the broker's connection: stays the same to the byte from now on
};

struct queue;
struct queue *queue_create(void); // NULL without memory
void queue_free(struct queue *queue);

// Adds a report and takes its memory, whatever happens. Returns how many were dropped to make room.
size_t queue_push(struct queue *queue, struct report_bytes report, uint64_t now_ms);

// The oldest report, NULL if there is none. It stays in the queue, safe from being dropped, until queue_done or queue_retry.
struct queue_item *queue_begin(struct queue *queue);
void queue_done(struct queue *queue);  // acknowledged: gone
void queue_retry(struct queue *queue); // not acknowledged: begins again

size_t queue_count(const struct queue *queue);

#endif
