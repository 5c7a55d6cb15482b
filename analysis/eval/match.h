// What was raised, laid against what really happened. Pure: no store, no clock. Times are microseconds since 1970.
//
// A raise is of a fault when it names the fault's device and a kind that is expected of the fault, and came between the fault's
// start and its end + grace. The first finds the fault, further ones are repeats. What was raised where nobody can tell (on a
// child of a gateway that has a fault, under a fault of which nothing is expected, from a fault before the window) is excused.
// All else is false, except of the system itself, which is only listed where no truth is about it.
#ifndef VEDETTE_ANALYSIS_EVAL_MATCH_H
#define VEDETTE_ANALYSIS_EVAL_MATCH_H

#include "analysis/eval/kinds.h"
#include "analysis/eval/truth.h"

enum verdict { VERDICT_OUTSIDE, VERDICT_TRUE, VERDICT_FALSE, VERDICT_REPEAT, VERDICT_EXCUSED, VERDICT_LISTED };

// Something that was raised; the texts are the caller's and outlive the match.
struct raise {
  const char *device;
  const char *kind;
  int64_t at;
  bool system; // of Vedette itself
  bool alert;  // a row of vedette.alert
  bool judged; // false: an alert that says what a state says already; it is only counted
  int row;     // the caller's
  enum verdict verdict;
};

enum fate {
  FATE_OUTSIDE,  // began before or after the window
  FATE_FOUND,    // by `kind`, after `delay`
  FATE_MISSED,   // should have been by `kind`
  FATE_UNJUDGED, // nothing is expected of such a fault
  FATE_UNSURE,   // what is expected depends on what the truth does not tell, and nothing was raised
  FATE_CHILD,    // a child of a gateway that has the fault
  FATE_NOTHING   // nothing may be raised, says the truth
};

// What became of a truth.
struct judged {
  const struct truth *truth;
  int64_t end; // where the truth's is open, that of the match
  enum fate fate;
  const char *kind;
  int64_t delay;
};

struct match_window {
  int64_t since; // faults and raises from then on; INT64_MIN: all
  int64_t until; // no later; INT64_MAX: all. For a fault before it, raises are taken up to `grace` after it
  int64_t grace; // not negative
};

// Of a kind of raise. A fault that several kinds may find counts with the one that did, or with the first of them.
struct figures {
  const char *kind;
  size_t truths, found, missed;
  size_t raised, true_positives, false_positives, repeats, excused; // raised is the sum of the others
  size_t alerts;                                                    // rows in vedette.alert
  double delay_median, delay_p95;                                   // seconds from start to raise, of those that were found
};

struct match {
  struct judged *judged; // one a truth, in their order
  size_t judged_count;
  struct figures *figures; // one a kind: those of kinds.h in their order, then others
  size_t figures_count;
};

// Matches, and sorts `raises` by time. False when memory ran out; there is nothing to free then. Truths and raises have to
// outlive what is in `match`.
bool match_run(const struct truths *truths, struct raise *raises, size_t count, const struct match_window *window,
               struct match *match);
void match_free(struct match *match);

// A quantile of sorted values: the middle (of an even count, the mean of both) for 0.5, else the nearest rank. `count` is not 0.
double match_quantile(const double *sorted, size_t count, double fraction);

#endif
