#include "analysis/timers.h"

#include <stdlib.h>

static void put(struct timers *timers, struct timer *timer, size_t at) {
  timers->heap[at] = timer;
  timer->slot = (uint32_t)at + 1;
}

static void sift_up(struct timers *timers, struct timer *timer, size_t at) {
  while (at > 0 && timers->heap[(at - 1) / 2]->due > timer->due) {
    put(timers, timers->heap[(at - 1) / 2], at);
    at = (at - 1) / 2;
  }
  put(timers, timer, at);
}

static void sift_down(struct timers *timers, struct timer *timer, size_t at) {
  for (size_t child = 2 * at + 1; child < timers->count; child = 2 * at + 1) {
    if (child + 1 < timers->count && timers->heap[child + 1]->due < timers->heap[child]->due) {
      child++;
    }
    if (timers->heap[child]->due >= timer->due) {
      break;
    }
    put(timers, timers->heap[child], at);
    at = child;
  }
  put(timers, timer, at);
}

bool timers_arm(struct timers *timers, struct timer *timer, int64_t at) {
  if (timer->slot != 0) {
    if (at < timer->due) {
      timer->due = at;
      sift_up(timers, timer, timer->slot - 1);
    }
    return true;
  }
  if (timers->count == timers->room) {
    size_t room = timers->room ? timers->room * 2 : 1024;
    struct timer **grown = (struct timer **)realloc((void *)timers->heap, room * sizeof(struct timer *));
    if (grown == NULL) {
      return false;
    }
    timers->heap = grown;
    timers->room = room;
  }
  timer->due = at;
  sift_up(timers, timer, timers->count++);
  return true;
}

void timers_disarm(struct timers *timers, struct timer *timer) {
  if (timer->slot == 0) {
    return;
  }
  size_t at = timer->slot - 1;
  struct timer *last = timers->heap[--timers->count];
  timer->slot = 0;
  if (last != timer) {
    sift_up(timers, last, at);
    sift_down(timers, last, last->slot - 1);
  }
}

struct timer *timers_next(struct timers *timers, int64_t now) {
  if (timers->count == 0 || timers->heap[0]->due > now) {
    return NULL;
  }
  struct timer *first = timers->heap[0];
  timers_disarm(timers, first);
  return first;
}

void timers_free(struct timers *timers) {
  free((void *)timers->heap);
  *timers = (struct timers){0};
}
