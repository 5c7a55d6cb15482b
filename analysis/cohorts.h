// Cohorts: devices with something in common that fall silent together, beyond what is usual for them.
//
// One consumer device that is unplugged is a state and a count. What is an alert: when of those with one attribute in common a
// good part is gone within ten minutes, many more than in a usual hour of that time of day. A minute after the first sign the
// attribute is sought that explains most of those who are gone with fewest of those who are not (the largest F1 of share and
// coverage); what it does not explain is looked at again. So a cut region is one alert, and not one for each of its sites. The
// loop's thread only.
#ifndef VEDETTE_ANALYSIS_COHORTS_H
#define VEDETTE_ANALYSIS_COHORTS_H

#include "analysis/attributes.h"

struct cohorts;

struct cohorts *cohorts_new(void);          // NULL when out of memory
void cohorts_free(struct cohorts *cohorts); // accepts NULL

// Who belongs to what has changed: it is counted anew when time advances, at most once a minute. `anew`: the states were loaded,
// and the store says which alerts are live.
void cohorts_recount(struct cohorts *cohorts, bool anew);
// A device became absent (silent, or its link lost) at `at`, or is no longer. `maintained`: it is being worked on, and that is no
// sign of anything.
void cohorts_absent(struct cohorts *cohorts, struct device *device, int64_t at, bool maintained);
void cohorts_present(struct cohorts *cohorts, const struct device *device);
// Time has advanced.
void cohorts_advance(struct cohorts *cohorts, struct context *context);

#endif
