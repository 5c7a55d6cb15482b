// Monitoring health: whether we see. While we are blind nobody is judged absent, one alert says so, and the time is a row. The
// loop's thread only.
//
// Four things can be away: the broker (ingest has no session), ingest (it commits nothing), the store (what ingest journals
// waits), and analysis itself (committed batches wait). Event time tells of the first two, the time of commitment of the third,
// the wall clock, which is asked here and by no detector, of what is the matter now.
#ifndef VEDETTE_ANALYSIS_HEALTH_H
#define VEDETTE_ANALYSIS_HEALTH_H

#include "analysis/context.h"
#include "storage/feed.h"

// Times are Unix microseconds.
struct health {
  int64_t seen;     // event time up to which we saw
  int64_t began;    // we are blind since; 0: we are not
  const char *away; // what is: a constant
  int64_t ended;    // we see again since, and do not judge yet; 0: we do not see
};

// A batch was analysed that was received up to `received_to` and committed at `committed_at`.
void health_batch(struct health *health, struct context *context, int64_t received_to, int64_t committed_at);
// Event time has advanced; `seeing_since` as in context_advance.
void health_advance(struct health *health, struct context *context, int64_t now, int64_t seeing_since);
// The wall clock shows `wall`. `next`: the first batch that is to be analysed, NULL: none. `down_since`: of the connection to the
// store, before it was up again; 0: it was not down.
void health_check(struct health *health, struct context *context, int64_t wall, const struct feed_batch *next,
                  int64_t down_since);
// What the store says of the interval that is open, after a start. `away` may be any text.
void health_resume(struct health *health, int64_t began, const char *away);

#endif
