#include "docs/examples/agent/queue.h"

#include <stdlib.h>

struct queue {
  size_t first; // place of the oldest
  size_t count;
  size_t bytes;
  bool under_way; // the oldest is being sent
  struct queue_item items[QUEUE_REPORTS_MAX];
};

struct queue *queue_create(void) {
  return calloc(1, sizeof(struct queue));
}

static struct queue_item *item_at(struct queue *queue, size_t place) {
  return &queue->items[(queue->first + place) % QUEUE_REPORTS_MAX];
}

// Takes the report at `place` (0 or 1 from the oldest) out.
static void drop(struct queue *queue, size_t place) {
  struct queue_item *victim = item_at(queue, place);
  queue->bytes -= victim->cost;
  free(victim->report.bytes);
  if (place == 1) {
    *victim = *item_at(queue, 0);
  }
  *item_at(queue, 0) = (struct queue_item){0};
  queue->first = (queue->first + 1) % QUEUE_REPORTS_MAX;
  queue->count--;
}

void queue_free(struct queue *queue) {
  if (queue != NULL) {
    while (queue->count > 0) {
      drop(queue, 0);
    }
    free(queue);
  }
}

size_t queue_push(struct queue *queue, struct report_bytes report, uint64_t now_ms) {
  size_t dropped = 0;
  size_t kept = queue->under_way ? 1 : 0;
  while (queue->count > kept && (queue->count == QUEUE_REPORTS_MAX || queue->bytes + report.size > QUEUE_BYTES_MAX)) {
    drop(queue, kept);
    dropped++;
  }
  *item_at(queue, queue->count) = (struct queue_item){report, report.size, now_ms, false};
  queue->count++;
  queue->bytes += report.size;
  return dropped;
}

struct queue_item *queue_begin(struct queue *queue) {
  if (queue->count == 0) {
    return NULL;
  }
  queue->under_way = true;
  return item_at(queue, 0);
}

void queue_done(struct queue *queue) {
  if (queue->under_way) {
    drop(queue, 0);
    queue->under_way = false;
  }
}

void queue_retry(struct queue *queue) {
  queue->under_way = false;
}

size_t queue_count(const struct queue *queue) {
  return queue->count;
}
