// Every detector there is; docs/detectors.md lists what each needs and does.
#ifndef VEDETTE_ANALYSIS_DETECTORS_ALL_H
#define VEDETTE_ANALYSIS_DETECTORS_ALL_H

#include "analysis/detector.h"

extern const struct detector detector_connectivity;
extern const struct detector detector_maintenance;
extern const struct detector detector_rate;
extern const struct detector detector_identity;
extern const struct detector detector_malformed;
extern const struct detector detector_shed;
extern const struct detector detector_logins;
extern const struct detector detector_firmware;
extern const struct detector detector_completeness;
extern const struct detector detector_loss;
extern const struct detector detector_clock;
extern const struct detector detector_battery;
extern const struct detector detector_never_seen;
extern const struct detector detector_traffic;
extern const struct detector detector_value;

#endif
