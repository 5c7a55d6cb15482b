// Reconnect storms: many more births than usual, told apart: after a restart of the broker, the return of a region, a few devices
// that connect again and again, and what nothing explains, as an attack would look. And which firmware comes back without jitter,
// all of it at one moment (ETSI EN 303 645, provision 5.9-3). The loop's thread only.
#ifndef VEDETTE_ANALYSIS_STORMS_H
#define VEDETTE_ANALYSIS_STORMS_H

#include "analysis/attributes.h"

struct storms;

struct storms *storms_new(void);         // NULL when out of memory
void storms_free(struct storms *storms); // accepts NULL
// The fleet's devices are others: what is remembered of them goes.
void storms_forget(struct storms *storms);

// A device connected at `at`. `absent`: it had been called so, or its will had come.
void storms_birth(struct storms *storms, struct device *device, int64_t at, bool absent);
void storms_advance(struct storms *storms, struct context *context);

#endif
