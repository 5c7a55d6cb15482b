#include "analysis/eval/match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double second = 1e6;

// What faults of a raise's device say of it.
struct cover {
  bool found;          // it is the first of a fault
  bool repeat;         // a fault that lasts was found already
  struct judged *late; // ended and not found yet: it may be of this one, in its grace
  bool late_repeat;    // ended and found
  bool excused, child; // nobody can tell; because the device is a child of a gateway with a fault
  bool forbidden;      // nothing may be raised
};

static enum fate fate_at_first(const struct truth *truth, const struct match_window *window) {
  const struct expectation *expected = expectation_find(truth->kind);
  if (truth->start < window->since || truth->start > window->until) {
    return FATE_OUTSIDE;
  }
  if (truth->through != NULL) {
    return FATE_CHILD;
  }
  if (truth->expect != NULL) {
    return strcmp(truth->expect, TRUTH_EXPECT_NOTHING) == 0 ? FATE_NOTHING : FATE_MISSED;
  }
  return expected == NULL ? FATE_UNJUDGED : expected->unsure ? FATE_UNSURE : FATE_MISSED;
}

static void judge_at_first(struct judged *judged, const struct truth *truth, const struct match_window *window,
                           int64_t open_end) {
  const struct expectation *expected = expectation_find(truth->kind);
  *judged = (struct judged){.truth = truth, .end = truth->end, .fate = fate_at_first(truth, window)};
  judged->kind = truth->expect != NULL ? truth->expect : expected != NULL ? expected->kinds[0] : NULL;
  if (truth->end == TRUTH_OPEN) {
    judged->end = open_end > truth->start ? open_end : truth->start;
  }
}

// Where faults without an end ended: with the window, or with the newest that is known.
static int64_t end_of_all(const struct truths *truths, const struct raise *raises, size_t count,
                          const struct match_window *window) {
  int64_t newest = truths->newest;
  for (size_t i = 0; i < count; i++) {
    newest = raises[i].at > newest ? raises[i].at : newest;
  }
  return window->until != INT64_MAX ? window->until : newest;
}

static bool is_expected(const struct truth *truth, const char *kind) {
  const struct expectation *expected = expectation_find(truth->kind);
  if (truth->expect != NULL) {
    return strcmp(truth->expect, kind) == 0;
  }
  for (size_t i = 0; expected != NULL && i < EXPECTED_MOST && expected->kinds[i] != NULL; i++) {
    if (strcmp(expected->kinds[i], kind) == 0) {
      return true;
    }
  }
  return false;
}

static void find(struct judged *judged, const struct raise *raise) {
  judged->fate = FATE_FOUND;
  judged->kind = raise->kind;
  judged->delay = raise->at - judged->truth->start;
}

// A raise that may be of the fault.
static void cover_expected(struct cover *cover, struct judged *judged, const struct raise *raise) {
  bool lasts = raise->at <= judged->end;
  if (judged->fate == FATE_FOUND) {
    cover->repeat |= lasts;
    cover->late_repeat |= !lasts;
  } else if (lasts) {
    find(judged, raise); // one raise may be of several faults that go on at the time
    cover->found = true;
  } else if (cover->late == NULL || judged->end > cover->late->end) {
    cover->late = judged;
  }
}

static void cover_with(struct cover *cover, struct judged *judged, const struct raise *raise) {
  bool expected = is_expected(judged->truth, raise->kind);
  switch (judged->fate) {
  case FATE_OUTSIDE:
    cover->child |= judged->truth->through != NULL;
    cover->excused |= expected;
    break;
  case FATE_CHILD: cover->child = true; break;
  case FATE_UNJUDGED: cover->excused = true; break;
  case FATE_NOTHING: cover->forbidden = true; break;
  case FATE_FOUND:
  case FATE_MISSED:
  case FATE_UNSURE:
    if (expected) {
      cover_expected(cover, judged, raise);
    }
    break;
  }
}

// The first truth of a device.
static size_t first_of(const struct match *match, const char *device) {
  size_t low = 0;
  size_t high = match->judged_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (strcmp(match->judged[middle].truth->device, device) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static enum verdict decide(const struct cover *cover, const struct raise *raise, const struct match_window *window) {
  if (cover->found) {
    return VERDICT_TRUE;
  }
  if (raise->at > window->until) {
    return VERDICT_OUTSIDE;
  }
  if (cover->repeat || cover->late_repeat) {
    return VERDICT_REPEAT;
  }
  const struct kind *kind = kind_find(raise->kind);
  if (cover->child || (kind != NULL && kind->source == KIND_SAID)) {
    return VERDICT_EXCUSED;
  }
  if (cover->forbidden) {
    return VERDICT_FALSE;
  }
  if (raise->system) {
    return VERDICT_LISTED;
  }
  return cover->excused ? VERDICT_EXCUSED : VERDICT_FALSE;
}

static enum verdict judge(struct match *match, const struct raise *raise, const struct match_window *window) {
  struct cover cover = {0};
  const char *device = raise->system ? TRUTH_SYSTEM : raise->device;
  if (raise->at < window->since) {
    return VERDICT_OUTSIDE;
  }
  for (size_t i = first_of(match, device); i < match->judged_count; i++) {
    struct judged *judged = &match->judged[i];
    if (strcmp(judged->truth->device, device) != 0 || judged->truth->start > raise->at) {
      break; // of a device they are in the order of their start
    }
    if (raise->at - window->grace <= judged->end) {
      cover_with(&cover, judged, raise);
    }
  }
  if (!cover.found && !cover.repeat && cover.late != NULL) {
    find(cover.late, raise);
    cover.found = true;
  }
  return decide(&cover, raise, window);
}

static int compare_raises(const void *left, const void *right) {
  const struct raise *a = left;
  const struct raise *b = right;
  int order = (a->at > b->at) - (a->at < b->at);
  if (order == 0) {
    order = strcmp(a->device, b->device);
  }
  if (order == 0) {
    order = strcmp(a->kind, b->kind);
  }
  return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

static int compare_numbers(const void *left, const void *right) {
  const double *a = left;
  const double *b = right;
  return (*a > *b) - (*a < *b);
}

double match_quantile(const double *sorted, size_t count, double fraction) {
  if (fraction == 0.5 && count % 2 == 0) {
    return (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
  }
  size_t rank = (size_t)ceil(fraction * (double)count);
  return sorted[rank > 0 ? rank - 1 : 0];
}

// The figures of a kind, made if it is new. NULL when memory ran out.
static struct figures *figures_of(struct match *match, const char *kind) {
  for (size_t i = 0; i < match->figures_count; i++) {
    if (strcmp(match->figures[i].kind, kind) == 0) {
      return &match->figures[i];
    }
  }
  struct figures *figures = realloc(match->figures, (match->figures_count + 1) * sizeof *figures);
  if (figures == NULL) {
    return NULL;
  }
  match->figures = figures;
  figures[match->figures_count] = (struct figures){.kind = kind};
  return &figures[match->figures_count++];
}

static bool count_raises(struct match *match, const struct raise *raises, size_t count, const struct match_window *window) {
  for (size_t i = 0; i < count; i++) {
    struct figures *figures = figures_of(match, raises[i].kind);
    if (figures == NULL) {
      return false;
    }
    enum verdict verdict = raises[i].verdict;
    figures->alerts += raises[i].alert && raises[i].at >= window->since && raises[i].at <= window->until;
    figures->raised += verdict != VERDICT_OUTSIDE && verdict != VERDICT_LISTED;
    figures->true_positives += verdict == VERDICT_TRUE;
    figures->false_positives += verdict == VERDICT_FALSE;
    figures->repeats += verdict == VERDICT_REPEAT;
    figures->excused += verdict == VERDICT_EXCUSED;
  }
  return true;
}

static bool count_truths(struct match *match) {
  for (size_t i = 0; i < match->judged_count; i++) {
    const struct judged *judged = &match->judged[i];
    if (judged->fate != FATE_FOUND && judged->fate != FATE_MISSED) {
      continue;
    }
    struct figures *figures = figures_of(match, judged->kind);
    if (figures == NULL) {
      return false;
    }
    figures->truths++;
    figures->found += judged->fate == FATE_FOUND;
    figures->missed += judged->fate == FATE_MISSED;
  }
  return true;
}

// Median and p95 of each kind; `delays` has room for one a truth.
static void measure_delays(struct match *match, double *delays) {
  for (size_t k = 0; k < match->figures_count; k++) {
    struct figures *figures = &match->figures[k];
    size_t count = 0;
    for (size_t i = 0; figures->found > 0 && i < match->judged_count; i++) {
      const struct judged *judged = &match->judged[i];
      if (judged->fate == FATE_FOUND && strcmp(judged->kind, figures->kind) == 0) {
        delays[count++] = (double)judged->delay / second;
      }
    }
    if (count > 0) {
      qsort(delays, count, sizeof *delays, compare_numbers);
      figures->delay_median = match_quantile(delays, count, 0.5);
      figures->delay_p95 = match_quantile(delays, count, 0.95);
    }
  }
}

static bool count_all(struct match *match, const struct raise *raises, size_t count, const struct match_window *window) {
  double *delays = calloc(match->judged_count + 1, sizeof *delays);
  bool counted = delays != NULL;
  for (size_t i = 0; counted && i < kinds_count; i++) {
    counted = figures_of(match, kinds[i].name) != NULL;
  }
  counted = counted && count_raises(match, raises, count, window) && count_truths(match);
  if (counted) {
    measure_delays(match, delays);
  }
  free(delays);
  return counted;
}

bool match_run(const struct truths *truths, struct raise *raises, size_t count, const struct match_window *window,
               struct match *match) {
  *match = (struct match){.judged = calloc(truths->count + 1, sizeof *match->judged), .judged_count = truths->count};
  if (match->judged == NULL) {
    return false;
  }
  int64_t open_end = end_of_all(truths, raises, count, window);
  for (size_t i = 0; i < truths->count; i++) {
    judge_at_first(&match->judged[i], &truths->list[i], window, open_end);
  }
  if (count > 1) {
    qsort(raises, count, sizeof *raises, compare_raises);
  }
  for (size_t i = 0; i < count; i++) {
    raises[i].verdict = raises[i].judged ? judge(match, &raises[i], window) : VERDICT_OUTSIDE;
  }
  if (!count_all(match, raises, count, window)) {
    match_free(match);
    return false;
  }
  return true;
}

void match_free(struct match *match) {
  free(match->judged);
  free(match->figures);
  *match = (struct match){0};
}
