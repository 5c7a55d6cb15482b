#include "analysis/detectors/all.h"

const struct detector *const detectors[] = {&detector_connectivity, &detector_maintenance, &detector_rate,   &detector_identity,
                                            &detector_malformed,    &detector_shed,        &detector_logins, &detector_firmware};
const size_t detector_count = sizeof detectors / sizeof detectors[0];
