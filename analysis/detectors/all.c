#include "analysis/detectors/all.h"

// Connectivity is first: the others ask what it knows. Completeness stands before loss: see there.
const struct detector *const detectors[] = {&detector_connectivity, &detector_maintenance, &detector_rate,   &detector_identity,
                                            &detector_malformed,    &detector_shed,        &detector_logins, &detector_firmware,
                                            &detector_completeness, &detector_loss,        &detector_clock,  &detector_battery,
                                            &detector_never_seen,   &detector_traffic,     &detector_value};
const size_t detector_count = sizeof detectors / sizeof detectors[0];
_Static_assert(sizeof detectors / sizeof detectors[0] <= DETECTORS_MOST, "room for all");
