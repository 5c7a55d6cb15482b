// The alert about a series that is unusual: what the detectors of traffic and of values share.
#ifndef VEDETTE_ANALYSIS_DETECTORS_UNUSUAL_H
#define VEDETTE_ANALYSIS_DETECTORS_UNUSUAL_H

#include "analysis/values.h"

struct unusual {
  enum alert_kind kind;
  const char *name, *unit; // of what is looked at; unit "": unknown
};

void unusual_raise(struct context *context, struct device *device, const struct unusual *unusual, const struct held_value *held,
                   const struct series_finding *finding, const struct observation *o);

#endif
