// Who did not return from maintenance, and what detector_maintenance keeps of a device.
#ifndef VEDETTE_ANALYSIS_DETECTORS_RETURNS_H
#define VEDETTE_ANALYSIS_DETECTORS_RETURNS_H

#include "analysis/maintenance.h"

// The device, which the window is of, was heard before or in it and not since, and has not said that it goes.
bool returns_is_awaited(const struct window *window, struct device *device);
// How long those who are awaited may take to come back, microseconds.
int64_t returns_patience(const struct context *context, const struct window *window);
// Lists who did not come back, and raises the alert that says so.
void returns_judge(struct context *context, struct window *window);
// All who were listed are back: clears the alert.
void returns_over(struct context *context, const struct window *window);

#endif
