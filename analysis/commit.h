// Turns a group of analysed batches and its effects into the one transaction that stores them. The loop's thread only.
#ifndef VEDETTE_ANALYSIS_COMMIT_H
#define VEDETTE_ANALYSIS_COMMIT_H

#include "analysis/clocks.h"
#include "analysis/context.h"
#include "analysis/group.h"

// `erasure` is the newest that the fleet knows. The batches of `group` (their steps set), the effects in `context`, and with
// `checkpoint` the states of all devices that changed and of windows (their dirty marks are taken off: should the commit fail,
// everything is loaded anew) and the clocks. NULL when memory ran out.
struct script *commit_script(int64_t erasure, int16_t lane, int64_t step, const struct group *group,
                             const struct context *context, struct clock *clocks, bool checkpoint);

#endif
